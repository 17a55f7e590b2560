"""The mover `ec2-route`: the routes of some route tables to one destination, with this node as their target.

One call for each table moves them (ReplaceRoute), all at the same time and each on a warm connection of its own, across
availability zones. A destination of one address is a shared address outside the network (VPC), and is on the node's
system while it is Active; a wider one is what lies behind the node.

A route is moved, never made: a table without it is a mistake that is said before the role comes. So is a network
interface that drops what is not for its own addresses (source/destination check), as they all do at first.

EC2 knows no condition here: who is late overwrites, and is found out by the next look. Nor is there a way to give a
route up without breaking the next holder's, so that `release` is never.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from ipaddress import ip_network
from types import MappingProxyType
from typing import Annotated, Any, ClassVar, Final, TypeVar

import trio
from pydantic import Field, TypeAdapter

from vrrpd.config.scalars import Shorthand, one_is_a_list
from vrrpd.movers.base import Holder, Host, InvalidError, Kind, MoverError, OutcomeUnknownError, Who
from vrrpd.movers.ec2.api import Call, change, numbered, question
from vrrpd.movers.ec2.credentials import missing
from vrrpd.movers.ec2.node import Node, together
from vrrpd.movers.ec2.options import Ec2Options, RouteTableId, interfaces_of, network
from vrrpd.movers.ec2.rights import EVERYTHING, Rights, resource
from vrrpd.proto.settings import Address

MOST_TABLES: Final = 16
"""Route tables of one mover: each has a connection."""

_TARGETS: Final = (
    "networkInterfaceId",
    "instanceId",
    "gatewayId",
    "natGatewayId",
    "transitGatewayId",
    "vpcPeeringConnectionId",
    "egressOnlyInternetGatewayId",
    "localGatewayId",
    "carrierGatewayId",
    "coreNetworkArn",
)
"""What a route of EC2 may lead to, as DescribeRouteTables names it."""


class RouteOptions(Ec2Options):
    """Options of an `ec2-route` mover."""

    RELEASES: ClassVar[str | None] = "a route can only be replaced, whoever has it"

    route_table_ids: Annotated[
        tuple[RouteTableId, ...],
        Shorthand(one_is_a_list, {"type": "string"}),
        Field(min_length=1, max_length=MOST_TABLES, description="every route table that has the route; required"),
    ]
    destination: Annotated[
        str,
        network(),
        Field(description="where the route leads to, such as 10.9.9.9/32, an address outside the VPC; required"),
    ]


class Route:
    """Makes this node the target of routes."""

    compares = False
    local = False

    def __init__(self, options: RouteOptions, host: Host) -> None:
        self._node = Node(options, host, connections=len(options.route_table_ids))
        self._tables = options.route_table_ids
        self._destination = options.destination
        self._family = "Ipv6CidrBlock" if ":" in options.destination else "CidrBlock"
        self._replace: Mapping[str, Call] = {}

    async def prepare(self) -> None:
        """See `base.Mover`."""
        await self._node.prepare()
        self._replace = {table: self._replacement(table) for table in self._tables}
        own = await self._node.own(again=True)
        if own.checked:
            raise InvalidError(
                f"{own.id} drops what is not for its own addresses (source/destination check); switch that off: "
                f"aws ec2 modify-network-interface-attribute --network-interface-id {own.id} --no-source-dest-check"
            )
        await self.holder()
        for table, call in self._replace.items():
            await self._node.rehearse(table, call)

    async def holder(self, *, fresh: bool = False) -> Holder:
        """See `base.Mover`."""
        if fresh:
            await self._node.api.aclose()
        return together(await _each(self._tables, self._target))

    async def acquire(self, seen: Holder | None) -> None:
        """See `base.Mover`."""
        assert seen is None, "it compares nothing"
        assert self._replace, "prepare comes first"

        await _each(self._replace.values(), self._node.api.call)

    async def release(self, seen: Holder) -> None:
        """See `base.Mover`; the options allow no release."""
        del seen
        raise InvalidError("a route cannot be given up; leave 'release' out")

    async def local_verify(self) -> bool | None:
        """See `base.Mover`; the metadata service knows no routes."""
        return None

    async def aclose(self) -> None:
        """See `base.Mover`."""
        await self._node.aclose()

    def _replacement(self, table: str) -> Call:
        target = {f"Destination{self._family}": self._destination, "NetworkInterfaceId": self._node.id}
        return change("ReplaceRoute", {"RouteTableId": table, **target})

    async def _target(self, table: str) -> Holder:
        """Who the route of one table leads to."""
        wanted = question("DescribeRouteTables", numbered("RouteTableId", [table]))
        key = f"destination{self._family}"
        found = await self._node.api.call(wanted)
        for number, route in enumerate(found.all("routeTableSet/item/routeSet/item"), 1):
            if number % _PIECE == 0:
                await trio.lowlevel.checkpoint()
            written = route.text(key)
            if written == self._destination or (":" in written and _canonical(written) == self._destination):
                target = next((text for text in map(route.text, _TARGETS) if text), "")
                return await self._node.whose(target) if target else Holder(Who.NOBODY)
        make = f"aws ec2 create-route --route-table-id {table} --network-interface-id {self._node.id}"
        raise InvalidError(
            f"{table} has no route to {self._destination}; create it once: {make} "
            f"--destination-{_OPTION[self._family]} {self._destination}"
        )


def _canonical(written: str) -> str:
    return str(ip_network(written, strict=False))


_PIECE: Final = 50  # routes of a table that are looked at without a pause: there may be a thousand
_OPTION: Final = {"CidrBlock": "cidr-block", "Ipv6CidrBlock": "ipv6-cidr-block"}  # of the aws command

T = TypeVar("T")
R = TypeVar("R")


async def _each(things: Iterable[T], do: Callable[[T], Awaitable[R]]) -> list[R]:
    """Do something with all things at the same time, with all of them even where one fails.

    Raises:
        MoverError: of several the one after which it is soonest right to look, or to try, again.
    """
    done: dict[int, R] = {}
    failures: list[MoverError] = []

    async def one(number: int, thing: T) -> None:
        try:
            done[number] = await do(thing)
        except MoverError as error:
            failures.append(error)

    async with trio.open_nursery() as nursery:
        for number, thing in enumerate(things):
            nursery.start_soon(one, number, thing)
    if failures:
        raise min(failures, key=_patience)
    return [done[number] for number in sorted(done)]


def _patience(error: MoverError) -> int:
    match error:
        case OutcomeUnknownError():
            return 0
        case InvalidError():
            return 2
        case _:
            return 1


def rights(options: RouteOptions) -> Rights:
    """What the credentials must allow."""
    return {
        "DescribeRouteTables": EVERYTHING,
        "DescribeNetworkInterfaces": EVERYTHING,
        "ReplaceRoute": resource(options, "route-table", options.route_table_ids),
    }


def _addresses(options: RouteOptions) -> Sequence[Address]:
    """The destination, where it is one address."""
    destination = ip_network(options.destination)
    return (destination.network_address,) if destination.num_addresses == 1 else ()


def _things(options: RouteOptions) -> Sequence[str]:
    return [f"the route to {options.destination} in {table}" for table in options.route_table_ids]


def _inspect(_: Any) -> str | None:
    return missing()


KINDS: Final[Mapping[str, Kind]] = MappingProxyType(
    {
        "ec2-route": Kind(
            options=TypeAdapter(RouteOptions),
            build=Route,
            names=interfaces_of,
            addresses=_addresses,
            things=_things,
            inspect=_inspect,
        )
    }
)
"""The kinds of this module, by name."""
