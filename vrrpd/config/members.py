"""The routers of one node: from the keys of a file to virtual routers on interfaces.

Owns everything that differs between nodes: which interface, which own address, which peers, which priority. With the
facts of a host it also judges whether that host can be the node; without them (`facts` None) it judges what shows
anyway, such as one VRID twice on one interface.

A part that cannot be built is reported and left out, so that one call finds everything. The result counts only where
nothing was reported.

Must not do: look at the host by itself, or judge again what `lint_file` judges for all nodes at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from vrrpd.config.file import Report
from vrrpd.config.groups import Group
from vrrpd.config.model import TrackKeys, for_node
from vrrpd.config.routers import FAMILY_NAMES, NUMBER, Listed, Router, family_of
from vrrpd.config.secrets import KeyText, read_key_file
from vrrpd.config.spec import Announce, HostFacts, MemberSpec, MoverSpec, PeerSpec, SharedAddress, TrackSpec
from vrrpd.config.tree import Path
from vrrpd.config.words import listed, quote
from vrrpd.proto.credentials import Auth, Hmac, Password, Secret
from vrrpd.proto.settings import Address, Family, Settings
from vrrpd.proto.timers import MS, SECOND

_GLOBAL, _LINK = 0, 253  # scopes of rtnetlink(7)

_BURSTS_EVERY, _MOST_BURSTS = 100 * MS, 5
"""The virtual routers of a host that have one interval speak in bursts, so long apart at least, and so many in an
interval at most: each wakes two hosts, and a burst of a hundred takes a millisecond."""

TO_WAIT = "name the node (--node, 'node') to wait for it"
"""What to do about something that DHCP or another daemon has not brought yet."""


@dataclass(frozen=True, slots=True)
class Place:
    """Which node the routers are for, and what is known of its host.

    Attributes:
        node: name of the node, "" in a file without nodes.
        facts: what the host looks like; None where the node is another host.
        by_name: the node was named by hand, so an own address that is not on the host yet is waited for.
    """

    node: str
    facts: HostFacts | None
    by_name: bool

    def holders(self, address: Address) -> list[str]:
        """The interfaces that have an address."""
        return [held.interface for held in self.facts.addresses if held.address.ip == address] if self.facts else []


@dataclass(slots=True)
class Builder:
    """Builds all routers of one node; remembers which VRIDs are taken."""

    report: Report
    place: Place
    _taken: dict[tuple[str, int, Family], str]

    def __init__(self, report: Report, place: Place) -> None:
        self.report = report
        self.place = place
        self._taken = {}

    def members(self, group: Group) -> tuple[MemberSpec, ...]:
        """The virtual routers of what moves together: router by router, IPv4 first."""
        highest_other = group.highest_other(self.place.node)
        built = [
            self._member(router, family, highest_other)
            for router in group.routers
            if router.sound("interface", "unicast") and router.nodes_sound
            for family in router.families
        ]
        return tuple(member for member in built if member is not None)

    def movers(self, group: Group) -> tuple[MoverSpec, ...]:
        """What else moves with it, router by router."""
        return tuple(
            MoverSpec(
                router=router.name,
                name=mover.name,
                kind=mover.kind,
                options=mover.options,
                own=router.own_addresses(self.place.node),
                shared=tuple(entry.address.ip for entry in router.addresses),
                peers=self._peers(group, router),
            )
            for router in group.routers
            for mover in router.movers
        )

    def _peers(self, group: Group, router: Router) -> tuple[PeerSpec, ...]:
        """The other nodes; where the file has none, one for each address of `unicast.peers`."""
        node = self.place.node
        if router.nodes:
            others = [name for name in router.nodes if name != node]
            unweighted = tuple(0 for _ in group.routers)
            return tuple(PeerSpec(name, router.nodes[name], group.priority(name, unweighted)) for name in others)
        addresses = [address for family in router.families for address in router.peers(node, family)]
        return tuple(PeerSpec(str(address), (address,), None) for address in addresses)

    def _member(self, router: Router, family: Family, highest_other: int | None) -> MemberSpec | None:
        source = router.source(self.place.node, family)
        interface = self._interface(router, family, source)
        if interface is None:
            return None
        self._claim(router, family, interface, source)
        named = for_node(router.keys.interface, self.place.node)
        home = None if named is not None else source or next(iter(router.own_addresses(self.place.node)))
        addresses = tuple(self._shared(router, entry, interface) for entry in router.of_family(family))
        settings = self._settings(router, family, highest_other)
        if settings is None or (settings.unicast and source is None):
            return None
        keys = router.keys
        return MemberSpec(
            router=router.name,
            interface=interface,
            settings=settings,
            source=source if settings.unicast else None,
            addresses=addresses,
            announce=Announce(keys.announce.at, keys.announce.every or None),
            names=_names(router, family),
            track=tuple(self._track(entry) for entry in keys.track),
            neighbours=router.peers(self.place.node, family),
            home=home,
            lease=keys.lease or None,
        )

    def _track(self, entry: TrackKeys) -> TrackSpec:
        brings_a_number = self.report.file.kind(entry.check) == NUMBER
        return TrackSpec(entry.check, 0 if brings_a_number else entry.weight)

    def _settings(self, router: Router, family: Family, highest_other: int | None) -> Settings | None:
        """What the protocol core is told; None where the file leaves something necessary open."""
        keys, node = router.keys, self.place.node
        own_priority = router.priority(node)
        if keys.vrid is None or own_priority is None:
            return None
        unicast = router.unicast
        return Settings(
            vrid=keys.vrid,
            family=family,
            version=keys.version,
            priority=own_priority,
            interval=keys.advert_interval,
            phase=_phase(keys.vrid, keys.advert_interval, list(router.nodes), node),
            addresses=router.advertised(family),
            unicast=unicast,
            peers=router.peers(node, family) if unicast else (),
            max_hops=keys.unicast.max_hops if unicast and keys.unicast else 0,
            checksum=keys.checksum,
            preempt=keys.preempt,
            preempt_delay=keys.preempt_delay,
            hear_first=keys.hear_first or None,
            on_all_failed=keys.on_all_failed,
            down_adverts=keys.down_adverts,
            highest_other=highest_other,
            auth=self._auth(router),
        )

    def _auth(self, router: Router) -> Auth | None:
        """The keys or the password; key files are read where the host is the node, and are empty elsewhere."""
        auth = router.keys.auth
        if auth is None or auth.hmac is None:
            return Password(auth.password) if auth and auth.password else None
        path = (*router.path("auth"), "hmac", "keys")
        ring = tuple((i, self._key((*path, str(i)), key)) for i, key in auth.hmac.keys.items())
        window = min(max(3 * router.keys.advert_interval, 5 * SECOND), 300 * SECOND)
        return Hmac(
            ring=ring,
            active_key=auth.hmac.active_key or next(iter(auth.hmac.keys), 0),
            mode=auth.hmac.mode,
            anti_replay=auth.hmac.anti_replay,
            time_window=auth.hmac.time_window or window,
        )

    def _key(self, path: Path, key: KeyText) -> Secret:
        if key.path is None or self.place.facts is None:
            return key.secret or Secret(b"")
        found = read_key_file(key.path)
        for report, words in ((self.report.wrong, found.wrong), (self.report.odd, found.odd)):
            if words is not None:
                what, _, right = words.partition("; ")
                report(path, what, right)
        return found.secret or Secret(b"")

    def _interface(self, router: Router, family: Family, source: Address | None) -> str | None:
        """The interface of one virtual router; "" where it is the one that will hold the own address."""
        named = for_node(router.keys.interface, self.place.node)
        facts = self.place.facts
        if named is not None:
            path = router.path("interface")
            path = (*path, self.place.node)
            if facts is not None and self._has_interface(path, named) and router.unicast and source is not None:
                self._held(router, family, source, named)
            return named
        own = source or next(iter(router.own_addresses(self.place.node)), None)
        if own is None:
            return None  # a node without an address: the file is wrong, and that has been said
        return "" if facts is None else self._held(router, family, own, None)

    def _held(self, router: Router, family: Family, own: Address, named: str | None) -> str | None:
        """The interface that holds an own address; None where it cannot be told."""
        holders = self.place.holders(own)
        path = self._own_path(router)
        if not holders:
            if self.place.by_name:
                return ""
            who = f"the address of {quote(self.place.node)}" if self.place.node else "this node's own address"
            self.report.wrong(
                path,
                f"{own}, {who}, is not on this host",
                f"add it to an interface, correct it here, or {TO_WAIT}",
            )
            return None
        if named is not None and named not in holders:
            self.report.odd(
                path,
                f"{own} is on {listed(holders)}, and not on {named}, where the {FAMILY_NAMES[family]} router is",
                f"move the address, or write 'interface: {holders[0]}'",
            )
        elif named is None and len(holders) > 1:
            self.report.wrong(path, f"{own} is on {listed(holders)}", "say with 'interface' which one is meant")
            return None
        return holders[0]

    def _own_path(self, router: Router) -> Path:
        """Where this node's own address was written."""
        unicast = router.keys.unicast
        if unicast is not None and unicast.bind is not None:
            return (*router.path("unicast"), "bind")
        top: Path = ("nodes",)
        return (*(top if router.keys.nodes is None else router.path("nodes")), self.place.node)

    def _has_interface(self, path: Path, name: str) -> bool:
        """Whether the host has an interface; where not, that is a mistake, or to be waited for like an address."""
        facts = self.place.facts
        if facts is None or name in facts.interfaces:
            return True
        has = listed(sorted(facts.interfaces)) if facts.interfaces else "none"
        what = f"this host has no interface {quote(name)} (it has {has})"
        if self.place.by_name:
            self.report.odd(path, what, "correct it unless it is to come, the agent waits for it")
        else:
            self.report.wrong(path, what, f"correct it, or {TO_WAIT}")
        return False

    def _claim(self, router: Router, family: Family, interface: str, source: Address | None) -> None:
        """RFC 9568 5.2.3: a VRID names one virtual router on a link, in each family."""
        vrid = router.keys.vrid
        if vrid is None:
            return
        where = interface or f"the interface of {source or router.own_addresses(self.place.node)}"
        other = self._taken.setdefault((where, vrid, family), router.name)
        if other != router.name:
            self.report.wrong(
                router.path("vrid"),
                f"VRID {vrid} is the {FAMILY_NAMES[family]} router {quote(other)} on the same interface already",
                f"give router {quote(router.name)} another one",
            )

    def _shared(self, router: Router, entry: Listed, interface: str) -> SharedAddress:
        """One shared address, as it will be added."""
        keys, address = entry.keys, entry.address
        device = keys.device or interface
        if keys.device is not None:
            self._has_interface((*entry.path, "device"), keys.device)
        if keys.label is not None and device and not keys.label.startswith(device) and address.version == 4:
            self.report.wrong(
                (*entry.path, "label"),
                f"the label {quote(keys.label)} does not begin with the device {quote(device)}",
                f"begin it with {quote(device + ':')}",
            )
        self._lint_prefix(entry, device)
        usual = _LINK if address.is_link_local and address.version == 6 else _GLOBAL
        scope = usual if keys.scope is None else keys.scope
        return SharedAddress(address, keys.device or "", keys.label, scope, keys.advertise)

    def _lint_prefix(self, entry: Listed, device: str) -> None:
        """A prefix length brings a route to its network; one to a network that is elsewhere swallows packets."""
        facts, address = self.place.facts, entry.address
        if facts is None or device not in facts.interfaces or address.network.prefixlen == address.max_prefixlen:
            return
        networks = [held.address.network for held in facts.addresses if held.interface == device]
        networks = [network for network in networks if network.version == address.version]
        if address.network not in networks:
            has = f"has {listed(networks)}" if networks else f"has no {FAMILY_NAMES[family_of(address)]} network"
            self.report.odd(
                entry.path,
                f"{address} fits no network of {device}, which {has}",
                f"write {address.ip}, which is always right",
            )


def _names(router: Router, family: Family) -> dict[Address, str]:
    """Source address to node, where that is known of all nodes; a part of them would make the others strangers.

    In multicast over IPv6 the source is link-local (RFC 9568 5.1.2.1), so only such addresses name a node there.
    """
    names: dict[Address, str] = {}
    for node, addresses in router.nodes.items():
        own = [address for address in addresses if family_of(address) is family]
        if not router.unicast and family is Family.IPV6:
            own = [address for address in own if address.is_link_local]
        if not own:
            return {}
        names.update(dict.fromkeys(own, node))
    return names


def _phase(vrid: int, interval: int, nodes: Sequence[str], node: str) -> int:
    """Where in an interval a virtual router speaks, both in nanoseconds.

    Nodes that share a clock, being namespaces of one host, do so one between the bursts of the other.
    """
    bursts = max(1, min(interval // _BURSTS_EVERY, _MOST_BURSTS))
    between = nodes.index(node) / len(nodes) if node in nodes else 0
    return int(interval * (vrid % bursts + between)) // bursts
