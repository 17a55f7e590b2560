"""The timerfd behaves as the runtime's one alarm."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import suppress

import pytest
import trio
import trio.testing

from vrrpd.linux.timer import TimerFd

MS = 1_000_000


@pytest.fixture
def timer() -> Iterator[TimerFd]:
    timer = TimerFd()
    yield timer
    timer.close()


async def test_an_alarm_goes_off_at_its_time_and_not_before(timer: TimerFd) -> None:
    deadline = timer.now() + 3 * MS
    timer.arm(deadline)
    await timer.wait()
    assert timer.now() >= deadline


async def test_a_deadline_that_has_passed_goes_off_at_once(timer: TimerFd) -> None:
    for passed in (timer.now() - 1, 1, 0, -5):
        timer.arm(passed)
        with trio.fail_after(1):
            await timer.wait()


async def test_an_alarm_goes_off_once(timer: TimerFd) -> None:
    timer.arm(timer.now())
    await timer.wait()
    with trio.move_on_after(0.005) as scope:
        await timer.wait()
    assert scope.cancelled_caught


async def test_a_disarmed_alarm_stays_silent(timer: TimerFd) -> None:
    timer.arm(timer.now() + MS)
    timer.arm(None)
    with trio.move_on_after(0.005) as scope:
        await timer.wait()
    assert scope.cancelled_caught


async def test_arming_again_forgets_an_alarm_that_went_off_unseen(timer: TimerFd) -> None:
    timer.arm(timer.now() - 1)
    later = timer.now() + 5 * MS
    timer.arm(later)
    await timer.wait()
    assert timer.now() >= later


async def test_an_earlier_deadline_wakes_a_task_that_waits_already(timer: TimerFd) -> None:
    timer.arm(timer.now() + 60_000 * MS)
    with trio.fail_after(1):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(timer.wait)
            await trio.testing.wait_all_tasks_blocked()
            timer.arm(timer.now() + MS)


async def test_a_wait_that_was_cancelled_loses_no_alarm(timer: TimerFd) -> None:
    timer.arm(timer.now())
    with trio.CancelScope() as scope:
        scope.cancel()
        await timer.wait()
    with trio.fail_after(1):
        await timer.wait()


async def test_closing_ends_the_wait_and_may_happen_twice() -> None:
    timer = TimerFd()

    async def wait() -> None:
        with pytest.raises(trio.ClosedResourceError):
            await timer.wait()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(wait)
        await trio.testing.wait_all_tasks_blocked()
        timer.close()
    timer.close()


async def test_whoever_wakes_up_as_it_is_closed_sees_it_go_off_or_closed() -> None:
    for _ in range(20):  # either of the two may have its turn first
        timer = TimerFd()
        left, right = socket.socketpair()
        with left, right:

            async def wait(timer: TimerFd = timer) -> None:
                with suppress(trio.ClosedResourceError):
                    await timer.wait()

            async def close(timer: TimerFd = timer, left: socket.socket = left) -> None:
                await trio.lowlevel.wait_readable(left)
                timer.close()

            async with trio.open_nursery() as nursery:
                nursery.start_soon(wait)
                nursery.start_soon(close)
                timer.arm(timer.now() + MS)
                await trio.testing.wait_all_tasks_blocked()
                end = timer.now() + 2 * MS
                while timer.now() < end:
                    pass  # the loop is busy, and both become ready
                right.send(b"x")
