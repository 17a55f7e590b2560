"""This node in EC2: who we are, whose a network interface is, and when the right to act was last seen.

Owns what the four kinds share beside their calls: our network interface and region (from the file, else from the
metadata service by the MAC address of the router's card, as hosts have several), the names of the other nodes, the dry
runs of every hour. With the network interface and the region in the file the metadata service is never asked.

Whose a network interface is: a map in the file is the whole truth. Without one the holder's private addresses say it,
and only in our own network (VPC), since another may use the same addresses.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv6Address
from typing import Final, Literal, TypeAlias

import trio

from vrrpd.config.model import for_node, names_nodes
from vrrpd.movers.base import Holder, Host, InvalidError, UnreachableError, Who
from vrrpd.movers.ec2.api import Api, Call, Tree, numbered, question
from vrrpd.movers.ec2.imds import Imds
from vrrpd.movers.ec2.options import Ec2Options

HOUR_S: Final = 3600.0
"""Seconds between two dry runs of the same change."""

Seen: TypeAlias = Literal["public-ipv4s", "local-ipv4s", "ipv6s"]

CARDS: Final = "networkInterfaceSet/item"
"""Where DescribeNetworkInterfaces has them."""


@dataclass(frozen=True, slots=True)
class Card:
    """A network interface of EC2.

    Attributes:
        id: eni-...
        mac: its MAC address, lower case.
        vpc: the network it is in.
        subnet: the part of that.
        primary: its first private address, which never leaves it.
        addresses: all of its private addresses, of both families.
        public: private address -> the public one that goes with it.
        checked: it takes only what is for its own addresses (source/destination check).
    """

    id: str
    mac: str
    vpc: str
    subnet: str
    primary: str
    addresses: frozenset[str]
    public: Mapping[str, str]
    checked: bool


def card(tree: Tree) -> Card:
    """The network interface that an item of DescribeNetworkInterfaces is."""
    parts = [*tree.all("privateIpAddressesSet/item")]
    private = [part.text("privateIpAddress") for part in parts]
    public = {part.text("privateIpAddress"): part.text("association/publicIp") for part in parts}
    ipv6 = [str(IPv6Address(part.text("ipv6Address"))) for part in tree.all("ipv6AddressesSet/item")]
    return Card(
        tree.text("networkInterfaceId"),
        tree.text("macAddress").lower(),
        tree.text("vpcId"),
        tree.text("subnetId"),
        tree.text("privateIpAddress"),
        frozenset([*private, *ipv6]),
        {one: other for one, other in public.items() if other},
        tree.text("sourceDestCheck") == "true",
    )


class Node:
    """This node, and the others as seen from it."""

    def __init__(self, options: Ec2Options, host: Host, connections: int = 1) -> None:
        self.api = Api(options.endpoint_url, options.ca, options.connect_timeout, connections, look=host.look)
        self.id = for_node(options.network_interface_id, host.node) or ""
        """Our network interface, once `prepare` has found it."""
        self._host = host
        self._region = options.region
        self._imds = None if self.id and self._region else Imds()
        self._names = _names(options)
        self._card: Card | None = None
        self._rehearsed: dict[str, float] = {}  # when the next dry run is due

    async def prepare(self) -> None:
        """Find out who we are, unless that is known, and have good credentials.

        Raises:
            MoverError: that is not to be had.
        """
        if not self.id:
            self.id = await self._find()
        if self._region is None:
            assert self._imds is not None, "asked where the file does not say"
            self._region = await self._imds.get("placement/region")
            if not self._region:
                raise UnreachableError("the metadata service does not say the region; set 'region'")
        self.api.locate(self._region)
        await self.api.credentials.refresh()

    async def rehearse(self, what: str, call: Call) -> None:
        """See every hour that a change would be allowed, by a dry run.

        Args:
            what: names what is seen to be allowed.
            call: the change.

        Raises:
            MoverError: it would fail.
        """
        if trio.current_time() >= self._rehearsed.get(what, 0.0):
            await self.api.permitted(call)
            self._rehearsed[what] = trio.current_time() + HOUR_S

    async def own(self, *, again: bool = False) -> Card:
        """Our network interface as EC2 knows it.

        Args:
            again: ask although it is known.

        Raises:
            MoverError: it cannot be found out.
        """
        if self._card is None or again:
            self._card = await self._describe(self.id)
        return self._card

    async def whose(self, interface: str, token: str | None = None) -> Holder:
        """Who holds what is on a network interface.

        Args:
            interface: eni-...
            token: for `Holder.token`.

        Raises:
            MoverError: it cannot be found out.
        """
        if interface == self.id:
            return Holder(Who.ME, interface, token=token)
        if interface not in self._names.known and not self._names.complete and interface.startswith("eni-"):
            try:
                found = await self._describe(interface)
            except InvalidError:  # it is gone, or another account's
                return Holder(Who.FOREIGN, interface, token=token)
            return await self.whose_card(found, token)
        name = self._names.known.get(interface)
        return Holder(Who.PEER if name else Who.FOREIGN, interface, name, token)

    async def whose_card(self, found: Card, token: str | None = None) -> Holder:
        """The same, of a network interface that has been described."""
        if not self._names.complete and found.id != self.id and found.vpc == (await self.own()).vpc:
            for peer in self._host.peers:
                if found.addresses & {str(address) for address in peer.addresses}:
                    self._names.known[found.id] = peer.name
        if found.id == self.id or self._names.complete or found.id in self._names.known:
            return await self.whose(found.id, token)
        return Holder(Who.FOREIGN, found.id, token=token)

    async def sees(self, what: Seen, addresses: Iterable[object]) -> bool | None:
        """Whether the metadata service shows all of some addresses on our card; None where it is not used.

        Raises:
            MoverError: it does not answer.
        """
        if self._imds is None:
            return None
        shown = await self._imds.get(f"network/interfaces/macs/{(await self.own()).mac}/{what}")
        return {str(address) for address in addresses} <= {*(shown or "").split()}

    async def aclose(self) -> None:
        """Close connections."""
        await self.api.aclose()
        if self._imds is not None:
            await self._imds.aclose()

    async def _find(self) -> str:
        """Our network interface, by the MAC address of the router's card."""
        assert self._imds is not None, "asked where the file does not say"
        mac = self._mac()
        found = await self._imds.get(f"network/interfaces/macs/{mac}/interface-id")
        if not found:
            raise InvalidError(
                f"this instance has no network interface with the MAC address {mac}; set 'network_interface_id', or "
                " the router's 'interface' to one of EC2's own"
            )
        return found

    def _mac(self) -> str:
        interface = self._host.interface()
        if interface is None:
            raise UnreachableError("the router's interface does not exist; create it, or set 'network_interface_id'")
        return interface.mac

    async def _describe(self, interface: str) -> Card:
        wanted = question("DescribeNetworkInterfaces", numbered("NetworkInterfaceId", [interface]))
        found = next((await self.api.call(wanted)).all(CARDS), None)
        if found is None:
            raise InvalidError(f"EC2 does not know the network interface {interface}; correct 'network_interface_id'")
        return card(found)


@dataclass(frozen=True, slots=True)
class _Names:
    """Which node has which network interface.

    Attributes:
        known: network interface -> name of the node.
        complete: nothing is to be added: the file has a map.
    """

    known: dict[str, str]
    complete: bool


def _names(options: Ec2Options) -> _Names:
    written = options.network_interface_id
    if written is None or not names_nodes(written):
        return _Names({}, False)
    return _Names({interface: name for name, interface in written.items()}, True)


def together(holders: Sequence[Holder]) -> Holder:
    """Who has several things: somebody only who has them all, else whoever keeps us from that."""
    others = [holder for holder in holders if holder.who is not Who.ME]
    taken = [holder for holder in others if holder.who is not Who.NOBODY]
    return next(iter([*taken, *others, *holders]))
