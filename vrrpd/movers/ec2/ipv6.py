"""The mover `ec2-ipv6`: IPv6 addresses on this node's network interface.

Two calls move them, within a subnet: they are taken off the network interface that has them (UnassignIpv6Addresses) and
assigned to ours (AssignIpv6Addresses), which fails while another has them. There is no way to do both at once. Whose
they are is known from the last look, so that nothing is asked before; where that was out of date the assignment is
refused, and then, only then, they are looked for and it is tried once more.

Between the two calls nobody has them. For addresses that move across availability zones, `ec2-route` takes an IPv6
destination.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from ipaddress import IPv6Address
from types import MappingProxyType
from typing import Annotated, Any, Final, TypeAlias

from pydantic import Field, TypeAdapter

from vrrpd.config.scalars import Shorthand, one_is_a_list
from vrrpd.movers.base import ConflictError, HalfDoneError, Holder, Host, InvalidError, Kind
from vrrpd.movers.ec2.api import change, numbered
from vrrpd.movers.ec2.credentials import missing
from vrrpd.movers.ec2.node import Node
from vrrpd.movers.ec2.options import Ec2Options, address_of, interfaces_of, named
from vrrpd.movers.ec2.rights import EVERYTHING, Rights, interfaces, resource
from vrrpd.movers.ec2.subnet import IPV6, Subnet, chosen, require

GlobalAddress: TypeAlias = Annotated[IPv6Address, address_of(IPv6Address)]


class Ipv6Options(Ec2Options):
    """Options of an `ec2-ipv6` mover."""

    ipv6_address: Annotated[
        tuple[GlobalAddress, ...] | None,
        Shorthand(one_is_a_list, {"type": "string"}),
        Field(
            min_length=1,
            max_length=32,
            description="the address that moves, or a list (default: the router's shared IPv6 addresses)",
        ),
    ] = None


class Ipv6:
    """Brings IPv6 addresses here."""

    compares = False
    local = False

    def __init__(self, options: Ipv6Options, host: Host) -> None:
        self._node = Node(options, host)
        self._router = host.router
        self._subnet = Subnet(self._node, IPV6, chosen(options.ipv6_address, host.shared, 6))
        self._freed = False  # taken off another by us, and not assigned here yet

    async def prepare(self) -> None:
        """See `base.Mover`."""
        require(self._subnet.addresses, self._router, "ipv6_address", "IPv6")
        await self._node.prepare()
        await self._subnet.holder()

    async def holder(self, *, fresh: bool = False) -> Holder:
        """See `base.Mover`."""
        return await self._subnet.holder(fresh=fresh)

    async def acquire(self, seen: Holder | None) -> None:
        """See `base.Mover`."""
        assert seen is None, "it compares nothing"
        try:
            await self._take_as_it_is()
        except InvalidError as error:
            if not self._freed:
                raise
            raise HalfDoneError(f"nobody has it, and it is refused here: {error}") from None
        self._freed = False

    async def release(self, seen: Holder) -> None:
        """See `base.Mover`; names our own network interface, and so does nothing where they have left it."""
        del seen
        await self._unassign(self._node.id, self._subnet.addresses)

    async def local_verify(self) -> bool | None:
        """See `base.Mover`."""
        return await self._node.sees("ipv6s", self._subnet.addresses)

    async def aclose(self) -> None:
        """See `base.Mover`."""
        await self._node.aclose()

    async def _take_as_it_is(self) -> None:
        """Take them from who had them at the last look, and where that is refused, from who has them now."""
        try:
            await self._take()
        except (ConflictError, InvalidError):
            before = dict(self._subnet.last)
            await self._subnet.holder()
            if self._subnet.last == before:  # not because of who has them
                raise
            await self._take()

    async def _take(self) -> None:
        """Take them off whoever had them at the last look, and assign those that we had not."""
        last = self._subnet.last
        for interface in dict.fromkeys(last.values()):
            if interface != self._node.id:
                # Where it has them no more, the assignment will show whether anybody has.
                with contextlib.suppress(InvalidError):
                    await self._unassign(interface, [a for a, having in last.items() if having == interface])
                    self._freed = True
        missed = [address for address in self._subnet.addresses if last.get(address) != self._node.id]
        wanted = missed or self._subnet.addresses
        target = {"NetworkInterfaceId": self._node.id, **numbered("Ipv6Addresses", wanted)}
        await self._node.api.call(change("AssignIpv6Addresses", target))

    async def _unassign(self, interface: str, addresses: list[str]) -> None:
        target = {"NetworkInterfaceId": interface, **numbered("Ipv6Addresses", addresses)}
        await self._node.api.call(change("UnassignIpv6Addresses", target))


def rights(options: Ipv6Options) -> Rights:
    """What the credentials must allow."""
    anywhere = interfaces(options) if named(network_interface_id=options.network_interface_id) else None
    return {
        "DescribeNetworkInterfaces": EVERYTHING,
        "AssignIpv6Addresses": interfaces(options),
        # Off another node's network interface, or a stranger's.
        "UnassignIpv6Addresses": anywhere or resource(options, "network-interface", ["*"]),
    }


def _inspect(_: Any) -> str | None:
    return missing()


KINDS: Final[Mapping[str, Kind]] = MappingProxyType(
    {
        "ec2-ipv6": Kind(
            options=TypeAdapter(Ipv6Options),
            build=Ipv6,
            names=interfaces_of,
            addresses=lambda options: options.ipv6_address or (),
            things=lambda options: [f"the address {address}" for address in options.ipv6_address or ()],
            inspect=_inspect,
        )
    }
)
"""The kinds of this module, by name."""
