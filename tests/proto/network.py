"""Several cores on one network in memory: real bytes, virtual time, faults on demand, and a record of what happened.

Owns the hosts (each with a clock that started at another moment), the links between them (one for each member of a
group: delay, loss, cuts), and the history from which tests judge: who held the addresses when, who announced, who said
what. Every advertisement goes through `encode` and `validate`, as on a wire. While it runs it checks what must hold at
every moment: addresses are added and removed in turn and held exactly while Active or Leaving, and a tick at a deadline
makes progress. A host may also be a plain RFC speaker (`Plain`, see `plain.py`) in place of an agent.
"""

from __future__ import annotations

import heapq
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from ipaddress import IPv4Address, IPv6Address
from itertools import count
from random import Random

from tests.proto.builders import SHARED, SHARED6
from vrrpd.proto.clock import Instant
from vrrpd.proto.datagram import Datagram
from vrrpd.proto.effects import Acquire, Announce, Effect, Release, SendAdvert, Transition
from vrrpd.proto.events import Adjust, Drain, Received, Unproven
from vrrpd.proto.group import Asked, Group
from vrrpd.proto.settings import Address, Family, Settings, family_of
from vrrpd.proto.timers import MS, SECOND
from vrrpd.proto.validate import Accepted, Drop, priority_of, validate

MOST_TICKS_AT_ONCE = 4
DEFAULT_DELAY = MS // 10
EPOCH = 1_767_225_600 * SECOND
"""UTC when the network's clock begins."""


@dataclass(frozen=True)
class Entry:
    """One thing that one host did, on the network's clock."""

    at: int
    host: str
    link: int
    effect: Effect


@dataclass
class Network:
    """The links, the clock and the record.

    Attributes:
        seed: of everything random here.
        loss: share of datagrams lost, 0..1.
        lateness: longest delay of a host's timer, nanoseconds.
        now: virtual time, nanoseconds.
        history: what the hosts did, in order.
    """

    seed: int = 0
    loss: float = 0.0
    lateness: int = 0
    now: int = 0
    hosts: dict[str, Host] = field(default_factory=dict[str, "Host"])
    history: list[Entry] = field(default_factory=list[Entry])
    delays: dict[tuple[str, str], int] = field(default_factory=dict[tuple[str, str], int])
    cuts: set[tuple[str, str, int]] = field(default_factory=set[tuple[str, str, int]])

    def __post_init__(self) -> None:
        self.random = Random(self.seed)
        self._order = count()
        self._queue: list[tuple[int, int, Callable[[], None]]] = []

    # ------------------------------------------------------------ time

    def at(self, time: int, action: Callable[[], None]) -> None:
        heapq.heappush(self._queue, (max(time, self.now), next(self._order), action))

    def run(self, duration: int) -> None:
        """Let `duration` nanoseconds pass."""
        end = self.now + duration
        while self._queue and self._queue[0][0] <= end:
            self.now, _, action = heapq.heappop(self._queue)
            action()
        self.now = end

    # ------------------------------------------------------------ links

    def cut(self, senders: Iterable[str], receivers: Iterable[str], links: Sequence[int] = (0, 1)) -> None:
        """Nothing from these senders reaches these receivers any more; one way only."""
        receivers = list(receivers)
        self.cuts |= {(a, b, link) for a in senders for b in receivers for link in links if a != b}

    def partition(self, *parts: Sequence[str]) -> None:
        """Cut the network into these parts, and mend every other cut."""
        self.cuts.clear()
        for part in parts:
            others = [name for other in parts if other is not part for name in other]
            self.cut(part, others)

    def isolate(self, name: str, links: Sequence[int] = (0, 1)) -> None:
        """Pull the cable of one host."""
        others = [other for other in self.hosts if other != name]
        self.cut([name], others, links)
        self.cut(others, [name], links)

    def carry(self, sender: Host, link: int, destination: Address, payload: bytes, source: Address) -> None:
        """Put one datagram on the wire."""
        for host in self.hosts.values():
            hears = destination.is_multicast or destination in host.sources
            if host is sender or not hears or (sender.name, host.name, link) in self.cuts:
                continue
            if self.random.random() < self.loss:
                continue
            delay = self.delays.get((sender.name, host.name), DEFAULT_DELAY)
            packet = Datagram(payload, source, destination, 255)
            self.at(self.now + delay, lambda host=host, packet=packet: host.deliver(link, packet))

    # ------------------------------------------------------------ judging

    def holders(self, link: int = 0) -> list[str]:
        return [name for name, host in self.hosts.items() if host.held[link]]

    def held(self, link: int, since: int = 0) -> list[tuple[int, int, int]]:
        """The time after `since` in pieces (start, end, number of holders)."""
        changes = [
            (entry.at, 1 if isinstance(entry.effect, Acquire) else -1)
            for entry in self.history
            if entry.link == link and isinstance(entry.effect, Acquire | Release)
        ]
        pieces: list[tuple[int, int, int]] = []
        number = sum(step for at, step in changes if at <= since)
        at = since
        for time, step in [change for change in changes if change[0] > since] + [(self.now, 0)]:
            if time > at:
                pieces.append((at, time, number))
            at, number = time, number + step
        return pieces

    def longest(self, number: Callable[[int], bool], *, link: int = 0, since: int = 0) -> int:
        """The longest unbroken time, nanoseconds, in which the number of holders was such."""
        best = run = 0
        for start, end, holders in self.held(link, since):
            run = run + end - start if number(holders) else 0
            best = max(best, run)
        return best

    def dark(self, *, link: int = 0, since: int = 0) -> int:
        """The longest time without a holder."""
        return self.longest(lambda holders: holders == 0, link=link, since=since)

    def doubled(self, *, link: int = 0, since: int = 0) -> int:
        """The longest time with two holders or more."""
        return self.longest(lambda holders: holders > 1, link=link, since=since)

    def did(self, kind: type[Effect], *, since: int = 0, link: int = 0) -> list[Entry]:
        return [e for e in self.history if isinstance(e.effect, kind) and e.at >= since and e.link == link]

    def transcript(self, since: int, link: int = 0) -> str:
        """The story for people: a line for each thing done, times in milliseconds after `since`."""
        lines = [
            f"{(e.at - since) / MS:9.3f}  {e.host}  {told(e.effect)}"
            for e in self.history
            if e.at >= since and e.link == link
        ]
        return "\n".join(lines)


