"""What can happen to a virtual router: the input alphabet of the state machine, a closed union."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import TypeAlias

from vrrpd.proto.packet import Advertisement, Dialect
from vrrpd.proto.settings import Address


@dataclass(frozen=True, slots=True)
class Startup:
    """The interface is up and `source` is on it: take part (RFC 9568 6.4.1)."""

    source: Address


@dataclass(frozen=True, slots=True)
class Shutdown:
    """Stop taking part at once: the interface or the source is gone, or nobody wants to wait any longer."""

    reason: str


@dataclass(frozen=True, slots=True)
class Leave:
    """Hand the role over, then stop taking part (a stop of the agent)."""

    reason: str


@dataclass(frozen=True, slots=True)
class Overslept:
    """We were away so long that others may have taken over: a stopped process, a paused machine.

    Attributes:
        reason: the cause, for people.
    """

    reason: str


@dataclass(frozen=True, slots=True)
class Tick:
    """A deadline may have passed. One that comes early or twice changes nothing.

    Attributes:
        late: how long after the deadline, nanoseconds, where that is so much that we were kept from running; else 0.
    """

    late: int = 0


@dataclass(frozen=True, slots=True)
class Received:
    """A validated advertisement from `source`.

    Attributes:
        advert: what it says.
        source: who says it.
        dialect: in which checksum.
        tie_elsewhere: True where another member of our group decides a tie with this node, so none is lost here.
    """

    advert: Advertisement
    source: Address
    dialect: Dialect
    tie_elsewhere: bool = False


@dataclass(frozen=True, slots=True)
class Unproven:
    """Somebody advertises a priority above 0 and could not prove who it is: another key, no signature, another time.

    Attributes:
        source: a node of the file, as the packet claims it.
        priority: what it says.
        authentic: True where the signature was good and its time rose as time passed: a peer whose clock differs.
        tie_elsewhere: see `Received`.
    """

    source: Address
    priority: int
    authentic: bool
    tie_elsewhere: bool = False


class Drain(IntEnum):
    """Whether an operator wants this node out: `ASK` where somebody else takes the role, `FORCE` in any case."""

    NO = 0
    ASK = 1
    FORCE = 2


@dataclass(frozen=True, slots=True)
class Adjust:
    """A new priority, a new verdict of the checks, or a new wish of an operator.

    Attributes:
        priority: configured priority with its weights, 1..255.
        healthy: False while a tracked check without weight is down.
        reason: the cause, for people.
        drain: see `Drain`.
    """

    priority: int
    healthy: bool
    reason: str
    drain: Drain = Drain.NO


@dataclass(frozen=True, slots=True)
class NetworkHeard:
    """Another host answered on the link: our network card and the port it is plugged into carry frames."""


@dataclass(frozen=True, slots=True)
class ActiveLeft:
    """Another member of our group heard priority 0 from the node that is Active here too."""


@dataclass(frozen=True, slots=True)
class Yield:
    """Another member of our group heard the Active that takes over from this node.

    Attributes:
        linger: True where the addresses stay for a moment, as after a planned change.
        outranked: True where the other member lost to a better Active; False where it was leaving anyway.
        reason: the cause, for people.
    """

    linger: bool
    outranked: bool
    reason: str


@dataclass(frozen=True, slots=True)
class Stay:
    """Another member of our group keeps the role that it was giving away."""


Event: TypeAlias = (
    Startup
    | Shutdown
    | Leave
    | Overslept
    | Tick
    | Received
    | Unproven
    | Adjust
    | NetworkHeard
    | ActiveLeft
    | Yield
    | Stay
)
