"""What a new guardian is told, by an agent that holds a lot."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Sequence

import trio

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