def told(effect: Effect) -> str:
    """One effect as a reader of a transcript sees it."""
    match effect:
        case SendAdvert(priority):
            return f"says {priority}"
        case Acquire():
            return "adds the addresses"
        case Release():
            return "removes the addresses"
        case Announce():
            return "announces"
        case Transition(previous, role, reason):
            return f"{previous} -> {role}: {reason}"


class Host(ABC):
    """A machine on the network: a clock of its own, addresses on its interfaces, one core that lives and dies."""

    def __init__(self, network: Network, name: str, sources: Sequence[Address], settings: Sequence[Settings]) -> None:
        self.network = network
        self.name = name
        self.sources = tuple(sources)
        self.settings = tuple(settings)
        self.held = [False] * len(settings)
        self.alive = False
        self.clock_error = 0
        """By how much its UTC is wrong."""
        self.refused: list[Drop] = []
        self._clock = network.random.randrange(10**15)
        self._wake_up = 0
        network.hosts[name] = self

    @property
    def clock(self) -> int:
        """This host's monotonic clock."""
        return self.network.now + self._clock

    @property
    def instant(self) -> Instant:
        """Both clocks of this host."""
        return Instant(self.clock, self.network.now + EPOCH + self.clock_error)

    def deliver(self, link: int, packet: Datagram) -> None:
        if not self.alive:
            return
        verdict = self.judge(link, packet)
        if isinstance(verdict, Drop):
            assert self.settings[link].auth is not None, verdict
            self.refused.append(verdict)
            event = Unproven(packet.source, priority_of(packet), verdict.authentic)
            self.settle(self.unproven(link, event) if event.priority else [])
            return
        self.settle(self.received(link, Received(verdict.advert, packet.source, verdict.dialect)))

    def judge(self, link: int, packet: Datagram) -> Accepted | Drop:
        return validate(packet, self.settings[link], self.sources)

    def unproven(self, link: int, event: Unproven) -> list[Asked]:
        raise NotImplementedError(link, event)

    def crash(self) -> None:
        """The machine loses power; its addresses are gone with it."""
        self.alive = False
        self._wake_up += 1
        for link, held in enumerate(self.held):
            if held:
                self.perform([(link, Release())])

    def settle(self, asked: list[Asked]) -> None:
        """Perform, act on what is due, arm the one timer."""
        self.perform(asked)
        self.check()
        ticks = 0
        while (deadline := self.deadline()) is not None and deadline <= self.clock:
            assert ticks < MOST_TICKS_AT_ONCE, f"{self.name} spins: deadline {deadline} at {self.clock}"
            self.perform(self.tick())
            self.check()
            ticks += 1
        self._wake_up += 1
        if deadline is None:
            return
        late = self.network.random.randrange(self.network.lateness + 1)
        mine = self._wake_up
        self.network.at(deadline - self._clock + late, lambda: self._wake(mine))

    def perform(self, asked: list[Asked]) -> None:
        for link, effect in asked:
            self.network.history.append(Entry(self.network.now, self.name, link, effect))
            match effect:
                case SendAdvert(priority):
                    for destination, payload in self.datagrams(link, priority):
                        self.network.carry(self, link, destination, payload, self.sources[link])
                case Acquire():
                    assert not self.held[link], f"{self.name} added twice"
                    self.held[link] = True
                case Release():
                    assert self.held[link], f"{self.name} removed twice"
                    self.held[link] = False
                case Announce():
                    assert self.held[link], f"{self.name} announced what it does not hold"
                case Transition():
                    pass

    def _wake(self, number: int) -> None:
        if self.alive and number == self._wake_up:
            self.settle(self.tick())

    @abstractmethod
    def start(self) -> None: ...

    @abstractmethod
    def stop(self) -> None: ...

    @abstractmethod
    def received(self, link: int, event: Received) -> list[Asked]: ...

    @abstractmethod
    def tick(self) -> list[Asked]: ...

    @abstractmethod
    def deadline(self) -> int | None: ...

    @abstractmethod
    def datagrams(self, link: int, priority: int) -> list[tuple[Address, bytes]]: ...

    @abstractmethod
    def check(self) -> None: ...


