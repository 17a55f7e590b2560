"""What routers put off until nothing is urgent: done in order, once, and before the end."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import trio

from vrrpd.runtime.deadlines import Deadlines

FOREVER = 1 << 62


class Clock:
    """Goes off once."""

    went_off = False

    def now(self) -> int:
        return round(trio.current_time() * 1e9)

    def arm(self, deadline: int) -> None:
        """It needs no deadline."""

    async def wait(self) -> None:
        if self.went_off:
            await trio.sleep_forever()
        self.went_off = True
        await trio.lowlevel.checkpoint()


class Vigil:
    """Sees nothing amiss."""

    due = FOREVER

    def beat(self) -> None:
        """Nobody is told."""

    look = beat


class Singer:
    """A router that has something to do once."""

    choir = verse = None

    def __init__(self, do: Callable[[], None]) -> None:
        self.deadline: int | None = -1
        self._do = do

    def speak(self, now: int) -> bool:
        return False

    def tick(self, woken: int, waiting: int) -> None:
        self.deadline = None
        self._do()


def made() -> Deadlines:
    return Deadlines(cast("Any", Clock()), cast("Any", Vigil()), lambda _: None)


async def test_all_who_are_due_come_before_what_any_of_them_put_off(nursery: trio.Nursery) -> None:
    deadlines, done = made(), list[str]()

    def due(name: str) -> None:
        done.append(f"{name} is due")
        deadlines.later(lambda: done.append(f"{name} later"))

    for name in "abcdef":
        deadlines.renew(cast("Any", Singer(lambda name=name: due(name))))
    nursery.start_soon(deadlines.run, lambda: None)
    await trio.sleep(1)
    assert done == [*(f"{name} is due" for name in "abcdef"), *(f"{name} later" for name in "abcdef")]
    nursery.cancel_scope.cancel()


async def test_what_is_put_off_twice_is_done_once(nursery: trio.Nursery) -> None:
    deadlines, done = made(), list[int]()

    def again() -> None:
        done.append(1)

    def tick() -> None:
        for _ in range(3):
            deadlines.later(again)

    deadlines.renew(cast("Any", Singer(tick)))
    nursery.start_soon(deadlines.run, lambda: None)
    await trio.sleep(1)
    assert done == [1]
    nursery.cancel_scope.cancel()


async def test_what_was_put_off_is_done_before_the_end_and_at_once_from_then_on(nursery: trio.Nursery) -> None:
    deadlines, done = made(), list[int]()

    def tick() -> None:
        for number in range(20):
            deadlines.later(lambda number=number: done.append(number))

    deadlines.renew(cast("Any", Singer(tick)))
    nursery.start_soon(deadlines.run, lambda: None)
    while not done:
        await trio.lowlevel.checkpoint()
    nursery.cancel_scope.cancel()
    with trio.CancelScope(shield=True):
        await trio.sleep(1)
    deadlines.later(lambda: done.append(20))
    assert done == list(range(21))
