"""The runner of checks: when it probes, and how many results make a verdict."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import chain, pairwise, repeat

import pytest
import trio
from trio.testing import MockClock

from vrrpd.checks.base import Counter, Result, Status, Timing, run_check, stagger
from vrrpd.proto.timers import MS, SECOND

OK, BAD = Result(ok=True, detail="fine"), Result(ok=False, detail="broken")
DEAD = Result(ok=False, detail="dead", decisive=True)
TIMING = Timing(interval=SECOND, timeout=300 * MS, rise=2, fall=2, start_up=False)


class Script:
    """A check that answers from a list, then the last answer for ever, and remembers when it was asked."""

    def __init__(self, *results: Result, takes: float = 0) -> None:
        self._results: Iterator[Result] = chain(results, repeat(results[-1]))
        self._takes = takes
        self.asked: list[float] = []

    async def probe(self) -> Result:
        self.asked.append(round(trio.current_time(), 3))
        await trio.sleep(self._takes)
        return next(self._results)


class Watched(Script):
    """A check that hears of trouble by itself."""

    def __init__(self, *results: Result) -> None:
        super().__init__(*results)
        self.event = trio.Event()
        self.closed = False

    async def changed(self) -> None:
        await self.event.wait()
        self.event = trio.Event()

    def close(self) -> None:
        self.closed = True


async def watch(
    check: Script, seconds: float, timing: Timing = TIMING, *, offset: int = 0
) -> list[tuple[float, bool, str]]:
    """Run a check for a while; return its reports as (time, up, detail)."""
    seen: list[tuple[float, bool, str]] = []

    def report(status: Status) -> None:
        seen.append((round(trio.current_time(), 3), status.up, status.detail))

    with trio.move_on_after(seconds):
        await run_check("web", check, timing, report, wall=trio.current_time, offset=offset)
    return seen


class TestTimetable:
    async def test_a_healthy_service_is_up_a_tenth_of_a_second_after_the_start(self, autojump_clock: MockClock) -> None:
        seen = await watch(Script(OK), 0.5)
        assert seen == [(0.0, False, "not checked yet"), (0.0, False, "fine"), (0.1, True, "fine")]

    async def test_after_the_first_verdict_probes_are_an_interval_apart(self, autojump_clock: MockClock) -> None:
        check = Script(OK)
        await watch(check, 3.5)
        assert check.asked == [0.0, 0.1, 1.1, 2.1, 3.1]

    async def test_a_sick_service_is_not_probed_fast_for_ever(self, autojump_clock: MockClock) -> None:
        check = Script(BAD)
        await watch(check, 2.5)
        assert check.asked == [0.0, 0.1, 1.1, 2.1]

    async def test_a_short_interval_is_kept_from_the_start(self, autojump_clock: MockClock) -> None:
        check = Script(OK)
        await watch(check, 0.035, Timing(10 * MS, 10 * MS, rise=2, fall=2, start_up=False))
        assert check.asked == [0.0, 0.01, 0.02, 0.03]

    async def test_slow_probes_do_not_make_the_timetable_drift(self, autojump_clock: MockClock) -> None:
        check = Script(OK, takes=0.25)
        await watch(check, 3.5, Timing(SECOND, 300 * MS, rise=1, fall=1, start_up=False))
        assert check.asked == [0.0, 1.0, 2.0, 3.0]

    async def test_a_probe_that_takes_too_long_is_followed_by_the_next_at_once(self, autojump_clock: MockClock) -> None:
        check = Script(OK, takes=2.5)
        await watch(check, 7, Timing(SECOND, 9 * SECOND, rise=1, fall=1, start_up=False))
        assert check.asked == [0.0, 2.5, 5.0]

    async def test_where_the_timeout_is_the_interval_a_hung_service_is_seen_within_fall_of_them(
        self, autojump_clock: MockClock
    ) -> None:
        seen = await watch(Script(OK, takes=60), 4, Timing(SECOND, SECOND, rise=1, fall=2, start_up=True))
        assert [(at, up) for at, up, _ in seen][-1] == (2.0, False)

    async def test_the_offset_spreads_checks_apart(self, autojump_clock: MockClock) -> None:
        check = Script(OK)
        await watch(check, 0.2, offset=30 * MS)
        assert check.asked == [0.03, 0.13]

    async def test_a_hung_probe_is_ended_at_its_timeout_and_has_failed(self, autojump_clock: MockClock) -> None:
        seen = await watch(Script(OK, takes=60), 1.0)
        assert seen[1:] == [
            (0.3, False, "no answer within 300 ms"),
            (0.6, False, "no answer within 300 ms"),  # the second failure makes it a verdict
        ]

    async def test_detection_takes_at_most_fall_intervals_and_a_timeout(self, autojump_clock: MockClock) -> None:
        class HangsAfter(Script):
            async def probe(self) -> Result:
                if trio.current_time() > 5.2:
                    await trio.sleep_forever()
                return await super().probe()

        seen = await watch(HangsAfter(OK), 10)
        failed_at = next(time for time, up, _ in seen[3:] if not up)
        assert failed_at <= 5.2 + 2 + 0.3

    async def test_a_host_without_descriptors_fails_the_check_and_not_the_agent(
        self, autojump_clock: MockClock
    ) -> None:
        class NoDescriptors(Script):
            async def probe(self) -> Result:
                raise OSError(24, "Too many open files")

        assert (await watch(NoDescriptors(OK), 1))[1] == (0.0, False, "too many open files")

    async def test_a_bug_in_a_kind_is_not_taken_for_a_sick_service(self, autojump_clock: MockClock) -> None:
        class Buggy(Script):
            async def probe(self) -> Result:
                raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            await watch(Buggy(OK), 1)


def test_a_thousand_checks_start_over_their_whole_interval() -> None:
    starts = [stagger(index, 1000, 5 * SECOND) for index in range(1000)]
    assert {later - earlier for earlier, later in pairwise(starts)} == {5 * MS}
    assert max(stagger(index, 1000, SECOND) for index in range(1000)) < SECOND


def test_a_few_checks_hardly_wait() -> None:
    assert [stagger(index, 3, 60 * SECOND) for index in range(3)] == [0, 5 * MS, 10 * MS]


class TestWatching:
    async def run(self, check: Watched, at: float, until: float) -> list[tuple[float, bool, str]]:
        """Run a check that hears of a change at a moment."""
        async with trio.open_nursery() as nursery:

            async def strike() -> None:
                await trio.sleep(at)
                check.event.set()

            nursery.start_soon(strike)
            return await watch(check, until)

    async def test_a_change_is_probed_at_once_and_a_death_is_beyond_doubt(self, autojump_clock: MockClock) -> None:
        check = Watched(OK, OK, OK, DEAD)
        seen = await self.run(check, 1.4, 1.5)
        assert check.asked == [0.0, 0.1, 1.1, 1.4]
        assert seen[-1] == (1.4, False, "dead")

    async def test_a_probe_out_of_turn_leaves_the_timetable_alone(self, autojump_clock: MockClock) -> None:
        check = Watched(OK)
        await self.run(check, 1.4, 3.5)
        assert check.asked == [0.0, 0.1, 1.1, 1.4, 2.1, 3.1]

    async def test_what_was_watched_is_let_go_when_the_check_ends(self, autojump_clock: MockClock) -> None:
        check = Watched(OK)
        await self.run(check, 0.1, 1)
        assert check.closed


@pytest.mark.parametrize(
    ("start_up", "results", "verdicts"),
    [
        (False, [OK, OK], [False, True]),
        (False, [OK, BAD, OK, OK], [False, False, False, True]),
        (True, [BAD, OK, BAD, BAD], [True, True, True, False]),
        (True, [DEAD], [False]),
        (True, [DEAD, OK, OK], [False, False, True]),
        (False, [OK, OK, BAD, OK, BAD, BAD], [False, True, True, True, True, False]),
    ],
)
def test_results_in_a_row_make_the_verdict(start_up: bool, results: list[Result], verdicts: list[bool]) -> None:
    counter = Counter(Timing(SECOND, SECOND, rise=2, fall=2, start_up=start_up))
    seen: list[bool] = []
    for result in results:
        counter.count(result)
        seen.append(counter.up)
    assert seen == verdicts


@pytest.mark.parametrize(("start_up", "result"), [(True, OK), (False, BAD)])
def test_a_first_verdict_that_confirms_the_start_settles_the_check(start_up: bool, result: Result) -> None:
    counter = Counter(Timing(SECOND, SECOND, rise=2, fall=2, start_up=start_up))
    assert [(counter.count(result), counter.settled) for _ in range(2)] == [(False, False), (False, True)]


async def test_since_moves_with_the_verdict_and_not_with_the_detail(autojump_clock: MockClock) -> None:
    seen: list[Status] = []
    wall: Callable[[], float] = lambda: 1000 + trio.current_time()  # noqa: E731 - a clock in one line
    with trio.move_on_after(3):
        await run_check("web", Script(OK, OK, BAD, OK), TIMING, seen.append, wall=wall)
    assert [(s.up, round(s.since, 3), s.detail) for s in seen] == [
        (False, 1000.0, "not checked yet"),
        (False, 1000.0, "fine"),
        (True, 1000.1, "fine"),
        (True, 1000.1, "broken"),
        (True, 1000.1, "fine"),
    ]
