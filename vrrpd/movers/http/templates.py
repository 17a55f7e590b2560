"""Texts with names in them, and paths into answers: all that a declaration can compute.

`{name}` stands for a value that was saved before, `{name|int}` for the same as a number of JSON, `{42|int}` for a
number as such, and `{null}`, `{true}`, `{false}` for what JSON has beside texts and numbers, since the file knows only
texts. A path leads into an answer: `action.id`, `errors.0.code`, `header.etag` for a header, `.` for the whole text.

Must not do: know a name. Whether somebody saves it, `declared` asks.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias, cast
from urllib.parse import quote

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema

from vrrpd.config.words import plain_error
from vrrpd.config.words import quote as quoted

Values: TypeAlias = Mapping[str, Any]
"""What names stand for."""

NAME: Final = r"[a-z][a-z0-9_]*"
_SLOT: Final = re.compile(rf"\{{({NAME}|[0-9]{{1,18}})(\|int)?\}}")
_CONSTANTS: Final[Mapping[str, bool | None]] = {"null": None, "true": True, "false": False}


class NoNumberError(Exception):
    """What `{name|int}` stands for is no number; the text says what it is."""


@dataclass(frozen=True, slots=True)
class _Slot:
    name: str
    is_int: bool

    def value(self, values: Values) -> Any:
        if self.name.isdecimal():
            return int(self.name)
        if self.name in _CONSTANTS:
            return _CONSTANTS[self.name]
        found = values[self.name]
        if not self.is_int:
            return found
        if not re.fullmatch("-?[0-9]{1,18}", str(found)):
            raise NoNumberError(f"{self.name} is {quoted(found)}, and a number is wanted")
        return int(found)


@dataclass(frozen=True, slots=True)
class Template:
    """A text of the file, taken apart once.

    Attributes:
        text: as it was written.
        names: what has to be known before it can be filled in.
    """

    text: str
    names: frozenset[str] = field(compare=False)
    _parts: tuple[str | _Slot, ...] = field(compare=False, repr=False)

    def value(self, values: Values) -> Any:
        """What it stands for in JSON: a text, or where it is one name alone, the value itself.

        Raises:
            NoNumberError: see there.
            KeyError: a name stands for nothing.
        """
        match self._parts:
            case (_Slot() as slot,) if slot.is_int or slot.name in _CONSTANTS:
                return slot.value(values)
            case _:
                return self.filled(values)

    def filled(self, values: Values, *, in_url: bool = False) -> str:
        """The text with its names filled in; in a URL nothing that is filled in can leave its place."""
        pieces: list[str] = []
        for part in self._parts:
            if isinstance(part, str):
                pieces.append(part)
            else:
                text = str(part.value(values))
                pieces.append(quote(text, safe="") if in_url else text)
        return "".join(pieces)

    @classmethod
    def __get_pydantic_core_schema__(cls, _source: Any, _handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(template)

    @classmethod
    def __get_pydantic_json_schema__(cls, _core: CoreSchema, _handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return {"type": ["string", "number", "boolean"]}


def template(value: object) -> Template:
    """Take a text apart.

    Raises:
        PydanticCustomError: it is no text, or a brace in it begins no name.
    """
    if isinstance(value, Template):
        return value
    if not isinstance(value, str) or not value.isprintable():
        raise plain_error("this is no text of one line", "write one value")
    parts: list[str | _Slot] = []
    end = 0
    for found in _SLOT.finditer(value):
        parts.append(value[end : found.start()])
        parts.append(_Slot(found[1], found[2] is not None))
        if found[1].isdecimal() and found[2] is None:
            raise plain_error(f"{quoted(found[0])} is no name", f"write {{{found[1]}|int}} for the number")
        end = found.end()
    parts.append(value[end:])
    if any(isinstance(part, str) and ("{" in part or "}" in part) for part in parts):
        raise plain_error(
            "a brace in this text begins no name", "write {name} or {name|int}, with a name in lower case"
        )
    slots = [part.name for part in parts if isinstance(part, _Slot)]
    names = frozenset(name for name in slots if not name.isdecimal() and name not in _CONSTANTS)
    return Template(value, names, tuple(part for part in parts if part != ""))


def compiled(value: object) -> Any:
    """A body of JSON as the file has it, with templates in place of its texts."""
    if isinstance(value, dict):
        return {str(key): compiled(each) for key, each in cast("dict[object, object]", value).items()}
    if isinstance(value, list | tuple):
        return [compiled(each) for each in cast("list[object]", value)]
    return template(value)


def filled(value: Any, values: Values) -> Any:
    """A compiled body with its names filled in."""
    if isinstance(value, dict):
        return {key: filled(each, values) for key, each in cast("dict[str, Any]", value).items()}
    if isinstance(value, list):
        return [filled(each, values) for each in cast("list[Any]", value)]
    return value.value(values)


def leaves(value: Any, key: str = "") -> list[tuple[str, Template]]:
    """The templates in a compiled body, each with the key that it stands under."""
    if isinstance(value, dict):
        return [leaf for name, each in cast("dict[str, Any]", value).items() for leaf in leaves(each, name)]
    if isinstance(value, list):
        return [leaf for each in cast("list[Any]", value) for leaf in leaves(each, key)]
    return [(key, value)]


def dig(document: Any, path: str) -> Any:
    """What a dotted path leads to in a document of JSON; None where it leads nowhere."""
    found = document
    for part in path.split("."):
        if isinstance(found, dict):
            found = cast("dict[str, Any]", found).get(part)
        elif isinstance(found, list) and part.isdecimal() and len(part) < 9:
            entries = cast("list[Any]", found)
            found = entries[int(part)] if int(part) < len(entries) else None
        else:
            return None
    return found
