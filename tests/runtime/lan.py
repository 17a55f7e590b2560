"""Time and the wire for tests of the runtime: hosts in memory, joined by links that delay, lose and loop.

Owns the virtual clock, what the hosts tell each other, and the story: every advertisement, frame and change of an
address, with its time in milliseconds. Interfaces of the same name are on one link.

Trio's own autojump would also jump while a worker thread is at work, for then every task is waiting. `VirtualClock`
stands still until the thread is done; one that is meant to be slow waits on the virtual clock itself (`pause`).
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import trio

from vrrpd.linux.claims import Claim, Form
from vrrpd.linux.listener import ArpReply, NeighbourAdvert
from vrrpd.proto.datagram import Datagram
from vrrpd.proto.packet import decode
from vrrpd.proto.settings import Address, family_of

if TYPE_CHECKING:
    from tests.runtime.machine import Host

DELAY_S = 0.0001
GATEWAY_MAC = bytes.fromhex("02000000ff01")


@dataclass(frozen=True)
class Entry:
    """One thing that one host did."""

    at: float
    host: str
    what: str


class VirtualClock(trio.abc.Clock):
    """Moves to the next deadline whenever nobody has anything left to do before it, and no thread has."""

    pausing: ClassVar = 0

    def __init__(self) -> None:
        self._now = 0.0

    def start_clock(self) -> None:
        VirtualClock.pausing = 0

    def current_time(self) -> float:
        return self._now

    def deadline_to_sleep_time(self, deadline: float) -> float:
        """Asked by trio when no task can run: how long to wait, in real seconds."""
        if trio.to_thread.current_default_thread_limiter().borrowed_tokens > self.pausing:
            return 1  # the end of the thread wakes the loop
        if math.isinf(deadline):  # at the beginning and the end of a run, the loop's own callbacks are still to come
            return 0.01
        self._now = max(self._now, deadline)
        return 0


class Lan:
    """The links between the hosts, and the story of what happened on them.

    Attributes:
        hosts: by name.
        story: what the hosts did, in order.
        cuts: (sender, receiver) pairs between which nothing passes, one way only.
        lost: tells which datagrams get lost, by the receiver's name.
        loops: True while a switch sends multicast back to its sender.
        dead: links whose switch passes nothing on, while every carrier stays.
        stations: hosts without an agent that answer for their address, such as a gateway, and their MACs.
    """

    def __init__(self, directory: Path, nursery: trio.Nursery) -> None:
        self.directory = directory
        self.nursery = nursery
        self.hosts: dict[str, Host] = {}
        self.story: list[Entry] = []
        self.cuts: set[tuple[str, str]] = set()
        self.lost: Callable[[str, Datagram], bool] = lambda _name, _datagram: False
        self.loops = False
        self.dead: set[str] = set()
        self.stations: dict[Address, bytes] = {}
        self._queue: list[tuple[float, int, Callable[[], None]]] = []
        self._order = count()
        self._call = trio.Event()

    # ------------------------------------------------------------ time

    @property
    def now(self) -> float:
        """Milliseconds since the beginning."""
        return round(trio.current_time() * 1000, 2)

    async def pause(self, seconds: float) -> None:
        """Let a worker thread wait on the virtual clock; called from it."""
        VirtualClock.pausing += 1
        await trio.sleep(seconds)
        VirtualClock.pausing -= 1

    async def deliver(self) -> None:
        """Hand over what is on its way, in order."""
        while True:
            while self._queue and self._queue[0][0] <= trio.current_time():
                heapq.heappop(self._queue)[2]()
            self._call = trio.Event()
            with trio.move_on_at(self._queue[0][0] if self._queue else math.inf):
                await self._call.wait()

    def later(self, action: Callable[[], None], delay: float = DELAY_S) -> None:
        """Do something after a delay in seconds; what is equally late stays in order."""
        heapq.heappush(self._queue, (trio.current_time() + delay, next(self._order), action))
        self._call.set()

    # ------------------------------------------------------------ the wire

    def advert(self, sender: Host, interface: str, datagram: Datagram) -> None:
        """Carry one datagram."""
        advert = decode(datagram.payload, family_of(datagram.source))
        to = "" if datagram.destination.is_multicast else f" to {datagram.destination}"
        self.tell(sender, f"says {advert.priority}{to}")
        for host in self.hosts.values():
            looped = host is sender and self.loops and datagram.destination.is_multicast
            if looped and isinstance(
                datagram.source, IPv4Address
            ):  # Linux drops it, but whoever looks at frames sees it
                claim = Claim(Form.VRRP, datagram.source, sender.link(interface).mac)
                self.later(lambda host=host, claim=claim: host.claim(interface, claim))
            elif (looped or self.reaches(sender, host, interface)) and not self.lost(host.name, datagram):
                self.later(lambda host=host: host.take(interface, datagram))

    def frame(self, sender: Host, interface: str, frame: bytes) -> None:
        """Carry one Ethernet frame: a question is answered by whoever holds the address, an answer is heard by all."""
        kind, subject, answer = read_frame(frame)
        self.tell(sender, f"{kind} {subject}")
        hearers = [host for host in self.hosts.values() if self.reaches(sender, host, interface)]
        claim = read_claim(frame)
        for host in [*hearers, sender] if self.loops else hearers:
            self.later(lambda host=host: host.claim(interface, claim))
        if answer is not None:
            for host in hearers:
                self.later(lambda host=host: host.hear(interface, answer))
            return
        back = [host for host in hearers if self.reaches(host, sender, interface)]
        answering = {host.link(interface).mac for host in back if subject in host.answers_for(interface)}
        if subject in self.stations and not sender.deaf:
            answering.add(self.stations[subject])
        if kind == "asks for":
            for mac in answering:
                self.later(lambda mac=mac: self._answer(sender, interface, subject, mac), 2 * DELAY_S)

    def _answer(self, asker: Host, interface: str, subject: Address, mac: bytes) -> None:
        asker.hear(interface, answer_for(subject, mac))
        asker.claim(interface, Claim(Form.ARP if subject.version == 4 else Form.NDP, subject, mac))

    def reaches(self, sender: Host, receiver: Host, interface: str) -> bool:
        """True where frames pass from one to the other on the link of this name."""
        cut = (sender.name, receiver.name) in self.cuts or sender.deaf or receiver.deaf or interface in self.dead
        return sender is not receiver and not cut and sender.carries(interface) and receiver.carries(interface)

    # ------------------------------------------------------------ the story

    def tell(self, host: Host, what: str) -> None:
        """Write down what a host did."""
        self.story.append(Entry(self.now, host.name, what))

    def told(self, host: str, *words: str, since: float = 0) -> list[tuple[float, str]]:
        """What a host did from `since` on: times after `since`, and only what begins with one of the words."""
        return [
            (round(e.at - since, 1), e.what)
            for e in self.story
            if e.host == host and e.at >= since and (not words or e.what.startswith(words))
        ]

    def longest(self, address: str, number: Callable[[int], bool], since: float = 0) -> float:
        """The longest unbroken time from `since` on, milliseconds, in which so many hosts held an address."""
        holders: set[str] = set()
        best = run = 0.0
        last = since
        for entry in [*self.story, Entry(self.now, "", "")]:
            if entry.at > last:
                run = run + entry.at - last if number(len(holders)) else 0
                best, last = max(best, run), entry.at
            if entry.what == f"adds {address}":
                holders.add(entry.host)
            elif entry.what == f"removes {address}":
                holders.discard(entry.host)
        return best

    def dark(self, address: str, since: float = 0) -> float:
        """The longest time without a holder."""
        return self.longest(address, lambda holders: holders == 0, since)

    def doubled(self, address: str, since: float = 0) -> float:
        """The longest time with more than one holder."""
        return self.longest(address, lambda holders: holders > 1, since)


def read_frame(frame: bytes) -> tuple[str, Address, ArpReply | NeighbourAdvert | None]:
    """What an Ethernet frame does, about which address, and what those hear for whom it is an answer."""
    mac = frame[6:12]
    if frame[12:14] == b"\x08\x06":
        sender, target = IPv4Address(frame[28:32]), IPv4Address(frame[38:42])
        if frame[20:22] == b"\x00\x02":
            return "replies", sender, ArpReply(sender, mac)
        return ("claims" if sender == target else "asks for"), target, None
    kind, target = frame[54], IPv6Address(frame[62:78])
    if kind == 136:
        return "advertises", target, NeighbourAdvert(IPv6Address(frame[22:38]), target, mac)
    return "asks for", target, None


def read_claim(frame: bytes) -> Claim:
    """Whose address the sender of a frame says is his; nobody's with a question from nowhere."""
    if frame[12:14] == b"\x08\x06":
        return Claim(Form.ARP, IPv4Address(frame[28:32]), frame[22:28])
    target = IPv6Address(frame[62:78]) if frame[54] == 136 else IPv6Address(0)
    return Claim(Form.NDP, target, frame[6:12])


def answer_for(address: Address, mac: bytes) -> ArpReply | NeighbourAdvert:
    """What a host answers when it is asked for an address of its own."""
    if isinstance(address, IPv4Address):
        return ArpReply(address, mac)
    return NeighbourAdvert(address, address, mac)
