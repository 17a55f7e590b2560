"""The kind `http`: an API that the file declares itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final

from pydantic import TypeAdapter

from vrrpd.movers import secrets
from vrrpd.movers.base import Host, Kind, Mover
from vrrpd.movers.http.declared import Api, HttpOptions
from vrrpd.movers.http.engine import HttpMover


def names(api: Api) -> Mapping[str, Sequence[str]]:
    """The nodes that a declaration names."""
    return {"nodes": tuple(api.nodes)} if api.nodes else {}


def _things(api: Api) -> tuple[str, ...]:
    """What moves: the thing whose holder is asked for."""
    return (f"what {api.base} calls {api.holder.verb[1].text}",)


def places(api: Api) -> tuple[secrets.Place, ...]:
    """Where the secrets of a declaration are."""
    place = api.auth.place if api.auth else None
    return () if place is None else (place,)


def errands(api: Api) -> list[dict[str, Any]]:
    """What the launcher is asked for: the secret, where only root may read it."""
    return secrets.errands(places(api))


def inspect(api: Api) -> str | None:
    """What keeps this host from running such a mover: a secret that is not there."""
    return secrets.inspect(places(api))


def _build(options: HttpOptions, host: Host) -> Mover:
    return HttpMover(options, options, host)


KINDS: Final[Mapping[str, Kind]] = MappingProxyType(
    {"http": Kind(TypeAdapter(HttpOptions), _build, names=names, things=_things, errands=errands, inspect=inspect)}
)
