"""When the lifetimes of our addresses in the kernel have to begin anew.

The kernel removes an address whose lifetime runs out, however the agent ended or hangs. So each address is renewed
after a third of its lease: two renewals may fail before it is lost. Owns the times alone; the one task of `addresses`
does the work, so that no renewal, which would bring back a missing address, can overtake a removal.

At most 64 go out in one write, and the pieces are spread over the third: a thousand IPv6 addresses in one write
would hold a lock of the kernel for 184 ms. Those whose time has nearly come go out with one whose time has come, so
that many addresses do not cost as many writes.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Generic, TypeVar

PIECE = 64
"""Addresses in one write."""

_EARLY = 2
"""An address may be renewed early by this part of its third."""

KeyT = TypeVar("KeyT", bound=Hashable)


class Leases(Generic[KeyT]):
    """The times of all leased addresses; all of them in nanoseconds of one clock."""

    def __init__(self) -> None:
        self._thirds: dict[KeyT, int] = {}
        self._due: dict[KeyT, int] = {}
        self._earliest = 0  # no piece before this

    @property
    def next(self) -> int | None:
        """When the next piece is due; None where nothing is leased."""
        return max(min(self._due.values()), self._earliest) if self._due else None

    def begin(self, key: KeyT, lease: int, now: int) -> None:
        """An address was added with this lifetime."""
        self._thirds[key] = lease // 3
        self._due[key] = now + lease // 3

    def end(self, key: KeyT) -> None:
        """The address is not ours any more."""
        self._thirds.pop(key, None)
        self._due.pop(key, None)

    def ran_out(self, key: KeyT, now: int) -> bool:
        """Whether an address that is gone was not renewed in time."""
        return key in self._due and now > self._due[key] + self._thirds[key]

    def take(self, now: int) -> list[KeyT]:
        """The addresses of the next piece, if one is due; they count as renewed."""
        if now < self._earliest:
            return []
        if min(self._due.values(), default=now + 1) > now:
            return []
        near = (key for key, at in self._due.items() if at <= now + self._thirds[key] // _EARLY)
        ripe = sorted(near, key=self._due.__getitem__)
        piece = ripe[:PIECE]
        for key in piece:
            self._due[key] = now + self._thirds[key]
        if len(ripe) > PIECE:  # half of the third, so that a late beginning does not make a late end
            pieces = -(-len(self._due) // PIECE)
            self._earliest = now + min(self._thirds.values()) // (2 * pieces)
        return piece
