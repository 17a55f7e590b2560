"""The guardian: a small process that lets go in the agent's place when the agent dies or hangs.

    agent ──── what is held, and what to say for it (unix socket, one JSON object a packet) ──── guardian
      ├── shared memory: the stamp of its event loop, how old that may be, "acted", our looks ──────┤
      └── bell (timerfd): read what was said ───────────────────────────────────────────────────────┘

What the agent says as it takes a role waits in the socket until the bell rings, some 20 ms later: who woke up
at once would take a processor from the takeover. The kernel rings it, also for an agent that hangs by then; and
whatever makes the guardian act, it reads first.

An address that stays on an interface without an agent is the second holder that users of VRRP fear most. The kernel
removes it when its lease runs out, seconds later; the guardian is faster. The launcher forks it, before anything heavy
is in memory, and another one, after killing it, when it dies or looks no more. It waits for one of two things:

- **Death**: the agent's pidfd says so at once. The guardian hands over as a stop does: it says priority 0, keeps the
  addresses until 20 ms after the successor's first advertisement (or as long as one may take to come). A planned
  stop leaves nothing to guard, and then nothing is done.
- **A freeze**: the stamp is older than allowed, on two looks 10 ms apart. The agent may go on at any moment, so the
  guardian is quick: it writes its word, says priority 0 twice within 2 ms, removes the addresses. An agent that wakes
  up reads the word before it does anything else, drops everything, and takes the word back: the watch goes on.

A port that answers a health probe goes first, before any word: the kernel completes connections for an agent that
hangs, and a load balancer would go on sending to it. The guardian has such a socket only while it accepts connections.

What it removes, addresses and then routes, carries our tag and was named by the agent. Advertisements come from the
agent encoded, the IP header is added here: a raw socket of IPPROTO_RAW hears nothing, so a host whose agent is gone
goes on answering "protocol unreachable", which tells its peers the truth. Only while it waits for a successor does it
listen to IP protocol 112.

Has its own session, and does not react to INT, TERM and HUP: a service manager may send them to the whole group.

Must not do: import anything beyond the standard library and `vrrpd.successors` (and `vrrpd.trailer`, where it has to
sign), or much of that; wait for the agent.

Sources: pidfd_open(2), rtnetlink(7), raw(7), ip(7), ipv6(7); RFC 9568 5.1 for the IP fields.
"""

from __future__ import annotations

import contextlib
import json
import math
import mmap
import os
import select
import socket
import struct
import time
from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple, Never

from vrrpd.successors import Ears, Successor, domain_of, packed

TAG: Final = 0x56
"""IFA_PROTO of every address of ours, and RTPROT of every route (an ASCII V)."""

WORDS: Final = 4
"""Words of eight bytes in the shared memory: the stamp and its greatest age, both in nanoseconds, "acted", and the
number of looks."""

STAMP, LIMIT, ACTED, LOOKS = range(WORDS)

LONGEST_PAUSE: Final = 1.0
"""Seconds between two looks at most, also where nothing is held: so the agent sees that there is a guardian."""

PACKET_LIMIT: Final = 1 << 18
"""Bytes of the longest message; a thousand addresses are a fifth of it."""

_NAME: Final = b"vrrpd-guardian"
_LOCK: Final = "\0vrrpd"  # what every agent holds (`control.lock`)
_PRIORITY: Final = 2
_SECOND_LOOK: Final = 0.01  # seconds after the first
_REPEAT: Final = 0.0015  # seconds between the two advertisements of priority 0
_LINGER: Final = 0.02  # seconds from the successor's first advertisement until it surely has the addresses
_LAST_WORDS: Final = 1.0  # seconds from the end of the agent's socket to the end of the agent
_PLACE: Final = 0.1  # seconds that a busy agent may take to free a place in the queue of its lock
_ANSWER: Final = 1.0  # seconds that the kernel may take for a list of addresses
_ROUNDS: Final = 5  # of removing and looking again

