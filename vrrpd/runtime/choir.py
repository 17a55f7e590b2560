"""Routers that do the same at the same time, again and again: one burst that is sent, or heard, stands for all of them.

Owns what a burst of regular advertisements takes to be sent once more as a whole, and the routers for which the
schedule has one entry in place of one for each. Any router may leave at any moment, because something happens to it:
then the choir is over, the others go on alone, and the next one is formed when they have done so for a while.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias

from vrrpd.linux.letters import Bundle, Letter
from vrrpd.linux.send_error import SendError
from vrrpd.proto.renewal import Chorus, Rhythm, Spoken
from vrrpd.proto.timers import MS
from vrrpd.runtime.lateness import Punctuality, Roll

EARLY = 2 * MS
"""So many nanoseconds before Active_Down_Timer fires a Backup looks whether somebody spoke: what has not run for a
while takes several times as long, and who was just awake is woken sooner."""


Sent: TypeAlias = Callable[[Mapping[Letter, SendError]], None]
"""Told which letters could not be sent, and why; not told anything while all can."""


class Singer(Protocol):
    """A router, as far as deadlines and choirs know it (`routers.Router`).

    Attributes:
        choir: with whom it is one for the schedule; None where it is alone.
    """

    choir: Choir | None

    @property
    def deadline(self) -> int | None:
        """When it has something to do, nanoseconds."""
        ...

    @property
    def verse(self) -> Verse | None:
        """What it says again and again; None where there is more to it."""
        ...

    def speak(self, now: int) -> bool:
        """Post the regular advertisements that are due; False where there is more to do."""
        ...

    def look(self) -> None:
        """Before it may have to take the role: has anybody spoken?"""
        ...

    def tick(self, woken: int, waiting: int) -> None:
        """A deadline may have passed."""
        ...


class Stage(Protocol):
    """Where several say something together (`ports.Port`)."""

    def post(self, letters: Sequence[Letter], sent: Sent, punctuality: Punctuality, *, returned: bool) -> None:
        """Send these before long, with others."""
        ...

    def say(self, bundle: Bundle, roll: Roll, due: int) -> Mapping[Letter, SendError]:
        """Send these now; those that could not be sent, and why."""
        ...


@dataclass(frozen=True, slots=True)
class Verse:
    """What one router says again and again.

    Attributes:
        rhythm: when.
        port: where.
        letters: the advertisement.
        sent: told what could not be sent.
        punctuality: of the virtual router.
    """

    rhythm: Rhythm
    port: Stage
    letters: Sequence[Letter]
    sent: Sent
    punctuality: Punctuality


class Choir(ABC):
    """Some routers, for as long as nothing happens to one of them alone.

    Attributes:
        routers: who they are.
        chorus: what one note for all of them does.
    """

    def __init__(self, routers: Sequence[Singer], chorus: Chorus) -> None:
        """Let them be one.

        Args:
            routers: each in one choir at most; this is theirs now.
            chorus: of all of them.
        """
        self.routers = routers
        self.chorus = chorus
        for each in routers:
            each.choir = self

    @property
    def deadline(self) -> int:
        """When there is something to do for one of them, nanoseconds."""
        return self.chorus.deadline

    @abstractmethod
    def speak(self, now: int) -> bool:
        """Do what is due for all of them; False where each has to be asked for itself."""

    def leave(self) -> Iterator[Singer]:
        """It is over; those who are in no other by now."""
        self.chorus.end()
        for each in self.routers:
            if each.choir is self:
                each.choir = None
                yield each


class Listeners(Choir):
    """Backups that hear their Actives together."""

    def __init__(self, routers: Sequence[Singer], chorus: Chorus) -> None:
        super().__init__(routers, chorus)
        self._looked_for: int | None = None

    @property
    def deadline(self) -> int:
        """When to look, and then when the first Active_Down_Timer fires, nanoseconds."""
        due = self.chorus.deadline
        return due if due == self._looked_for else due - EARLY

    def speak(self, now: int) -> bool:
        """Look for all of them, a little before one may have to take the role (see `EARLY`)."""
        due = self.chorus.deadline
        if now >= due:
            return False
        self.routers[0].look()
        self._looked_for = due
        return True


class Speakers(Choir):
    """Actives of one port that speak at the same time."""

    def __init__(self, routers: Sequence[Singer], verses: Sequence[Verse]) -> None:
        chorus = Spoken([verse.rhythm for verse in verses])
        super().__init__(routers, chorus)
        self._spoken = chorus
        self._verses = verses
        self._port = verses[0].port
        self._bundle = Bundle(letter for verse in verses for letter in verse.letters)
        self._roll = Roll([verse.punctuality for verse in verses])

    def speak(self, now: int) -> bool:
        """Send the advertisements of all."""
        due = self._spoken.deadline
        if not self._spoken.note(now):
            return False
        failed = self._port.say(self._bundle, self._roll, due)
        for verse in self._verses if failed else ():
            verse.sent(failed)
        return True


def choirs(spoke: Sequence[Singer | Choir]) -> Iterator[Choir]:
    """Form choirs of those that have just spoken, each for itself, and will do so together next time."""
    together: defaultdict[_Moment, list[tuple[Singer, Verse]]] = defaultdict(list)
    for router in (each for each in spoke if not isinstance(each, Choir)):
        verse = router.verse
        if verse is not None and verse.rhythm.steady:
            together[_moment(verse)].append((router, verse))
    for choir in (each for each in spoke if isinstance(each, Speakers)) if together else ():
        pairs = [(router, router.verse) for router in choir.routers]
        verse = pairs[0][1]
        if verse is not None and _moment(verse) in together:
            together[_moment(verse)] += [(r, v) for r, v in pairs if v is not None and v.rhythm.valid]
    for pairs in together.values():
        if len(pairs) > 1:
            yield Speakers([router for router, _ in pairs], [verse for _, verse in pairs])


_Moment: TypeAlias = tuple[int, int, int]


def _moment(verse: Verse) -> _Moment:
    """Where and when it is said next; those that have it in common are one."""
    return id(verse.port), verse.rhythm.deadline, verse.rhythm.interval
