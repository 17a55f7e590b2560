"""The mover `ec2-elastic-ip`: a public IPv4 address of EC2 on this node's network interface.

One call moves it (AssociateAddress), across availability zones too. It is associated with the network interface, never
with the instance, which fails where that has more than one; with the interface's primary private address, or with the
one that `private_ip` names. Only one public address can go with a private one: where another has that place, by which
this node may reach EC2, the node is not ready, and nothing is displaced.

With `takeover: compare` the association that was seen is undone first, by its own id, and the new one is made on
condition that there is none: whoever was overtaken by another node is refused. Giving up works the same way, by the id
that was seen to be ours, so that it can never undo another node's association.
"""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import IPv4Address
from types import MappingProxyType
from typing import Annotated, Any, ClassVar, Final, Self

from pydantic import Field, TypeAdapter, model_validator

from vrrpd.config.model import for_node
from vrrpd.config.scalars import Shorthand
from vrrpd.movers.base import ConflictError, HalfDoneError, Holder, Host, InvalidError, Kind, Who
from vrrpd.movers.ec2.api import Call, Tree, change, numbered, question
from vrrpd.movers.ec2.credentials import missing
from vrrpd.movers.ec2.node import Node
from vrrpd.movers.ec2.options import (
    Ec2Options,
    PrivateAddress,
    address_of,
    interfaces_of,
    named,
    one_for_all,
    resource_id,
)
from vrrpd.movers.ec2.rights import EVERYTHING, Rights, interfaces, resource


class ElasticIpOptions(Ec2Options):
    """Options of an `ec2-elastic-ip` mover."""

    COMPARES: ClassVar[str | None] = None

    allocation_id: Annotated[
        str | None,
        resource_id("eipalloc", "id of an elastic address"),
        Field(description="what EC2 calls the address, eipalloc-...; required, or public_ip"),
    ] = None
    public_ip: Annotated[
        IPv4Address | None, address_of(IPv4Address), Field(description="the address itself, in place of allocation_id")
    ] = None
    private_ip: Annotated[
        dict[str, PrivateAddress] | None,
        Shorthand(one_for_all, {"type": "string"}),
        Field(
            description="private address of the network interface that it goes with, the same for all nodes, or a map "
            "of node to value (default: the primary one)"
        ),
    ] = None

    @model_validator(mode="after")
    def _one_name(self) -> Self:
        if (self.allocation_id is None) == (self.public_ip is None):
            wrong = "nothing says which address" if self.public_ip is None else "the address is named twice"
            raise ValueError(f"{wrong}; write allocation_id or public_ip, one of them")
        return self


class ElasticIp:
    """Brings an elastic address here."""

    compares = True
    local = False

    def __init__(self, options: ElasticIpOptions, host: Host) -> None:
        self._node = Node(options, host)
        self._private = for_node(options.private_ip, host.node)
        self._undoes = options.takeover == "compare" or options.release == "on_stop"
        if options.allocation_id is not None:
            named_by = numbered("AllocationId", [options.allocation_id])
        else:
            named_by = numbered("PublicIp", [options.public_ip])
        self._who = question("DescribeAddresses", named_by)
        self._public = ""
        self._steal: Call | None = None
        self._join: Call | None = None
        self._freed = False  # undone by us, and not associated here yet

    async def prepare(self) -> None:
        """See `base.Mover`."""
        await self._node.prepare()
        address = await self._describe()
        self._public = address.text("publicIp")
        await self._displaces_nothing()
        target = {"AllocationId": address.text("allocationId"), "NetworkInterfaceId": self._node.id}
        if self._private is not None:
            target["PrivateIpAddress"] = str(self._private)
        self._steal = change("AssociateAddress", {**target, "AllowReassociation": "true"})
        self._join = change("AssociateAddress", {**target, "AllowReassociation": "false"})
        await self._node.rehearse("associate", self._steal)
        association = address.text("associationId")
        if self._undoes and association:
            await self._node.rehearse("disassociate", _undo(association))

    async def holder(self, *, fresh: bool = False) -> Holder:
        """See `base.Mover`."""
        address = await self._describe(fresh=fresh)
        interface, association = address.text("networkInterfaceId"), address.text("associationId") or None
        if not interface:
            return Holder(Who.NOBODY, token=association)
        if interface == self._node.id and self._private not in {None, _private(address)}:
            return Holder(Who.NOBODY, token=association)  # with another of our addresses, where nobody answers for it
        return await self._node.whose(interface, association)

    async def acquire(self, seen: Holder | None) -> None:
        """See `base.Mover`."""
        assert self._steal is not None, "prepare comes first"
        assert self._join is not None, "prepare comes first"
        if seen is None:
            await self._node.api.call(self._steal)
            return
        if seen.token is not None:
            await self._node.api.call(_undo(seen.token))
            self._freed = True
        try:
            await self._node.api.call(self._join)
        except InvalidError as error:
            if not self._freed:
                raise
            raise HalfDoneError(f"nobody has it, and it is refused here: {error}") from None
        self._freed = False

    async def release(self, seen: Holder) -> None:
        """See `base.Mover`."""
        if seen.token is None:
            raise ConflictError("the address has no association that could be undone")
        await self._node.api.call(_undo(seen.token))

    async def local_verify(self) -> bool | None:
        """See `base.Mover`."""
        return await self._node.sees("public-ipv4s", [self._public]) if self._public else None

    async def aclose(self) -> None:
        """See `base.Mover`."""
        await self._node.aclose()

    async def _displaces_nothing(self) -> None:
        own = await self._node.own(again=True)
        target = own.primary if self._private is None else str(self._private)
        there = own.public.get(target, self._public)
        if there != self._public:
            raise InvalidError(
                f"it would displace {there} from {target}, by which this node may reach EC2; name a secondary address "
                "of the network interface in 'private_ip'"
            )

    async def _describe(self, *, fresh: bool = False) -> Tree:
        found = next((await self._node.api.call(self._who, fresh=fresh)).all("addressesSet/item"), None)
        if found is None:
            raise InvalidError("EC2 does not know the elastic address; correct 'allocation_id' or 'public_ip'")
        return found


def _undo(association: str) -> Call:
    return change("DisassociateAddress", {"AssociationId": association})


def _private(address: Tree) -> IPv4Address | None:
    text = address.text("privateIpAddress")
    return IPv4Address(text) if text else None


def rights(options: ElasticIpOptions) -> Rights:
    """What the credentials must allow."""
    address = resource(options, "elastic-ip", [options.allocation_id or "*"])
    undoes = options.takeover == "compare" or options.release == "on_stop"
    changed = {*address, *interfaces(options), *resource(options, "instance", ["*"])}
    needed = {"DescribeAddresses": EVERYTHING, "DescribeNetworkInterfaces": EVERYTHING, "AssociateAddress": changed}
    if undoes:
        needed["DisassociateAddress"] = changed
    return needed


def _inspect(_: Any) -> str | None:
    return missing()


KINDS: Final[Mapping[str, Kind]] = MappingProxyType(
    {
        "ec2-elastic-ip": Kind(
            options=TypeAdapter(ElasticIpOptions),
            build=ElasticIp,
            names=lambda options: interfaces_of(options) | named(private_ip=options.private_ip),
            things=lambda options: [f"the elastic address {options.allocation_id or options.public_ip}"],
            inspect=_inspect,
        )
    }
)
"""The kinds of this module, by name."""
