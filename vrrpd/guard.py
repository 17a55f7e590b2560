"""The agent's end of the guardian: tells it what is held, and sees to it that there is one.

Owns the shared memory and the conversation with `vrrpd.guardian`. What was told is remembered, so that a new guardian,
which the launcher forks when one dies, knows as much as the one before. The runtime is handed a `Guard` as something to
talk to (`runtime.kernel.Guardian`) and imports nothing of this.

Must not do: block. A guardian that does not take its messages, or does not look, is none, and is replaced.
"""

from __future__ import annotations

import json
import logging
import mmap
import os
import socket
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Never

import trio

from vrrpd.errands import CannotStartError
from vrrpd.guardian import ACTED, LIMIT, LONGEST_PAUSE, LOOKS, PACKET_LIMIT, STAMP
from vrrpd.linux.timer import TimerFd
from vrrpd.proto.timers import MS
from vrrpd.runtime.kernel import Cover

_log = logging.getLogger(__name__)

_PAUSE_S = 1  # between two attempts to get a guardian
_MISSED = 3  # pauses without a look after which there is no guardian; counted, as we may have slept ourselves
_PIECE = 64  # messages, which take a twentieth of the room
_RING_AFTER = 20 * MS  # a takeover is over by then; for a freeze it waits 100 ms at least (`vigil.freeze_limit`)
_MOST_UNREAD = 100  # messages; a queue that the kernel did not let us enlarge has room for half as many more
_SO_SNDBUFFORCE = 32  # asm-generic/socket.h
_BUFFER = 4 * PACKET_LIMIT


@dataclass(frozen=True, slots=True)
class Trouble:
    """There is no guardian.

    Attributes:
        since: wall-clock time.
        detail: why, and what to do, for people.
    """

    since: datetime
    detail: str


