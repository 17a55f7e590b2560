"""One timer for all routers: a heap of deadlines, renewed lazily.

A deadline that moves later (every advertisement heard moves one) costs nothing: the entry stays and is looked at when
it comes up. Only one that moves earlier is pushed again.
"""

from __future__ import annotations

import heapq
from itertools import count
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
        self._heap: list[tuple[int, int, ItemT]] = []
        self._entered: dict[ItemT, int] = {}
        self._order = count()

    def renew(self, item: ItemT) -> None:
        """Take note of the present deadline of an item."""
        deadline, entered = item.deadline, self._entered.get(item)
        if deadline is not None and (entered is None or deadline < entered):
            self._entered[item] = deadline
            heapq.heappush(self._heap, (deadline, next(self._order), item))

    def forget(self, item: ItemT) -> None:
        """The item will not be asked for again."""
        self._entered.pop(item, None)

    def next(self) -> int | None:
        """The earliest deadline, None where nothing is due ever."""
        self._settle()
        return self._heap[0][0] if self._heap else None

    def due(self, now: int) -> list[ItemT]:
        """Every item whose deadline has passed; the caller handles each and renews it."""
        found: list[ItemT] = []
        while (first := self.next()) is not None and first <= now:
            item = heapq.heappop(self._heap)[2]
            del self._entered[item]
            found.append(item)
        return found

    def _settle(self) -> None:
        """Bring the true earliest deadline to the top: drop what is stale, move what was renewed."""
        while self._heap:
            at, _, item = self._heap[0]
            deadline = item.deadline
            if self._entered.get(item) == at and deadline is not None and deadline <= at:
                return
            heapq.heappop(self._heap)
            if self._entered.get(item) == at:
                del self._entered[item]
                self.renew(item)
