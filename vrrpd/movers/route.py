"""The mover `route`: kernel routes that are on this host while it has the role, and only then.

For what leaves by another way on the Active: a default route by its uplink, or a network behind a tunnel that only one
node may use. A preferred source (`source`) may be one of the addresses that move; it is there first.

The routes carry vrrpd's tag as their protocol (`ip route` shows `proto 86`). What somebody else has put in the place is
never replaced nor removed: that is an error that says so. A route that goes by itself, with its interface or by
somebody's hand, is put back. They go with the addresses when the role is lost, by the guardian when the agent dies or
hangs, and at the next start (or by `vrrpd purge`) whatever happened.

Must not do: change routes by itself. That is `Host.routes`, in a worker thread.
"""

from __future__ import annotations

import errno
from collections.abc import Sequence
from ipaddress import ip_address, ip_network
from typing import Annotated, Any, Self, cast

from pydantic import BeforeValidator, Field, TypeAdapter, WithJsonSchema, model_validator

from vrrpd.config import scalars
from vrrpd.config.scalars import Scalar, Shorthand
from vrrpd.config.words import plain_error, quote, shown
from vrrpd.linux.netlink import NetlinkError
from vrrpd.linux.route import MAIN, Network, Route
from vrrpd.movers.base import (
    CommonOptions,
    ForbiddenError,
    Holder,
    Host,
    Kind,
    MoverError,
    UnavailableError,
    Who,
)
from vrrpd.proto.settings import Address

_EVERYTHING = "default"
_TABLES = {"default": 253, "main": MAIN, "local": 255}  # /etc/iproute2/rt_tables
_MOST = 2**32 - 1


def _network(text: object) -> Network | str:
    """One destination: a network, an address, or `default`."""
    if text == _EVERYTHING:
        return _EVERYTHING
    try:
        return ip_network(str(text)) if isinstance(text, str) else _no_network(text)
    except ValueError as error:
        if "host bits" in str(error):
            right = ip_network(str(text), strict=False)
            raise plain_error(f"{quote(text)} is an address in a network", f"write {quote(right)}") from None
        return _no_network(text)


def _no_network(text: object) -> Network:
    raise plain_error(f"{shown(text)} is no network", "write one such as 10.20.0.0/16, fd00:2::/64 or default")


def _destinations(value: object) -> tuple[Network | str, ...]:
    listed = cast("list[object]", value) if isinstance(value, list | tuple) else [value]
    if not listed:
        raise plain_error("the list of destinations is empty", "write at least one network")
    return tuple(_network(each) for each in listed)


def _one_address(what: str) -> Scalar:
    """A gateway or a source; IPv6 may be link-local."""

    def read(text: str) -> Address:
        try:
            address = ip_address(text)
        except ValueError:
            raise plain_error(f"{quote(text)} is no IP address", f"write the {what}, such as 10.0.0.1") from None
        if getattr(address, "scope_id", None):
            raise plain_error(f"{quote(text)} names an interface", "write the address alone, and 'device'")
        return address

    return Scalar(read, "10.0.0.1", {"type": "string"})


def _table() -> Scalar:
    """The number of a routing table, or one of the names that every host has."""
    number = scalars.number(1, _MOST)

    def read(text: str) -> int:
        return _TABLES[text] if text in _TABLES else int(number.read(text))

    return Scalar(read, "main", {"anyOf": [{"enum": [*_TABLES]}, *number.schema["anyOf"]]})


_NETWORKS: dict[str, Any] = {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]}


