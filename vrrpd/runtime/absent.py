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
    """Since when one host has answered without a pause, and when last (nanoseconds)."""

    since: int
    last: int


class Absent:
    """The peers of one virtual router."""

    def __init__(self) -> None:
        self._counts: Mapping[Address, int] = {}  # when we looked last
        self._answers: dict[Address, _Answers] = {}  # of those that go on

    @property
    def idle(self) -> bool:
        """True while no host goes on answering, as hosts mostly do not: to look again takes another answer."""
        return not self._answers

    def look(
        self, counts: Mapping[Address, int], heard: Mapping[Address, int], interval: int, now: int
    ) -> list[Address]:
        """Look at the counts once more; about once a second.

        Args:
            counts: how often each host has answered so far; whoever is not in it is forgotten.
            heard: when each peer was last heard, nanoseconds.
            interval: how often we speak, nanoseconds.
            now: nanoseconds on the same clock.

        Returns:
            The peers without an agent.
        """
        quiet = max(INTERVALS * interval, QUIET)
        for peer in [p for p, a in self._answers.items() if now - a.last > quiet or heard.get(p, 0) > a.since]:
            del self._answers[peer]
        for peer in self._answers.keys() - counts.keys():
            del self._answers[peer]
        for peer, count in counts.items():
            if count != self._counts.get(peer, 0):
                self._answers.setdefault(peer, _Answers(now, now)).last = now
        self._counts = counts
        lasting = max(INTERVALS * interval, SHORTEST)
        return [peer for peer, answers in self._answers.items() if answers.last - answers.since >= lasting]
