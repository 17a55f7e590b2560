"""A program and its arguments, as checks and movers have them in the file.

There is no shell, so a command is a list of words, and never one text that would have to be taken apart.
"""

from __future__ import annotations

from typing import Annotated, TypeAlias, cast

from pydantic import BeforeValidator, WithJsonSchema
from pydantic.json_schema import JsonSchemaValue

from vrrpd.config.words import shown

COMMAND: JsonSchemaValue = {
    "type": "array",
    "items": {"type": ["string", "number", "boolean"]},
    "minItems": 1,
    "examples": [["/usr/bin/test", "-e", "/run/proxy.ok"]],
}
"""JSON Schema of a command."""


def read_command(value: object) -> tuple[str, ...]:
    """Accept a list of a program and its arguments.

    Raises:
        ValueError: anything else; the text says what would be right.
    """
    if not isinstance(value, list | tuple) or not value:
        raise ValueError(
            f"{shown(cast('object', value))} is not a command; write a list such as [/usr/bin/test, -e, /run/proxy.ok]"
        )
    words = cast("list[object]", value)
    if not all(isinstance(word, str) and "\0" not in word for word in words):
        raise ValueError("the list holds something that is not text; write the program and its arguments as words")
    argv = tuple(cast("list[str]", words))
    if not argv[0] or ("/" in argv[0] and not argv[0].startswith("/")):
        raise ValueError(f"{shown(argv[0])} is no program; write an absolute path, or a name that PATH leads to")
    return argv


Command: TypeAlias = Annotated[tuple[str, ...], BeforeValidator(read_command), WithJsonSchema(COMMAND)]
"""Type of an option that is a command."""
