"""The JSON Schema of the file, for editors: completion, descriptions and red lines while it is being written.

Owns the joining of two sources: the models of `config.model`, and the options of the kinds of checks and movers, which
the caller hands in. It describes YAML as an editor reads it: `51` is a number and `"51"` a text, and both are right.

Must not do: promise. The schema knows shapes; what the values mean together, `vrrpd check` knows. Keys that are not
supported yet are absent. Source: JSON Schema draft 2020-12.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from pydantic import TypeAdapter
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

from vrrpd.config.kinds import Kinds
from vrrpd.config.model import FileKeys

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


def json_schema(kinds: Kinds, movers: Collection[str] | None = None) -> JsonSchemaValue:
    """The schema of the whole file.

    Args:
        kinds: the kinds that the file may use.
        movers: the kinds of movers whose options are wanted, which saves the import of the others; None: all.
    """
    chosen = kinds.movers if movers is None else movers
    adapters = {
        ("file", ""): TypeAdapter[Any](FileKeys),
        **{("check", name): kind.options for name, kind in kinds.checks.items()},
        **{("mover", name): kinds.movers[name].options for name in chosen},
    }
    schemas, shared = TypeAdapter.json_schemas(
        [(key, "validation", adapter) for key, adapter in adapters.items()],
        ref_template=_REFERENCE,
        schema_generator=_ForEditors,
    )
    definitions: dict[str, Any] = shared["$defs"]
    for model, what, names in (("CheckKeys", "check", kinds.checks), ("MoverKeys", "mover", kinds.movers)):
        options = {name: schemas.get(((what, name), "validation"), {}) for name in names}
        definitions[model].setdefault("properties", {}).update(options)
        definitions[model]["oneOf"] = [{"required": [name]} for name in names]
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "vrrpd.yaml",
        **schemas[("file", ""), "validation"],
        "$defs": definitions,
    }
