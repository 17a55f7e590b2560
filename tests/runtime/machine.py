"""A machine in memory: the `Kernel` that a runtime is handed in tests, with knobs for all that can go wrong.

Owns links, addresses, settings and sockets of one host, and keeps the promises of the protocols in
`vrrpd.runtime.kernel`: events come in the kernel's order, a socket that is waited for after it was closed is an error
as with epoll, changes are refused with the errno of Linux. It takes the real netlink messages and decodes them, so
what is tested is what production sends.
"""

from __future__ import annotations

import errno
import struct
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from ipaddress import ip_interface
from typing import Never, TypeVar

import trio

from tests.linux.bpf import passes
from tests.runtime.lan import Lan
from vrrpd.errors import VrrpdError
from vrrpd.linux.claims import Claim, Form
from vrrpd.linux.letters import Letter
from vrrpd.linux.listener import ArpReply, NeighbourAdvert
from vrrpd.linux.netlink import (
    AddressAdded,
    AddressRemoved,
    Event,
    KernelAddress,
    KernelRoute,
    Link,
    LinkChanged,
    LinkGone,
    NetlinkError,
    Overrun,
    Snapshot,
)
from vrrpd.linux.netlink.messages import RTM_NEWADDR, decode_address
from vrrpd.linux.packet_socket import Instruction
from vrrpd.linux.send_error import SendError
from vrrpd.linux.sieve import Hears, sieve
from vrrpd.linux.sysctl import SysctlError
from vrrpd.linux.worker import Job, Worker
from vrrpd.proto.datagram import Datagram
from vrrpd.proto.outline import Outline
from vrrpd.proto.settings import Address, Family, family_of
from vrrpd.proto.timers import SECOND
from vrrpd.runtime.kernel import Cover, Kernel

T = TypeVar("T")

KERNEL, AGENT, GUARDIAN, MEDDLER = 0, 100, 101, 4242
"""Netlink ports of those who change addresses."""

FOREVER = 0xFFFFFFFF
_REPLACE = 0x100


def lifetime(message: bytes) -> int:
    """The seconds that a message gives to an address."""
    at = 24  # struct nlmsghdr, struct ifaddrmsg
    while at < len(message):
        length, kind = struct.unpack_from("=HH", message, at)
        if kind == 6:  # IFA_CACHEINFO
            return struct.unpack_from("=II", message, at + 4)[1]
        at += (length + 3) & ~3
    return FOREVER


EPOCH = 1_767_225_600 * SECOND
"""UTC when the virtual clock begins."""