class RouteOptions(CommonOptions):
    """Options of a `route` mover."""

    destination: Annotated[
        tuple[Network | str, ...],
        BeforeValidator(_destinations),
        WithJsonSchema(_NETWORKS),
        Field(description="where to: a network, or default, or a list of them"),
    ]
    via: Annotated[
        Address | None, _one_address("gateway"), Field(description="the gateway (default: none, it is on the link)")
    ] = None
    device: Annotated[
        str | None, scalars.device(), Field(description="the interface (default: the gateway's, else the router's)")
    ] = None
    table: Annotated[int, _table(), Field(description="the routing table, a number or main (default main)")] = MAIN
    metric: Annotated[
        int,
        scalars.number(0, _MOST),
        Field(description="the lowest of several routes is used (default 0, which IPv6 takes for 1024)"),
    ] = 0
    source: Annotated[
        Address | None,
        _one_address("source"),
        Field(description="our address that connections of this host are made from (default: the kernel's choice)"),
    ] = None
    onlink: Annotated[
        bool, scalars.switch(), Field(description="the gateway is on the link, whatever our addresses (default false)")
    ] = False

    @model_validator(mode="after")
    def _fits(self) -> Self:
        self.refuse("takeover", "connect_timeout", "release")
        versions = {each.version for each in (*self.networks, self.via, self.source) if each is not None}
        if len(versions) > 1:
            raise plain_error("IPv4 and IPv6 do not mix in one route", "write a route for each family")
        if self.onlink and (self.via is None or self.device is None):
            raise plain_error("'onlink' says where a gateway is", "write 'via' and 'device' with it")
        if self.via is not None and self.via.version == 6 and self.via.is_link_local and self.device is None:
            raise plain_error(f"{quote(self.via)} is on every link", "write 'device' with it")
        return self

    @property
    def networks(self) -> tuple[Network, ...]:
        """The destinations; `default` is that of the family of the gateway or the source, else of IPv4."""
        known = next((each.version for each in (self.via, self.source) if each is not None), 4)
        everything = ip_network("0.0.0.0/0" if known == 4 else "::/0")
        return tuple(everything if isinstance(each, str) else each for each in self.destination)


class RouteMover:
    """Its routes are there while it has been acquired."""

    compares = False
    local = True

    def __init__(self, options: RouteOptions, host: Host) -> None:
        self._options = options
        self._host = host
        self._put: list[Route] = []

    async def prepare(self) -> None:
        """The interface has to be there; whether the kernel takes the route shows when it is put."""
        self._routes()

    async def holder(self, *, fresh: bool = False) -> Holder:
        """This node, while all of the routes are there as they should be; of the others it knows nothing."""
        return Holder(Who.ME if await self._all_there() else Who.NOBODY)

    async def acquire(self, seen: Holder | None) -> None:
        """Put every route there."""
        for route in self._routes():
            if route not in self._put:
                self._put.append(route)
            try:
                await self._host.routes.put(route)
            except NetlinkError as error:
                raise _failure(route, error) from error

    async def release(self, seen: Holder) -> None:
        """Take away what was put, be it that the interface has another name or number by now."""
        while self._put:
            try:
                await self._host.routes.remove(self._put[-1])
            except NetlinkError as error:
                raise _failure(self._put[-1], error) from error
            self._put.pop()

    async def local_verify(self) -> bool | None:
        """Whether all of the routes are there."""
        return await self._all_there()

    async def aclose(self) -> None:
        """There is no connection; the routes stay until `release`."""

    async def _all_there(self) -> bool:
        try:
            return await self._host.routes.present(*self._routes())
        except NetlinkError as error:
            raise UnavailableError(f"the routes cannot be read: {error}") from error

    def _routes(self) -> list[Route]:
        options, device = self._options, self._options.device or ""
        if not device and options.via is None:
            interface = self._host.interface()
            if interface is None:
                raise UnavailableError("the interface of the router is not there; see what is wrong with the router")
            device = interface.name
        return [
            Route(each, options.via, device, options.table, options.metric, options.source, options.onlink)
            for each in options.networks
        ]


def _failure(route: Route, error: NetlinkError) -> MoverError:
    """What a refusal of the kernel means; most pass by themselves, as interfaces and addresses come."""
    text = f"{route}: {error.text}"
    match error.errno:
        case errno.EPERM | errno.EEXIST:  # until a person has made room: to look for that costs nothing
            return ForbiddenError(text)
        case _:
            return UnavailableError(text)


def _things(options: RouteOptions) -> Sequence[str]:
    return [str(Route(each, table=options.table, metric=options.metric)) for each in options.networks]


def _expanded(value: object) -> object:
    return {"destination": cast("object", value)} if isinstance(value, str) else value


OPTIONS: TypeAdapter[RouteOptions] = TypeAdapter(
    Annotated[RouteOptions, Shorthand(_expanded, {"type": "string", "description": "a network on the router's link"})]
)
"""Validates `NETWORK` and `{destination: ..., via: ..., ...}`."""

KINDS = {"route": Kind(OPTIONS, RouteMover, things=_things)}
"""For the registry."""
