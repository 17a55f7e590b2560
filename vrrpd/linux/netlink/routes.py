"""The bytes of routes on a netlink socket, both ways.

Routes that vrrpd adds carry `TAG` as their protocol, which is the kernel's word for who has put a route there: ours can
be told from those of an administrator, of DHCP or of a routing daemon, and go when nobody wants them. They are added
with NLM_F_EXCL and never with NLM_F_REPLACE, which would take the place of anybody's route. A request to remove one
names the protocol, and then the kernel removes no other.

Sources: rtnetlink(7), linux/rtnetlink.h, ip-route(8).
"""

from __future__ import annotations

import errno as codes
import struct
from dataclasses import dataclass
from ipaddress import ip_address, ip_network
from socket import AF_INET, AF_INET6
from typing import TypeAlias

from vrrpd.guardian import TAG
from vrrpd.linux.netlink.frame import ACK, CREATE, DUMP, EXCL, HEADER, REQUEST, as_number, message, number, values
from vrrpd.linux.netlink.messages import NetlinkError
from vrrpd.linux.netlink.messages import reason as plain
from vrrpd.linux.route import Network, Route
from vrrpd.proto.settings import Address, Family

# linux/rtnetlink.h
RTM_NEWROUTE, _DELROUTE, _GETROUTE = 24, 25, 26
# struct rtmsg: family, length of the destination and of the source, class, table, protocol, scope, type, flags
_ROUTE = struct.Struct("=BBBBBBBBI")
_DST, _OIF, _GATEWAY, _PRIORITY, _PREFSRC, _TABLE = 1, 4, 5, 6, 7, 15
_UNICAST, _ONLINK = 1, 4
_UNIVERSE, _LINK, _NOWHERE = 0, 253, 255
_UNSPEC_TABLE = 0
_IPV6_METRIC = 1024  # of a route without one: IP6_RT_PRIO_USER

GONE = frozenset({0, codes.ESRCH, codes.ENODEV, codes.ENOENT})
"""What the kernel answers to a removal after which the route is not there."""

_REASONS = {
    codes.EEXIST: "somebody else has put a route to the same destination with the same metric there; give this one "
    "another metric, or remove that one",
    codes.ENODEV: "the interface does not exist",
    codes.ENETDOWN: "the interface is down",
    codes.ENETUNREACH: "the gateway is in no network of this host; add an address there, or write onlink: true",
    codes.EHOSTUNREACH: "the gateway cannot be reached; add an address in its network, or write onlink: true",
    codes.EINVAL: "the kernel refuses it; the source must be an address of this host, the gateway one of another host",
    codes.ECANCELED: "the agent was not awake all the time",
}


def route_reason(errno: int) -> str:
    """What an errno means for a route, as a sentence."""
    return _REASONS.get(errno) or plain(errno)


def route_error(errno: int) -> NetlinkError:
    """The error for an errno of a change of routes."""
    return NetlinkError(errno, route_reason(errno))


Place: TypeAlias = tuple[Network, int, int]
"""Destination, table, and metric as the kernel counts it."""


@dataclass(frozen=True, slots=True)
class KernelRoute:
    """A route as the kernel has it.

    Attributes:
        destination: which network.
        table: number of the routing table.
        metric: as the kernel counts it, so not 0 for IPv6.
        via: the gateway, None where there is none, or several.
        index: number of the interface; 0 where there are several.
        source: preferred source address.
        ours: it carries `TAG`.
    """

    destination: Network
    table: int
    metric: int
    via: Address | None
    index: int
    source: Address | None
    ours: bool

    def __str__(self) -> str:
        return str(Route(self.destination, self.via, table=self.table, metric=self.metric))

    @property
    def place(self) -> Place:
        """What only one route can have at a time."""
        return self.destination, self.table, self.metric

    def in_place_of(self, route: Route) -> bool:
        """Whether both cannot be there at once."""
        return self.place == place_of(route)

    def same(self, route: Route, index: int) -> bool:
        """Whether it is this route, on the interface of that number (0: on any)."""
        there = self.in_place_of(route) and (self.via, self.source) == (route.via, route.source)
        return there and index in {0, self.index}


def place_of(route: Route) -> Place:
    """The place that a route would have in the kernel."""
    return route.destination, route.table, _metric(route)


def encode_route(route: Route, index: int) -> bytes:
    """The message that adds a route, tagged as ours, where there is none in its place.

    Args:
        route: which.
        index: number of its interface; 0 where the gateway tells.
    """
    attributes = [(_GATEWAY, route.via.packed)] if route.via else []
    attributes += [(_OIF, number(index))] if index else []
    attributes += [(_PREFSRC, route.source.packed)] if route.source else []
    scope = _UNIVERSE if route.via or route.destination.version == 6 else _LINK
    flags = _ONLINK if route.onlink else 0
    return _encode(RTM_NEWROUTE, REQUEST | ACK | CREATE | EXCL, route, attributes, scope=scope, flags=flags)


def encode_route_removal(route: Route, *, answered: bool = True) -> bytes:
    """The message that removes a route of ours, whatever its gateway and interface.

    Args:
        route: which; destination, table and metric count.
        answered: whether the kernel is to say how that went.
    """
    return _encode(_DELROUTE, REQUEST | (ACK if answered else 0), route, [], scope=_NOWHERE, flags=0)


def encode_route_dump(family: Family) -> bytes:
    """The request for all routes of one family that carry our tag; kernels before Linux 4.20 give all of them."""
    body = _ROUTE.pack(AF_INET if family is Family.IPV4 else AF_INET6, 0, 0, 0, 0, TAG, 0, 0, 0)
    return message(_GETROUTE, REQUEST | DUMP, body)


def _encode(
    kind: int, flags_of_message: int, route: Route, more: list[tuple[int, bytes]], *, scope: int, flags: int
) -> bytes:
    to = route.destination
    family = AF_INET if to.version == 4 else AF_INET6
    table = route.table if route.table < 256 else _UNSPEC_TABLE
    body = _ROUTE.pack(family, to.prefixlen, 0, 0, table, TAG, scope, _UNICAST, flags)
    attributes = [(_DST, to.network_address.packed)] if to.prefixlen else []
    attributes += [(_TABLE, number(route.table)), (_PRIORITY, number(_metric(route))), *more]
    return message(kind, flags_of_message, body, attributes)


def _metric(route: Route) -> int:
    return route.metric or (_IPV6_METRIC if route.destination.version == 6 else 0)


def decode_route(data: bytes) -> KernelRoute | None:
    """The route of an RTM_NEWROUTE message; None for a family that is neither IPv4 nor IPv6."""
    family, length, _, _, table, protocol, _, _, _ = _ROUTE.unpack_from(data, HEADER.size)
    if family not in (AF_INET, AF_INET6):
        return None
    told = values(data, HEADER.size + _ROUTE.size)
    via, source = told.get(_GATEWAY), told.get(_PREFSRC)
    return KernelRoute(
        destination=ip_network((told.get(_DST) or bytes(4 if family == AF_INET else 16), length)),
        table=as_number(told.get(_TABLE)) or table,
        metric=as_number(told.get(_PRIORITY)) or 0,
        via=ip_address(via) if via else None,
        index=as_number(told.get(_OIF)) or 0,
        source=ip_address(source) if source else None,
        ours=protocol == TAG,
    )