class Host:
    """One machine.

    Attributes:
        links: by index.
        addresses: by (interface index, address with prefix length).
        refusals: errno with which the kernel refuses to change an address, by address without its length.
        unsendable: errno with which a datagram to a destination is refused.
        slow_s: how long each write of address changes takes.
        broken_writes: so many writes fail as a whole.
        busy_dumps: so many readings of the tables fail because they kept changing.
        no_sockets: True while no socket can be opened: no descriptors are left.
        deaf: True while the network card has carrier and no frame passes.
        suspended_s: how long the machine was suspended so far.
        settings: what was read or written under /proc/sys, by (family, interface, key).
        read_only: True where /proc/sys cannot be written.
        gateways: default gateways.
        real_time: whether the agent has real-time priority.
        clock_error: by how much the host's UTC is wrong, nanoseconds.
        adverts: all raw sockets ever opened, but for
        strangers: those that hear what is not expected.
        frames: all packet sockets ever opened.
        listeners: all listeners ever opened.
        claims: all listeners for claims ever opened.
        no_agent: how often the host of each peer answered that nothing there speaks VRRP.
    """

    def __init__(self, lan: Lan, name: str) -> None:
        self.lan = lan
        self.name = name
        self.links: dict[int, Link] = {}
        self.addresses: dict[tuple[int, str], KernelAddress] = {}
        self.refusals: dict[str, int] = {}
        self.unsendable: dict[Address, int] = {}
        self.slow_s = 0.0
        self.broken_writes = 0
        self.busy_dumps = 0
        self.no_sockets = False
        self.deaf = False
        self.settings: dict[tuple[Family, str, str], int] = {}
        self.read_only = False
        self.gateways: list[Address] = []
        self.real_time = True
        self.clock_error = 0
        self.adverts: list[FakeAdvertSocket] = []
        self.others: list[FakeAdvertSocket] = []
        self.frames: list[FakeFrameSocket] = []
        self.listeners: list[FakeListener] = []
        self.claims: list[FakeClaimListener] = []
        self.no_agent: dict[Address, int] = {}
        self.number = len(lan.hosts) + 1
        self.events = FakeEvents(self)
        self.clock = FakeClock(self)
        self.guardian = FakeGuardian(self)
        self.suspended_s = 0.0
        self._expiry: dict[tuple[int, str], float] = {}
        self._frozen = trio.Event()
        self._frozen.set()
        self._loop = threading.get_ident()
        self._next_index = 2
        lan.hosts[name] = self

    # ------------------------------------------------------------ what an administrator does

    def plug(self, interface: str, *addresses: str, up: bool = True, running: bool = True) -> Link:
        """A network card appears, with addresses; the same name again gets a new index."""
        index, self._next_index = self._next_index, self._next_index + 1
        mac = bytes([2, 0, 0, 0, self.number, index])
        link = Link(interface, index, up, running, noarp=False, mac=mac, mtu=1500, loopback=False)
        self.links[index] = link
        self.events.emit(LinkChanged(link))
        for each in addresses:
            self.configure(interface, each)
        return link

    def unplug(self, interface: str) -> None:
        """The interface is deleted; its addresses go with it."""
        link = self.link(interface)
        for key in [key for key in self.addresses if key[0] == link.index]:
            self.remove_by(key, KERNEL)
        del self.links[link.index]
        for socket in self.adverts + self.others:
            socket.orphaned |= socket.index == link.index
        self.events.emit(LinkGone(link))

    def change(
        self,
        interface: str,
        *,
        up: bool = True,
        running: bool = True,
        mac: bytes | None = None,
        name: str | None = None,
    ) -> None:
        """An interface is switched or renamed, its cable pulled or put back, its address changed."""
        link = self.link(interface)
        link = replace(link, up=up, running=up and running, mac=mac or link.mac)
        self.links[link.index] = link
        self.events.emit(LinkChanged(link))

    def configure(
        self, interface: str, address: str, *, ours: bool = False, tentative: bool = False, by: int = MEDDLER
    ) -> None:
        """Somebody adds an address, or changes one; a tagged one is what an agent left behind."""
        link, parsed = self.link(interface), ip_interface(address)
        twins = [a for a in self.addresses.values() if a.index == link.index and a.address != parsed]
        secondary = parsed.version == 4 and any(a.address.network == parsed.network for a in twins)
        key = link.index, str(parsed)
        self.addresses[key] = KernelAddress(
            *(parsed, link.index, link.name, ours, tentative),
            failed=False, deprecated=False, secondary=secondary, scope=0, label=None, permanent=True,
        )  # fmt: skip
        self.lan.tell(self, f"adds {parsed}")
        if by != AGENT or parsed.version == 6:  # of IPv4 it knows who asked
            self.events.emit(AddressAdded(self.addresses[key], by))

    def remove(self, interface: str, address: str) -> None:
        """Somebody removes an address."""
        self.remove_by((self.link(interface).index, str(ip_interface(address))), MEDDLER)

    def holds(self, address: str) -> bool:
        """True while the address, with its length, is on some interface."""
        return any(text == address for _, text in self.addresses)

    def promote(self, address: str) -> None:
        """The kernel makes a secondary address primary."""
        for key, each in self.addresses.items():
            if key[1] == address:
                self.addresses[key] = replace(each, secondary=False)
                self.events.emit(AddressAdded(self.addresses[key], KERNEL))

    def fail(self, key: tuple[int, str]) -> None:
        """Duplicate address detection finds another holder."""
        self.addresses[key] = replace(self.addresses[key], failed=True)
        self.events.emit(AddressAdded(self.addresses[key], KERNEL))

    def freeze(self) -> None:
        """The agent gets no processor any more; what still turns in a test sees no time pass."""
        self._frozen = trio.Event()
        self.clock.stop()

    def thaw(self) -> None:
        """The agent goes on."""
        self.clock.go_on()
        self._frozen.set()

    async def awake(self) -> None:
        """What every wait of the agent ends with."""
        await self._frozen.wait()

    # ------------------------------------------------------------ what the wire asks

    def link(self, interface: str) -> Link:
        """The link of this name."""
        return next(link for link in self.links.values() if link.name == interface)

    def carries(self, interface: str) -> bool:
        """True where the interface sends and receives."""
        return any(link.name == interface and link.up and link.running for link in self.links.values())

    def answers_for(self, interface: str) -> list[Address]:
        """The addresses on one interface."""
        return [a.address.ip for a in self.addresses.values() if a.device == interface]

    def take(self, interface: str, datagram: Datagram) -> None:
        """A datagram arrives."""
        meant = datagram.destination.is_multicast or datagram.destination in self.answers_for(interface)
        for socket in self.adverts + self.others:
            if meant and not socket.closed and not socket.orphaned and socket.interface == interface:
                socket.put(datagram)

    def hear(self, interface: str, answer: ArpReply | NeighbourAdvert) -> None:
        """An answer to somebody's question arrives."""
        family = family_of(answer.source)
        for listener in self.listeners:
            if not listener.closed and (listener.interface, listener.family) == (interface, family):
                listener.put(answer)

    def claim(self, interface: str, claim: Claim) -> None:
        """Somebody says that an address is his."""
        for listener in self.claims:
            if (listener.interface, listener.form) == (interface, claim.form):
                listener.put(claim)

    # ------------------------------------------------------------ what the agent is handed

    def kernel(self) -> Kernel:
        """This machine as the runtime sees it."""
        return Kernel(
            clock=self.clock,
            alarm=lambda: FakeClock(self),
            guardian=self.guardian,
            worker=FakeWorker(),
            commands=FakeCommands(self),
            events=self.events,
            advert_socket=lambda family, name, index: FakeAdvertSocket(self, family, name, index),
            stranger_socket=lambda family, name, index: FakeAdvertSocket(self, family, name, index, Hears.STRANGERS),
            farewell_socket=lambda family, name, index: FakeAdvertSocket(self, family, name, index, Hears.FAREWELLS),
            frame_socket=lambda name: FakeFrameSocket(self, name),
            answer_listener=lambda family, name: FakeListener(self, family, name),
            claim_listener=lambda form, name: FakeClaimListener(self, form, name),
            gateways=lambda _: self.gateways,
            read_setting=lambda family, name, key: self.settings.get((family, name, key)),
            write_setting=self._write_setting,
            requester=lambda port: f"meddler (pid {port})",
            real_time=lambda: self.real_time,
        )

    def snapshot(self) -> Snapshot:
        """Everything, as at this moment."""
        return Snapshot(tuple(self.links.values()), tuple(self.addresses.values()))

    def on_loop(self) -> bool:
        """True on the thread of the event loop."""
        return threading.get_ident() == self._loop

    def change_address(self, message: bytes, *, told: bool = True) -> int:
        """Make one change that the agent asks for; returns its errno. A renewal need not be told."""
        found = decode_address(message)
        assert found is not None
        key = found.index, str(found.address)
        if found.index not in self.links:
            return errno.ENODEV
        refused = self.refusals.get(str(found.address.ip), 0)
        if refused:
            return refused
        if int.from_bytes(message[4:6], "little") != RTM_NEWADDR:
            return self.remove_by(key, AGENT) if key in self.addresses else errno.EADDRNOTAVAIL
        renews = bool(int.from_bytes(message[6:8], "little") & _REPLACE)
        if key in self.addresses and not renews:
            return errno.EEXIST
        assert found.ours, "every message carries the tag"
        if key not in self.addresses:
            self.configure(self.links[found.index].name, key[1], ours=True, by=AGENT)
        else:
            self.addresses[key] = replace(self.addresses[key], ours=True)
            if told:
                self.events.emit(AddressAdded(self.addresses[key], AGENT))
        self._expire(key, lifetime(message))
        return 0

    def _expire(self, key: tuple[int, str], after_s: float) -> None:
        """The kernel removes an address that is not renewed in time."""
        due = trio.current_time() + after_s
        self._expiry[key] = due

        def look() -> None:
            if self._expiry.get(key) == due and key in self.addresses:
                self.remove_by(key, KERNEL)

        if after_s < FOREVER:
            self.lan.later(look, after_s)

    def remove_by(self, key: tuple[int, str], by: int) -> int:
        """Somebody removes an address."""
        address = self.addresses.pop(key)
        self.lan.tell(self, f"removes {address.address}")
        self.events.emit(AddressRemoved(address, by))
        return 0

    def _write_setting(self, family: Family, interface: str, key: str, value: int) -> SysctlError | None:
        if self.read_only:
            return SysctlError(f"{interface}/{key}", errno.EROFS, f"cannot set {interface}/{key}: read-only")
        self.settings[family, interface, key] = value
        return None


