"""Of what anybody can cause: the first of a kind, then a count, and never a table without end."""

from __future__ import annotations

from vrrpd.proto.timers import SECOND
from vrrpd.runtime.repeats import QUIET, SOURCES, Repeats, Sum


async def test_the_first_of_each_reason_and_source_is_new_and_the_rest_is_counted() -> None:
    repeats = Repeats()
    told = [repeats.is_new(reason, source, now=0) for _ in range(3) for reason in "ab" for source in "xy"]
    assert told == [True] * 4 + [False] * 8
    assert repeats.sums(QUIET - 1) == []
    assert set(repeats.sums(QUIET)) == {Sum(reason, source, 2) for reason in "ab" for source in "xy"}


async def test_after_its_sum_it_is_new_again() -> None:
    repeats = Repeats()
    repeats.is_new("a", "x", 0)
    assert repeats.sums(QUIET) == [], "there was no more"
    assert repeats.is_new("a", "x", QUIET + SECOND)


async def test_sources_beyond_the_first_few_are_one() -> None:
    repeats = Repeats()
    assert sum(repeats.is_new("a", source, 0) for source in range(100_000)) == SOURCES + 1
    assert repeats.sums(QUIET) == [Sum("a", None, 100_000 - SOURCES - 1)]


async def test_a_listed_source_is_told_apart_whoever_else_there_is() -> None:
    repeats = Repeats()
    for source in range(100):
        repeats.is_new("a", source, 0)
    assert repeats.is_new("a", "peer", 0, listed=True)
    assert not repeats.is_new("a", "peer", 0, listed=True)
