"""How often an address that somebody else removes is put back: five times a minute, then the role is given up.

Two programs that undo each other all the time serve nobody, and another node may be able to hold the address in peace.
After a minute out the router tries again.
"""

from __future__ import annotations

from vrrpd.proto.timers import SECOND

WINDOW = 60 * SECOND
WORTH_IT = 5
"""Repairs within the window."""


class Repairs:
    """The repairs of one router; times in nanoseconds of one clock."""

    def __init__(self) -> None:
        self._thefts: list[int] = []
        self._out_until = 0
        self._detail = ""

    def another(self, detail: str, now: int) -> bool:
        """An address was removed again; True where it is to be put back."""
        self._thefts = [at for at in self._thefts if now - at < WINDOW] + [now]
        if len(self._thefts) <= WORTH_IT:
            return True
        self._out_until, self._detail = now + WINDOW, detail
        self._thefts.clear()
        return False

    def trouble(self, now: int) -> str | None:
        """Why the router takes no part, for people; None where it may."""
        if now >= self._out_until:
            return None
        return f"{self._detail}, more than {WORTH_IT} times within a minute: trying again in a minute"