class FakeWorker(Worker):
    """A thread of trio's, for the virtual clock looks whether one is at work."""

    def begin(self, work: Callable[[], T], ended: Callable[[Job[T]], None]) -> Job[T]:
        job = Job(work, ended)
        trio.lowlevel.spawn_system_task(partial(trio.to_thread.run_sync, job.do, abandon_on_cancel=True))
        return job


class FakeClock:
    """A timer of a host, on trio's mocked clock; its zero point is not that of the other hosts."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._offset = host.number * 1_000_000 * SECOND
        self._deadline: int | None = None
        self._armed = trio.Event()
        self._closed = False
        self._stopped: int | None = None

    def stop(self) -> None:
        self._stopped = self.now()

    def go_on(self) -> None:
        self._stopped = None

    def now(self) -> int:
        if not self._host.on_loop():
            return trio.from_thread.run_sync(self.now)
        if self._stopped is not None:
            return self._stopped
        return round(trio.current_time() * SECOND) + self._offset

    def boot(self) -> int:
        return self.now() + round(self._host.suspended_s * SECOND)

    def wall(self) -> int:
        return round(trio.current_time() * SECOND) + EPOCH + self._host.clock_error

    def arm(self, deadline: int | None) -> None:
        assert not self._closed or deadline is None, "a descriptor that was given back cannot be armed"
        self._deadline = deadline
        self._armed.set()
        self._armed = trio.Event()

    async def wait(self) -> None:
        while True:
            if self._closed:
                raise trio.ClosedResourceError
            wait = float("inf") if self._deadline is None else (self._deadline - self.now()) / SECOND
            with trio.move_on_after(max(wait, 0)):
                await self._armed.wait()
            await self._host.awake()
            if self._deadline is not None and self.now() >= self._deadline:
                self._deadline = None
                return

    def close(self) -> None:
        self._closed = True
        self.arm(None)


class FakeGuardian:
    """The guardian: what it was told, and on a test's word what it does.

    Attributes:
        covers: what it would say, by virtual router.
        addresses: what it would remove, and
        removals: the requests that it would send besides.
        stamps: times at which the loop was seen, nanoseconds.
        limit: how old the last of them may be, nanoseconds.
        acted: its word.
    """

    def __init__(self, host: Host) -> None:
        self._host = host
        self.covers: dict[str, Cover] = {}
        self.addresses: set[tuple[int, str]] = set()
        self.removals: list[bytes] = []
        self.stamps: list[int] = []
        self.limit = 0
        self.acted = False

    def acts(self) -> None:
        """It finds the loop frozen, and lets go in its place."""
        self.acted = True
        for key in self.addresses & self._host.addresses.keys():
            self._host.remove_by(key, GUARDIAN)

    def resume(self) -> None:
        self.acted = False

    def stamp(self, now: int) -> None:
        self.stamps.append(now)

    def watch(self, limit: int) -> None:
        self.limit = limit

    def prepare(self, who: str, cover: Cover) -> None:
        """It knows nothing of that before it is told."""

    def cover(self, who: str, cover: Cover) -> None:
        self.covers[who] = cover
        self.addresses.update(cover.addresses)

    def uncover(self, who: str) -> None:
        self.covers.pop(who, None)

    def gone(self, addresses: Sequence[tuple[int, str]]) -> None:
        self.addresses.difference_update(addresses)

    def route(self, removal: bytes) -> None:
        self.removals.append(removal)

    def route_gone(self, removal: bytes) -> None:
        self.removals.remove(removal)

    async def run(self) -> Never:
        await trio.sleep_forever()


class FakeCommands:
    """The netlink commands: any write may be slow, and none may happen on the event loop once it turns."""

    port = AGENT

    def __init__(self, host: Host) -> None:
        self._host = host
        self._started = False

    def dump(self) -> Snapshot:
        if not self._host.on_loop():
            return trio.from_thread.run_sync(self._read)
        assert not self._started, "a reading on the event loop"
        return self._read()

    def routes(self) -> list[KernelRoute]:
        return []

    def apply(self, changes: Sequence[bytes]) -> list[int]:
        if self._host.on_loop():
            assert not self._started, "a write on the event loop"
            return [self._host.change_address(each) for each in changes]
        self._started = True
        if self._host.slow_s:
            trio.from_thread.run(self._host.lan.pause, self._host.slow_s)
        if self._host.broken_writes:
            self._host.broken_writes -= 1
            raise NetlinkError(errno.ETIMEDOUT, "the kernel did not answer")
        return trio.from_thread.run_sync(lambda: [self._host.change_address(each) for each in changes])

    def renew(self, renewals: Sequence[bytes]) -> None:
        assert not self._host.on_loop(), "a write on the event loop"
        if renewals:
            trio.from_thread.run_sync(lambda: [self._host.change_address(each, told=False) for each in renewals])

    def close(self) -> None: ...

    def _read(self) -> Snapshot:
        if self._host.busy_dumps:
            self._host.busy_dumps -= 1
            raise NetlinkError(errno.EBUSY, "links and addresses kept changing while they were read")
        return self._host.snapshot()


class FakeEvents:
    """The kernel's events; `lossy` ones are dropped, as from a full buffer."""

    def __init__(self, host: Host) -> None:
        self.lossy = False
        self._host = host
        self._waiting: list[Event] = []
        self._call = trio.Event()

    def emit(self, event: Event) -> None:
        if not self.lossy:
            self._waiting.append(event)
            self._call.set()

    def overrun(self) -> None:
        """Events were lost, and the kernel says so."""
        self.lossy = False
        self.emit(Overrun())

    async def receive(self) -> list[Event]:
        await self._call.wait()
        await self._host.awake()
        self._call = trio.Event()
        events, self._waiting = self._waiting, []
        return events

    def close(self) -> None: ...


