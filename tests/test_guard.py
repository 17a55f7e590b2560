"""What a new guardian is told, by an agent that holds a lot."""

from __future__ import annotations

import json
import os
import signal
import socket
import time
from collections.abc import Iterator, Sequence
from functools import partial

import pytest
import trio
import trio.testing

from vrrpd import guardian
from vrrpd.guard import Guard
from vrrpd.runtime.kernel import Cover

MANY = 4000
LIMIT = 100_000_000
"""F of these tests, nanoseconds."""


def cover(number: int) -> Cover:
    zeros = (("10.0.0.11", "10.0.0.12", bytes(12)),)
    return Cover(1, 2, zeros, None, 1, ((2, f"10.1.{number >> 8}.{number & 255}/32"),))


async def test_a_new_guardian_is_told_of_any_number_of_routers(nursery: trio.Nursery) -> None:
    """Its queue has room for some hundreds, and it reads when it can."""
    told = dict[str, list[tuple[int, str]]]()

    async def listen(channel: socket.socket) -> None:
        with channel:
            while True:
                await trio.lowlevel.wait_readable(channel)
                message = json.loads(channel.recv(1 << 18))
                if "cover" in message:
                    told[message["cover"]] = message["addresses"]
                if len(told) > MANY:  # and what has no virtual router
                    everything.set()

    async def fork(descriptors: Sequence[int]) -> None:
        channel = socket.socket(fileno=os.dup(descriptors[0]))
        channel.setblocking(False)
        nursery.start_soon(listen, channel)

    everything = trio.Event()
    guard = Guard(fork)
    for number in range(MANY):
        guard.cover(f"r{number}/0", cover(number))
    nursery.start_soon(guard.run)
    with trio.fail_after(10):
        await everything.wait()
    assert told["r3999/0"] == [[2, "10.1.15.159/32"]]
    assert guard.trouble is None
    nursery.cancel_scope.cancel()


async def test_what_was_prepared_is_told_as_it_is_and_only_while_it_is_true(nursery: trio.Nursery) -> None:
    ends = list[socket.socket]()

    async def fork(descriptors: Sequence[int]) -> None:
        ends.append(socket.socket(fileno=os.dup(descriptors[0])))

    guard = Guard(fork)
    nursery.start_soon(guard.run)
    await trio.testing.wait_all_tasks_blocked()
    [channel] = ends
    with channel:
        for _ in range(2):  # what a new one is told in any case
            channel.recv(1 << 18)
        early, late = cover(1), cover(2)
        guard.prepare("web/0", early)
        for each in (early, late):
            guard.cover("web/0", each)
            assert json.loads(channel.recv(1 << 18))["addresses"] == [list(each.addresses[0])]
    nursery.cancel_scope.cancel()


async def test_the_bell_rings_when_a_takeover_is_over(nursery: trio.Nursery) -> None:
    """Who wakes the guardian at once takes a processor from what the role waits for."""
    bells, ends = list[int](), list[socket.socket]()

    async def fork(descriptors: Sequence[int]) -> None:
        ends.append(socket.socket(fileno=os.dup(descriptors[0])))
        bells.append(os.dup(descriptors[1]))

    async def rings(within: float) -> bool:
        with trio.move_on_after(within):
            await trio.lowlevel.wait_readable(bells[0])
            os.read(bells[0], 8)
            return True
        return False

    guard = Guard(fork)
    nursery.start_soon(guard.run)
    await trio.testing.wait_all_tasks_blocked()
    assert await rings(10)  # what a new one is told in any case
    told = time.monotonic_ns()
    guard.cover("r0/0", cover(0))
    assert await rings(10)
    assert 20_000_000 <= time.monotonic_ns() - told < LIMIT
    assert not await rings(0.05)  # nothing new was said
    nursery.cancel_scope.cancel()
    for each in ends:
        each.close()
    os.close(bells[0])


async def _forked(descriptors: Sequence[int], pids: list[int]) -> None:
    handed = [os.dup(each) for each in descriptors]
    pid = os.fork()
    if pid == 0:
        try:
            guardian.live(*handed, settle=lambda: None)
        finally:
            os._exit(1)
    pids.append(pid)
    for each in handed:
        os.close(each)


@pytest.fixture
def pids() -> Iterator[list[int]]:
    """Process ids of real guardians, which end with the test."""
    found = list[int]()
    yield found
    for pid in found:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


@pytest.mark.parametrize("already", [False, True], ids=["nothing held", "a slow router held"])
async def test_an_agent_that_freezes_within_a_takeover_is_let_go_of_as_soon_as_later(
    nursery: trio.Nursery, pids: list[int], already: bool
) -> None:
    guard = Guard(partial(_forked, pids=pids))
    nursery.start_soon(guard.run)
    while guard.pid is None:  # noqa: ASYNC110 - it is a value that the agent has, and no event
        await trio.sleep(0.01)
    guard.watch(10 * LIMIT)
    if already:
        guard.cover("slow/0", cover(1))
        await trio.sleep(0.05)
    guard.stamp(time.monotonic_ns())
    await trio.sleep(0.02)  # it sleeps for a second, or until this stamp is too old
    guard.watch(LIMIT)
    guard.cover("web/0", cover(0))
    guard.stamp(time.monotonic_ns())
    frozen = time.monotonic_ns()
    while not guard.acted and time.monotonic_ns() - frozen < 5 * LIMIT:
        time.sleep(0.001)  # noqa: ASYNC251 - as one that hangs, and rings no bell
    assert guard.acted
    nursery.cancel_scope.cancel()


async def test_what_an_agent_said_counts_though_it_died_before_it_read_anything() -> None:
    """Linux reports an error first where the other end goes with something unread, and then what it has said."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    words = memoryview(bytearray(guardian.WORDS * 8)).cast("Q")
    said = {"vrid": 1, "index": 999, "zeros": [], "seal": None, "wait": 0, "addresses": [[9, "10.0.0.1/32"]]}
    with theirs:
        bell, agent = os.eventfd(0), os.pidfd_open(os.getpid())
        watch = guardian._Guardian(theirs, bell, words, agent)  # pyright: ignore[reportPrivateUsage]
        ours.send(json.dumps({"cover": "web/0", **said}).encode())
        ours.close()
        assert not watch._read()  # pyright: ignore[reportPrivateUsage]
        assert watch._holding()  # pyright: ignore[reportPrivateUsage]
        for each in (*watch._senders.values(), watch._netlink):  # pyright: ignore[reportPrivateUsage]
            each.close()
    os.close(bell)
    os.close(agent)
