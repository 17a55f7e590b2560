"""The work for one advertisement, and for one renewed lease: it must not grow unseen, and nothing of it may stay."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import TypeVar

import pytest
import trio

from tests.bench.bounds import JUDGED, KEPT, NOTED, RENEWED, SENT, figures_hold, hold
from tests.bench.counting import Count, Memory, blocks_made, calls, operations
from tests.bench.quiet import Hearer, Judge, Sender, Tenant, Worker, at_work
from tests.runtime.lan import VirtualClock

T = TypeVar("T")

METERS: Mapping[str, tuple[Callable[[], AbstractContextManager[Count]], int]] = {
    "calls": (calls, 10),
    "bytecode": (operations, 10),
    "blocks": (blocks_made, 4),  # which takes its time; some work is done once in an Active_Down_Interval
}
"""What is counted, and for how many intervals; ten of them are a second, with all that is due once in one."""


def measured(kind: type[Worker], directory: Path, measure: Callable[[Worker], Awaitable[T]]) -> T:
    """What is measured on an agent at work, in virtual time."""

    async def run() -> T:
        found: list[T] = []
        async with at_work(kind, directory) as worker:
            found.append(await measure(worker))
        return found[0]

    return trio.run(run, clock=VirtualClock())


async def for_each(meters: Iterable[str], worker: Worker) -> Mapping[str, float]:
    """What each of these meters counts for one part of the work."""
    found: dict[str, float] = {}
    for name in meters:
        meter, intervals = METERS[name]
        before = worker.done
        with meter() as count:
            for _ in range(intervals):
                await worker.work()
        found[name] = count.number / (worker.done - before)
    return found


async def kept(worker: Worker) -> Mapping[str, float]:
    """Blocks, and bytes of containers, that stay of a thousand advertisements.

    What is lost is lost of each thousand, so it is the least of a few that counts: now and then a cache fills.
    """
    looks = [Memory.now()]
    for _ in range(4):
        before = worker.done
        for _ in range(20):
            await worker.work()
        assert worker.done - before == 1000
        looks.append(Memory.now())
    pairs = list(pairwise(looks))
    return {
        "blocks": min(b.blocks - a.blocks for a, b in pairs),
        "bytes": min(b.containers - a.containers for a, b in pairs),
    }


@figures_hold
@pytest.mark.parametrize(
    ("kind", "what", "bounds"),
    [
        (Sender, "an advert sent", SENT),
        (Hearer, "an advert noted", NOTED),
        (Judge, "an advert judged", JUDGED),
        (Tenant, "an address renewed", RENEWED),
    ],
)
def test_it_takes_no_more_work(kind: type[Worker], what: str, bounds: Mapping[str, float], tmp_path: Path) -> None:
    hold(what, measured(kind, tmp_path, partial(for_each, bounds)), bounds)


@pytest.mark.parametrize("kind", [Sender, Hearer, Judge])
def test_nothing_stays_of_an_advertisement(kind: type[Worker], tmp_path: Path) -> None:
    hold("a thousand adverts", measured(kind, tmp_path, kept), KEPT)
