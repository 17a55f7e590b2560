"""What one word of the file may mean: durations, numbers, addresses, names.

Owns the reading of text. The loader hands over every scalar as it was written, so each type here says itself which
spellings it takes, in one place, with the range and with the words for everything else. Each is used as metadata:
`Annotated[int, number(1, 255)]`.

Each also states its JSON Schema, which is about YAML as an editor reads it: there `51` is a number and `off` a string
(or, in YAML 1.1, False), so that a number takes both forms.

Must not do: look at more than one value. What two values mean together is `config.lint_*`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal
from ipaddress import IPv4Address, IPv4Interface, IPv6Address, IPv6Interface, ip_address
from typing import Any

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema

from vrrpd.config.words import did_you_mean, listed, plain_error, quote, shown
from vrrpd.proto.settings import Address
from vrrpd.proto.timers import MS, SECOND

AUTO = "auto"
"""In a list of addresses: the link-local IPv6 address derived from the virtual MAC address."""

HEAVIEST = 253
"""The largest weight: from the highest priority that is no owner's down to the lowest."""

DURATION_PATTERN = r"^[0-9]{1,9}(\.[0-9]{1,9})?(ms|s|m|h)?$"

_UNITS = {"ms": MS, "s": SECOND, "m": 60 * SECOND, "h": 3600 * SECOND, "": SECOND}
_SWITCH = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}
_SCOPES = {"global": 0, "site": 200, "link": 253, "host": 254, "nowhere": 255}  # rtnetlink(7)


