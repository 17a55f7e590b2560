"""How long the driver of a mover waits: after a failure, and between two looks at what it holds.

The waits after a failure depend on whose fault it is. What comes and goes (a connection, a 5xx) is tried again soon,
at random instants, so that two nodes do not knock in step; where the service asks for patience it is given; what only
a person can mend is asked rarely. Jitter never brings a try forward of what a service may insist on, and never puts a
look off beyond its interval.

No clock: times are arguments, in seconds.
"""

from __future__ import annotations

from collections import deque
from math import inf
from random import Random

from vrrpd.movers.base import (
    ForbiddenError,
    HalfDoneError,
    InvalidError,
    MoverError,
    ThrottledError,
    UnauthenticatedError,
)

WARM_EVERY_S = 30
"""How often a mover is prepared; less than the idle time after which a NAT forgets a connection."""

SETTLED_S = 2
"""After how long a Backup looks what a node that has become Active has brought about."""

AFTER_A_MOVE_S = (0.5, 1, 2, 4, 8)
"""When the holder is asked after an acknowledged move: a late write of the loser lands in the first of these."""

LOCAL_EVERY_S = 5

_SOON_S, _SOON_CAP_S = 0.1, 2
_THROTTLED_S, _THROTTLED_CAP_S = 0.5, 5
_CREDENTIALS_S = 5
_PERSON_S = 30
_LONGEST_S = 3600  # a service that asks for more has lost count
_JITTER = 0.2
_DOUBLINGS = 16  # beyond every cap


def later(random: Random, wait: float) -> float:
    """A wait that is this long, or up to a fifth longer."""
    return wait * random.uniform(1, 1 + _JITTER)


def sooner(random: Random, wait: float) -> float:
    """A wait that is this long, or up to a fifth shorter."""
    return wait * random.uniform(1 - _JITTER, 1)


class Pace:
    """Counts the failures in a row of one undertaking, and says how long to wait after each."""

    def __init__(self, random: Random) -> None:
        self._random = random
        self._family: type[MoverError] | None = None
        self._before = 0

    def after(self, error: MoverError) -> float:
        """How long to wait before the next try, in seconds; 0 where new credentials are to be tried at once."""
        family = next((kind for kind in _FAMILIES if isinstance(error, kind)), MoverError)
        self._before = self._before + 1 if family is self._family else 0
        self._family = family
        doubled = 2 ** min(self._before, _DOUBLINGS)
        match error:
            case ThrottledError():
                own = later(self._random, min(_THROTTLED_S * doubled, _THROTTLED_CAP_S))
                return max(own, min(error.retry_after or 0, _LONGEST_S))
            case UnauthenticatedError() if error.pause is not None:
                return later(self._random, min(error.pause, _PERSON_S))  # to see whether the secret is another one
            case UnauthenticatedError():
                return later(self._random, _CREDENTIALS_S) if self._before else 0
            case HalfDoneError():
                return later(self._random, min(_CREDENTIALS_S * doubled, _PERSON_S))
            case ForbiddenError() | InvalidError():
                return later(self._random, _PERSON_S)
            case _:
                return self._random.uniform(0, min(_SOON_S * doubled, _SOON_CAP_S))

    def succeeded(self) -> None:
        """The row has ended."""
        self._family = None


def needs_a_person(error: MoverError, wait: float) -> bool:
    """Whether trying again does not mend this; new credentials that may be tried at once (`wait` 0) may."""
    return isinstance(error, ForbiddenError | InvalidError | HalfDoneError) or (
        isinstance(error, UnauthenticatedError) and wait > 0
    )


_FAMILIES = (ThrottledError, UnauthenticatedError, ForbiddenError, InvalidError, HalfDoneError)


class Looks:
    """When an Active looks whether it still has the thing.

    Attributes:
        holder: when the service is asked next.
        local: when this host is asked next; infinite where it cannot tell.
    """

    def __init__(self, now: float, interval: float, random: Random) -> None:
        """Begin to look after it.

        Args:
            now: when it came here, or was found here.
            interval: between two questions to the service.
            random: for jitter.
        """
        self._interval = interval
        self._random = random
        self._first = deque(now + after for after in AFTER_A_MOVE_S)
        begins = self._first[-1]
        self.holder = 0.0
        self.local = begins
        self.asked(now)
        self.asked_locally(begins)

    @property
    def next(self) -> float:
        """When the next look of either kind is due."""
        return min(self.holder, self.local)

    def asked(self, now: float) -> None:
        """The service was asked; an answer that took long has overtaken the questions that were due meanwhile."""
        while self._first and self._first[0] <= now:
            self._first.popleft()
        self.holder = self._first.popleft() if self._first else now + sooner(self._random, self._interval)

    def asked_locally(self, now: float) -> None:
        """This host was asked."""
        self.local = now + sooner(self._random, LOCAL_EVERY_S)

    def never_locally(self) -> None:
        """This host cannot tell."""
        self.local = inf

    def not_after(self, when: float) -> None:
        """Ask the service at this time, or before."""
        self.holder = min(self.holder, when)

    def not_before(self, when: float) -> None:
        """Ask the service at this time, or after."""
        self.holder = max(self.holder, when)
