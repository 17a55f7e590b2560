"""Telling the neighbours where the addresses are, right after they moved, a few times more, and now and again.

Gratuitous ARP for IPv4 (RFC 5227, RFC 9568 6.4.2), unsolicited neighbour advertisements for IPv6 (RFC 4861 7.2.6).

The first few go out in the call that asks for them: every host of the link waits for those. All others are sent by a
task, in small pieces with a pause between them, so that no advertisement waits for them and no switch that limits such
frames loses them.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address

import trio

from vrrpd.config.spec import Announce
from vrrpd.errors import VrrpdError
from vrrpd.linux.announce import gratuitous_arp, neighbour_advertisement
from vrrpd.linux.netlink import Link
from vrrpd.proto.settings import Address, Family
from vrrpd.proto.timers import MS, SECOND
from vrrpd.runtime.kernel import FrameSocket, Kernel
from vrrpd.runtime.schedule import Schedule

PIECE = 32
PAUSE = MS
AGAIN = (0, 100 * MS)
SHORTEST_PAUSE = 20 * MS


@dataclass(slots=True, eq=False)
class _Campaign:
    """One virtual router's announcements: what, when next (ascending, nanoseconds), when last."""

    who: Hashable
    places: Sequence[tuple[Address, Link]]
    times: list[int]
    every: int | None
    last: int | None = None

    @property
    def deadline(self) -> int | None:
        return self.times[0] if self.times else None

    def advance(self, now: int) -> None:
        """Strike off what is due; the last of the schedule is followed by the next regular time."""
        self.last = now
        self.times = [t for t in self.times if t > now]
        if not self.times and self.every is not None:
            self.times = [now + self.every]


class Announcer:
    """The announcements of all virtual routers; `run` sends those that are not sent at once."""

    def __init__(self, kernel: Kernel, now: Callable[[], int], awake: Callable[[], None]) -> None:
        """Start with nothing to announce.

        Args:
            kernel: opens the sockets.
            now: the clock, nanoseconds.
            awake: called first after each wait; it may end campaigns.
        """
        self._kernel = kernel
        self._now = now
        self._awake = awake
        self._campaigns: dict[Hashable, _Campaign] = {}
        self._schedule = Schedule[_Campaign]()
        self._following: int | None = None  # what the task sleeps for
        self._sockets: dict[int, FrameSocket] = {}
        self._burst, self._burst_began = 0, now()
        self._alarm = kernel.alarm()
        self._call = trio.Event()

    def begin(self, who: Hashable, places: Sequence[tuple[Address, Link]], schedule: Announce) -> None:
        """Announce these addresses now, before it returns where they are few, and on the schedule, until `end`.

        Beginning again, as after a contradiction, announces now and 100 ms later whatever the schedule says, but no
        sooner than 20 ms after the last time.
        """
        if not schedule.times and schedule.every is None:
            return
        now, known = self._now(), self._campaigns.get(who)
        after = (*schedule.times, *AGAIN) if known else schedule.times
        earliest = known.last + SHORTEST_PAUSE if known and known.last is not None else now
        times = sorted({max(now + t, earliest) for t in after or (schedule.every or 0,)})
        self.end(who)
        campaign = self._campaigns[who] = _Campaign(who, places, times, schedule.every, known.last if known else None)
        if times[0] <= now and 2 * len(places) <= self._room(now):
            campaign.advance(now)
            for address, link in places:
                self._tell(address, link)
        self._schedule.renew(campaign)
        following = campaign.deadline
        if following is not None and (self._following is None or following < self._following):
            self._call.set()

    def end(self, who: Hashable) -> None:
        """The addresses are no longer here."""
        campaign = self._campaigns.pop(who, None)
        if campaign is not None:
            self._schedule.forget(campaign)

    def forget(self, link: Link) -> None:
        """The interface is gone; another of the same name gets a new socket."""
        socket = self._sockets.pop(link.index, None)
        if socket is not None:
            socket.close()

    def close(self) -> None:
        """Close the sockets."""
        for socket in self._sockets.values():
            socket.close()
        self._sockets.clear()
        self._alarm.close()

    async def run(self) -> None:
        """Send what is due, for ever."""
        while True:
            now = self._now()
            due = self._schedule.due(now)
            for campaign in sorted(due, key=lambda each: each.last is not None):  # repeats can wait
                if self._campaigns.get(campaign.who) is campaign:
                    campaign.advance(now)
                    self._schedule.renew(campaign)
                    await self._send(campaign)
            if not due:
                await self._sleep(now)

    async def _sleep(self, now: int) -> None:
        self._following = following = self._schedule.next()
        with trio.move_on_after(float("inf") if following is None else (following - now) / SECOND):
            await self._call.wait()
        self._awake()
        self._call = trio.Event()

    async def _send(self, campaign: _Campaign) -> None:
        """Send one round; it ends where the role does: what a loser says last is what a switch believes."""
        for address, link in campaign.places:
            while self._room(self._now()) <= 0:
                self._alarm.arm(self._alarm.now() + self._burst_began + PAUSE - self._now())
                await self._alarm.wait()
                self._awake()
            if self._campaigns.get(campaign.who) is not campaign:
                return
            self._tell(address, link)

    def _room(self, now: int) -> int:
        """How many frames more may be sent now, of all virtual routers together, for they often move together."""
        if now - self._burst_began >= PAUSE:
            self._burst, self._burst_began = 0, now
        return PIECE - self._burst

    def _tell(self, address: Address, link: Link) -> None:
        try:
            for frame in self._frames(address, link):
                self._burst += 1
                self._socket(link).send(frame)
        except VrrpdError:  # the interface is gone, and the event that says so is on its way
            return

    def _frames(self, address: Address, link: Link) -> tuple[bytes, ...]:
        if link.noarp or link.loopback:  # nobody there resolves addresses
            return ()
        if isinstance(address, IPv4Address):
            return gratuitous_arp(address, link.mac)  # some devices learn from requests only, others from replies
        routes = self._kernel.read_setting(Family.IPV6, link.name, "forwarding") == 1
        return (neighbour_advertisement(address, link.mac, router=routes),)

    def _socket(self, link: Link) -> FrameSocket:
        if link.index not in self._sockets:
            self._sockets[link.index] = self._kernel.frame_socket(link.name)
        return self._sockets[link.index]
