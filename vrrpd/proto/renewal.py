"""One more advertisement like the last one: all that it changes in a Backup is a time and a count.

An Active says the same bytes again and again, so what one more of them does to a Backup is worked out once. Each is
then only noted, in a fraction of the time that it takes to judge and handle one, and whoever asks for the state gets it
as if each had been handled.
"""

from __future__ import annotations

from collections.abc import Callable

from vrrpd.proto.events import Received
from vrrpd.proto.states import Backup


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
