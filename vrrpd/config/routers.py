"""One router as it will be: its own keys over the defaults, the nodes as it sees them, what follows from both.

Owns the rules of precedence, in one place for those who judge (`lint_router`) and those who build (`members`): router
over `defaults` over built in; `unicast` over `nodes`; the router's `nodes` over the file's; a written priority over
the order. For each key it also knows where it was written, since that is where a mistake in it must point.

Must not do: report. Where a part is lost or missing the answer is empty, and the judges say why.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from ipaddress import IPv4Address, IPv4Interface, IPv6Address, IPv6Interface, ip_interface
from typing import Any

from vrrpd.config import priority
from vrrpd.config.file import File
from vrrpd.config.model import AddressKeys, RouterKeys, for_node
from vrrpd.config.scalars import AUTO
from vrrpd.config.tree import Path
from vrrpd.proto.settings import Address, Family

NUMBER = "file"
"""The kind of check that judges nothing: it brings a number of its own, which is added to the priority."""

FAMILIES = {4: Family.IPV4, 6: Family.IPV6}
FAMILY_NAMES = {Family.IPV4: "IPv4", Family.IPV6: "IPv6"}


def family_of(address: Address | IPv4Interface | IPv6Interface) -> Family:
    """The family of an address."""
    return FAMILIES[address.version]


def link_local(vrid: int) -> IPv6Interface:
    """The IPv6 link-local address of a virtual router, as 'auto' in the file.

    It is the modified EUI-64 (RFC 4291 appendix A) of the virtual MAC address 00:00:5e:00:02:VRID (RFC 9568 7.3), so
    that it is the same on all nodes and another one for each VRID.
    """
    return IPv6Interface((IPv6Address("fe80::200:5eff:fe00:200") + vrid, 128))


NO_ADDRESS = IPv4Address("192.0.0.8")
"""What a router without addresses advertises, since a packet carries at least one (RFC 9568 erratum 8299): the IPv4
dummy address (RFC 7600), which no host has; in IPv6 the link-local address of the VRID. It is on no interface."""


@dataclass(frozen=True, slots=True)
class Listed:
    """One shared address of a router.

    Attributes:
        path: where it stands: in the list of addresses, or the mover that brings it.
        keys: what was written.
        address: the address, also where the file says 'auto'.
    """

    path: Path
    keys: AddressKeys
    address: IPv4Interface | IPv6Interface


@dataclass(frozen=True, slots=True)
class Moving:
    """One entry of a router's movers.

    Attributes:
        path: where its kind stands.
        name: its kind, with a number where the router has several of that kind.
        kind: its kind.
        options: what the kind made of its options.
    """

    path: Path
    name: str
    kind: str
    options: Any


@dataclass(frozen=True)
class Router:
    """A router of the file with everything that follows from the file alone."""

    file: File
    name: str

    @cached_property
    def _own(self) -> RouterKeys:
        return self.file.keys.routers[self.name]

    @cached_property
    def keys(self) -> RouterKeys:
        """The router's keys, those of `defaults` where it has none of its own."""
        defaults = self.file.keys.defaults
        missing = [key for key in defaults.model_fields_set if not self._is_own(key)]
        return self._own.model_copy(update={key: getattr(defaults, key) for key in missing})

    def _is_own(self, key: str) -> bool:
        return key in self._own.model_fields_set or not self.file.sound("routers", self.name, key)

    def path(self, key: str) -> Path:
        """Where a key was written; the router itself where it was not."""
        own = ("routers", self.name, key)
        return own if self._is_own(key) or key not in self.file.keys.defaults.model_fields_set else ("defaults", key)

    def sound(self, *keys: str) -> bool:
        """Whether nothing of these keys was lost, neither here nor in the defaults that apply."""
        return all(
            self.file.sound("routers", self.name, key)
            and (key in self._own.model_fields_set or self.file.sound("defaults", key))
            for key in keys
        )

    @cached_property
    def nodes(self) -> Mapping[str, tuple[Address, ...]]:
        """The nodes in order, with their addresses in this router's network."""
        nodes = self.file.keys.nodes
        if self.keys.nodes is None:
            return nodes
        return {name: self.keys.nodes.get(name, ()) for name in nodes}

    @property
    def nodes_sound(self) -> bool:
        """Whether nothing of the nodes was lost."""
        return self.file.sound("nodes") and self.sound("nodes")

    @cached_property
    def unicast(self) -> bool:
        """Whether advertisements go to peers."""
        if self.keys.transport is not None:
            return self.keys.transport == "unicast"
        return bool(self.nodes) or self.keys.unicast is not None

    @cached_property
    def addresses(self) -> tuple[Listed, ...]:
        """The shared addresses in order; 'auto' is left out where the VRID it follows from is not known."""
        listed: list[Listed] = []
        for index, keys in enumerate(self.keys.addresses or ()):
            address = keys.address
            if address == AUTO:
                if self.keys.vrid is None:
                    continue
                address = link_local(self.keys.vrid)
            listed.append(Listed((*self.path("addresses"), index), keys, address))
        written = {entry.address.ip for entry in listed}
        brought = {
            address: mover.path
            for mover in self.movers
            for address in self.file.kinds.movers[mover.kind].addresses(mover.options)
            if address not in written
        }
        listed += [
            Listed(path, AddressKeys.model_construct(address=interface), interface)
            for interface, path in ((ip_interface(address), path) for address, path in brought.items())
        ]
        return tuple(listed)

    @cached_property
    def movers(self) -> tuple[Moving, ...]:
        """What else moves, in order; without entries that could not be taken, and those of several kinds."""
        path, count = self.path("movers"), Counter[str]()
        found: list[Moving] = []
        for index, entry in enumerate(self.file.movers.get(path, ())):
            if len(entry) == 1:
                [(kind, options)] = entry.items()
                count[kind] += 1
                name = kind if count[kind] == 1 else f"{kind}-{count[kind]}"
                found.append(Moving((*path, index, kind), name, kind, options))
        return tuple(found)

    @cached_property
    def families(self) -> tuple[Family, ...]:
        """The families of its addresses, IPv4 first: one virtual router each.

        A router without addresses, which has movers, is one: in IPv6 where that is what all nodes have in common, else
        in IPv4.
        """
        present = {family_of(listed.address) for listed in self.addresses}
        if not self.addresses and self.keys.movers:
            everybody = [self.own_addresses(node) for node in self.nodes or ("",)]
            everybody.append((self.keys.unicast and self.keys.unicast.peers) or ())
            sides = [{family_of(address) for address in own} for own in everybody if own]
            common = set(Family).intersection(*sides) if sides else set[Family]()
            present = {Family.IPV6 if common == {Family.IPV6} else Family.IPV4}
        return tuple(family for family in Family if family in present)

    def advertised(self, family: Family) -> tuple[Address, ...]:
        """What its advertisements in one family list."""
        listed = tuple(entry.address.ip for entry in self.of_family(family) if entry.keys.advertise)
        if self.addresses or self.keys.vrid is None:
            return listed
        return (NO_ADDRESS if family is Family.IPV4 else link_local(self.keys.vrid).ip,)

    def of_family(self, family: Family) -> tuple[Listed, ...]:
        """The shared addresses of one family."""
        return tuple(listed for listed in self.addresses if family_of(listed.address) is family)

    def own_addresses(self, node: str) -> tuple[Address, ...]:
        """A node's own addresses in this router's network: `unicast.bind`, else `nodes`."""
        if self.keys.unicast is not None and self.keys.unicast.bind is not None:
            return self.keys.unicast.bind
        return self.nodes.get(node, ())

    def source(self, node: str, family: Family) -> Address | None:
        """A node's own address of one family."""
        return next((address for address in self.own_addresses(node) if family_of(address) is family), None)

    def peers(self, node: str, family: Family) -> tuple[Address, ...]:
        """Whom a node sends to: `unicast.peers`, else all other nodes; itself is never among them."""
        if self.keys.unicast is not None and self.keys.unicast.peers is not None:
            candidates = self.keys.unicast.peers
        else:
            candidates = tuple(address for name, own in self.nodes.items() if name != node for address in own)
        mine = {*self.own_addresses(node), *self.nodes.get(node, ())}
        return tuple(peer for peer in candidates if family_of(peer) is family and peer not in mine)

    @cached_property
    def priorities(self) -> Mapping[str, int]:
        """Priority of each node, or of "" in a file without nodes; without those that cannot be known."""
        names = list(self.nodes) or [""]
        if self.keys.priority is not None:
            found = {name: for_node(self.keys.priority, name) for name in names}
            return {name: value for name, value in found.items() if value is not None}
        if not self.nodes:
            return {"": priority.DEFAULT}
        if len(names) > priority.MOST_NODES or self.keys.advert_interval == 0:
            return {}
        order = priority.from_order(len(names), self.keys.version, self.keys.advert_interval)
        return dict(zip(names, order, strict=True))

    def priority(self, node: str) -> int | None:
        """Priority of one node; in a file without nodes it is the same whatever the node is called."""
        return self.priorities.get(node if self.nodes else "")

    @cached_property
    def weights(self) -> Mapping[str, int]:
        """The checks that move the priority by a weight."""
        return {entry.check: entry.weight for entry in self.keys.track if entry.weight is not None}

    @cached_property
    def numbers(self) -> tuple[str, ...]:
        """The checks that move the priority by a number of their own."""
        return tuple(entry.check for entry in self.keys.track if self.file.kind(entry.check) == NUMBER)

    @cached_property
    def releasing(self) -> tuple[str, ...]:
        """The checks that release the role."""
        return tuple(e.check for e in self.keys.track if e.check not in self.weights and e.check not in self.numbers)

    @cached_property
    def complete(self) -> bool:
        """Whether the file names every node that takes part, so that it shows who can take over."""
        peers = self.keys.unicast.peers if self.unicast and self.keys.unicast else None
        if peers is None:
            return bool(self.nodes)
        everybody = {address for own in self.nodes.values() for address in own}
        all_meet = all(len(self.peers(node, f)) == len(self.nodes) - 1 for node in self.nodes for f in self.families)
        return everybody.issuperset(peers) and all_meet


def routers(file: File) -> list[Router]:
    """All routers of a file, in its order."""
    return [Router(file, name) for name in file.keys.routers]