class FakeLetter(Letter):
    """A letter that can be read."""

    def __init__(self, payload: bytes, source: Address, destination: Address) -> None:
        super().__init__(payload, destination, b"", ())
        self.payload, self.source = payload, source


@dataclass(eq=False)
class FakeAdvertSocket:
    """The raw socket of one interface and family."""

    host: Host
    family: Family
    interface: str
    index: int
    hears: Hears = Hears.ADVERTS
    closed: bool = False
    orphaned: bool = False
    program: list[Instruction] = field(default_factory=list[Instruction])
    waiting: list[Datagram] = field(default_factory=list[Datagram])
    known: dict[Datagram, Datagram] = field(default_factory=dict[Datagram, Datagram])
    bursts: dict[tuple[int, ...], list[Datagram]] = field(default_factory=dict[tuple[int, ...], list[Datagram]])

    @property
    def no_agent(self) -> Mapping[Address, int]:
        return self.host.no_agent

    @property
    def answers(self) -> int:
        return sum(self.host.no_agent.values())

    def __post_init__(self) -> None:
        if self.host.no_sockets or self.index not in self.host.links:
            raise VrrpdError(f"cannot open the {self.family} VRRP socket on {self.interface}")
        self._call = trio.Event()
        (self.host.adverts if self.hears is Hears.ADVERTS else self.host.others).append(self)

    def expect(self, expected: Outline) -> None:
        self.program = sieve(expected, self.hears)

    def put(self, datagram: Datagram) -> None:
        if family_of(datagram.source) is self.family and (not self.program or passes(self.program, datagram)):
            self.waiting.append(self.known.setdefault(datagram, datagram))
            self._call.set()

    async def wait_readable(self) -> None:
        if self.closed:
            raise OSError(errno.EBADF, "epoll knows no descriptor -1")
        await self._call.wait()
        if self.closed and not self.waiting:
            raise trio.ClosedResourceError
        await self.host.awake()

    def receive(self, limit: int = 64) -> list[Datagram]:
        if self.closed:
            return []
        taken, self.waiting = self.waiting[:limit], self.waiting[limit:]
        if not self.waiting and self._call.is_set():
            self._call = trio.Event()
        return self.bursts.setdefault(tuple(map(id, taken)), taken)

    def letter(self, payload: bytes, source: Address, destination: Address) -> Letter:
        return FakeLetter(payload, source, destination)

    def send(self, letters: Sequence[Letter]) -> list[tuple[Letter, SendError]]:
        sent = [(each, self._send(each)) for each in letters]
        return [(each, error) for each, error in sent if error is not None]

    def _send(self, letter: Letter) -> SendError | None:
        assert isinstance(letter, FakeLetter)
        payload, source, destination = letter.payload, letter.source, letter.destination
        code = self.host.unsendable.get(destination, 0)
        here = source in self.host.answers_for(self.interface)
        if code or not here or self.orphaned or not self.host.link(self.interface).up:
            return SendError(code or errno.ENETUNREACH, f"cannot send an advert to {destination}")
        self.host.lan.advert(self.host, self.interface, Datagram(payload, source, destination, 255))
        return None

    def close(self) -> None:
        self.closed = True
        self._call.set()


