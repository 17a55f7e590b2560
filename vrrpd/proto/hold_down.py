"""Flap protection: a router that gives its role away again and again is held down for a while.

A check that fails every few seconds would move the role, and with it every connection, as often. So after the third
release within a minute the router is held down: it takes part as a last resort only, which delays its preemption and
every voluntary takeover, but never leaves the address without a node. Ten seconds the first time, twice as long after
every further release, five minutes at most; ten minutes without a release forgive everything.

No clock: times are arguments, in nanoseconds.
"""

from __future__ import annotations

from vrrpd.proto.timers import SECOND

WINDOW = 60 * SECOND
"""Within what time releases are counted."""

TOLERATED = 2
"""Releases within the window that are nobody's concern."""

SHORTEST = 10 * SECOND
LONGEST = 300 * SECOND
QUIET = 600 * SECOND
"""Without a release for so long, a router begins anew."""


class HoldDown:
    """Counts the releases of one router.

    Attributes:
        until: when the last hold-down ends or ended; 0 where there was none.
        length: how long it is or was.
    """

    def __init__(self) -> None:
        self.until = 0
        self.length = 0
        self._releases: list[int] = []

    def released(self, now: int) -> None:
        """The router gave its role away because of its health."""
        if self._releases and now - self._releases[-1] >= QUIET:
            self.length = 0
        self._releases = [at for at in self._releases if now - at < WINDOW] + [now]
        if self.length or len(self._releases) > TOLERATED:
            self.length = min(2 * self.length, LONGEST) or SHORTEST
            self.until = now + self.length

    def active(self, now: int) -> bool:
        """Whether the router is held down now."""
        return now < self.until
