"""One more advertisement like the last one: all that it changes is a time and a count, for who sends and who hears it.

An Active says the same bytes again and again, so what one more of them does to itself (`Rhythm`) and to a Backup
(`Renewal`) is worked out once. Each is then only noted, in a fraction of the time that it takes to handle one, and
whoever asks for the state gets it as if each had been handled.

Where many virtual routers do so at the same time, again and again, one note stands for all of them (`Chorus`): a
processor that wakes up for a moment takes longer to fetch what it knows of a hundred virtual routers than to do
anything about them. Each takes over what was noted when it is asked, and when something happens to it alone.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence

from vrrpd.proto.events import Received
from vrrpd.proto.states import Active, Backup


class Chorus:
    """Virtual routers for which one note stands.

    Attributes:
        at: when they were noted last, nanoseconds.
        deadline: when the first of their timers fires, nanoseconds.
        times: how often they were noted together.
        intact: False once something has happened to one of them alone: from now on each is noted for itself.
        ended: called when that happens.
    """

    __slots__ = ("at", "deadline", "ended", "intact", "times")

    def __init__(self, at: int, deadline: int) -> None:
        """Begin with none; whoever is noted together with others joins (`Routine.join`).

        Args:
            at: see above.
            deadline: likewise.
        """
        self.at = at
        self.deadline: int = deadline
        self.intact = True
        self.times = 0
        self.ended: Callable[[], None] = _nobody_asks

    def end(self) -> None:
        """Something has happened to one of them alone."""
        if self.intact:
            self.intact = False
            self.ended()


def _nobody_asks() -> None: ...


class Routine(ABC):
    """What one more advertisement like the last one does.

    Attributes:
        valid: False once something else has happened: the next one must be handled like any other.
    """

    __slots__ = ("_chorus", "_deadline", "_followed", "_noted", "valid")

    def __init__(self, deadline: int) -> None:
        self.valid = True
        self._deadline: int = deadline
        self._noted: int = 0
        self._chorus: Chorus | None = None
        self._followed: int = 0  # so many notes of the chorus were taken over

    @property
    def deadline(self) -> int:
        """When the timer fires, nanoseconds."""
        self._follow()
        return self._deadline

    @property
    def noted(self) -> int:
        """How many were noted since they were last counted."""
        self._follow()
        return self._noted

    def join(self, chorus: Chorus) -> None:
        """From now on be noted together with others."""
        self.leave()
        self._chorus, self._followed = chorus, chorus.times

    def leave(self) -> None:
        """From now on be noted alone, and so are the others."""
        if self._chorus is not None:
            self._follow()
            chorus, self._chorus = self._chorus, None
            chorus.end()

    def end(self) -> None:
        """Something else has happened."""
        self.leave()
        self.valid = False

    @abstractmethod
    def note(self, now: int) -> bool:
        """One more; False where it must be handled like any other: something else has happened, or it is not in time.

        Args:
            now: nanoseconds.
        """

    @abstractmethod
    def _take_over(self, chorus: Chorus, number: int) -> None:
        """So many were noted together."""

    def _follow(self) -> None:
        chorus = self._chorus
        if chorus is not None and chorus.times != self._followed:
            number, self._followed = chorus.times - self._followed, chorus.times
            self._noted += number
            self._take_over(chorus, number)

    def _counted(self) -> int:
        self._follow()
        number, self._noted = self._noted, 0
        return number


class Renewal(Routine):
    """What one more advertisement does to a Backup; `note` is all that the hearing of one costs.

    Attributes:
        event: the one that was handled.
        at: when the last one came that was counted or noted alone, nanoseconds.
        down: Active_Down_Interval, nanoseconds.
        interval: Active_Adver_Interval, nanoseconds.
        counted: told when and how many came, where somebody else than the router counts them.
    """

    __slots__ = ("at", "counted", "down", "event", "interval")

    def __init__(self, event: Received, armed: Backup, now: int) -> None:
        """Work it out.

        Args:
            event: an advertisement that was handled.
            armed: the Backup whose timer it armed.
            now: when that was, nanoseconds.
        """
        super().__init__(armed.down_at)
        self.event = event
        self.at: int = now
        self.down = armed.down_at - now
        self.counted: Callable[[int, int], None] | None = None
        self.interval = armed.interval

    def note(self, now: int) -> bool:
        """One more came."""
        if self._chorus is not None:
            self.leave()
        if not self.valid or now >= self._deadline:
            return False
        now = max(now, self.at)  # one that was handled in between read the clock later
        self.at = now
        self._deadline = now + self.down
        self._noted += 1
        return True

    def count(self) -> tuple[Backup, int]:
        """The state after the last one, and how many came since this was asked."""
        number = self._counted()
        if self.counted is not None:
            self.counted(self.at, number)
        return Backup(self._deadline, self.interval, self.event.source), number

    def _take_over(self, chorus: Chorus, number: int) -> None:
        self.at = chorus.at
        self._deadline = self.at + self.down


class Rhythm(Routine):
    """What one more regular advertisement does to the Active that sends it; `note` is all that its timer costs.

    Attributes:
        interval: between two advertisements, nanoseconds.
    """

    __slots__ = ("_state", "_steady", "interval")

    def __init__(self, state: Active, interval: int) -> None:
        """Work it out.

        Args:
            state: the Active, which has just advertised.
            interval: between two advertisements from now on, nanoseconds.
        """
        super().__init__(state.advert_at)
        self.interval = interval
        self._state = state
        self._steady = False

    @property
    def steady(self) -> bool:
        """True where nothing else has happened for a while."""
        return self.valid and self._steady

    def note(self, now: int) -> bool:
        """Send one more."""
        if self._chorus is not None:
            self.leave()
        if not self.valid or not 0 <= now - self._deadline < self.interval // 2:
            return False
        self._steady = self._noted > 0
        self._deadline += self.interval
        self._noted += 1
        return True

    def count(self) -> tuple[Active, int]:
        """The state after the last one, and how many were sent since this was asked."""
        number = self._counted()
        return Active(self._deadline, self._state.since, self._state.replied_at), number

    def _take_over(self, chorus: Chorus, number: int) -> None:
        self._deadline += number * self.interval


class Heard(Chorus):
    """Backups that hear one more advertisement each, all at once.

    Attributes:
        interval: the shortest Active_Adver_Interval, nanoseconds.
    """

    __slots__ = ("_down", "interval")

    def __init__(self, renewals: Sequence[Renewal]) -> None:
        """Note these together, all of which were noted, or made, at about the same time."""
        super().__init__(max(each.at for each in renewals), min(each.deadline for each in renewals))
        self._down = min(each.down for each in renewals)
        self.interval = min(each.interval for each in renewals)
        for each in renewals:
            each.join(self)

    def note(self, now: int) -> bool:
        """One more came for each; False where each must be taken for itself.

        Args:
            now: nanoseconds.
        """
        if not self.intact or now >= self.deadline:
            return False
        self.at = max(now, self.at)
        self.deadline = self.at + self._down
        self.times += 1
        return True


class Spoken(Chorus):
    """Actives that send one more advertisement each, all at once."""

    __slots__ = ("_interval",)

    def __init__(self, rhythms: Sequence[Rhythm]) -> None:
        """Note these together, whose deadline and interval are the same."""
        super().__init__(0, rhythms[0].deadline)
        self._interval = rhythms[0].interval
        for each in rhythms:
            each.join(self)

    def note(self, now: int) -> bool:
        """Send one more for each; False where each must be sent for itself.

        Args:
            now: nanoseconds.
        """
        if not self.intact or not 0 <= now - self.deadline < self._interval // 2:
            return False
        self.at = now
        self.deadline += self._interval
        self.times += 1
        return True
