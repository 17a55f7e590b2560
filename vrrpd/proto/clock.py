"""UTC as the authentication believes it: the host's clock, except that it does not follow a step at once.

Signed advertisements carry the time, and a node whose clock jumps would find everybody else's stale, and everybody
would find its own stale: two Actives, from one wrong answer of a time server. So the believed time goes on with the
monotonic clock after a step of the host's clock, until a signed advertisement agrees with the host's clock (then the
host is right), or for an hour (then somebody has seen the alarm). The hour begins anew with each signed advertisement
that agrees with the believed time. What the host's clock is moved by gradually is followed at once.

Who followed a step for the hour's sake may have been wrong in that: the time before stays a candidate for another hour,
and the first signed advertisement that agrees with it, such as that of a Backup that did not believe us any more and
took over, makes us return to it.
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
        self._disbelieved_since = 0
        self._former: int | None = None  # the offset before a step that was followed for the hour's sake
        self._former_until = 0

    def read(self, at: Instant) -> int:
        """The believed time, nanoseconds since 1970-01-01 UTC."""
        offset = at.wall - at.now
        if self._former is not None and at.now >= self._former_until:
            self._former = None
        if self._offset is None or abs(offset - self._offset) <= GRADUAL:
            self._offset, self.step = offset, 0
        elif self._former is not None and abs(offset - self._former) <= GRADUAL:  # the host has come back to it
            self.believe(at.wall, at)
        else:
            if not self.step:
                self._disbelieved_since = at.now
            if at.now - self._disbelieved_since >= LONGEST_DISBELIEF:
                self._former, self._former_until = self._offset, at.now + LONGEST_DISBELIEF
                self._offset = offset
            self.step = offset - self._offset
        return at.now + self._offset

    def candidates(self, at: Instant) -> list[int]:
        """The times that may be right, each once: the believed one first, the host's, and the one believed before."""
        times = [self.read(at)]
        if self.step:
            times.append(at.wall)
        if self._former is not None:
            times.append(at.now + self._former)
        return times

    def believe(self, time: int, at: Instant) -> None:
        """A signed advertisement that came at this instant agrees with this candidate."""
        self._offset, self._former = time - at.now, None
        self.step = at.wall - time
        self._disbelieved_since = at.now
