"""When the lifetimes of our addresses in the kernel have to begin anew.

The kernel removes an address whose lifetime runs out, however the agent ended or hangs. So each address is renewed
after a third of its lease: two renewals may fail before it is lost. Owns the times alone; the one task of `addresses`
does the work, so that no renewal, which would bring back a missing address, can overtake a removal.

They go out in pieces that are spread over the third: a thousand IPv6 addresses in one write would hold a lock of the
kernel for 184 ms, an IPv4 one takes it for 1 to 5 us. Those whose time has nearly come go out with one whose time has
come, so that many addresses do not cost as many writes.
"""

from __future__ import annotations

import heapq
import math
from collections import Counter
from collections.abc import Hashable
from itertools import count
from typing import Generic, TypeVar

PIECE = 64
"""IPv6 addresses in one write."""

IPV4 = 0.25
"""What the renewal of an IPv4 address weighs, at most."""

_EARLY = 2
"""An address may be renewed early by this part of its third."""

KeyT = TypeVar("KeyT", bound=Hashable)


class Leases(Generic[KeyT]):
    """The times of all leased addresses; all of them in nanoseconds of one clock."""

    def __init__(self) -> None:
        self._thirds: dict[KeyT, int] = {}
        self._weights: dict[KeyT, float] = {}
        self._lengths = Counter[int]()  # how many have a third of this length
        self._due: dict[KeyT, tuple[int, int, KeyT]] = {}  # when, with a number of its own
        self._heap: list[tuple[int, int, KeyT]] = []  # the same, and some that were renewed or ended since
        self._numbers = count()
        self._earliest = 0  # no piece before this

    @property
    def next(self) -> int | None:
        """When the next piece is due; None where nothing is leased."""
        first = self._first()
        return None if first is None else max(first, self._earliest)

    def begin(self, key: KeyT, lease: int, now: int, weight: float = 1) -> None:
        """An address was added with this lifetime; `weight` is the work of its renewal beside that of an IPv6 one."""
        self.end(key)
        self._thirds[key], self._weights[key] = lease // 3, weight
        self._lengths[lease // 3] += 1
        self._earliest = min(self._earliest, now + lease // 3)  # it does not wait for those that have time
        self._enter(key, now)

    def end(self, key: KeyT) -> None:
        """The address is not ours any more."""
        self._weights.pop(key, None)
        third = self._thirds.pop(key, None)
        if third is not None:
            self._lengths -= Counter((third,))
        self._due.pop(key, None)

    def ran_out(self, key: KeyT, now: int) -> bool:
        """Whether an address that is gone was not renewed in time."""
        return key in self._due and now > self._due[key][0] + self._thirds[key]

    def take(self, now: int) -> list[KeyT]:
        """The addresses of the next piece, if one is due; they count as renewed."""
        first = self._first()
        if first is None or first > now or now < self._earliest:
            return []
        piece: list[KeyT] = []
        room = float(PIECE)
        while room > 0 and self._first_is_near(now):
            piece.append(heapq.heappop(self._heap)[-1])
            room -= self._weights[piece[-1]]
        if self._first_is_near(now):  # half of the third, so that a late beginning does not make a late end
            self._earliest = now + min(self._lengths) // (2 * math.ceil(sum(self._weights.values()) / PIECE))
        for key in piece:
            self._enter(key, now)
        return piece

    def _enter(self, key: KeyT, now: int) -> None:
        """It was renewed now."""
        self._due[key] = entry = now + self._thirds[key], next(self._numbers), key
        heapq.heappush(self._heap, entry)

    def _first(self) -> int | None:
        """When the first address is due, early or late."""
        while self._heap and self._due.get(self._heap[0][-1]) is not self._heap[0]:
            heapq.heappop(self._heap)
        return self._heap[0][0] if self._heap else None

    def _first_is_near(self, now: int) -> bool:
        first = self._first()
        return first is not None and first <= now + self._thirds[self._heap[0][-1]] // _EARLY
