"""Routers that do the same at the same time, again and again: one burst that is sent, or heard, stands for all of them.

Owns what a burst of regular advertisements takes to be sent once more as a whole, and the routers for which the
schedule has one entry in place of one for each. Any router may leave at any moment, because something happens to it:
then the choir is over, the others go on alone, and the next one is formed when they have done so for a while.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from vrrpd.linux.letters import Bundle, Letter
from vrrpd.proto.renewal import Chorus, Rhythm, Spoken
from vrrpd.runtime.lateness import Punctuality, Roll
from vrrpd.runtime.ports import Port, Sent

if TYPE_CHECKING:
    from vrrpd.runtime.routers import Router


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
    port: Port
    letters: Sequence[Letter]
    sent: Sent
    punctuality: Punctuality


class Choir:
    """Some routers, for as long as nothing happens to one of them alone.

    Attributes:
        routers: who they are.
        chorus: what one note for all of them does.
    """

    def __init__(self, routers: Sequence[Router], chorus: Chorus, perform: Callable[[int], bool] | None = None) -> None:
        """Let them be one.

        Args:
            routers: each in one choir at most; this is theirs now.
            chorus: of all of them.
            perform: called when the chorus is due, with the time; False where each has to do it alone. None: to be due
                means that something did not happen.
        """
        self.routers = routers
        self.chorus = chorus
        self._perform = perform
        for each in routers:
            each.choir = self

    @property
    def deadline(self) -> int:
        """When the first of them is due, nanoseconds."""
        return self.chorus.deadline

    def speak(self, now: int) -> bool:
        """Send what is due; False where each has to be asked for itself."""
        return self._perform is not None and self._perform(now)

    def leave(self) -> Iterator[Router]:
        """It is over; those who are in no other by now."""
        self.chorus.intact = False
        for each in self.routers:
            if each.choir is self:
                each.choir = None
                yield each


def choirs(spoke: Sequence[Router | Choir]) -> Iterator[Choir]:
    """Form choirs of those that have just spoken, each for itself, and will do so together next time."""
    alone = [each for each in spoke if not isinstance(each, Choir)]
    if not alone:
        return
    others = [router for each in spoke if isinstance(each, Choir) for router in each.routers]
    together: defaultdict[tuple[int, int, int], list[tuple[Router, Verse]]] = defaultdict(list)
    for router in (*alone, *others):
        verse = router.verse
        if verse is not None and verse.rhythm.steady:
            together[id(verse.port), verse.rhythm.deadline, verse.rhythm.interval].append((router, verse))
    for pairs in together.values():
        if len(pairs) > 1 and pairs[0][0] in alone:
            yield _speakers([router for router, _ in pairs], [verse for _, verse in pairs])


def _speakers(routers: Sequence[Router], verses: Sequence[Verse]) -> Choir:
    """Routers of one port that speak at the same time."""
    port, chorus = verses[0].port, Spoken([verse.rhythm for verse in verses])
    bundle = Bundle(letter for verse in verses for letter in verse.letters)
    roll = Roll([verse.punctuality for verse in verses])

    def perform(now: int) -> bool:
        due = chorus.deadline
        if not chorus.note(now):
            return False
        failed = port.say(bundle, roll, due)
        for verse in verses if failed else ():
            verse.sent(failed)
        return True

    return Choir(routers, chorus, perform)