@dataclass(frozen=True, slots=True)
class Scalar:
    """Metadata of an annotation: how a text becomes a value.

    Attributes:
        read: turns the text into the value, or raises `plain_error`.
        example: what a right value looks like.
        schema: JSON Schema of the forms that YAML gives.
    """

    read: Callable[[str], Any]
    example: str
    schema: JsonSchemaValue = field(hash=False)

    def __get_pydantic_core_schema__(self, _source: Any, _handler: GetCoreSchemaHandler) -> CoreSchema:
        """Validate with `read`; whatever the annotated type is, `read` makes it."""
        return core_schema.no_info_plain_validator_function(self._checked)

    def __get_pydantic_json_schema__(self, _core: CoreSchema, _handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """The schema as given."""
        return dict(self.schema)

    def _checked(self, value: object) -> Any:
        if not isinstance(value, str):
            raise plain_error(f"{shown(value)} stands where one value is wanted", f"write one, such as {self.example}")
        if not value:
            raise plain_error("the value is empty", f"write one, such as {self.example}")
        return self.read(value)


@dataclass(frozen=True, slots=True)
class Shorthand:
    """Metadata of an annotation: a shorter form that stands for a longer one.

    Attributes:
        expand: turns the short form into the long one, and leaves everything else alone.
        schema: JSON Schema of the short form.
    """

    expand: Callable[[Any], Any]
    schema: JsonSchemaValue = field(hash=False)

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Expand first, then validate as the annotated type does."""
        return core_schema.no_info_before_validator_function(self.expand, handler(source))

    def __get_pydantic_json_schema__(self, core: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """Either form."""
        return {"anyOf": [dict(self.schema), handler(core)]}


def one_is_a_list(value: Any) -> Any:
    """Expands one value to a list of one (`Shorthand`)."""
    return [value] if isinstance(value, str) else value


def number(low: int, high: int, *, wrong: str = "") -> Scalar:
    """A whole decimal number; leading zeros mean nothing.

    Args:
        low: smallest allowed.
        high: largest allowed.
        wrong: why a number outside is wrong, where that needs saying.
    """

    def read(text: str) -> int:
        if not re.fullmatch("[0-9]{1,18}", text):
            raise plain_error(f"{quote(text)} is no whole number", f"write {low}..{high}")
        value = int(text)
        if not low <= value <= high:
            raise plain_error(f"{value} is out of range{wrong}", f"write {low}..{high}")
        return value

    forms = [{"type": "integer", "minimum": low, "maximum": high}, {"type": "string", "pattern": "^[0-9]+$"}]
    return Scalar(read, str(low), {"anyOf": forms})


def weight() -> Scalar:
    """What a check adds to a priority; as much as may lie between the lowest and the highest, and not 0."""
    span = f"write -{HEAVIEST}..-1 or 1..{HEAVIEST}"

    def read(text: str) -> int:
        if not re.fullmatch("[+-]?[0-9]{1,18}", text):
            raise plain_error(f"{quote(text)} is no whole number", span)
        value = int(text)
        if value == 0:
            raise plain_error("a weight of 0 changes nothing", span)
        if abs(value) > HEAVIEST:
            raise plain_error(f"{text} is out of range", span)
        return value

    forms: list[JsonSchemaValue] = [
        {"type": "integer", "minimum": -HEAVIEST, "maximum": -1},
        {"type": "integer", "minimum": 1, "maximum": HEAVIEST},
        {"type": "string", "pattern": "^[+-]?[0-9]+$"},
    ]
    return Scalar(read, "-20", {"anyOf": forms})


def unready_weight() -> Scalar:
    """What is added to the priority of a node that could not take over; becomes 0 where nothing is."""

    def read(text: str) -> int:
        if text.lower() == "off":
            return 0
        if not re.fullmatch("-[0-9]{1,18}", text) or not -HEAVIEST <= int(text) < 0:
            raise plain_error(f"{quote(text)} does not lower a priority", f"write -{HEAVIEST}..-1, or off")
        return int(text)

    forms: list[JsonSchemaValue] = [
        {"type": "integer", "minimum": -HEAVIEST, "maximum": -1},
        {"type": "string", "pattern": "^-[0-9]+$"},
        {"enum": ["off", False]},
    ]
    return Scalar(read, "-20", {"anyOf": forms})


def duration(low: int, high: int, *, off: bool = False) -> Scalar:
    """A time such as `250ms`, `1s`, `2m`, `1h`, or a number of seconds; becomes integer nanoseconds.

    Args:
        low: shortest allowed, in nanoseconds.
        high: longest allowed, in nanoseconds.
        off: the word `off` is allowed too and becomes 0.
    """
    example = written(max(low, SECOND))
    span = f"write {written(low)}..{written(high)}{' or off' if off else ''}"

    def read(text: str) -> int:
        if off and text.lower() == "off":
            return 0
        value = nanoseconds(text)
        if value is None:
            raise plain_error(f"{quote(text)} is no time", "write one such as 250ms, 1s, 2m or 1h")
        if not low <= value <= high:
            raise plain_error(f"{text} is out of range", span)
        return value

    forms: list[JsonSchemaValue] = [
        {"type": "string", "pattern": DURATION_PATTERN},
        {"type": "number", "minimum": low / SECOND, "maximum": high / SECOND},
    ]
    if off:
        forms.append({"enum": ["off", False]})
    return Scalar(read, example, {"anyOf": forms})


def lease() -> Scalar:
    """How long the kernel keeps an address without hearing of the agent; it counts in whole seconds."""
    time = duration(2 * SECOND, 3600 * SECOND, off=True)

    def read(text: str) -> int:
        value = time.read(text)
        if value % SECOND:
            raise plain_error(f"{quote(text)} is no whole number of seconds", "write one such as 3s, or off")
        return value

    return Scalar(read, "3s", time.schema)


def nanoseconds(text: str) -> int | None:
    """The length of a time as the file writes it, None where the text is none."""
    if not re.fullmatch(DURATION_PATTERN, text):
        return None
    digits = text.rstrip("msh")
    return int(Decimal(digits) * _UNITS[text[len(digits) :]])


def written(time: int) -> str:
    """A time in nanoseconds as the file writes it, in the largest unit that keeps it short."""
    for unit, size in (("h", 3600 * SECOND), ("m", 60 * SECOND), ("s", SECOND)):
        if time >= size and time % size == 0:
            return f"{time // size}{unit}"
    in_ms = time < SECOND
    value = Decimal(time) / (MS if in_ms else SECOND)
    return f"{value.normalize():f}{'ms' if in_ms and time else 's'}"


def switch() -> Scalar:
    """True or false."""

    def read(text: str) -> bool:
        if text.lower() not in _SWITCH:
            raise plain_error(f"{quote(text)} is neither yes nor no", "write true or false")
        return _SWITCH[text.lower()]

    return Scalar(read, "true", {"enum": [True, False, *_SWITCH]})


def choice(*words: str) -> Scalar:
    """One of a few words; of an enumeration of texts, its member."""

    def read(text: str) -> str:
        if text not in words:
            offer = f"write {listed(words, 'or')}"
            raise plain_error(f"{quote(text)} is not known here", did_you_mean(text, words, offer))
        return words[words.index(text)]

    return Scalar(read, words[0], {"enum": [str(word) for word in words]})


def version() -> Scalar:
    """The version of the protocol."""

    def read(text: str) -> int:
        if text not in {"2", "3"}:
            raise plain_error(f"there is no VRRP version {quote(text)}", "write 3, or 2 for old equipment")
        return int(text)

    return Scalar(read, "3", {"enum": [2, 3, "2", "3"]})


def name(what: str) -> Scalar:
    """A name of the user's choosing, which appears in logs and on command lines."""
    pattern = r"\w[\w.-]{0,62}"

    def read(text: str) -> str:
        if not re.fullmatch(pattern, text):
            raise plain_error(
                f"{quote(text)} is no name for a {what}", "write up to 63 letters, digits, '.', '_' and '-'"
            )
        return text

    return Scalar(read, "lb1", {"type": "string"})


def device() -> Scalar:
    """Name of a network interface, by the kernel's own rules (dev_valid_name)."""

    def read(text: str) -> str:
        if not re.fullmatch(r"[^\s/:]{1,15}", text) or text in {".", ".."}:
            raise plain_error(
                f"{quote(text)} is no name of an interface", "write 1..15 characters without spaces, '/' and ':'"
            )
        return text

    return Scalar(read, "eth0", {"type": "string", "minLength": 1, "maxLength": 15})


def label() -> Scalar:
    """Label of an IPv4 address; that it begins with the device is known only where the device is."""

    def read(text: str) -> str:
        if not re.fullmatch(r"[^\s/]{1,15}", text):
            raise plain_error(f"the label {quote(text)} is no label", "write 1..15 characters, such as eth0:web")
        return text

    return Scalar(read, "eth0:web", {"type": "string", "minLength": 1, "maxLength": 15})


def scope() -> Scalar:
    """Scope of an address: a name of iproute2 or a number of rtnetlink(7)."""

    def read(text: str) -> int:
        if text in _SCOPES:
            return _SCOPES[text]
        if not re.fullmatch("[0-9]{1,3}", text) or int(text) > 255:
            raise plain_error(f"{quote(text)} is no scope", f"write {listed(_SCOPES, 'or')}, or a number of 0..255")
        return int(text)

    return Scalar(read, "global", {"anyOf": [{"enum": [*_SCOPES]}, {"type": "integer", "minimum": 0, "maximum": 255}]})


def control_path() -> Scalar:
    """Path of a unix socket: absolute, and short enough for the kernel (unix(7): 108 bytes with the end)."""

    def read(text: str) -> str:
        if not text.startswith("/") or text.endswith("/") or len(text.encode()) > 107:
            raise plain_error(
                f"{quote(text)} is no path of a socket", "write an absolute path of up to 107 bytes to a file"
            )
        return text

    return Scalar(read, "/run/vrrpd/control.sock", {"type": "string", "pattern": "^/.*[^/]$", "maxLength": 107})


def own_address() -> Scalar:
    """The address of a node: one that another node can send to."""

    def read(text: str) -> Address:
        if "/" in text:
            raise plain_error(f"{quote(text)} has a prefix length", f"write {quote(text.partition('/')[0])} alone")
        return _usable(text)

    return Scalar(read, "10.0.0.11", {"type": "string"})


def shared_address() -> Scalar:
    """An address that moves with the role: `IP`, `IP/length` or `auto`."""

    def read(text: str) -> IPv4Interface | IPv6Interface | str:
        if text == AUTO:
            return AUTO
        head, slash, tail = text.partition("/")
        address = _usable(head)
        if not slash:
            tail = str(address.max_prefixlen)
        if not re.fullmatch("[0-9]{1,3}", tail) or int(tail) > address.max_prefixlen:
            raise plain_error(
                f"{quote(tail)} is no prefix length", f"write 0..{address.max_prefixlen} behind the slash"
            )
        if isinstance(address, IPv4Address):
            return IPv4Interface((address, int(tail)))
        return IPv6Interface((address, int(tail)))

    return Scalar(read, "10.0.0.100/24", {"type": "string"})


def _usable(text: str) -> Address:
    """An address that one host can have and others can reach."""
    try:
        address = ip_address(text)
    except ValueError:
        raise plain_error(f"{quote(text)} is no IP address", "write one such as 10.0.0.100 or fd00::100") from None
    if isinstance(address, IPv6Address):
        if address.scope_id is not None:
            bare = text.partition("%")[0]
            raise plain_error(f"{quote(text)} names an interface", f"write {quote(bare)} alone; 'interface' says where")
        if address.ipv4_mapped is not None:
            mapped = address.ipv4_mapped
            raise plain_error(f"{quote(text)} is an IPv4 address in IPv6 clothes", f"write {quote(mapped)}")
    for wrong, what in (
        (address.is_multicast, "a multicast address"),
        (address.is_loopback, "a loopback address, which never leaves the host"),
        (address.is_unspecified, "the unspecified address"),
        (isinstance(address, IPv4Address) and address in _THIS_NETWORK, "an address of 'this network'"),
        (address == _BROADCAST, "the broadcast address"),
    ):
        if wrong:
            raise plain_error(f"{quote(text)} is {what}", "write an address that one host can have")
    return address


_BROADCAST = IPv4Address("255.255.255.255")
_THIS_NETWORK = IPv4Interface("0.0.0.0/8").network
