"""Who claims to be Active on one virtual router, as far as this node hears: one, as it should be, or two at a time?

A contest is normal and no alarm: two Backups fire within the same millisecond, a partition heals, a preferred node
comes back. It is over as soon as the loser hears the winner. Where two go on for three intervals, one of them does not
hear the other, or refuses what it says; and where one takes the role from us again and again, and never says that it
leaves, we lose its advertisements in between.

Owns the reigns: rows of advertisements of one source without a pause. It decides nothing about the role.
"""

from __future__ import annotations

from dataclasses import dataclass

from vrrpd.proto.memory import remember
from vrrpd.proto.settings import Address
from vrrpd.proto.timers import SECOND

PATIENCE = 3
"""So many intervals a contest may last; the loser of a healthy one is silent after one."""
PAUSE = 4
"""A reign is over after so many intervals without an advertisement."""
NEWS = 5 * SECOND
"""Only who is new, or was silent for so long, changes who is Active; not who is slower than he says."""
TOO_OFTEN = 3
WITHIN = 60 * SECOND
"""So many times within so long somebody may take the role from us, if it never leaves by saying so."""
MOST = 64
"""Sources that are remembered; bounded, for they can be forged."""


@dataclass(slots=True)
class Reign:
    """One source goes on advertising a priority above 0.

    Attributes:
        source: who.
        priority: its last priority.
        interval: its interval, nanoseconds.
        since: its first advertisement, nanoseconds.
        last: its last one.
        claims: how many there were.
    """

    source: Address
    priority: int
    interval: int
    since: int
    last: int
    claims: int = 1

    def overlaps(self, other: Reign) -> bool:
        """True where both went on for longer than any contest."""
        together = min(self.last, other.last) - max(self.since, other.since)
        return together >= PATIENCE * max(self.interval, other.interval) and min(self.claims, other.claims) >= PATIENCE


class Rivals:
    """The reigns that this node hears.

    Attributes:
        began: when a believed source last began one that was news, nanoseconds; None before the first.
        said: the last priority that was believed of each source, 0 since it gave the role away.
    """

    def __init__(self) -> None:
        self.began: int | None = None
        self.said: dict[Address, int] = {}
        self._reigns: dict[Address, Reign] = {}
        self._beaten: dict[Address, list[int]] = {}

    def heard(self, source: Address, priority: int, interval: int, now: int, *, believed: bool) -> Reign:
        """Take an advertisement with a priority above 0.

        Args:
            source: its sender.
            priority: what it says.
            interval: how often its sender speaks, nanoseconds.
            now: when it was heard.
            believed: whether the advertisement was accepted.

        Returns:
            The reign that it belongs to.
        """
        reign = self._reigns.get(source)
        if reign is None or now - reign.last > PAUSE * max(interval, reign.interval):
            if believed and (reign is None or now - reign.last > NEWS):
                self.began = now
            reign = Reign(source, priority, interval, since=now, last=now)
        else:
            reign.priority, reign.interval, reign.last, reign.claims = priority, interval, now, reign.claims + 1
        if believed:
            remember(self.said, source, priority, MOST)
        remember(self._reigns, source, reign, MOST)
        return reign

    def went_on(self, reign: Reign, at: int, number: int) -> None:
        """A reign went on with so many advertisements that said the same, the last one at this time."""
        reign.last = at
        reign.claims += number
        remember(self._reigns, reign.source, reign, MOST)

    def beside(self, reign: Reign, own: Reign | None) -> Reign | None:
        """Who reigns at the same time, this node (`own`, where it is Active) first; None where nobody does."""
        others = [own] if own else [each for each in self._reigns.values() if each is not reign]
        return next((each for each in others if each.overlaps(reign)), None)

    def left(self, source: Address) -> None:
        """It said priority 0."""
        self._reigns.pop(source, None)
        self._beaten.pop(source, None)
        remember(self.said, source, 0, MOST)

    def beaten(self, source: Address, now: int) -> bool:
        """It has taken the role from us; True where that happens too often."""
        times = [t for t in self._beaten.get(source, ()) if now - t <= WITHIN]
        remember(self._beaten, source, [*times[1 - TOO_OFTEN :], now], MOST)
        return len(times) + 1 >= TOO_OFTEN
