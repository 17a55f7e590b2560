"""Waits until somebody has mended what no repetition can: the service shows something else than it did.

For a request that can never succeed. Asking changes nothing and costs little; asking again for the change might be
refused for ever, or counted against us.
"""

from __future__ import annotations

from random import Random

import trio

from vrrpd.movers.base import Holder, InvalidError, MoverError
from vrrpd.movers.calls import Calls, is_mine
from vrrpd.movers.pace import sooner


async def mended(calls: Calls, every_s: float, random: Random) -> None:
    """Return when the service shows something else of the thing than now, or at once where it is here already.

    Args:
        calls: of the mover.
        every_s: how often it is asked, in seconds.
        random: for jitter.
    """
    picture = await _picture(calls)
    if isinstance(picture, Holder) and is_mine(picture):
        return
    while True:
        await trio.sleep(sooner(random, every_s))
        latest = await _picture(calls)
        if latest is not None and latest != picture:
            return


async def _picture(calls: Calls) -> Holder | str | None:
    """What the service shows of the thing; None where it did not say."""
    try:
        return await calls.ask()
    except InvalidError:
        return "invalid"
    except MoverError:
        return None
