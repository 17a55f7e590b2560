"""What a mover did not foresee: an exception that is no `MoverError` is a mistake in the mover, and ends nothing else.

The agent advertises and holds addresses, and so does the one on the other node, which runs the same mover: it must not
end because an API answered what nobody thought of. So such an exception is a failed attempt like others, and the log
has where it came from; each place once. Its own text is left out, for it may quote what was sent, a secret too.
"""

from __future__ import annotations

import logging
import traceback
from random import Random
from typing import Never

import trio

from vrrpd.movers.base import MoverError, Serving
from vrrpd.movers.bulletin import Bulletin
from vrrpd.movers.pace import Pace

_AT_LEAST_S = 1


class Mishaps:
    """Tells of the mistakes of one mover."""

    def __init__(self, name: str, log: logging.Logger) -> None:
        """Begin with none.

        Args:
            name: of the mover, for people.
            log: where each of them goes once.
        """
        self._name = name
        self._log = log
        self._known: set[str] = set()

    def sentence(self, error: Exception) -> str:
        """What happened, for people; logs where, unless that is known."""
        where = "".join(traceback.format_tb(error.__traceback__)).rstrip()
        text = (
            f"the mover has a mistake ({type(error).__name__}); report it, with the traceback in the log of the agent"
        )
        if where not in self._known:
            self._known.add(where)
            self._log.error("%s: %s\n%s", self._name, text, where)
        return text


async def go_on(mover: Serving, tell: Bulletin, mishaps: Mishaps, random: Random) -> Never:
    """Have a mover do its own work, and begin that anew where it fails."""
    pace = Pace(random)
    while True:
        try:
            await mover.serve()
        except MoverError as error:
            failed = error
        except Exception as error:  # noqa: BLE001 - see the top
            failed = MoverError(mishaps.sentence(error))
        tell.fail(f"its own work failed: {failed}")
        await trio.sleep(max(pace.after(failed), _AT_LEAST_S))