@dataclass(eq=False)
class FakeFrameSocket:
    """The packet socket that announcements and questions go out by."""

    host: Host
    interface: str
    closed: bool = False

    def __post_init__(self) -> None:
        names = [link.name for link in self.host.links.values()]
        if self.host.no_sockets or self.interface not in names:
            raise VrrpdError(f"cannot open a packet socket on {self.interface}")
        self.index = self.host.link(self.interface).index
        self.host.frames.append(self)

    def send(self, frame: bytes) -> SendError | None:
        assert not self.closed, "a frame to a closed socket"
        if self.index not in self.host.links:
            return SendError(errno.ENXIO, "the interface does not exist any more")
        self.host.lan.frame(self.host, self.interface, frame)
        return None

    def close(self) -> None:
        self.closed = True


@dataclass(eq=False)
class FakeListener:
    """The packet socket that answers come in by."""

    host: Host
    family: Family
    interface: str
    closed: bool = False
    waiting: list[ArpReply | NeighbourAdvert] = field(default_factory=list[ArpReply | NeighbourAdvert])

    def __post_init__(self) -> None:
        if not any(link.name == self.interface for link in self.host.links.values()):
            raise VrrpdError(f"cannot open a packet socket on {self.interface}")
        self._call = trio.Event()
        self.host.listeners.append(self)

    def put(self, answer: ArpReply | NeighbourAdvert) -> None:
        self.waiting.append(answer)
        self._call.set()

    async def receive(self) -> list[ArpReply | NeighbourAdvert]:
        await self._call.wait()
        await self.host.awake()
        self._call = trio.Event()
        answers, self.waiting = self.waiting, []
        return answers

    def close(self) -> None:
        self.closed = True


