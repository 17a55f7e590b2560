"""Was the event loop awake all the time? Asked first after every wait, before anything is done about anything.

A process that was stopped, and a machine that was paused, go on exactly where they were: with the role they had, with
a renewal half done. Meanwhile others have taken over. So each task of the runtime calls `look` when it wakes up, before
it handles an event or touches an address. It reads two things:

- the guardian's word: it saw us frozen, said priority 0 for us, and took our addresses away;
- the clocks: the loop slept longer than Active_Down_Interval. CLOCK_MONOTONIC stands still while a machine is
  suspended, CLOCK_BOOTTIME does not, so both are read.

Either makes all routers drop everything, listen as after a start, and only then take part again. Otherwise `look`
leaves the stamp that shows the guardian a healthy loop. The one timer sees to it that somebody looks often enough.

The worker thread asks `fresh` right before it writes: an addition that was pending in a frozen process must not run.
"""

from __future__ import annotations

from collections.abc import Callable

from vrrpd.proto.timers import MS, SECOND
from vrrpd.runtime.kernel import Clock, Guardian

IDLE = SECOND
"""How often the loop is looked at while nothing is held; twice in an Active_Down_Interval at least."""

RECKONED_EVERY = SECOND
"""How often it is found out anew how patient the guardian may be."""

_SHORTEST_F, _LONGEST_F = 100 * MS, SECOND


def freeze_limit(interval: int) -> int:
    """After how much silence the guardian acts (F), for the shortest interval of an Active router, nanoseconds."""
    return min(max(interval, _SHORTEST_F), _LONGEST_F)


class Vigil:
    """The watch over the event loop.

    Attributes:
        patience: the shortest Active_Down_Interval of all routers, nanoseconds; a longer sleep is a gap.
    """

    def __init__(
        self,
        clock: Clock,
        guardian: Guardian,
        limit: Callable[[], int | None],
        overslept: Callable[[str, int | None], None],
    ) -> None:
        """Begin the watch.

        Args:
            clock: both clocks.
            guardian: gets our stamps, and has the last word.
            limit: the present F in nanoseconds, None where nothing is held.
            overslept: drops what is held, for the reason given, by all routers whose Active_Down_Interval is shorter
                than this sleep (nanoseconds; None: by all).
        """
        self.patience = SECOND
        self._clock = clock
        self._guardian = guardian
        self._limit = limit
        self._overslept = overslept
        self._seen = clock.now()
        self._seen_boot = clock.boot()
        self._beat = IDLE
        self._told: int | None = None
        self._reckoned = self._seen

    @property
    def due(self) -> int:
        """When the guardian wants to see a sign of life at the latest, nanoseconds; `beat` gives it."""
        return self._seen + self._beat

    def beat(self) -> None:
        """Look, and now and then how often that is needed."""
        self.look()
        if self._seen - self._reckoned >= RECKONED_EVERY:
            self.holding()

    def look(self) -> None:
        """Drop everything where the loop was not awake all the time, else leave a stamp."""
        now, boot = self._clock.now(), self._clock.boot()
        slept = self._slept(now, boot)
        self._seen, self._seen_boot = now, boot
        if self._guardian.acted:
            self._overslept(f"frozen for {slept / SECOND:.1f} s: the guardian has let go of everything", None)
            self._guardian.resume()
        elif slept > self.patience:
            self._overslept(f"the agent slept for {slept / SECOND:.1f} s", slept)
        self._guardian.stamp(now)

    def fresh(self) -> bool:
        """False where the loop does not turn, as far as that can be seen from the worker thread."""
        return not self._guardian.acted and self._slept(self._clock.now(), self._clock.boot()) <= self.patience

    def will_hold(self, interval: int) -> None:
        """A router with this interval, nanoseconds, is about to hold something."""
        if self._told is None or freeze_limit(interval) < self._told:
            self.holding()

    def holding(self) -> None:
        """Something is held from now on, or no more: the guardian is told how patient it may be."""
        limit = self._told = self._limit()
        self._reckoned = self._seen
        self._beat = min(IDLE if limit is None else limit // 4, self.patience // 2)
        if limit is not None:
            self._guardian.watch(limit)

    def _slept(self, now: int, boot: int) -> int:
        return max(now - self._seen, boot - self._seen_boot)
