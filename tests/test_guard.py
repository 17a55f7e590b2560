"""What a new guardian is told, by an agent that holds a lot."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Sequence

import trio
import trio.testing

from vrrpd.guard import Guard
from vrrpd.runtime.kernel import Cover

MANY = 4000


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


async def test_the_bell_rings_when_a_takeover_is_over_or_much_is_said(nursery: trio.Nursery) -> None:
    """Who wakes the guardian at once takes a processor from what the role waits for."""
    bells, ends = list[int](), list[socket.socket]()

    async def fork(descriptors: Sequence[int]) -> None:
        ends.append(socket.socket(fileno=os.dup(descriptors[0])))
        bells.append(os.dup(descriptors[1]))

    def rung() -> bool:
        try:
            return os.eventfd_read(bells[0]) > 0
        except BlockingIOError:
            return False

    guard = Guard(fork)
    nursery.start_soon(guard.run)
    await trio.testing.wait_all_tasks_blocked()
    assert rung()  # what a new one is told in any case
    guard.cover("r0/0", cover(0))
    guard.stamp(1_000_000)
    guard.stamp(5_900_000)
    assert not rung()
    guard.stamp(6_000_000)
    assert rung()
    guard.stamp(60_000_000)
    assert not rung()  # nothing new was said
    for number in range(1, 101):
        guard.cover(f"r{number}/0", cover(number))
    assert rung()  # the queue must not overflow before the next look
    nursery.cancel_scope.cancel()
    for each in ends:
        each.close()
    os.close(bells[0])
