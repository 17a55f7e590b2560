"""Peers whose host answers that nothing there speaks VRRP: it is alive, its agent is not, and nobody would take over.

The answers are ICMP errors, told by the socket's error queue and counted there; a host sends about one a second, and
only to who sends in unicast, which the Active does. They are easily forged, so this is an alarm and never an input of
the election. An agent that is being restarted is not absent: it takes three intervals, and ten seconds at least.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from vrrpd.proto.settings import Address
from vrrpd.proto.timers import SECOND

INTERVALS = 3
SHORTEST = 10 * SECOND
"""So long the answers must go on coming; at least."""
QUIET = 3 * SECOND
"""So long they may stay away before the matter is over; at least."""


@dataclass(slots=True)
class _Answers:
    """What one host answered: how many times in all, since when without a pause, when last (nanoseconds)."""

    count: int
    since: int
    last: int


class Absent:
    """The peers of one virtual router."""

    def __init__(self) -> None:
        self._answers: dict[Address, _Answers] = {}

    @property
    def idle(self) -> bool:
        """True while no host has answered, as hosts mostly do not."""
        return not self._answers

    def look(
        self, counts: Mapping[Address, int], heard: Mapping[Address, int], interval: int, now: int
    ) -> list[Address]:
        """Look at the counts once more; about once a second.

        Args:
            counts: how often each host has answered so far; whoever is not in it any more is forgotten.
            heard: when each peer was last heard, nanoseconds.
            interval: how often we speak, nanoseconds.
            now: nanoseconds on the same clock.

        Returns:
            The peers without an agent.
        """
        quiet = max(INTERVALS * interval, QUIET)
        for peer in self._answers.keys() - counts.keys():
            del self._answers[peer]
        for peer, count in counts.items():
            known = self._answers.get(peer)
            if known is None or now - known.last > quiet or heard.get(peer, 0) > known.since:
                known = self._answers[peer] = _Answers(known.count if known else 0, now, now)
            if count != known.count:
                known.count, known.last = count, now
        lasting = max(INTERVALS * interval, SHORTEST)
        return [peer for peer, a in self._answers.items() if a.last - a.since >= lasting and now - a.last <= quiet]
