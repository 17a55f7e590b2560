"""The mover `ec2-private-ip`: private IPv4 addresses as secondary addresses of this node's network interface.

One call moves them (AssignPrivateIpAddresses), within a subnet, and so within one availability zone. An elastic address
that is associated with one of them travels along. The addresses are on the node's system too while it is Active: those
that the options name are added to the router's own.

There is no dry run of this call, and no condition; that they are ours is confirmed by the metadata service, since the
assignment is done after its answer.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Any, Final

from pydantic import Field, TypeAdapter

from vrrpd.config.scalars import Shorthand, one_is_a_list
from vrrpd.movers.base import Holder, Host, Kind
from vrrpd.movers.ec2.api import Call, change, numbered
from vrrpd.movers.ec2.credentials import missing
from vrrpd.movers.ec2.node import Node
from vrrpd.movers.ec2.options import Ec2Options, PrivateAddress, interfaces_of
from vrrpd.movers.ec2.rights import EVERYTHING, Rights, interfaces
from vrrpd.movers.ec2.subnet import IPV4, Subnet, chosen, require


class PrivateIpOptions(Ec2Options):
    """Options of an `ec2-private-ip` mover."""

    private_ip: Annotated[
        tuple[PrivateAddress, ...] | None,
        Shorthand(one_is_a_list, {"type": "string"}),
        Field(
            min_length=1,
            max_length=32,
            description="the address that moves, or a list (default: the router's shared IPv4 addresses)",
        ),
    ] = None


class PrivateIp:
    """Brings secondary private addresses here."""

    compares = False
    local = False

    def __init__(self, options: PrivateIpOptions, host: Host) -> None:
        self._node = Node(options, host)
        self._router = host.router
        self._subnet = Subnet(self._node, IPV4, chosen(options.private_ip, host.shared, 4))
        self._assign: Call | None = None

    async def prepare(self) -> None:
        """See `base.Mover`."""
        require(self._subnet.addresses, self._router, "private_ip", "IPv4")
        await self._node.prepare()
        target = {"NetworkInterfaceId": self._node.id, **numbered("PrivateIpAddress", self._subnet.addresses)}
        self._assign = change("AssignPrivateIpAddresses", {**target, "AllowReassignment": "true"})
        await self._subnet.holder()

    async def holder(self, *, fresh: bool = False) -> Holder:
        """See `base.Mover`."""
        return await self._subnet.holder(fresh=fresh)

    async def acquire(self, seen: Holder | None) -> None:
        """See `base.Mover`."""
        assert seen is None, "it compares nothing"
        assert self._assign is not None, "prepare comes first"
        await self._node.api.call(self._assign)

    async def release(self, seen: Holder) -> None:
        """See `base.Mover`; names our own network interface, and so does nothing where they have left it."""
        del seen
        own = {"NetworkInterfaceId": self._node.id, **numbered("PrivateIpAddress", self._subnet.addresses)}
        await self._node.api.call(change("UnassignPrivateIpAddresses", own))

    async def local_verify(self) -> bool | None:
        """See `base.Mover`."""
        return await self._node.sees("local-ipv4s", self._subnet.addresses)

    async def aclose(self) -> None:
        """See `base.Mover`."""
        await self._node.aclose()


def rights(options: PrivateIpOptions) -> Rights:
    """What the credentials must allow."""
    needed = {"DescribeNetworkInterfaces": EVERYTHING, "AssignPrivateIpAddresses": interfaces(options)}
    if options.release == "on_stop":
        needed["UnassignPrivateIpAddresses"] = interfaces(options)
    return needed


def _inspect(_: Any) -> str | None:
    return missing()


KINDS: Final[Mapping[str, Kind]] = MappingProxyType(
    {
        "ec2-private-ip": Kind(
            options=TypeAdapter(PrivateIpOptions),
            build=PrivateIp,
            names=interfaces_of,
            addresses=lambda options: options.private_ip or (),
            things=lambda options: [f"the private address {address}" for address in options.private_ip or ()],
            inspect=_inspect,
        )
    }
)
"""The kinds of this module, by name."""
