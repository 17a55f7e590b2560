"""How often an address that somebody else removes is put back: five times a minute, then the role is given up.

Several removals in a row are one: `ip address flush` looks again whether anything is left, up to ten times, and five
repairs would be over at once.

Two programs that undo each other all the time serve nobody, and another node may be able to hold the address in peace.
After a minute out the router tries again.
"""

from __future__ import annotations

from collections.abc import Hashable

from vrrpd.proto.timers import SECOND

WINDOW = 60 * SECOND
INCIDENT = SECOND // 10
"""What is removed again within so long after the first time is removed by the same command."""

WORTH_IT = 5
"""Incidents within the window, for each address."""


class Repairs:
    """The repairs of one router; times in nanoseconds of one clock."""

    def __init__(self) -> None:
        self._thefts: dict[Hashable, list[int]] = {}
        self._out_until = 0
        self._detail = ""

    def another(self, address: Hashable, detail: str, now: int) -> bool:
        """An address was removed again; True where it is to be put back."""
        thefts = [at for at in self._thefts.get(address, ()) if now - at < WINDOW]
        if not thefts or now - thefts[-1] >= INCIDENT:
            thefts.append(now)
        self._thefts[address] = thefts
        if len(thefts) <= WORTH_IT:
            return True
        self._out_until, self._detail = now + WINDOW, detail
        self._thefts.clear()
        return False

    def trouble(self, now: int) -> str | None:
        """Why the router takes no part, for people; None where it may."""
        if now >= self._out_until:
            return None
        return f"{self._detail}, more than {WORTH_IT} times within a minute: trying again in a minute"
