"""One more advertisement like the last one: all that it changes is a time and a count, for who sends and who hears it.

An Active says the same bytes again and again, so what one more of them does to itself (`Rhythm`) and to a Backup
(`Renewal`) is worked out once. Each is then only noted, in a fraction of the time that it takes to handle one, and
whoever asks for the state gets it as if each had been handled.
"""

from __future__ import annotations

from collections.abc import Callable

from vrrpd.proto.events import Received
from vrrpd.proto.states import Active, Backup


class Renewal:
    """What one more advertisement does; `note` is all that the hearing of one costs.

    Attributes:
        event: the one that was handled.
        deadline: when Active_Down_Timer fires, nanoseconds.
        at: when the last one came, nanoseconds.
        noted: how many came since they were last counted.
        valid: False once something else has happened: the next one must be handled like any other.
        counted: told when and how many came, where somebody else than the router counts them.
    """

    __slots__ = ("_down", "_interval", "at", "counted", "deadline", "event", "noted", "valid")

    def __init__(self, event: Received, armed: Backup, now: int) -> None:
        """Work it out.

        Args:
            event: an advertisement that was handled.
            armed: the Backup whose timer it armed.
            now: when that was, nanoseconds.
        """
        self.event = event
        self.deadline = armed.down_at
        self.at: int = now
        self.noted = 0
        self.valid = True
        self.counted: Callable[[int, int], None] | None = None
        self._down = armed.down_at - now
        self._interval = armed.interval

    def note(self, now: int) -> bool:
        """One more came; False where it must be handled like any other: something else has happened, or it is late."""
        if not self.valid or now >= self.deadline:
            return False
        now = max(now, self.at)  # one that was handled in between read the clock later
        self.at = now
        self.deadline = now + self._down
        self.noted += 1
        return True

    def count(self) -> tuple[Backup, int]:
        """The state after the last one, and how many came since this was asked."""
        number, self.noted = self.noted, 0
        if self.counted is not None:
            self.counted(self.at, number)
        return Backup(self.deadline, self._interval, self.event.source), number


class Rhythm:
    """What one more regular advertisement does to the Active that sends it; `note` is all that its timer costs.

    Attributes:
        deadline: when Adver_Timer fires, nanoseconds.
        noted: how many were sent since they were last counted.
        valid: False once something else has happened: the next one must be handled like any other.
    """

    __slots__ = ("_interval", "_state", "deadline", "noted", "valid")

    def __init__(self, state: Active, interval: int) -> None:
        """Work it out.

        Args:
            state: the Active, which has just advertised.
            interval: between two advertisements from now on, nanoseconds.
        """
        self.deadline = state.advert_at
        self.noted = 0
        self.valid = True
        self._state = state
        self._interval = interval

    def note(self, now: int) -> bool:
        """Send one more; False where that must be handled like any other: something has happened, or it is not time."""
        if not self.valid or not 0 <= now - self.deadline < self._interval // 2:
            return False
        self.deadline += self._interval
        self.noted += 1
        return True

    def count(self) -> tuple[Active, int]:
        """The state after the last one, and how many were sent since this was asked."""
        number, self.noted = self.noted, 0
        return Active(self.deadline, self._state.since, self._state.replied_at), number
