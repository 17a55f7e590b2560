"""Plain words: what a validator complains about, said to the person who writes the file.

Owns the sentences. Every one has two halves, `what is wrong; what would be right`, and none is pydantic's. Own
validators raise `plain_error` and have said both halves already; the kinds of checks, which bring validators of their
own, may raise what they like, and here it becomes a sentence.

Also owns the list of keys that are part of the contract and not built yet: they are refused as such, so that nobody
searches for a typing mistake in a word that is right.

Must not do: judge. Nothing here decides whether a value is good.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from typing import Any, cast, get_args

from pydantic.json_schema import JsonSchemaValue
from pydantic_core import ErrorDetails, PydanticCustomError
from pydantic_core.core_schema import ErrorType

from vrrpd.config.tree import Path

PLAIN = "plain"
"""The type of an error whose text is ready."""

_LATER: Mapping[Path, frozenset[str]] = {
    (): frozenset({"http"}),
    ("defaults",): frozenset({"hooks"}),
    ("routers", "*"): frozenset({"hooks"}),
}

_OF_SECRETS = ("auth", "bearer", "credential", "header", "key", "password", "secret", "token")
"""Parts of the names of options of movers under which a secret may stand."""

# Error type of pydantic -> what is wrong, what would be right. `{got}` is the value as written, other names are the
# error's own context.
_SENTENCES: Mapping[str, tuple[str, str]] = {
    "missing": ("{key} is missing", "add it"),
    "model_type": ("{got} is no mapping", "write 'key: value' lines"),
    "model_attributes_type": ("{got} is no mapping", "write 'key: value' lines"),
    "dataclass_type": ("{got} is no mapping", "write 'key: value' lines"),
    "dict_type": ("{got} is no mapping", "write 'key: value' lines"),
    "list_type": ("{got} is no list", "write a list, such as [a, b]"),
    "tuple_type": ("{got} is no list", "write a list, such as [a, b]"),
    "string_type": ("{got} is no text", "write one value"),
    "int_type": ("{got} is no number", "write a whole number"),
    "int_parsing": ("{got} is no number", "write a whole number"),
    "int_from_float": ("{got} is no whole number", "write a whole number"),
    "float_type": ("{got} is no number", "write a number"),
    "float_parsing": ("{got} is no number", "write a number"),
    "bool_type": ("{got} is neither yes nor no", "write true or false"),
    "bool_parsing": ("{got} is neither yes nor no", "write true or false"),
    "greater_than": ("{got} is too small", "write more than {gt}"),
    "greater_than_equal": ("{got} is too small", "write {ge} or more"),
    "less_than": ("{got} is too large", "write less than {lt}"),
    "less_than_equal": ("{got} is too large", "write {le} or less"),
    "literal_error": ("{got} is not known here", "write {expected}"),
    "enum": ("{got} is not known here", "write {expected}"),
    "string_too_short": ("{got} is too short", "write at least {min_length} characters"),
    "string_too_long": ("{got} is too long", "write at most {max_length} characters"),
    "too_short": ("{got} has too few entries", "write at least {min_length}"),
    "too_long": ("{got} has too many entries", "write at most {max_length}"),
    "string_pattern_mismatch": ("{got} has the wrong form", "write what matches {pattern}"),
}
_FALLBACK = ("{got} cannot be used here", "the schema (vrrpd check --schema) says what can")


def quote(text: object) -> str:
    """A text of the file, marked off, on one line, and short enough to read."""
    shown = str(text)
    shown = shown if len(shown) <= 60 else shown[:57] + "..."
    shown = shown if shown.isprintable() else shown.encode("unicode_escape").decode("ascii")
    return f"'{shown}'"


def listed(names: Iterable[object], last: str = "and") -> str:
    """Names as prose: 'a', 'a and b', 'a, b and c'."""
    *head, tail = [str(name) for name in names]
    return f"{', '.join(head)} {last} {tail}" if head else tail


def closest(word: str, known: Iterable[str]) -> str | None:
    """The known word that was most likely meant."""
    return next(iter(difflib.get_close_matches(word, sorted(known), n=1)), None)


def did_you_mean(word: str, known: Iterable[str], otherwise: str) -> str:
    """The second half of a sentence about an unknown word."""
    guess = closest(word, known)
    return f"did you mean {quote(guess)}?" if guess else otherwise


def plain_error(wrong: str, right: str) -> PydanticCustomError:
    """What a validator of ours raises: a sentence that is ready."""
    return PydanticCustomError(PLAIN, "{text}", {"text": f"{wrong}; {right}"})


def shown(value: object) -> str:
    """A value as the file's author knows it."""
    if isinstance(value, dict):
        return "this mapping"
    return "this list" if isinstance(value, list) else quote(value)


