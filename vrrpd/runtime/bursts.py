"""The bursts that a port hears again and again: each known as a whole, and when it comes the next time.

Where an Active advertises for many virtual routers it does so in bursts, the same ones in each interval. To be woken
costs more than to hear a whole burst that says what it said before: on a processor that was asleep, several hundred
microseconds. So while nothing but known bursts is to be expected, a port need not wait for the first packet of one and
then for its end; it sleeps until all of it is there. That takes virtual routers that are each for themselves, without
keys and Backup: as long as there is another one on the port, each burst is waited for.

The time of the next one is reckoned from the time at which a burst was waited for, which is done again now and then:
the clock of the other host is not ours, and who only ever reads by the clock cannot tell that he reads late.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from vrrpd.proto.datagram import Datagram
from vrrpd.proto.renewal import Heard
from vrrpd.proto.timers import MS

KNOWN = 32
"""So many bursts are known."""

SLACK = MS // 2
"""So much later than the last time a burst may be there as a whole, nanoseconds."""

BY_THE_CLOCK = 16
"""So often in a row it is read by the clock. With the one after that, which is waited for, no multiple of the bursts in
an interval (`config.members`), or one were always waited for and the others never."""


@dataclass(slots=True, eq=False)
class _Burst:
    """A burst.

    Attributes:
        datagrams: what it consists of; kept, so that nothing else has its identity.
        chorus: what all of them do; None where one at least did something else.
        due: when it is there as a whole the next time, nanoseconds.
    """

    datagrams: Sequence[Datagram]
    chorus: Heard | None = None
    due: int = 0


class Bursts:
    """The bursts of one port."""

    def __init__(self) -> None:
        self._known: dict[int, _Burst] = {}
        self._by_the_clock = 0

    def came_before(self, datagrams: Sequence[Datagram]) -> bool:
        """Whether this burst, the same object, was asked about before."""
        if id(datagrams) in self._known:
            return True
        if len(self._known) >= KNOWN:
            self._known.clear()
        self._known[id(datagrams)] = _Burst(datagrams)
        return False

    def know(self, datagrams: Sequence[Datagram], chorus: Heard) -> None:
        """Where this burst comes again, that is what it does."""
        self._known[id(datagrams)] = _Burst(datagrams, chorus)

    def forget(self) -> None:
        """What was believed need not be any more."""
        self._known.clear()

    def note(self, datagrams: Sequence[Datagram], now: int) -> bool:
        """Take a burst that is known like the last time.

        Args:
            datagrams: what has come.
            now: nanoseconds.

        Returns:
            False where each of them must be taken for itself.
        """
        burst = self._known.get(id(datagrams))
        if burst is None or burst.chorus is None or not burst.chorus.note(now):
            return False
        burst.due = (burst.due if self._by_the_clock else now + SLACK) + burst.chorus.interval
        return True

    def following(self, now: int, routers: int) -> int | None:
        """When the next burst is there as a whole, nanoseconds; None where something else may come, so wait for it.

        Args:
            now: nanoseconds.
            routers: how many virtual routers are to be heard of.
        """
        ahead = [b for b in self._known.values() if b.due > now and b.chorus is not None and b.chorus.intact]
        if self._by_the_clock >= BY_THE_CLOCK or sum(len(burst.datagrams) for burst in ahead) != routers:
            self._by_the_clock = 0
            return None
        self._by_the_clock += 1
        return min(burst.due for burst in ahead)
