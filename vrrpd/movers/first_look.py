"""The look before a change that may not be needed, and those after one that was cut off.

The thing may be here already, and a move to where it is costs.

So is it where an answer did not come, and where the last look showed it here. There a look that fails is a failed
attempt; but not for ever, since the service may answer changes and nothing else.
"""

from __future__ import annotations

from collections.abc import Callable

import trio

from vrrpd.movers.base import ForbiddenError, Holder, InvalidError, MoverError, Who
from vrrpd.movers.calls import Calls, is_mine

LOOKS_BACK_S = (1, 5)
"""When the holder is asked after the role went while a change was under way, or while the thing was here."""

_ATTEMPTS = 3


class FirstLook:
    """Looks for one mover, from the role's coming on."""

    def __init__(self, calls: Calls) -> None:
        """Begin without a failure.

        Args:
            calls: of the mover.
        """
        self._calls = calls
        self._failed = 0

    @property
    def owed(self) -> bool:
        """Whether the last one failed, and has to be repeated before anything is sent."""
        return self._failed > 0

    async def take(self) -> Holder | None:
        """Ask who has it, where an answer did not come on a new connection, and on the old one if that does not help.

        Returns:
            Who has it; None where that cannot be found out, and the change is to be sent all the same.

        Raises:
            MoverError: that cannot be found out now, and it may be here already.
        """
        try:
            holder = await self._calls.ask(fresh=self._calls.loose and self._failed != 1)
        except (ForbiddenError, InvalidError):  # it will never be known
            holder = None
        except MoverError:
            uncertain = self._calls.loose or is_mine(self._calls.seen)
            self._failed = (self._failed + 1) % _ATTEMPTS if uncertain else 0
            if not self.owed:
                return None
            if not await self._calls.sees_it(in_doubt=False):
                raise
            holder = Holder(Who.ME)
        self._failed = 0
        return holder


async def look_back(calls: Calls, noticed: Callable[[Holder], None], landed: Callable[[], None]) -> None:
    """See what became of a change that was cut off, and who took over from us.

    Args:
        calls: of the mover.
        noticed: told of each look.
        landed: called where it brought the thing here after all.
    """
    lost = trio.current_time()
    for after in LOOKS_BACK_S:
        await trio.sleep_until(lost + after)
        holder = await calls.ask_quietly()
        if holder is not None:
            noticed(holder)
        if calls.loose and is_mine(holder):
            calls.loose = False
            landed()
    calls.loose = False
