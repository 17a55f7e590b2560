"""What anybody on the network can cause is told once for each reason and source; the rest is counted.

Owns the one limit between a flood and the log. The first of a kind is told; those that follow within half a minute are
counted, and the count is told afterwards. Sources can be forged, so only a few are told apart for each reason, and all
others share one place. The tables are bounded by the number of reasons.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass

from vrrpd.proto.timers import SECOND

QUIET = 30 * SECOND
"""Shorter than an alarm takes to fade, so that what goes on is seen to go on."""

SOURCES = 8
"""So many sources are told apart for each reason."""


@dataclass(slots=True)
class _Kind:
    """One reason and source.

    Attributes:
        told: when it was told, nanoseconds.
        more: how often it happened since.
    """

    told: int
    more: int = 0


@dataclass(frozen=True, slots=True)
class Sum:
    """What was not told.

    Attributes:
        reason: the reason.
        source: whose doing it was; None for all that were not told apart.
        more: how often.
    """

    reason: str
    source: Hashable
    more: int


class Repeats:
    """Tells what is new from what is more of the same."""

    def __init__(self) -> None:
        self._reasons: dict[str, dict[Hashable, _Kind]] = {}

    def __bool__(self) -> bool:
        return bool(self._reasons)

    def is_new(self, reason: str, source: Hashable, now: int, *, listed: bool = False) -> bool:
        """Take note of one occurrence; True where it is worth a line.

        Args:
            reason: one of a fixed set of words.
            source: whose doing it is; anything may come.
            now: nanoseconds.
            listed: the source is one of a fixed set, too, and always told apart.
        """
        sources = self._reasons.get(reason)
        if sources is None:
            sources = self._reasons[reason] = {}
        known = sources.get(source)
        if known is None and not listed and len(sources) >= SOURCES:
            source, known = None, sources.get(None)
        if known is None:
            sources[source] = _Kind(now)
            return True
        known.more += 1
        return False

    def sums(self, now: int) -> list[Sum]:
        """What was counted and half a minute of it is over; from here on it is new again."""
        found: list[Sum] = []
        for reason, sources in self._reasons.items():
            for source, kind in list(sources.items()):
                if now - kind.told >= QUIET:
                    del sources[source]
                    if kind.more:
                        found.append(Sum(reason, source, kind.more))
        self._reasons = {reason: sources for reason, sources in self._reasons.items() if sources}
        return found