_PROTOCOL, _HOPS, _CLASS = 112, 255, 0xC0  # RFC 9568 5.1.1
_IP_PKTINFO = 8
_DELADDR, _NEWADDR, _GETADDR = 21, 20, 22  # linux/rtnetlink.h
_REQUEST, _DUMP, _DONE, _ERROR = 0x1, 0x300, 3, 2  # linux/netlink.h
_ADDRESS, _LOCAL, _PROTO = 1, 2, 11  # linux/if_addr.h
_MESSAGE, _BODY = struct.Struct("=IHHII"), struct.Struct("=BBBBI")  # struct nlmsghdr, struct ifaddrmsg


class Address(NamedTuple):
    """One address on one interface.

    Attributes:
        interface: its number.
        length: of the prefix.
        packed: four or sixteen bytes.
    """

    interface: int
    length: int
    packed: bytes


class _Cover(NamedTuple):
    """What to say for one virtual router, and who answers.

    Attributes:
        vrid: Virtual Router Identifier.
        interface: number of the one that it lives on.
        zeros: (source, destination, VRRP message) of each advertisement of priority 0.
        seal: (key id, key, what to add to the clock for the number) to sign them with, None where they are unsigned.
        wait: seconds that a successor may take.
        addresses: what it holds.
    """

    vrid: int
    interface: int
    zeros: list[tuple[str, str, bytes]]
    seal: tuple[int, bytes, int] | None
    wait: float
    addresses: set[Address]


def live(channel: int, bell: int, memory: int, agent: int, *, settle: Callable[[], None]) -> Never:
    """Be the guardian, in a process forked for it.

    Args:
        channel: socket to the agent.
        bell: timer that wakes us up to read it.
        memory: descriptor of the shared memory.
        agent: pidfd of the agent.
        settle: gives away all rights that a guardian does not need.
    """
    os.setsid()
    with contextlib.suppress(OSError):
        os.write(os.open("/proc/self/comm", os.O_WRONLY), _NAME)
    with contextlib.suppress(OSError):  # before the loop that it watches (`linux.real_time`), should that spin
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(_PRIORITY))
    settle()
    last = 2
    for descriptor in [*sorted((channel, bell, memory, agent)), os.sysconf("SC_OPEN_MAX")]:
        os.closerange(last + 1, descriptor)
        last = descriptor
    words = memoryview(mmap.mmap(memory, mmap.PAGESIZE)).cast("Q")
    _Guardian(socket.socket(fileno=channel), bell, words, agent).serve()
    os._exit(0)


