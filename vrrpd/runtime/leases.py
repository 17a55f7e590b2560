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
from collections.abc import Hashable, Iterable
from itertools import count
from typing import Generic, NamedTuple, TypeVar

PIECE = 64
"""IPv6 addresses in one write."""

IPV4 = 0.25
"""What the renewal of an IPv4 address weighs, at most."""

_EARLY = 2
"""An address may be renewed early by this part of its third."""

KeyT = TypeVar("KeyT", bound=Hashable)


class _Entry(NamedTuple, Generic[KeyT]):
    """Addresses that are due at the same time; those that were renewed together."""

    at: int
    number: int  # of its own, so that nothing else is compared
    keys: list[KeyT]


class Leases(Generic[KeyT]):
    """The times of all leased addresses; all of them in nanoseconds of one clock."""

    def __init__(self) -> None:
        self._thirds: dict[KeyT, int] = {}
        self._weights: dict[KeyT, float] = {}
        self._lengths = Counter[int]()  # how many have a third of this length
        self._due: dict[KeyT, _Entry[KeyT]] = {}
        self._heap: list[_Entry[KeyT]] = []  # the same; of its addresses some were renewed or ended since
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
        self._enter([key], now)

    def end(self, key: KeyT) -> None:
        """The address is not ours any more."""
        self._weights.pop(key, None)
        third = self._thirds.pop(key, None)
        if third is not None:
            self._lengths -= Counter((third,))
        self._due.pop(key, None)

    def ran_out(self, key: KeyT, now: int) -> bool:
        """Whether an address that is gone was not renewed in time."""
        return key in self._due and now > self._due[key].at + self._thirds[key]

    def take(self, now: int) -> list[KeyT]:
        """The addresses of the next piece, if one is due; they count as renewed."""
        first = self._first()
        if first is None or first > now or now < self._earliest:
            return []
        piece: list[KeyT] = []
        room = float(PIECE)
        while room > 0 and (near := self._first_if_near(now)):
            room = self._move(near, piece, room)
        if self._first_if_near(now):  # half of the third, so that a late beginning does not make a late end
            self._earliest = now + min(self._lengths) // (2 * math.ceil(sum(self._weights.values()) / PIECE))
        self._enter(piece, now)
        return piece

    def _enter(self, keys: Iterable[KeyT], now: int) -> None:
        """They were renewed now."""
        entries: dict[int, _Entry[KeyT]] = {}
        for key in keys:
            third = self._thirds[key]
            entry = entries.get(third)
            if entry is None:
                entry = entries[third] = _Entry(now + third, next(self._numbers), [])
                heapq.heappush(self._heap, entry)
            entry.keys.append(key)
            self._due[key] = entry

    def _move(self, entry: _Entry[KeyT], piece: list[KeyT], room: float) -> float:
        """Take addresses of an entry for as long as there is room; what is left of that."""
        while entry.keys and room > 0:
            key = entry.keys.pop()
            if self._due.get(key) is entry:
                piece.append(key)
                room -= self._weights[key]
        return room

    def _first(self) -> int | None:
        """When the first address is due, early or late."""
        while self._heap:
            entry = self._heap[0]
            while entry.keys and self._due.get(entry.keys[-1]) is not entry:
                entry.keys.pop()
            if entry.keys:
                return entry.at
            heapq.heappop(self._heap)
        return None

    def _first_if_near(self, now: int) -> _Entry[KeyT] | None:
        first = self._first()
        near = first is not None and first <= now + self._thirds[self._heap[0].keys[-1]] // _EARLY
        return self._heap[0] if near else None
