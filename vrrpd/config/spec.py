"""The wanted state: what the runtime is told to bring about, and the facts of the host it was worked out from.

Owns plain, frozen values and no behaviour. The rest of this package turns a file into an `AgentSpec`; the runtime
takes one and applies the difference to what it runs. Everything here is immutable and compares with `==`, so that two
configurations can be compared piece by piece: a router whose `RouterSpec` is equal before and after a reload keeps its
sockets, its timers and its addresses.

Nothing in an `AgentSpec` depends on the text of the file any more, except `path`, which messages name, and `warnings`,
which carry positions in it. Times are integer nanoseconds, as everywhere in the protocol core.

The vocabulary is that of RFC 9568. A *member* is one virtual router in the sense of section 5.2.9: one VRID on one
interface in one address family. A *router* of the file that lists addresses of both families has two.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Interface, IPv6Interface
from typing import Any

from vrrpd.errors import Mistake
from vrrpd.proto.settings import Address, Settings


@dataclass(frozen=True, slots=True)
class HostAddress:
    """An address that the host had before we put anything there.

    Attributes:
        interface: name of the interface that holds it.
        address: the address with its prefix length.
    """

    interface: str
    address: IPv4Interface | IPv6Interface


@dataclass(frozen=True, slots=True)
class HostFacts:
    """What the host looks like, as far as a configuration depends on it.

    Attributes:
        interfaces: names of all interfaces.
        addresses: addresses of all interfaces, without those that an agent put there; the caller filters by the tag.
    """

    interfaces: frozenset[str]
    addresses: tuple[HostAddress, ...]


@dataclass(frozen=True, slots=True)
class SharedAddress:
    """One address that moves with the role.

    Attributes:
        address: the address with the prefix length it is added with.
        device: interface it is put on, as the file names it; "" is the member's own.
        label: IPv4 label (`ip address` shows it), or None.
        scope: rtnetlink scope number: global 0, site 200, link 253, host 254, or a number of the file.
        advertise: part of the advertised list.
    """

    address: IPv4Interface | IPv6Interface
    device: str
    label: str | None
    scope: int
    advertise: bool


@dataclass(frozen=True, slots=True)
class Announce:
    """When neighbours are told where the addresses are (gratuitous ARP, unsolicited neighbour advertisement).

    Attributes:
        times: nanoseconds after taking the role, ascending; empty where announcing is off.
        every: nanoseconds between later announcements while Active, or None.
    """

    times: tuple[int, ...]
    every: int | None


@dataclass(frozen=True, slots=True)
class TrackSpec:
    """How a router follows one check.

    Attributes:
        check: name of the check.
        weight: None: a failed check makes the router unhealthy (and one that brings a number adds it). A number: added
            to the priority, a negative one while the check is down, a positive one while it is up.
    """

    check: str
    weight: int | None = None


@dataclass(frozen=True, slots=True)
class MemberSpec:
    """One virtual router: one VRID, one interface, one family.

    Attributes:
        router: name of the router of the file that it is part of.
        interface: the interface it lives on: as the file names it, or, where `home` is set, the one that had that
            address when the file was held against the host, "" where none had.
        home: the node's own address that it follows from interface to interface; None where the file names one.
        settings: everything the protocol core needs.
        source: unicast: exactly this own address; multicast: None, which stands for the primary IPv4 or the
            link-local IPv6 address of the interface.
        addresses: what moves with the role, in the order of the file; empty where movers alone do.
        announce: see `Announce`.
        lease: nanoseconds that the kernel keeps the addresses without hearing of us; None: for ever.
        names: source address to node name, for people and to tell an unlisted speaker; empty where the file holds
            no list of nodes.
        track: the checks that its router follows.
        neighbours: addresses of the other nodes in this family, whether they send from them or not: whom to ask
            whether the network carries frames.
    """

    router: str
    interface: str
    settings: Settings
    source: Address | None
    addresses: tuple[SharedAddress, ...]
    announce: Announce
    names: Mapping[Address, str]
    track: tuple[TrackSpec, ...] = ()
    neighbours: tuple[Address, ...] = ()
    home: Address | None = None
    lease: int | None = None


@dataclass(frozen=True, slots=True)
class PeerSpec:
    """Another node, as a mover of one router sees it.

    Attributes:
        name: its name in `nodes`; its address in a file without.
        addresses: its own addresses in that router's network.
        priority: what the file gives it: that of its group, where there is one; None where the file does not say.
    """

    name: str
    addresses: tuple[Address, ...]
    priority: int | None


@dataclass(frozen=True, slots=True)
class MoverSpec:
    """One thing that moves with the role beside addresses on interfaces.

    Attributes:
        router: name of the router of the file that it is part of.
        name: its kind; with a number behind it, from -2 on, where that router has several of that kind.
        kind: name of the kind in the registry of movers.
        options: what the kind's own `TypeAdapter` made of the options in the file.
        own: our own addresses in that router's network.
        shared: the addresses of that router.
        peers: the other nodes, in the order of the file.
    """

    router: str
    name: str
    kind: str
    options: Any
    own: tuple[Address, ...] = ()
    shared: tuple[Address, ...] = ()
    peers: tuple[PeerSpec, ...] = ()


@dataclass(frozen=True, slots=True)
class RouterSpec:
    """What moves together: one router of the file, or all routers of one of its groups.

    Attributes:
        name: its key in the file: that of the group, where there is one.
        members: the virtual routers, router by router in the order of the file, IPv4 first.
        movers: what else moves, router by router in the order of the file.
    """

    name: str
    members: tuple[MemberSpec, ...]
    movers: tuple[MoverSpec, ...] = ()

    @property
    def checks(self) -> frozenset[str]:
        """Names of the checks that any member follows."""
        return frozenset(track.check for member in self.members for track in member.track)

    @property
    def shared(self) -> frozenset[Address]:
        """The shared addresses."""
        return frozenset(each.address.ip for member in self.members for each in member.addresses)

    @property
    def claims(self) -> set[Hashable]:
        """What only one router can have at a time: a VRID on an interface in one family, an address on a device."""
        claims = set[Hashable]()
        for member in self.members:
            where = member.home or member.interface
            claims.add((where, member.settings.family, member.settings.vrid))
            claims.update((each.device or where, each.address.ip) for each in member.addresses)
        return claims


@dataclass(frozen=True, slots=True)
class CheckSpec:
    """One health check that some router tracks.

    Attributes:
        name: its key in the file.
        kind: name of the kind in the registry of checks.
        options: what the kind's own `TypeAdapter` made of the options in the file.
        interval: nanoseconds between probes.
        timeout: nanoseconds a probe may take.
        rise: successes in a row to go up.
        fall: failures in a row to go down.
        start_up: the state before the first verdict is up.
    """

    name: str
    kind: str
    options: Any
    interval: int
    timeout: int
    rise: int
    fall: int
    start_up: bool


@dataclass(frozen=True, slots=True)
class AgentSpec:
    """Everything one agent is to do.

    Attributes:
        node: our name in `nodes`; the host's own word for itself is not used, so it is "" in a file without nodes
            where nobody named the node.
        path: the file this came from.
        checks: the checks that some router tracks, in the order of the file.
        routers: in the order of the file.
        control: path of the control socket, None where the file names none.
        log_level: None where the file names none.
        log_format: None where the file names none.
        warnings: what is odd but does not keep the agent from running.
    """

    node: str
    path: str
    checks: tuple[CheckSpec, ...]
    routers: tuple[RouterSpec, ...]
    control: str | None
    log_level: str | None
    log_format: str | None
    warnings: tuple[Mistake, ...]

    @property
    def movers(self) -> tuple[MoverSpec, ...]:
        """What moves with any router beside addresses."""
        return tuple(mover for router in self.routers for mover in router.movers)