def secret(path: Path) -> bool:
    """Whether what stands at a path may be a secret, or a secret in the wrong place; no message shows it."""
    keys = path[1:] if path[:1] == ("defaults",) else path[2:] if path[:1] == ("routers",) else ()
    if keys[:1] == ("movers",):
        return any(word in str(key).lower() for key in keys[3:] for word in _OF_SECRETS)
    return keys[:1] == ("auth",)


def sentence(error: ErrorDetails, above: Path, known: Iterable[str]) -> str:
    """One complaint in plain words.

    Args:
        error: what pydantic says.
        above: path of the mapping that holds the key; of use for an unknown key only.
        known: the keys that mapping can have.
    """
    kind, key = error["type"], str(error["loc"][-1] if error["loc"] else "")
    if kind == "extra_forbidden":
        return unknown_key(key, above, known, hidden=secret(above))
    hidden = secret((*above, key))
    context = error.get("ctx", {})
    if kind in {"value_error", "assertion_error"}:
        text = str(context.get("error") or error["msg"])
    elif kind not in get_args(ErrorType):
        text = error["msg"]  # raised by a validator that has its own words
    else:
        wrong, right = _SENTENCES.get(kind, _FALLBACK)
        names: dict[str, object] = {**context, "got": shown(error["input"]), "key": quote(key)}
        text = f"{wrong}; {right}".format(**names)
    if kind in {"list_type", "tuple_type"} and isinstance(error["input"], str) and not hidden:
        text = f"{quote(error['input'])} is no list; write [{error['input']}]"
    if hidden:
        text = text.replace(quote(error["input"]), "this value")
    return text if ";" in text else f"{text}; {_FALLBACK[1]}"


def unknown_key(key: str, above: Path, known: Iterable[str], *, hidden: bool = False) -> str:
    """What to say about a key that the schema does not have; `hidden` where it may be a secret itself."""
    shape = ("routers", "*", *above[2:]) if above[:1] == ("routers",) and above[1:] else above
    if key in _LATER.get(shape, ()):
        return f"{quote(key)} is not supported yet; remove it"
    keys = sorted(known)
    otherwise = f"the keys known here are {listed(keys)}" if keys else "remove it"
    return f"unknown key{'' if hidden else ' ' + quote(key)}; {did_you_mean(key, keys, otherwise)}"


def misplaced(key: object, beside: object) -> str:
    """What to say about an option that stands in the column of its kind, which therefore has none."""
    return f"{quote(key)} stands beside {quote(beside)}; if it is an option of that, write it further to the right"


def known_keys(schema: JsonSchemaValue, path: Path) -> set[str]:
    """The keys that the mapping at a path can have, read from the JSON Schema of the file."""
    level = _alternatives(schema, schema)
    for part in path:
        level = [
            choice for option in level for child in _children(option, part) for choice in _alternatives(child, schema)
        ]
    return {key for option in level for key in option.get("properties", {})}


def _alternatives(schema: Any, root: JsonSchemaValue) -> list[JsonSchemaValue]:
    """All plain schemas that a schema stands for: references followed, choices opened."""
    if not isinstance(schema, dict):
        return []
    this = cast("JsonSchemaValue", schema)
    found = [this]
    if "$ref" in this:
        found += _alternatives(root["$defs"].get(str(this["$ref"]).rpartition("/")[2]), root)
    for word in ("anyOf", "oneOf", "allOf"):
        for choice in this.get(word, ()):
            found += _alternatives(choice, root)
    return found


def _children(schema: JsonSchemaValue, part: str | int) -> list[Any]:
    """The schemas of one key, or of the entries of a list."""
    if isinstance(part, int):
        return [schema.get("items")]
    return [schema.get("properties", {}).get(part), schema.get("additionalProperties")]
