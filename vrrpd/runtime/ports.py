"""The raw sockets: one port for each interface and family, shared by every router there.

A port knows which router each VRID belongs to, hands datagrams over, and counts what belongs to nobody. It is opened
with its first router and closed with its last. An interface that was deleted and made again has another index and so
another port.

A flood must not keep the loop from its timers. What comes in by the first socket fits the outline of what is expected;
it is read in bounded rounds, and after one with a forgery in it the port takes a breath before the next wait, so that
being woken does not cost more than reading. Where many virtual routers speak in bursts it waits before it reads, so
that one that begins comes in whole; never behind a round that was full, for a queue must not overflow. An advertisement
that a router believed, and that comes again byte for byte, is not judged again, and a burst of such ones is known as a
whole (`bursts`). While nothing but known bursts is to be expected, all virtual routers are Backups that hear their
Active, for whom there is one message that cannot wait: priority 0. A third socket hears it, too, and wakes the reader.

What comes in by the second socket was sent by strangers or by mistake: of that a sample is looked at, and the kernel
throws the rest away.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TypeAlias

import trio

from vrrpd.errors import VrrpdError
from vrrpd.linux.letters import Bundle, Letter
from vrrpd.linux.netlink import Link
from vrrpd.linux.send_error import SendError
from vrrpd.proto.datagram import Datagram
from vrrpd.proto.outline import outline
from vrrpd.proto.renewal import Heard, Renewal
from vrrpd.proto.settings import Family, Settings
from vrrpd.proto.timers import MS, SECOND
from vrrpd.proto.validate import Drop, Reason, validate, vrid_of
from vrrpd.runtime.bursts import Bursts
from vrrpd.runtime.choir import Sent, Singer
from vrrpd.runtime.kernel import AdvertSocket, Clock, HearingSocket, Kernel
from vrrpd.runtime.lateness import Lateness, Punctuality, Roll

AT_ONCE = 128
"""Datagrams of one round, two milliseconds of work."""
BREATH, LONGEST_BREATH = MS, 10 * MS
ROUNDS = 16
"""So many rounds empty a full queue."""

TOGETHER = 32
"""So many are posted before they are sent: the first ones do not wait for the last."""

STRANGERS_AT_ONCE = 32
STRANGERS_EVERY_S = 0.05

MANY = 16
"""Of so many virtual routers on a port the Actives speak in bursts; one that begins is let come in as a whole."""


Take: TypeAlias = Callable[[Datagram], bool]
"""Where the datagrams of one virtual router go; tells whether one was believed."""

Renews: TypeAlias = Callable[[], Renewal | None]
"""What the one that was believed last does when it comes once more; None where it must be taken like any other."""

Together: TypeAlias = Callable[[Sequence[Singer], Heard], None]
"""Told which routers hear their Actives together, from now on."""


@dataclass(slots=True)
class _Behind:
    """A virtual router behind a port, and the last datagram that it believed."""

    router: Singer
    settings: Settings
    take: Take
    renews: Renews
    believed: Datagram | None = None
    renewal: Renewal | None = None


@dataclass(frozen=True, slots=True)
class Sockets:
    """The sockets of one interface and family.

    Attributes:
        adverts: sends, and hears what may be believed.
        strangers: hears the rest.
        farewells: hears priority 0 of what may be believed, which the first one hears as well.
    """

    adverts: AdvertSocket
    strangers: HearingSocket
    farewells: HearingSocket

    def close(self) -> None:
        """Give the descriptors back."""
        for each in (self.farewells, self.strangers, self.adverts):
            each.close()


class Port:
    """The sockets of one interface and family, and the virtual routers behind them.

    Attributes:
        family: address family.
        link: the interface.
        socket: sends, and hears what may be believed.
        dropped: datagrams that no router here could be asked about, by reason.
        closed: True once its last router has left.
    """

    def __init__(
        self,
        family: Family,
        link: Link,
        sockets: Sockets,
        now: Callable[[], int],
        alarm: Clock,
        lateness: Lateness,
        together: Together,
    ) -> None:
        self.family = family
        self.link = link
        self.socket = sockets.adverts
        self.dropped = Counter[Reason]()
        self.closed = False
        self._sockets = sockets
        self._now = now
        self._alarm = alarm
        self._lateness = lateness
        self._together = together
        self._outbox: list[tuple[Sequence[Letter], Sent, Punctuality]] = []
        self._breath = BREATH
        self._returned = False  # somebody who posts waits to hear that it could be sent
        self._routers: dict[int, _Behind] = {}
        self._bursts = Bursts()

    def __contains__(self, vrid: int) -> bool:
        return vrid in self._routers

    def add(self, router: Singer, settings: Settings, take: Take, renews: Renews) -> None:
        """One more virtual router, of this router."""
        self._routers[settings.vrid] = _Behind(router, settings, take, renews)
        self._others_came_or_left()
        if len(self._routers) == 1:
            self._expect()
        else:
            self._expect_soon()

    def remove(self, vrid: int) -> bool:
        """One virtual router less; True while there are others."""
        if self._routers.pop(vrid, None) and self._routers:
            self._others_came_or_left()
            self._expect_soon()
        return bool(self._routers)

    def _others_came_or_left(self) -> None:
        shortest = min(each.settings.interval for each in self._routers.values())
        self._breath = max(BREATH, min(shortest // 100, LONGEST_BREATH))
        self._wake()

    def close(self) -> None:
        """No router is left."""
        self.closed = True
        self._sockets.close()
        self._alarm.close()

    async def run(self, awake: Callable[[], None]) -> None:
        """Hand over what comes in, until the port is closed; each round is bounded, so a flood delays nobody.

        Args:
            awake: called first after each wait.
        """
        full = False
        while not self.closed:  # its last router may leave between the wake-up and here, or while it reads
            await self._wait(together=len(self._routers) > MANY and not full)
            awake()
            datagrams = self.socket.receive(AT_ONCE)
            full = len(datagrams) == AT_ONCE  # and there may be a flood behind it
            if not self._hand_over(datagrams) and not self.closed:
                await self._breathe(BREATH)

    async def heed(self, awake: Callable[[], None]) -> None:
        """Wake the reader when an Active says that it leaves; arguments as for `run`."""
        while not self.closed:
            await self._sockets.farewells.wait_readable()
            awake()
            self._sockets.farewells.receive(AT_ONCE)
            self._wake()
            await trio.sleep(BREATH / SECOND)
            self._wake()  # the kernel may have given it to the first socket a moment later

    async def overhear(self, awake: Callable[[], None]) -> None:
        """Hand over a sample of what strangers send; arguments as for `run`."""
        while not self.closed:
            await self._sockets.strangers.wait_readable()
            awake()
            self._hand_over(self._sockets.strangers.receive(STRANGERS_AT_ONCE))
            await trio.sleep(STRANGERS_EVERY_S)

    async def _wait(self, *, together: bool) -> None:
        """Until there is something to read; `together`: all of a burst."""
        following = self._bursts.following(self._now(), len(self._routers)) if together else None
        if following is not None:
            await self._sleep(following)
            return
        await self.socket.wait_readable()
        if together:
            await self._breathe(self._breath)

    async def _breathe(self, length: int) -> None:
        """Let come in what comes within this time, nanoseconds."""
        await self._sleep(self._now() + length)

    async def _sleep(self, until: int) -> None:
        if not self.closed:
            self._alarm.arm(until)
            await self._alarm.wait()

    def _wake(self) -> None:
        """Read now, whatever is to be expected."""
        if not self.closed:
            self._alarm.arm(self._alarm.now())

    def post(self, letters: Sequence[Letter], sent: Sent, punctuality: Punctuality, *, returned: bool) -> None:
        """Send these before long, with others; at `flush` at the latest.

        Args:
            letters: one advertisement.
            sent: see `Sent`.
            punctuality: when it was due.
            returned: the one before could not be sent to everybody: `sent` is told in any case.
        """
        self._outbox.append((letters, sent, punctuality))
        self._returned |= returned
        if len(self._outbox) >= TOGETHER:
            self.flush()

    def flush(self) -> None:
        """Send what was posted."""
        if not self._outbox:
            return
        posted, self._outbox = self._outbox, []
        failed = dict(self.socket.send([letter for letters, _, _ in posted for letter in letters]))
        self._lateness.left([punctuality for _, _, punctuality in posted], self._now())
        ask, self._returned = failed or self._returned, False
        for _, sent, _ in posted if ask else ():
            sent(failed)

    def say(self, bundle: Bundle, roll: Roll, due: int) -> Mapping[Letter, SendError]:
        """Send regular advertisements now; those that could not be sent, and why.

        Args:
            bundle: of all virtual routers of the roll.
            roll: for whom.
            due: when, nanoseconds.
        """
        failed = dict(self.socket.send(bundle))
        self._lateness.left_together(roll, due, self._now())
        return failed

    def read(self) -> None:
        """Hand over everything that has come in already, without waiting: an advertisement may lie behind forgeries."""
        for _ in range(ROUNDS):
            datagrams = self.socket.receive(AT_ONCE)
            self._hand_over(datagrams)
            if len(datagrams) < AT_ONCE:
                return

    def forget(self, vrids: Container[int | None]) -> None:
        """Throw away what has come in for these virtual routers, and hand over the rest."""
        for _ in range(ROUNDS):
            datagrams = self.socket.receive(AT_ONCE)
            self._hand_over([each for each in datagrams if vrid_of(each) not in vrids])
            if len(datagrams) < AT_ONCE:
                return

    def _hand_over(self, datagrams: Sequence[Datagram]) -> bool:
        """Give each to its router; True where all of them were believed."""
        believed, again, now = 0, 0, self._now()
        if self._bursts.note(datagrams, now):
            return True
        for datagram in datagrams:
            behind = self._routers.get(vrid_of(datagram) or 0)
            if behind is None:
                self._count(datagram)
            elif behind.believed is datagram and behind.renewal is not None and behind.renewal.note(now):
                again += 1
            elif behind.take(datagram):
                behind.believed, behind.renewal = datagram, behind.renews()
                believed += 1
        if 0 < again == len(datagrams) and len(self._routers) > 1 and self._bursts.came_before(datagrams):
            self._know(datagrams)
        return believed + again == len(datagrams)

    def _know(self, datagrams: Sequence[Datagram]) -> None:
        """Each of them was believed: where all of them come again, they are only noted."""
        behind = {vrid: self._routers[vrid] for vrid in map(vrid_of, datagrams) if vrid in self._routers}
        pairs = zip(datagrams, behind.values(), strict=False)
        renewals = [each.renewal for datagram, each in pairs if each.believed is datagram and each.renewal is not None]
        if len(renewals) == len(datagrams):
            chorus = Heard(renewals)
            chorus.ended = self._wake
            self._bursts.know(datagrams, chorus)
            if len(renewals) > 1:
                self._together([each.router for each in behind.values()], chorus)

    def judge_anew(self) -> None:
        """The host has changed: what was believed need not be any more."""
        self._bursts.forget()
        self._wake()
        for behind in self._routers.values():
            behind.believed = None

    def _count(self, datagram: Datagram) -> None:
        verdict = validate(datagram, None, ())
        if isinstance(verdict, Drop):
            self.dropped[verdict.reason] += 1

    def _expect_soon(self) -> None:
        """Tell the sockets once, where many routers come or go together; either hears what the other one does not."""
        trio.lowlevel.current_trio_token().run_sync_soon(self._expect, idempotent=True)

    def _expect(self) -> None:
        """Tell the sockets what to expect; first the one that is to hear less, so that nothing is heard twice."""
        if self.closed:
            return
        expected = outline(self.family, [each.settings for each in self._routers.values()])
        self._sockets.strangers.expect(expected)
        self.socket.expect(expected)
        self._sockets.farewells.expect(expected)


class Ports:
    """All open ports."""

    def __init__(self, kernel: Kernel, opened: Callable[[Port], None], lateness: Lateness, together: Together) -> None:
        """Start with none.

        Args:
            kernel: opens the sockets.
            opened: starts the task that reads a new port.
            lateness: told which regular advertisements have left, and when.
            together: see `Together`.
        """
        self._kernel = kernel
        self._opened = opened
        self._lateness = lateness
        self._together = together
        self._ports: dict[tuple[Family, int], Port] = {}

    def __iter__(self) -> Iterator[Port]:
        return iter(self._ports.values())

    def flush(self) -> None:
        """Send what was posted at any of them."""
        for port in self._ports.values():
            port.flush()

    def join(self, link: Link, router: Singer, settings: Settings, take: Take, renews: Renews) -> Port:
        """Send the datagrams of a virtual router to `take`, opening the port where it is not open yet.

        Raises:
            VrrpdError: the sockets cannot be opened, or another router has this VRID on this interface.
        """
        key = settings.family, link.index
        if key not in self._ports:
            self._ports[key] = self._open(settings.family, link)
            self._opened(self._ports[key])
        port = self._ports[key]
        if settings.vrid in port:
            raise VrrpdError(f"VRID {settings.vrid} is taken on {link.name} by another router of this file")
        port.add(router, settings, take, renews)
        return port

    def leave(self, port: Port, vrid: int) -> None:
        """No more datagrams for this VRID; a port without routers is closed."""
        if not port.remove(vrid):
            del self._ports[port.family, port.link.index]
            port.close()

    def _open(self, family: Family, link: Link) -> Port:
        with ExitStack() as opened:
            strangers = self._kernel.stranger_socket(family, link.name, link.index)
            opened.callback(strangers.close)
            farewells = self._kernel.farewell_socket(family, link.name, link.index)
            opened.callback(farewells.close)
            socket = self._kernel.advert_socket(family, link.name, link.index)
            opened.callback(socket.close)
            now, alarm = self._kernel.clock.now, self._kernel.alarm()
            sockets = Sockets(socket, strangers, farewells)
            port = Port(family, link, sockets, now, alarm, self._lateness, self._together)
            opened.pop_all()
        return port
