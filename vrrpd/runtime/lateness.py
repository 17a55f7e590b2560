"""How late our own regular advertisements leave: measured at each of them, and told to people.

Lateness counts from the moment for which Adver_Timer of an Active was set to the end of the system call that carried
the advertisement. A timer may be set early, so that many routers of a host speak in one go: early is not late. What has
no timer is not measured: the first advertisement of a reign, an answer, priority 0. One that the kernel refused counts
as well, for it was tried.

Owns the histogram of the agent, the worst of each virtual router, and the alarm `late_adverts`. `left` is called
between two advertisements, so it only counts; what people read is worked out in `look`, at leisure.
"""

from __future__ import annotations

import logging
from bisect import bisect_left
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from vrrpd.linux.real_time import GRANT
from vrrpd.proto.group import IN_TIME
from vrrpd.proto.states import Active, State
from vrrpd.proto.timers import MS, SECOND
from vrrpd.runtime.alarms import FADES_AFTER, Alarms, Code

BOUNDS = tuple(
    us * MS // 1000 for us in (100, 200, 500, 1000, 2000, 5000, 10_000, 20_000, 50_000, 100_000, 200_000, 500_000)
)
"""Upper ends of the histogram's buckets, nanoseconds; one more bucket has what is later."""

REPEATED = 3
ONE_IN = 100
"""Late ones within a minute that make the alarm: so many, and one in a hundred of a minute's advertisements.

One alone is any host's now and then, and harms nobody. At an interval of 10 ms a tenth is 1 ms, for which a shared
processor is taken away many times an hour: there it is 60 a minute, at 100 ms 6, from 200 ms on 3. Above 30 s
there are not as many in a minute: a stall of 3 s is seen by the guardian.
"""

WITHIN = 60 * SECOND
LOOK_EVERY = 10 * SECOND
"""The sentence of the alarm has numbers that move: who watches the status is not to read it anew each second."""


@dataclass(slots=True, eq=False)
class Punctuality:
    """The regular advertisements of one virtual router.

    Attributes:
        name: of the router in the file, and the family; for people.
        interval: Advertisement_Interval, nanoseconds.
        tolerated: a tenth of it.
        due: for when Adver_Timer was set before the last one left, nanoseconds.
        worst: the greatest lateness so far, nanoseconds.
        late: how many were later than that.
    """

    name: str
    interval: int
    due: int = 0
    worst: int = 0
    late: int = 0
    tolerated: int = field(init=False)

    def __post_init__(self) -> None:
        self.tolerated = self.interval // IN_TIME

    @property
    def enough(self) -> int:
        """So many late ones within a minute need a person."""
        return max(REPEATED, WITHIN // self.interval // ONE_IN)

    def is_due(self, state: State, now: int) -> bool:
        """Whether a regular advertisement is to leave in this state; takes note of since when."""
        if not isinstance(state, Active) or now < state.advert_at:
            return False
        self.due = state.advert_at
        return True


class Roll:
    """Virtual routers whose advertisements are always due, and leave, at the same time.

    Attributes:
        members: of each, how punctual it is.
        usual: so late they may be, nanoseconds, before anything has to be noted of one of them.
    """

    def __init__(self, members: Sequence[Punctuality]) -> None:
        self.members = members
        self.reckon()

    def reckon(self) -> None:
        """Work out what is usual."""
        self.usual = min(min(each.worst, each.tolerated) for each in self.members)


class Lateness:
    """The lateness of one agent.

    Attributes:
        counts: advertisements by lateness, one number for each of `BOUNDS` and one for what is later.
        worst: the greatest lateness so far, nanoseconds.
        alarms: those of the agent as a whole that come from it.
    """

    def __init__(self, real_time: Callable[[], bool]) -> None:
        """Begin to measure.

        Args:
            real_time: tells whether the event loop has real-time priority.
        """
        self.counts = [0] * (len(BOUNDS) + 1)
        self.worst = 0
        self.alarms = Alarms(logging.getLogger(__name__).warning)
        self._real_time = real_time
        self._late: dict[Punctuality, deque[tuple[int, int]]] = {}  # the last ones: when each left, and how late
        self._look_at = 0

    def left(self, those: Sequence[Punctuality], now: int) -> None:
        """Advertisements have left.

        Args:
            those: of each, its virtual router, with the time at which it was due.
            now: after the system call, nanoseconds.
        """
        counts, due, late, bucket = self.counts, None, 0, 0
        for punctuality in those:
            if punctuality.due != due:  # those of a burst were due at the same time
                due = punctuality.due
                late = now - due
                bucket = bisect_left(BOUNDS, late)
            counts[bucket] += 1
            if late > punctuality.worst or late > punctuality.tolerated:
                self._note(punctuality, late, now)

    def left_together(self, roll: Roll, due: int, now: int) -> None:
        """The same for all of a roll, due at this time (nanoseconds)."""
        late = now - due
        self.counts[bisect_left(BOUNDS, late)] += len(roll.members)
        if late > roll.usual:
            for punctuality in roll.members:
                self._note(punctuality, late, now)
            roll.reckon()

    def at_most(self, share: float) -> int | None:
        """The lateness that this share (0..1) of the advertisements did not exceed, nanoseconds; None before the first.

        It is the upper end of a bucket: what a histogram can promise.
        """
        wanted, seen = share * sum(self.counts), 0
        for bound, count in zip((*BOUNDS, self.worst), self.counts, strict=True):
            seen += count
            if seen and seen >= wanted:
                return min(bound, self.worst)
        return None

    def look(self, now: int) -> None:
        """Raise the alarm, or let it fade; asked for as often as one likes."""
        if now < self._look_at:
            return
        self._look_at = now + LOOK_EVERY
        self._late = {punctuality: last for punctuality, last in self._late.items() if now - last[-1][0] <= FADES_AFTER}
        many = {
            punctuality: last
            for punctuality, last in self._late.items()
            if len(last) == last.maxlen and last[-1][0] - last[0][0] <= WITHIN
        }
        if many:
            self.alarms.seen(Code.LATE_ADVERTS, self._sentence(many), max(last[-1][0] for last in many.values()))
        self.alarms.fade(now)

    def _note(self, punctuality: Punctuality, late: int, now: int) -> None:
        punctuality.worst = max(punctuality.worst, late)
        self.worst = max(self.worst, late)
        if late <= punctuality.tolerated:
            return
        punctuality.late += 1
        if punctuality not in self._late:
            self._late[punctuality] = deque(maxlen=punctuality.enough)
        self._late[punctuality].append((now, late))

    def _sentence(self, many: dict[Punctuality, deque[tuple[int, int]]]) -> str:
        """By how much, how often, and what helps; of the router that it harms most."""
        worst = {punctuality: max(late for _, late in last) for punctuality, last in many.items()}
        punctuality = max(many, key=lambda each: worst[each] / each.interval)
        last = many[punctuality]
        others = f" (and {len(many) - 1} more)" if len(many) > 1 else ""
        length = (last[-1][0] - last[0][0]) / SECOND
        said = (
            f"{len(last)} advertisements of {punctuality.name}{others} left late within {length:.1f} s: by more than a "
            f"tenth of the interval of {punctuality.interval / MS:g} ms, "
            f"and by {worst[punctuality] / MS:.1f} ms at worst"
        )
        mend = "it has real-time priority already: give the host more processors" if self._real_time() else GRANT
        return f"{said}; the agent waits for a processor: {mend}, or set a longer advert_interval on all nodes"