@dataclass(eq=False)
class FakeClaimListener:
    """The packet socket with a filter that claims come in by."""

    host: Host
    form: Form
    interface: str
    watched: frozenset[Address] = frozenset()
    closed: bool = False
    waiting: list[Claim] = field(default_factory=list[Claim])

    def __post_init__(self) -> None:
        if self.host.no_sockets or not any(link.name == self.interface for link in self.host.links.values()):
            raise VrrpdError(f"cannot open a packet socket on {self.interface}")
        self._call = trio.Event()
        self.host.claims.append(self)

    def watch(self, addresses: Iterable[Address]) -> None:
        self.watched = frozenset(addresses)

    def put(self, claim: Claim) -> None:
        if claim.address in self.watched and not self.closed:
            self.waiting.append(claim)
            self._call.set()

    async def receive(self) -> list[Claim]:
        await self._call.wait()
        if self.closed:
            raise trio.ClosedResourceError
        await self.host.awake()
        self._call = trio.Event()
        claims, self.waiting = self.waiting, []
        return claims

    def ask(self, question: bytes) -> SendError | None:
        assert not self.closed, "a question to a closed socket"
        self.host.lan.frame(self.host, self.interface, question)
        return None

    def close(self) -> None:
        self.closed = True
        self._call.set()
