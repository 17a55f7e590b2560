"""Why a role changed, in words for people: logs, status and hooks show them."""

from __future__ import annotations

from collections.abc import Mapping

from vrrpd.proto.settings import Address, Settings
from vrrpd.proto.states import Backup


def why_active(settings: Settings, state: Backup | None, mine: int, heard: Mapping[Address, int], now: int) -> str:
    """Why this node takes the role.

    Args:
        settings: the constants.
        state: what it was; None for an address owner that starts.
        mine: its effective priority.
        heard: when each source was last heard, nanoseconds.
        now: nanoseconds on the same clock.
    """
    if state is None:
        return "address owner"
    if state.active is None:
        return "no Active was heard"
    silence = now - heard.get(state.active, now)
    if state.outranked is not None and silence < settings.down_adverts * state.interval:
        return why_beaten(state.active, state.outranked, mine)
    return f"{state.active} fell silent or left"


def why_doubted(other: Address) -> str:
    """Why this node gives way to somebody whom it cannot believe."""
    return f"{other} is Active and cannot be verified: of the two our key or clock may be the wrong one"


def why_beaten(other: Address, priority: int, mine: int) -> str:
    """Two priorities beside each other."""
    return f"{other} advertises priority {priority}, ours is {mine}"
