"""One timer for all routers: a heap of deadlines, renewed lazily.

A deadline that moves later (every advertisement heard moves one) costs nothing: the entry stays and is looked at when
it comes up. Only one that moves earlier is entered again. Routers that are due at the same instant share an entry of
the heap: those of a host speak in bursts, and hear bursts.
"""

from __future__ import annotations

import heapq
from typing import Generic, Protocol, TypeVar


class Deadline(Protocol):
    """Something with a next deadline in nanoseconds."""

    @property
    def deadline(self) -> int | None:
        """When it is due next; None while it is not."""
        ...


ItemT = TypeVar("ItemT", bound=Deadline)


class Schedule(Generic[ItemT]):
    """When somebody next has something to do; all times in nanoseconds of one clock."""

    def __init__(self) -> None:
        self._heap: list[int] = []
        self._due_at: dict[int, list[ItemT]] = {}  # for each time in the heap; some of them moved or left since
        self._entered: dict[ItemT, int] = {}

    def renew(self, item: ItemT) -> None:
        """Take note of the present deadline of an item."""
        deadline, entered = item.deadline, self._entered.get(item)
        if deadline is not None and (entered is None or deadline < entered):
            self._enter(item, deadline)

    def forget(self, item: ItemT) -> None:
        """The item will not be asked for again."""
        self._entered.pop(item, None)

    def next(self) -> int | None:
        """The earliest deadline, None where nothing is due ever."""
        while self._heap and not self._is_true(self._heap[0]):
            del self._due_at[heapq.heappop(self._heap)]
        return self._heap[0] if self._heap else None

    def due(self, now: int) -> list[ItemT]:
        """Every item whose deadline has passed, in their order; the caller handles each and renews it."""
        found: list[ItemT] = []
        while self._heap and self._heap[0] <= now:
            at = heapq.heappop(self._heap)
            for item in self._due_at.pop(at):
                if self._entered.get(item) == at:
                    del self._entered[item]
                    deadline = item.deadline
                    if deadline is None:
                        continue
                    if deadline <= now:
                        found.append(item)
                    else:
                        self._enter(item, deadline)
        return found

    def _enter(self, item: ItemT, deadline: int) -> None:
        self._entered[item] = deadline
        others = self._due_at.get(deadline)
        if others is None:
            self._due_at[deadline] = [item]
            heapq.heappush(self._heap, deadline)
        else:
            others.append(item)

    def _is_true(self, at: int) -> bool:
        """Whether anything is still due at this time; what has moved is entered where it belongs."""
        items, entered = self._due_at[at], self._entered
        while items:
            item = items[-1]
            if entered.get(item) == at:
                deadline = item.deadline
                if deadline is None:
                    del entered[item]
                elif deadline <= at:
                    return True
                else:
                    self._enter(item, deadline)
            items.pop()
        return False