class _Guardian:
    """The watch, and what follows."""

    def __init__(self, channel: socket.socket, bell: int, words: memoryview[int], agent: int) -> None:
        self._channel = channel
        self._bell = bell
        self._words = words
        self._agent = agent
        self._covers: dict[str, _Cover] = {}
        self._addresses: set[Address] = set()
        self._routes: dict[bytes, None] = {}  # the requests that remove them, as an ordered set
        self._listeners: dict[str, socket.socket] = {}
        self._senders = {
            domain: sender for domain in (socket.AF_INET, socket.AF_INET6) if (sender := _sender(domain)) is not None
        }
        self._netlink = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE)
        self._netlink.settimeout(_ANSWER)
        self._events = select.poll()
        self._events.register(channel, 0)  # its end is told unasked
        self._events.register(bell, select.POLLIN)
        self._events.register(agent, select.POLLIN)
        channel.setblocking(False)
        with contextlib.suppress(ConnectionError):  # the agent has ended meanwhile
            channel.send(json.dumps({"pid": os.getpid()}).encode())

    def serve(self) -> None:
        """Watch until the agent has ended, or until another guardian watches it."""
        while True:
            self._words[LOOKS] += 1
            ready = dict(self._events.poll(self._until_next_look()))
            if self._bell in ready:
                with contextlib.suppress(BlockingIOError):  # it was set anew
                    os.read(self._bell, 8)
            open_still = self._read()
            if self._agent in ready or (not open_still and self._dies()):
                if self._holding() and not _another_agent():
                    self._hand_over()
                return
            if not open_still:
                return  # the agent has taken another guardian
            if self._stale():
                time.sleep(_SECOND_LOOK)
                if self._stale() and self._read():
                    self._let_go()

    def _until_next_look(self) -> int:
        """Milliseconds until the stamp may be too old, or until it is time for a sign of life."""
        if not self._guarding():
            return round(LONGEST_PAUSE * 1000)
        left = self._words[STAMP] + self._words[LIMIT] - time.monotonic_ns()
        return min(max(math.ceil(left / 1_000_000), 0), round(LONGEST_PAUSE * 1000))

    def _holding(self) -> bool:
        """Whether the agent has anything that is to be let go; a role without addresses is something, too."""
        return bool(self._addresses or self._routes or any(cover.zeros for cover in self._covers.values()))

    def _guarding(self) -> bool:
        return self._holding() and not self._words[ACTED]

    def _stale(self) -> bool:
        return self._guarding() and time.monotonic_ns() - self._words[STAMP] > self._words[LIMIT]

    def _dies(self) -> bool:
        """The agent's end of the socket is closed: does the agent end with it?"""
        end = select.poll()
        end.register(self._agent, select.POLLIN)
        return bool(end.poll(_LAST_WORDS * 1000))

    # ---------------------------------------------------------------- what the agent says

    def _read(self) -> bool:
        """Take what the agent has said; False where it will say nothing any more."""
        for _ in range(2):  # an agent that died before it had read our word is an error first, and then what it said
            with contextlib.suppress(ConnectionError):
                return self._read_all()
        return False

    def _read_all(self) -> bool:
        while True:
            try:
                packet, descriptors, _, _ = socket.recv_fds(self._channel, PACKET_LIMIT, 1)
            except BlockingIOError:
                return True
            if not packet:
                return False
            self._take(json.loads(packet), [socket.socket(fileno=each) for each in descriptors])

    def _take(self, message: dict[str, Any], handed: list[socket.socket]) -> None:
        match message:
            case {"listens": who}:
                self._listeners.update((who, each) for each in handed)
            case {"refuses": who}:
                if who in self._listeners:
                    self._listeners.pop(who).close()
            case {"cover": who, **what}:
                self._covers[who] = _cover(**what)
                self._addresses |= self._covers[who].addresses
            case {"uncover": who}:
                self._covers.pop(who, None)
            case {"gone": addresses}:
                self._addresses -= {_address(*each) for each in addresses}
            case {"routes": requests}:
                self._routes.update((bytes.fromhex(each), None) for each in requests)
            case {"route gone": request}:
                self._routes.pop(bytes.fromhex(request), None)
            case _:
                raise AssertionError(message)

    # ---------------------------------------------------------------- acting

    def _let_go(self) -> None:
        """The agent is frozen: speak for it, and remove what it holds, unless it wakes up meanwhile."""
        self._words[ACTED] = 1
        self._refuse()
        self._say_zeros()
        time.sleep(_REPEAT)
        if self._words[ACTED]:
            self._say_zeros()
            self._remove(self._addresses)
            self._remove_routes()

    def _hand_over(self) -> None:
        """The agent is dead: as in a planned stop, the addresses stay until the successor speaks."""
        self._words[ACTED] = 1
        self._refuse()
        with Ears() as ears:
            waiting = {
                Successor(domain, cover.interface, cover.vrid): cover
                for cover in self._covers.values()
                if cover.zeros and (domain := ears.open(cover.interface, cover.zeros[0][1])) is not None
            }
            self._say_zeros()
            time.sleep(_REPEAT)
            self._say_zeros()
            awaited = {each for cover in waiting.values() for each in cover.addresses}
            self._remove(self._addresses - awaited)
            self._wait_for(waiting, ears)
        self._remove_routes()

    def _wait_for(self, waiting: Mapping[Successor, _Cover], ears: Ears) -> None:
        """Remove the addresses of each virtual router once somebody else serves it, or may be expected to."""
        until = {successor: time.monotonic() + cover.wait for successor, cover in waiting.items()}
        while until:
            left = min(until.values()) - time.monotonic()
            heard = until.keys() & set(ears.wait(max(left, 0)))
            now = time.monotonic()
            until |= {successor: min(until[successor], now + _LINGER) for successor in heard}
            done = [successor for successor, end in until.items() if end <= now]
            self._remove({each for successor in done for each in waiting[successor].addresses})
            for successor in done:
                del until[successor]

    def _refuse(self) -> None:
        """Have the kernel refuse connections on the ports of health probes; they stay bound while the agent lives."""
        for each in self._listeners.values():
            with contextlib.suppress(OSError):  # ENOTCONN: it does not listen
                each.shutdown(socket.SHUT_RD)
            each.close()
        self._listeners.clear()

    def _say_zeros(self) -> None:
        for cover in self._covers.values():
            for source, destination, message in cover.zeros:
                sender = self._senders.get(domain_of(destination))
                payload = signed(message, source, *cover.seal, time.monotonic_ns()) if cover.seal else message
                if sender is not None:
                    _send(sender, _packet(source, destination, payload), destination, cover.interface)

    def _remove(self, addresses: set[Address]) -> None:
        """Remove those of them that carry our tag, and look whether they are gone."""
        for _ in range(_ROUNDS):
            with contextlib.suppress(OSError):
                there = self._tagged() & addresses if addresses else set[Address]()
                if not there:
                    return
                for each in there:
                    self._netlink.send(_removal(each))

    def _remove_routes(self) -> None:
        """Remove the routes of the agent; each request names our tag, and the kernel removes no other route."""
        for each in self._routes:
            with contextlib.suppress(OSError):
                self._netlink.send(each)

    def _tagged(self) -> set[Address]:
        """All addresses of the network namespace that carry our tag."""
        self._netlink.send(
            _MESSAGE.pack(_MESSAGE.size + _BODY.size, _GETADDR, _REQUEST | _DUMP, 1, 0) + _BODY.pack(*[0] * 5)
        )
        found = set[Address]()
        while True:
            data, at = self._netlink.recv(1 << 16), 0
            while at < len(data):
                length, kind, _, sequence, _ = _MESSAGE.unpack_from(data, at)
                if sequence == 1 and kind in (_DONE, _ERROR):
                    return found
                if kind == _NEWADDR and (address := _tagged_address(data[at + _MESSAGE.size : at + length])):
                    found.add(address)
                at += (length + 3) & ~3


