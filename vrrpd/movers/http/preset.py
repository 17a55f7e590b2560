"""What the clouds by name share: ids that fit into a URL, and options that turn into a declaration.

Owns the ways to write an id. Each is a text of one form, so that nothing in it can leave its place in a declaration.
"""

from __future__ import annotations

import re
from abc import abstractmethod
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Final, Self, TypeAlias

from pydantic import BeforeValidator, Field, WithJsonSchema, model_validator

from vrrpd.config import scalars
from vrrpd.config.scalars import Scalar, Shorthand
from vrrpd.config.words import plain_error, quote
from vrrpd.movers.base import HOUR, MINUTE
from vrrpd.movers.http.declared import Api, HttpCommon, check_conditions, per_node
from vrrpd.proto.timers import MS, SECOND

_TEXT: Final = {"type": "string"}
_UUID: Final = "[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"


def like(pattern: str, what: str, example: str) -> Scalar:
    """A text of a form; nothing in it can leave its place in a URL or a template."""

    def read(text: str) -> str:
        if not re.fullmatch(pattern, text):
            raise plain_error(f"{quote(text)} is no {what}", f"write one such as {example}")
        return text

    return Scalar(read, example, {"type": ["string", "integer"]} if example.isdecimal() else _TEXT)


def _address() -> Scalar:
    own = scalars.own_address()
    return Scalar(lambda text: str(own.read(text)), "10.0.0.11", _TEXT)


Number: TypeAlias = Annotated[str, like("[1-9][0-9]{0,17}", "number of it", "4711")]
Uuid: TypeAlias = Annotated[str, like(_UUID, "UUID", "cb676a46-66fd-4dfb-b839-443f2e6c0b60")]
Word: TypeAlias = Annotated[str, like("[A-Za-z0-9][A-Za-z0-9._-]*", "name", "fr-par-1")]
IpAddress: TypeAlias = Annotated[str, _address()]
Numbers: TypeAlias = Annotated[dict[str, Number], Shorthand(per_node, {"type": ["string", "integer"]})]
Uuids: TypeAlias = Annotated[dict[str, Uuid], Shorthand(per_node, _TEXT)]
Addresses: TypeAlias = Annotated[dict[str, IpAddress], Shorthand(per_node, _TEXT)]


def _service_url(value: object) -> str:
    """The URL of a service of OpenStack, without the slash and the version that some write behind it."""
    if not isinstance(value, str) or not re.fullmatch(r"https?://[!-z|~]+", value):
        raise plain_error("this is no http URL", "write for example https://cloud.example:5000")
    return re.sub(r"(/v[0-9.]+)?/?$", "", value)


ServiceUrl: TypeAlias = Annotated[
    str, BeforeValidator(_service_url), WithJsonSchema({"type": "string", "pattern": "^https?://"})
]


class Preset(HttpCommon):
    """Options of a cloud by name."""

    node_key: ClassVar[str]
    """The option that says what a node is called there."""
    thing_key: ClassVar[str]
    """The option that says what moves."""

    @abstractmethod
    def declaration(self) -> dict[str, Any]:
        """The same in the words of `declared`."""

    @property
    def ids(self) -> Mapping[str, str]:
        """Node -> what it is called there; empty where that is asked."""
        return getattr(self, self.node_key)

    @property
    def thing(self) -> str:
        """What moves, in words."""
        return f"the {self.thing_key.replace('_', ' ')} {getattr(self, self.thing_key)}"

    def api(self) -> Api:
        """The declared API, `nodes` included."""
        return Api.model_validate({"nodes": dict(self.ids), **self.declaration()})

    @model_validator(mode="after")
    def _can_do_it(self) -> Self:
        if len({*self.ids.values()}) < len(self.ids):
            raise plain_error(f"two nodes have the same {quote(self.node_key)}", "each has its own")
        check_conditions(self, self.api())
        return self


class Slow(Preset):
    """Options of a cloud that takes its time."""

    timeout: Annotated[
        int, scalars.duration(100 * MS, 10 * MINUTE), Field(description="how long one attempt may take (default 1m)")
    ] = MINUTE
    deadline: Annotated[
        int,
        scalars.duration(SECOND, HOUR),
        Field(description="how long an Active may be without it before on_deadline (default 2m)"),
    ] = 2 * MINUTE
