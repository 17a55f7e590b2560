"""The JSON Schema of the file, for editors: completion, descriptions and red lines while it is being written.

Owns the joining of two sources: the models of `config.model`, and the options of the kinds of checks, which the caller
hands in. It describes YAML as an editor reads it, so that `51` is a number and `"51"` a text; both are right.

Must not do: promise. The schema knows shapes; what the values mean together, `vrrpd check` knows. Keys that are not
supported yet are absent. Source: JSON Schema draft 2020-12.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

from pydantic import TypeAdapter
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

from vrrpd.config.model import FileKeys

CheckKinds: TypeAlias = Mapping[str, TypeAdapter[Any]]
"""Name of a kind of check to the validator of its options; the registry of checks has it."""

_REFERENCE = "#/$defs/{model}"


class _ForEditors(GenerateJsonSchema):
    """Leaves out what only the program needs: null for "not written", defaults in nanoseconds, generated titles."""

    def nullable_schema(self, schema: core_schema.NullableSchema) -> JsonSchemaValue:
        """A key that may be left out takes no null for that."""
        return self.generate_inner(schema["schema"])

    def default_schema(self, schema: core_schema.WithDefaultSchema) -> JsonSchemaValue:
        """The description says the default in the words of the file."""
        return self.generate_inner(schema["schema"])

    def field_title_should_be_set(self, schema: Any) -> bool:
        """No titles beside the keys."""
        return False


def json_schema(kinds: CheckKinds) -> JsonSchemaValue:
    """The schema of the whole file.

    Args:
        kinds: the kinds of checks that the file may use.
    """
    names = ["", *kinds]
    adapters: list[TypeAdapter[Any]] = [TypeAdapter(FileKeys), *kinds.values()]
    schemas, shared = TypeAdapter.json_schemas(
        [(name, "validation", adapter) for name, adapter in zip(names, adapters, strict=True)],
        ref_template=_REFERENCE,
        schema_generator=_ForEditors,
    )
    definitions: dict[str, Any] = shared["$defs"]
    check = definitions["CheckKeys"]
    check["properties"].update({name: schemas[name, "validation"] for name in kinds})
    check["oneOf"] = [{"required": [name]} for name in kinds]
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "vrrpd.yaml",
        **schemas["", "validation"],
        "$defs": definitions,
    }
