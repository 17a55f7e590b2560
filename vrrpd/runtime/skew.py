"""Clocks that differ, in words: what to tell a person before and after signed advertisements are refused for it.

Owns the sentences of the alarm `clock_skew`. Which clock is wrong nobody here can know; that they differ is enough to
send somebody.
"""

from __future__ import annotations

from vrrpd.proto.auth import Authenticator
from vrrpd.proto.settings import Address
from vrrpd.proto.timers import SECOND
from vrrpd.proto.validate import Drop

_MEND = "set the clocks of all nodes right (chrony, systemd-timesyncd)"


def of_sender(drop: Drop) -> str:
    """An authentic peer is refused for its time."""
    return f"{drop.detail}: an authentic peer with another clock, which cannot be followed; {_MEND}"


def of_accepted(keys: Authenticator, source: Address) -> str | None:
    """A peer is still inside the window, and not by much."""
    ahead, window = keys.ahead(source), keys.hmac.time_window
    if 2 * abs(ahead) <= window:
        return None
    where = "ahead of" if ahead > 0 else "behind"
    text = f"the clock of {source} is {abs(ahead) / SECOND:.1f} s {where} ours; it is refused from"
    return f"{text} {window // SECOND} s on; {_MEND}"


def of_ours(keys: Authenticator) -> str | None:
    """Our own clock has jumped."""
    step = keys.clock.step
    if not step:
        return None
    where = "forward" if step > 0 else "back"
    return (
        f"the clock of this host jumped {abs(step) / SECOND:.1f} s {where}; signatures keep the time before it; {_MEND}"
    )
