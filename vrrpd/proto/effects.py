"""What a virtual router asks for: the output alphabet of the state machine, performed by the caller in list order.

The order is a duty. On the way up the advertisement leaves before the addresses are added (RFC 9568 6.4.2: the other
nodes must know first), and they are announced only once they are there. On the way down priority 0 leaves first,
or, where another Active was heard, the addresses go before anything else.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias


class Role(StrEnum):
    """The state of RFC 9568 6.4 as others see it. Leaving still holds the addresses, so it shows as active."""

    INITIALIZE = "init"
    BACKUP = "backup"
    ACTIVE = "active"


@dataclass(frozen=True, slots=True)
class SendAdvert:
    """Put one advertisement of this priority on the wire, to every peer, now. Nothing may delay it."""

    priority: int


@dataclass(frozen=True, slots=True)
class Acquire:
    """Put the shared addresses on their interfaces. Every advertisement before it in the list must be on the wire."""


@dataclass(frozen=True, slots=True)
class Release:
    """Take the shared addresses off their interfaces."""


@dataclass(frozen=True, slots=True)
class Announce:
    """Tell the link where the addresses are, once they are there, and again on the schedule."""


@dataclass(frozen=True, slots=True)
class Transition:
    """The role changed, or its reason did (`handing over`); for logs, status and hooks."""

    previous: Role
    role: Role
    reason: str


Effect: TypeAlias = SendAdvert | Acquire | Release | Announce | Transition