def _another_agent() -> bool:
    """Whether an agent runs here again, and has cleared up after the dead one: a guardian, too, may be stopped.

    Anybody may take the name of the lock; an agent is root's or ours, as SO_PEERCRED tells once we are connected.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as asking:
        asking.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("@ll", 0, round(_PLACE * 1_000_000)))
        if asking.connect_ex(_LOCK):
            return False
        _, uid, _ = struct.unpack("3i", asking.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
        return uid in {0, os.getuid()}


# -------------------------------------------------------------------- bytes


def _address(index: int, text: str) -> Address:
    ip, _, length = text.partition("/")
    return Address(index, int(length), packed(ip))


def _cover(
    *,
    vrid: int,
    index: int,
    zeros: list[tuple[str, str, str]],
    seal: tuple[int, str, int] | None,
    wait: float,
    addresses: list[tuple[int, str]],
) -> _Cover:
    signs = (seal[0], bytes.fromhex(seal[1]), seal[2]) if seal else None
    if signs:  # the first signature brings a cryptographic library into memory: not when it is urgent
        for source, _, payload in zeros[:1]:
            signed(bytes.fromhex(payload), source, *signs, time.monotonic_ns())
    messages = [(source, to, bytes.fromhex(payload)) for source, to, payload in zeros]
    return _Cover(vrid, index, messages, signs, wait, {_address(*each) for each in addresses})


def signed(message: bytes, source: str, key_id: int, key: bytes, ahead: int, now: int) -> bytes:
    """The message and its trailer, numbered by the clock.

    Args:
        message: the VRRP message with a checksum that is right without a trailer.
        source: IP source address that it will be sent from.
        key_id: which key it is.
        key: the secret.
        ahead: what to add to the number of the moment.
        now: nanoseconds on the monotonic clock.
    """
    from vrrpd import trailer  # noqa: PLC0415  # megabytes, for those who sign

    sender = packed(source)
    number = (trailer.clock_sequence(now) + ahead) % (1 << trailer.SEQUENCE_BITS)
    end = trailer.seal(message, sender, key_id, key, number)
    if len(sender) == 16:  # RFC 8200 8.1: the checksum covers the whole payload, and its length; RFC 1624 mends it
        (checksum,) = struct.unpack_from("!H", message, 6)
        total = (~checksum & 0xFFFF) + len(end) + sum(struct.unpack(f"!{len(end) // 2}H", end))
        while total >> 16:
            total = (total & 0xFFFF) + (total >> 16)
        message = message[:6] + struct.pack("!H", ~total & 0xFFFF) + message[8:]
    return message + end


def _packet(source: str, destination: str, payload: bytes) -> bytes:
    """The advertisement with its IP header; the kernel fills in length and checksum of an IPv4 header."""
    if domain_of(destination) == socket.AF_INET:
        header = struct.pack(
            "!BBHHHBBH4s4s",
            *(0x45, _CLASS, 20 + len(payload), 0, 0, _HOPS, _PROTOCOL, 0),
            *(packed(source), packed(destination)),
        )
    else:
        first = 6 << 28 | _CLASS << 20
        header = struct.pack("!IHBB16s16s", first, len(payload), _PROTOCOL, _HOPS, packed(source), packed(destination))
    return header + payload


def _removal(address: Address) -> bytes:
    """The request that removes an address, without an answer."""
    size = 4 + len(address.packed)
    attributes = b"".join(struct.pack("=HH", size, kind) + address.packed for kind in (_LOCAL, _ADDRESS))
    family = socket.AF_INET if len(address.packed) == 4 else socket.AF_INET6
    body = _BODY.pack(family, address.length, 0, 0, address.interface) + attributes
    return _MESSAGE.pack(_MESSAGE.size + len(body), _DELADDR, _REQUEST, 2, 0) + body


def _tagged_address(body: bytes) -> Address | None:
    """The address of an RTM_NEWADDR message, if it carries our tag."""
    _, length, _, _, index = _BODY.unpack_from(body)
    attributes = dict[int, bytes]()
    at = _BODY.size
    while at + 4 <= len(body):
        size, kind = struct.unpack_from("=HH", body, at)
        attributes[kind] = body[at + 4 : at + size]
        at += max((size + 3) & ~3, 4)
    if attributes.get(_PROTO) != bytes([TAG]):
        return None
    return Address(index, length, attributes.get(_LOCAL) or attributes[_ADDRESS])


# -------------------------------------------------------------------- raw sockets


def _sender(domain: socket.AddressFamily) -> socket.socket | None:
    """A socket that takes whole IP packets and hears nothing; None where the kernel runs without the family."""
    try:
        sender = socket.socket(domain, socket.SOCK_RAW | socket.SOCK_NONBLOCK, socket.IPPROTO_RAW)
    except OSError:
        return None
    if domain == socket.AF_INET:
        sender.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_LOOP, 0)
    else:
        sender.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_LOOP, 0)
    return sender


def _send(sender: socket.socket, packet: bytes, destination: str, index: int) -> None:
    """Send a packet by an interface; what cannot be sent is not: the lease and the removal do not depend on it."""
    if sender.family == socket.AF_INET:
        by = (socket.IPPROTO_IP, _IP_PKTINFO, struct.pack("=i8x", index))
        target: tuple[str, int] | tuple[str, int, int, int] = (destination, 0)
    else:
        by = (socket.IPPROTO_IPV6, socket.IPV6_PKTINFO, struct.pack("=16xi", index))
        target = (destination.partition("%")[0], 0, 0, index)
    with contextlib.suppress(OSError):
        sender.sendmsg([packet], [by], 0, target)
