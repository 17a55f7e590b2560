"""The heap of deadlines: nothing is early, nothing is forgotten, and moving a deadline back costs nothing."""

from __future__ import annotations

from dataclasses import dataclass

from vrrpd.runtime.schedule import Schedule


@dataclass(eq=False)
class Item:
    deadline: int | None


async def test_the_earliest_comes_first() -> None:
    schedule, items = Schedule[Item](), [Item(30), Item(10), Item(20)]
    for item in items:
        schedule.renew(item)
    assert schedule.next() == 10
    assert schedule.due(20) == [items[1], items[2]]
    assert schedule.next() == 30


async def test_a_deadline_that_moved_back_is_not_due_at_its_old_time() -> None:
    schedule, item = Schedule[Item](), Item(10)
    schedule.renew(item)
    item.deadline = 50
    assert schedule.due(10) == []
    assert schedule.next() == 50


async def test_a_deadline_that_moved_forward_is_due_at_its_new_time_and_only_once() -> None:
    schedule, item = Schedule[Item](), Item(50)
    schedule.renew(item)
    item.deadline = 10
    schedule.renew(item)
    assert schedule.due(100) == [item]
    item.deadline = None
    schedule.renew(item)
    assert schedule.due(100) == []
    assert schedule.next() is None


async def test_an_item_that_was_forgotten_is_never_due() -> None:
    schedule, item = Schedule[Item](), Item(10)
    schedule.renew(item)
    schedule.forget(item)
    assert schedule.due(100) == []
