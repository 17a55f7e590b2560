"""UTC as the authentication believes it: the host's clock, except that it does not follow a step at once.

Signed advertisements carry the time, and a node whose clock jumps would find everybody else's stale, and everybody
would find its own stale: two Actives, from one wrong answer of a time server. So the believed time goes on with the
monotonic clock after a step of the host's clock, until a signed advertisement agrees with the host's clock (then the
host is right), or the step has lasted for an hour (then somebody has seen the alarm). What the host's clock is moved
by gradually is followed at once.
"""

from __future__ import annotations

from dataclasses import dataclass

from vrrpd.proto.timers import SECOND

GRADUAL = SECOND
"""Up to here a change between two looks at the clock is no step."""

LONGEST_DISBELIEF = 3600 * SECOND


@dataclass(frozen=True, slots=True)
class Instant:
    """One moment on both clocks of a host, read together.

    Attributes:
        now: nanoseconds on the monotonic clock.
        wall: nanoseconds since 1970-01-01 UTC, as the host has it.
    """

    now: int
    wall: int


class SteadyClock:
    """The believed time.

    Attributes:
        step: by how much the host's clock is ahead of the believed one, nanoseconds; 0 while they go together.
    """

    def __init__(self) -> None:
        self.step = 0
        self._offset: int | None = None  # of the believed time before the monotonic clock
        self._stepped_at = 0

    def read(self, at: Instant) -> int:
        """The believed time, nanoseconds since 1970-01-01 UTC."""
        offset = at.wall - at.now
        if self._offset is None or abs(offset - self._offset) <= GRADUAL:
            return self.follow(at)
        if not self.step:
            self._stepped_at = at.now
        if at.now - self._stepped_at >= LONGEST_DISBELIEF:
            return self.follow(at)
        self.step = offset - self._offset
        return at.now + self._offset

    def follow(self, at: Instant) -> int:
        """Believe the host's clock as it is now; returns its time."""
        self._offset, self.step = at.wall - at.now, 0
        return at.wall
