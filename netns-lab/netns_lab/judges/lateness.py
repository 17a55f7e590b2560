"""How punctual advertisements are: what a busy agent does to those who wait for it.

Every virtual router advertises on a grid of its own. What is late is told from the grid that the last ten
advertisements lie on: the earliest of them, as an advertisement is never early. So one late advertisement is late, and
a grid that was laid anew (after a pause) is a new grid.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterable, Iterator
from itertools import pairwise

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
    grid: deque[int] = deque(maxlen=_GRID)  # when the latest one would have been due, from each of the last ones
    for before, event in pairwise(stream):
        if not grid:
            grid.append(before.t)
        step = event["interval_ms"] * MS
        grid = deque((due + step for due in grid), maxlen=_GRID)
        yield max(0, event.t - min(grid))
        grid.append(event.t)
