"""What the watch saw, in figures: how late advertisements were, and how long takeovers took.

Of each virtual router's stream by itself, since an agent may send the advertisements of all in one go.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from netns_lab.bench.case import RECEIVER, SENDER, Case
from netns_lab.bench.files import PRIORITY
from netns_lab.errors import LabError
from netns_lab.expressions import MS
from netns_lab.judges.lateness import Grid


@dataclass(frozen=True, slots=True)
class Punctuality:
    """How one run looked from outside; times in milliseconds.

    Attributes:
        late_p50_ms: how late an advertisement of the Active was on the wire; half of them were less late.
        late_p99_ms: 99 of 100 were less late.
        late_max_ms: the latest.
        gap_max_ms: the longest time between two advertisements of a virtual router.
        takeover_first_ms: from the end of Active_Down_Interval until the first virtual router has its address and
            has announced it.
        takeover_p50_ms: the same of the median virtual router.
        takeover_last_ms: the same of the last one.
        false_takeovers: how often the Backup took an address while the Active was well.
    """

    late_p50_ms: float
    late_p99_ms: float
    late_max_ms: float
    gap_max_ms: float
    takeover_first_ms: float
    takeover_p50_ms: float
    takeover_last_ms: float
    false_takeovers: int


def judge(case: Case, seen: Mapping[str, Any], stopped: int) -> dict[str, Any]:
    """The values of `Punctuality`.

    Args:
        case: what was measured.
        seen: as of `watch.Watch.report`.
        stopped: when the Active was stopped, CLOCK_MONOTONIC nanoseconds.

    Raises:
        LabError: not all virtual routers advertised or were taken over.
    """
    streams = list(served(seen, stopped))
    late, took = sorted(lateness(case, streams)), sorted(takeovers(case, seen, stopped))
    if not late or len(took) < case.routers:
        raise LabError(f"{len(late)} advertisements and {len(took)} takeovers of {case.routers} were seen on the wire")
    false = [t for t, node, _, held in seen["addresses"] if t < stopped and node == RECEIVER and held]
    return {
        "late_p50_ms": statistics.median(late) / MS,
        "late_p99_ms": late[int(len(late) * 0.99)] / MS,
        "late_max_ms": late[-1] / MS,
        "gap_max_ms": max(max(gaps(times)) for times in streams if len(times) > 1) / MS,
        "takeover_first_ms": took[0] / MS,
        "takeover_p50_ms": statistics.median(took) / MS,
        "takeover_last_ms": took[-1] / MS,
        "false_takeovers": len(false),
    }


def served(seen: Mapping[str, Any], until: int) -> Iterator[list[int]]:
    """When the Active advertised, of each virtual router by itself."""
    for stream, times in seen["adverts"].items():
        if stream.startswith(f"{SENDER} "):
            yield [t for t in times if t < until]


def lateness(case: Case, streams: Iterable[Sequence[int]]) -> Iterator[int]:
    """How late each advertisement was, nanoseconds."""
    for times in streams:
        grid = Grid()
        late = (grid.late(t, case.interval_ms * MS) for t in times)
        yield from (each for each in late if each is not None)


def gaps(times: Sequence[int]) -> Iterator[int]:
    """The times between two advertisements of a virtual router, nanoseconds."""
    yield from (after - before for before, after in pairwise(times))


def takeovers(case: Case, seen: Mapping[str, Any], stopped: int) -> Iterator[int]:
    """How long after the end of Active_Down_Interval each address was there and announced, nanoseconds."""
    held: dict[str, int] = {}
    said: dict[str, int] = {}
    for t, node, address, there in seen["addresses"]:
        if node == RECEIVER and there and t > stopped:
            held.setdefault(address, t)
    for t, node, address in seen["announced"]:
        if node == RECEIVER and t > stopped:
            said.setdefault(address, t)
    for link, vrid, shared in case.shared():
        heard = seen["adverts"].get(f"{SENDER} eth{link} {vrid}")
        if heard and shared in held and shared in said:
            yield max(held[shared], said[shared]) - heard[-1] - active_down_ns(case)


def active_down_ns(case: Case) -> int:
    """Active_Down_Interval of the Backup, nanoseconds (RFC 9568 6.1)."""
    interval = case.interval_ms * MS
    return 3 * interval + (256 - PRIORITY[RECEIVER]) * interval // 256