class Agent(Host):
    """A host that runs our core."""

    def __init__(
        self,
        network: Network,
        name: str,
        sources: Sequence[Address],
        settings: Sequence[Settings],
        names: dict[Address, str],
    ) -> None:
        super().__init__(network, name, sources, settings)
        self.names = names
        self.healthy = True
        self.priority = min(each.priority for each in settings)
        self.drain = Drain.NO
        self.group = Group(settings, names)

    def start(self) -> None:
        """A fresh process; checks that pass are known to pass, as after their first run."""
        if self.alive and self.group.deadline is not None:
            return
        self.alive = True
        self.group = Group(self.settings, self.names)
        self.settle([])
        self._tell("configured")
        self.settle(self.group.start(self.sources, self.clock))

    def stop(self) -> None:
        """A planned stop; the process ends when it has handed over."""
        if self.alive:
            self.settle(self.group.leave("agent stops", self.clock))

    def second_signal(self) -> None:
        if self.alive:
            self.settle(self.group.shutdown("stopped at once", self.clock))

    def check_result(self, *, healthy: bool) -> None:
        """A check fails or passes again."""
        self.healthy = healthy
        self._tell("haproxy passed" if healthy else "haproxy failed")

    def weigh(self, priority: int) -> None:
        """A weight moves the priority."""
        self.priority = priority
        self._tell(f"priority {priority}")

    def drain_or_not(self, drain: Drain) -> None:
        """An operator drains the node, or ends that."""
        self.drain = drain
        self._tell(f"drain {drain.name}")

    def _tell(self, reason: str) -> None:
        if self.alive:
            wish = Adjust(self.priority, self.healthy, reason, self.drain)
            self.settle(self.group.adjust(0, wish, self.clock))

    def received(self, link: int, event: Received) -> list[Asked]:
        return self.group.received(link, event, self.clock)

    def tick(self) -> list[Asked]:
        asked = self.group.tick(self.clock)
        if self.drain is Drain.ASK and self.group.members[0].standing.drain is Drain.NO:
            self.drain = Drain.NO  # nobody else would have served
            wish = Adjust(self.priority, self.healthy, "not drained", self.drain)
            asked += self.group.adjust(0, wish, self.clock)
        return asked

    def deadline(self) -> int | None:
        return self.group.deadline

    def datagrams(self, link: int, priority: int) -> list[tuple[Address, bytes]]:
        return self.group.members[link].encoder.datagrams(priority, self.instant)

    def judge(self, link: int, packet: Datagram) -> Accepted | Drop:
        keys = self.group.members[link].authenticator
        prove = partial(keys.judge, at=self.instant) if keys else None
        return validate(packet, self.settings[link], self.sources, prove)

    def unproven(self, link: int, event: Unproven) -> list[Asked]:
        return self.group.unproven(link, event, self.clock)

    def check(self) -> None:
        members = self.group.members
        assert [m.holds_addresses for m in members] == self.held, f"{self.name} holds {self.held}"
        assert len({m.role for m in members}) == 1, f"{self.name} has two roles: {[m.state for m in members]}"


def cluster(
    network: Network,
    number: int,
    like: Settings,
    *,
    priorities: Sequence[int] = (250, 240, 230, 220, 210),
    families: int = 1,
    crossed: bool = False,
) -> list[Agent]:
    """Hosts lb1, lb2, ... with one router each, as from one configuration file; none is started yet.

    Args:
        network: where they live.
        number: how many.
        like: what their settings have in common.
        priorities: theirs, in order.
        families: 2 for a router with addresses of both families, which is a group of two.
        crossed: True where the IPv6 addresses are ordered the other way round.
    """
    v4 = [IPv4Address(f"10.0.0.{11 + i}") for i in range(number)]
    v6 = [IPv6Address(f"fd00::{20 - i if crossed else 11 + i}") for i in range(number)]
    both: list[Sequence[Address]] = [v4, v6]
    both = both[:families]
    names = {address: f"lb{i + 1}" for addresses in both for i, address in enumerate(addresses)}
    agents: list[Agent] = []
    for i in range(number):
        settings = [
            replace(
                like,
                family=family_of(addresses[0]),
                addresses=(SHARED,) if family_of(addresses[0]) is Family.IPV4 else (SHARED6,),
                priority=priorities[i],
                peers=tuple(a for a in addresses if a != addresses[i]) if like.unicast else (),
            )
            for addresses in both
        ]
        agents.append(Agent(network, f"lb{i + 1}", [addresses[i] for addresses in both], settings, names))
    return agents
