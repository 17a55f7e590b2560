"""How punctual advertisements are: what a busy agent does to those who wait for it.

Every virtual router advertises on a grid of its own. What is late is told from the grid that the last ten
advertisements lie on: the earliest of them, as an advertisement is never early. So one late advertisement is late, and
a grid that was laid anew (after a pause) is a new grid.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterable, Iterator

from netns_lab.expressions import MS, show
from netns_lab.history import Event
from netns_lab.judges.base import Case, Finding, Outcome

_GRID = 10
"""So many advertisements tell the grid."""


def judge(case: Case) -> Finding:
    """Judge `lateness: {after: MARK, under: FORMULA, percentile: P}`; without `percentile`: the latest of all."""
    percentile = float(case.options.get("percentile", 100))
    title = f"lateness{case.where()}, " + ("at most" if percentile == 100 else f"p{percentile:g}")
    start, finish = case.window()
    streams: dict[tuple[str, int, str], list[Event]] = defaultdict(list)
    for event in case.history.events("advert", since=start, until=finish):
        streams[event["node"], event["vrid"], event["destination"]].append(event)
    late = sorted(value for stream in streams.values() for value in lateness(stream))
    if not late:
        return Finding(title, f"under {case.options['under']}", "nobody advertised", Outcome.UNKNOWN)
    value = late[min(len(late) - 1, int(len(late) * percentile / 100))]
    middle = show(late[len(late) // 2])
    return case.bounded(title, value, f" of {len(late)} advertisements in {len(streams)} streams, median {middle}")


def lateness(stream: Iterable[Event]) -> Iterator[int]:
    """How late each advertisement of a stream is, in nanoseconds."""
    grid = Grid()
    for event in stream:
        late = grid.late(event.t, event["interval_ms"] * MS)
        if late is not None:
            yield late


class Grid:
    """The grid that the advertisements of one stream lie on."""

    def __init__(self) -> None:
        self._due: deque[int] = deque(maxlen=_GRID)  # when the next one is due, counted from each of the last ones

    def late(self, t: int, interval: int) -> int | None:
        """How late the next advertisement is, in nanoseconds; None for the first, which lays the grid.

        Args:
            t: when it came, nanoseconds.
            interval: nanoseconds.
        """
        late = max(0, t - min(self._due)) if self._due else None
        self._due.append(t)
        self._due = deque((due + interval for due in self._due), maxlen=_GRID)
        return late
