"""Every single failure of a file, tried out: each check on each node, and each node alone.

Owns a network in memory on which the nodes of a file run the real protocol core (`proto.group`), with nothing lost and
nothing late: who takes over and after how long follows from the very code that will decide it. The mistakes and
warnings of a file do not come from here (`lint_outcome` has an exact rule), since this takes a moment longer; it is for
whoever wants to see.

A trial starts all nodes in health, waits until one serves and no contest is left, lets one thing fail right after an
advertisement (the worst moment for the death of a node), and looks who takes over. Routers that differ in nothing that
matters, such as the VRID, share their trials.

Must not do: guess. Where the file does not name all nodes there is nothing to try.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from ipaddress import IPv4Address, IPv6Address
from typing import Any, TypeAlias

from vrrpd.config.file import File, Report
from vrrpd.config.groups import Group, groups
from vrrpd.config.members import Builder, Place
from vrrpd.config.priority import weighted
from vrrpd.config.spec import MemberSpec
from vrrpd.proto import group as core
from vrrpd.proto.effects import Acquire, Release, SendAdvert
from vrrpd.proto.events import Adjust, Received
from vrrpd.proto.packet import Advertisement, Dialect
from vrrpd.proto.settings import UNHEALTHY, Address, Family, Settings
from vrrpd.proto.states import LINGER
from vrrpd.proto.timers import ANSWER_MARGIN, active_down_interval

AtOnce: TypeAlias = Callable[[str, Any], int | None]
"""Kind of a check and its options to how long after the event it knows of a failure by itself, in nanoseconds; None for
a kind that sees nothing before its next probe."""


@dataclass(frozen=True, slots=True)
class Failure:
    """One thing that fails, and what follows; times in nanoseconds.

    Attributes:
        moves: name of the router, or of the group of routers, that moves.
        check: the check that fails, None where the node dies.
        node: the node on which it does.
        before: the node that serves while all is well.
        after: the node that serves then; None where nobody does.
        noticed: the longest time until the failure is known; 0 of a node, whose silence is part of `takeover`.
        takeover: from then until another node serves; None where none takes over.
    """

    moves: str
    check: str | None
    node: str
    before: str
    after: str | None
    noticed: int
    takeover: int | None

    @property
    def down(self) -> int | None:
        """The longest time without service; None where it lasts, or where no service was lost."""
        return None if self.takeover is None else self.noticed + self.takeover


@dataclass(frozen=True, slots=True)
class _Seat:
    """One virtual router of one node, without what makes no difference here.

    Attributes:
        settings: for the core.
        source: whom its advertisements come from.
        wish: its priority and health while all is well.
    """

    settings: Settings
    source: Address
    wish: Adjust


_Seats: TypeAlias = tuple[_Seat, ...]
_Fault: TypeAlias = tuple[Adjust, ...] | None
"""What the virtual routers of a node are told by a failed check; None where the node dies."""

_Outcome: TypeAlias = tuple[int, int | None, int | None]
"""Index of the node that serves before and of the one after, and the time until another node serves."""


def failures(file: File, at_once: AtOnce) -> Iterator[Failure]:
    """Try every single failure, router by router, node by node.

    Args:
        file: as `read` found it right.
        at_once: see `AtOnce`.

    Yields:
        What follows from each; nothing about routers of which the file does not name all nodes.
    """
    tried: dict[tuple[tuple[_Seats, ...], int, _Fault], _Outcome] = {}
    for group in groups(file):
        if not group.complete:
            continue
        members = {node: Builder(Report(file), Place(node, None, by_name=True)).members(group) for node in group.nodes}
        nodes = tuple(_seats(index, node, members[node]) for index, node in enumerate(group.nodes))
        for index, node in enumerate(group.nodes):
            for check, fault in _faults(group, members[node]).items():
                key = nodes, index, fault
                if key not in tried:
                    tried[key] = _try(nodes, index, fault)
                before, after, takeover = tried[key]
                yield Failure(
                    moves=group.name,
                    check=check,
                    node=node,
                    before=group.nodes[before],
                    after=None if after is None else group.nodes[after],
                    noticed=0 if check is None else _noticed(file, check, at_once),
                    takeover=takeover,
                )


def _noticed(file: File, check: str, at_once: AtOnce) -> int:
    """The longest time until a check is down."""
    keys = file.keys.checks[check]
    soon = next(at_once(kind, options) for kind, options in file.options[check].items())
    return keys.fall * keys.interval + (keys.timeout or keys.interval) if soon is None else soon


def _faults(group: Group, members: tuple[MemberSpec, ...]) -> Mapping[str | None, _Fault]:
    """What can fail on a node, by the name of the check; a number that a file brings cannot."""
    checks = dict.fromkeys(name for router in group.routers for name in (*router.releasing, *router.weights))
    faults: dict[str | None, _Fault] = {check: tuple(_wish(member, check) for member in members) for check in checks}
    return {**faults, None: None}


def _wish(member: MemberSpec, down: str | None) -> Adjust:
    """What a virtual router is told while at most one check is down."""
    weights = {track.check: track.weight for track in member.track}
    counted = [weight for check, weight in weights.items() if weight and (weight < 0) is (check == down)]
    priority = weighted(member.settings.priority, sum(counted))
    return Adjust(priority, healthy=weights.get(down or "", 0) is not None, reason="")


def _seats(index: int, node: str, members: tuple[MemberSpec, ...]) -> _Seats:
    unknown = {Family.IPV4: IPv4Address("192.0.2.1") + index, Family.IPV6: IPv6Address("fe80::1") + index}
    seats: list[_Seat] = []
    for member in members:
        settings = replace(member.settings, vrid=1, addresses=(), peers=(), hear_first=None, auth=None)
        listed = next((address for address, name in member.names.items() if name == node), None)
        seats.append(_Seat(settings, member.source or listed or unknown[settings.family], _wish(member, None)))
    return tuple(seats)


def _try(nodes: tuple[_Seats, ...], index: int, fault: _Fault) -> _Outcome:
    """Let all nodes settle, let one thing fail on one of them, and see."""
    seats = [seat.settings for each in nodes for seat in each]
    longest = max(active_down_interval(s.version, UNHEALTHY, s.interval, s.down_adverts) for s in seats)
    network = _Network(nodes)
    network.run(2 * longest)
    [before] = network.holders
    network.run(network.groups[before].deadline or 0)
    failed_at = network.now
    network.fail(index, fault)
    interval = max(s.interval for s in seats)
    # One advertisement later all Backups have heard that the Active is there: a Backup that failed is missed by nobody.
    network.run(failed_at + (interval if index != before else longest + interval + ANSWER_MARGIN + LINGER))
    after = next(iter(network.holders), None)
    takeover = network.taken_at - failed_at if after not in {before, None} else None
    return before, after, takeover


class _Network:
    """Nodes on a perfect network.

    Attributes:
        now: virtual time, nanoseconds.
        groups: the core of each node that is alive, by its index.
        holders: the nodes that hold the addresses.
        taken_at: when a node last took them.
    """

    def __init__(self, nodes: tuple[_Seats, ...]) -> None:
        self.now = 0
        self.holders: list[int] = []
        self.taken_at = 0
        self._nodes = nodes
        self._wire: deque[tuple[int, int, Received]] = deque()
        names = {seat.source: str(index) for index, seats in enumerate(nodes) for seat in seats}
        self.groups = {i: core.Group([seat.settings for seat in seats], names) for i, seats in enumerate(nodes)}
        for index, seats in enumerate(nodes):
            self._tell(index, tuple(seat.wish for seat in seats))
            self._perform(index, self.groups[index].start([seat.source for seat in seats], self.now))
        self._deliver()

    def run(self, until: int) -> None:
        """Let time pass. Who is due at the same moment acts before it hears the other, as it would be."""
        while (
            due := min((g.deadline for g in self.groups.values() if g.deadline is not None), default=until + 1)
        ) <= until:
            self.now = max(self.now, due)
            for index, group in self.groups.items():
                if group.deadline is not None and group.deadline <= self.now:
                    self._perform(index, group.tick(self.now))
            self._deliver()
        self.now = max(self.now, until)

    def fail(self, index: int, fault: _Fault) -> None:
        """Let a node die, or hear of a failed check."""
        if fault is None:
            del self.groups[index]
            self.holders = [holder for holder in self.holders if holder != index]
        else:
            self._tell(index, fault)
            self._deliver()

    def _tell(self, index: int, wishes: tuple[Adjust, ...]) -> None:
        for member, wish in enumerate(wishes):
            self._perform(index, self.groups[index].adjust(member, wish, self.now))

    def _perform(self, index: int, asked: list[core.Asked]) -> None:
        for member, effect in asked:
            match effect:
                case SendAdvert(priority):
                    seat = self._nodes[index][member]
                    settings = seat.settings
                    advert = Advertisement(settings.version, settings.vrid, priority, settings.interval, ())
                    self._wire.append((index, member, Received(advert, seat.source, Dialect.PSEUDO)))
                case Acquire() if member == 0:
                    self.holders.append(index)
                    self.taken_at = self.now
                case Release() if member == 0:
                    self.holders.remove(index)
                case _:
                    pass

    def _deliver(self) -> None:
        while self._wire:
            sender, member, event = self._wire.popleft()
            for index, group in self.groups.items():
                if index != sender:
                    self._perform(index, group.received(member, event, self.now))
