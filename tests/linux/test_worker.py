"""The thread that may wait in the kernel: in order, one at a time, and without anybody it does no harm."""

from __future__ import annotations

import subprocess
import sys
import threading

import pytest
import trio
import trio.testing

from vrrpd.linux.worker import Worker

ASK = """
import os, sys, trio
from vrrpd.linux.real_time import keep_real_time, take_real_time
from vrrpd.linux.worker import Worker
from vrrpd.rights import NETWORK, own_account, settle
if sys.argv[1] == "real": take_real_time()
settle(own_account(), NETWORK)
worker = Worker()
worker.start()
keep_real_time()
print(trio.run(worker.run, lambda: os.sched_getscheduler(0) == os.SCHED_RR))
print(os.sched_getscheduler(0) == (os.SCHED_RR | os.SCHED_RESET_ON_FORK))
"""


@pytest.fixture
def worker() -> Worker:
    made = Worker()
    made.start()
    return made


async def test_it_hands_back_what_comes_of_it_and_stays_the_same_thread(worker: Worker) -> None:
    first = await worker.run(threading.get_ident)
    assert first != threading.get_ident()
    assert await worker.run(threading.get_ident) == first
    with pytest.raises(ZeroDivisionError):
        await worker.run(lambda: 1 // 0)
    assert await worker.run(threading.get_ident) == first


async def test_the_loop_goes_on_while_it_waits_and_what_is_asked_for_is_done_in_order(worker: Worker) -> None:
    go, done = threading.Event(), list[int]()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(worker.run, go.wait)
        await trio.testing.wait_all_tasks_blocked()
        for number in range(3):
            nursery.start_soon(worker.run, lambda number=number: done.append(number))
            await trio.testing.wait_all_tasks_blocked()
        assert done == []
        go.set()
    assert done == [0, 1, 2]


async def test_what_is_given_up_before_it_begins_is_never_done(worker: Worker) -> None:
    go, done = threading.Event(), list[str]()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(worker.run, go.wait)  # a kernel that hangs
        await trio.testing.wait_all_tasks_blocked()
        nursery.start_soon(worker.run, lambda: done.append("added"))
        await trio.testing.wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    go.set()
    await worker.run(lambda: done.append("later"))
    assert done == ["later"]


async def test_who_stands_still_for_it_is_told_at_once_and_once(worker: Worker) -> None:
    told = list[int]()
    job = worker.begin(lambda: 7, lambda job: told.append(job.result()))
    job.wait(10)
    assert told == [7]
    await worker.run(lambda: None)
    assert told == [7]


async def test_who_stands_still_for_what_takes_too_long_is_told_later(worker: Worker) -> None:
    go, told, over = threading.Event(), list[str](), trio.Event()

    def ended(_: object) -> None:
        told.append("ended")
        over.set()

    job = worker.begin(go.wait, ended)
    job.wait(0.001)
    assert told == []
    go.set()
    await over.wait()
    assert told == ["ended"]


async def test_what_was_given_up_tells_nobody_who_stands_still(worker: Worker) -> None:
    told = list[object]()
    job = worker.begin(lambda: None, told.append)
    job.give_up()
    job.wait(0.01)
    await worker.run(lambda: None)
    assert told == []


@pytest.mark.parametrize(("priority", "wanted"), [("real", "True"), ("ordinary", "False")])
def test_it_has_the_priority_of_the_loop_though_the_right_to_it_was_given_away(priority: str, wanted: str) -> None:
    done = subprocess.run([sys.executable, "-c", ASK, priority], check=True, capture_output=True, text=True)
    assert done.stdout.split() == [wanted, wanted]