class Guard:
    """What the runtime tells the guardian; `run` must run for as long as anything is to be guarded.

    Attributes:
        pid: process id of the guardian, None while there is none.
        trouble: why there is none, None while all is well.
    """

    def __init__(self, fork: Callable[[Sequence[int]], Awaitable[None]]) -> None:
        """Make the shared memory.

        Args:
            fork: has the launcher fork a guardian that gets these descriptors: its channel, the bell, the memory, our
                pidfd.
        """
        self.pid: int | None = None
        self.trouble: Trouble | None = None
        self._fork = fork
        self._file = os.memfd_create("vrrpd-guardian")
        os.ftruncate(self._file, mmap.PAGESIZE)
        self._words = memoryview(mmap.mmap(self._file, mmap.PAGESIZE)).cast("Q")
        self._agent = os.pidfd_open(os.getpid())
        self._bell = TimerFd()  # rings also where we hang by then
        self._rings_at = 0
        self._unread = 0  # messages, as far as we know
        self._channel: socket.socket | None = None
        self._covers: dict[str, Cover] = {}
        self._prepared: dict[str, tuple[Cover, bytes]] = {}
        self._addresses: set[tuple[int, str]] = set()
        self._routes: dict[str, None] = {}  # an ordered set
        self._listeners: dict[str, socket.socket] = {}

    @property
    def acted(self) -> bool:
        """True from the moment the guardian begins to let go in our place; may be asked from any thread."""
        return bool(self._words[ACTED])

    def resume(self) -> None:
        """We have dropped everything: from now on the guardian watches again."""
        self._listeners.clear()  # it has refused on them, and given them back
        self._words[ACTED] = 0

    def stamp(self, now: int) -> None:
        """The event loop turned at this time of CLOCK_MONOTONIC, nanoseconds."""
        self._words[STAMP] = now

    def watch(self, limit: int) -> None:
        """How old the stamp may be while anything is held, nanoseconds."""
        self._words[LIMIT] = limit

    def prepare(self, who: str, cover: Cover) -> None:
        """This may be told soon: it is encoded now, which takes longer than to tell it."""
        self._prepared[who] = cover, _message(who, cover)

    def cover(self, who: str, cover: Cover) -> None:
        """Told before the addresses are added, and again when anything of it changes."""
        if self._covers.get(who) != cover:
            self._covers[who] = cover
            self._addresses.update(cover.addresses)
            known = self._prepared.get(who)
            self._send(known[1] if known is not None and known[0] is cover else _message(who, cover))

    def uncover(self, who: str) -> None:
        """The role was given up: no priority 0 any more. The addresses are guarded until they are `gone`."""
        if self._covers.pop(who, None):
            self._tell({"uncover": who})

    def gone(self, addresses: Sequence[tuple[int, str]]) -> None:
        """These addresses are not ours (any more)."""
        self._addresses.difference_update(addresses)
        self._tell({"gone": addresses})

    def route(self, removal: bytes) -> None:
        """The netlink request, without an answer, that takes away a route of ours; told before that is added."""
        self._routes[removal.hex()] = None
        self._tell({"routes": [removal.hex()]})

    def route_gone(self, removal: bytes) -> None:
        """The route of this request is not there any more."""
        self._routes.pop(removal.hex(), None)
        self._tell({"route gone": removal.hex()})

    def listens(self, who: str, listener: socket.socket) -> None:
        """A port is to accept connections: the guardian has that end when we cannot. The socket stays the caller's."""
        if who not in self._listeners:
            self._listeners[who] = listener
            self._tell({"listens": who}, listener)

    def refuses(self, who: str) -> None:
        """It accepts none any more."""
        if self._listeners.pop(who, None):
            self._tell({"refuses": who})

    async def run(self) -> Never:
        """See to it that there is a guardian, until cancelled."""
        while True:
            ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            with closing(ours), closing(theirs):
                ours.setblocking(False)
                _enlarge(ours)
                try:
                    await self._fork([theirs.fileno(), self._bell.fileno(), self._file, self._agent])
                except (CannotStartError, OSError) as error:
                    self._complain(f"there is no guardian: {error}")
                else:
                    theirs.close()
                    why = await self._converse(ours)
                    self._complain(f"the guardian {why}; another one is started")
            await trio.sleep(_PAUSE_S)

    async def _converse(self, channel: socket.socket) -> str:
        """Talk to one guardian until it ends or stands still; which of the two, for people."""
        self._channel = channel
        try:
            with trio.move_on_after(_MISSED * LONGEST_PAUSE) as telling:
                await self._tell_everything(channel)
            if telling.cancelled_caught:
                return "does not listen"
            looks, missed = self._words[LOOKS], 0
            while missed < _MISSED:
                with trio.move_on_after(LONGEST_PAUSE) as pause:
                    await trio.lowlevel.wait_readable(channel)
                if not pause.cancelled_caught:
                    packet = _received(channel)
                    if not packet:
                        return "has ended"
                    self.pid, self.trouble = json.loads(packet)["pid"], None
                    _log.debug("guardian: pid %d", self.pid)
                missed = missed + 1 if self._words[LOOKS] == looks else 0
                looks = self._words[LOOKS]
            return "does not look any more"
        finally:
            self.pid = self._channel = None

    async def _tell_everything(self, channel: socket.socket) -> None:
        """Tell a new guardian what the one before knew; some at a time, as its queue has an end."""
        for number, who in enumerate(list(self._covers)):
            if number % _PIECE == 0:
                await trio.lowlevel.wait_writable(channel)
            if who in self._covers:  # as it is by now
                self._send(_message(who, self._covers[who]))
        covered = {each for cover in self._covers.values() for each in cover.addresses}
        self._tell({"cover": "", **_NOTHING, "addresses": sorted(self._addresses - covered)})
        self._tell({"routes": [*self._routes]})
        for who, listener in self._listeners.items():
            self._tell({"listens": who}, listener)

    def _tell(self, message: Mapping[str, Any], *handed: socket.socket) -> None:
        if self._channel is not None:
            self._send(json.dumps(message).encode(), *handed)

    def _send(self, packet: bytes, *handed: socket.socket) -> None:
        if self._channel is None:
            return
        try:
            if handed:
                socket.send_fds(self._channel, [packet], [each.fileno() for each in handed])
            else:
                self._channel.send(packet)
            self._ring_soon()
        except OSError as error:  # full: it hangs; or it has ended, which `run` sees, too
            _log.error("the guardian takes no messages (%s)", error.strerror)
            self._channel.shutdown(socket.SHUT_RDWR)
            self._channel = None

    def _ring_soon(self) -> None:
        """There is something to read: not at once, for it is said when others are in a hurry."""
        now = self._bell.now()
        if now >= self._rings_at:
            self._rings_at, self._unread = now + _RING_AFTER, 0
            self._bell.arm(self._rings_at)
        self._unread += 1
        if self._unread >= _MOST_UNREAD:
            self._bell.arm(now)

    def _complain(self, detail: str) -> None:
        if self.trouble is None:
            _log.error("%s", detail)
            self.trouble = Trouble(datetime.now(UTC), detail)


_NOTHING: Mapping[str, Any] = {"vrid": 0, "index": 0, "zeros": [], "seal": None, "wait": 0}


def _message(who: str, cover: Cover) -> bytes:
    zeros = [(source, destination, payload.hex()) for source, destination, payload in cover.zeros]
    message = {
        "cover": who,
        "vrid": cover.vrid,
        "index": cover.index,
        "zeros": zeros,
        "seal": cover.seal and (cover.seal.key_id, cover.seal.key.reveal().hex(), cover.seal.ahead),
        "wait": cover.wait / 1e9,
        "addresses": cover.addresses,
    }
    return json.dumps(message).encode()


def _enlarge(channel: socket.socket) -> None:
    """Room for the longest message."""
    try:
        channel.setsockopt(socket.SOL_SOCKET, _SO_SNDBUFFORCE, _BUFFER)
    except PermissionError:  # as much as net.core.wmem_max allows
        channel.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _BUFFER)


def _received(channel: socket.socket) -> bytes:
    """One packet; empty where the guardian has ended."""
    try:
        return channel.recv(4096)
    except ConnectionError:
        return b""
