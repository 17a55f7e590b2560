"""What is told of a mover at work: one immutable report, replaced at each change."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType


class State(StrEnum):
    """What a mover is doing; stable names.

    `IDLE`: the role is elsewhere; everything is ready, or `Report.why` says what is not. `ACQUIRING`: on its way here.
    `HELD`: here, and looked after. `CONTENDED`: others take it again and again, or a node that ranks higher has it.
    `FAILED`: not here, and a person should look; attempts go on where they can help.
    """

    IDLE = "idle"
    ACQUIRING = "acquiring"
    HELD = "held"
    CONTENDED = "contended"
    FAILED = "failed"


class Trouble(StrEnum):
    """The alarms of movers; stable names."""

    CONTENDED = "mover_contended"
    FAILED = "mover_failed"
    STOLEN = "mover_stolen"
    UNREADY = "mover_unready"
    YIELDED = "mover_yielded"


@dataclass(frozen=True, slots=True)
class Report:
    """How a mover does.

    Attributes:
        state: see `State`.
        detail: one line for people.
        holder: who has it, as far as is known; None where that is not known.
        ready: whether this node could take it over now.
        why: why not; "" where it could.
        weight: what is added to the priority for now; 0 while this node is ready, or Active.
        aside: why this node has to give the role up and stay out, for as long as this stands; None where it need not.
        yields: why another node should have the role, for as long as this stands: it is offered to the others, kept
            where nobody takes it, and taken only where nobody else would; None where it need not.
        troubles: standing alarms, code -> sentence.
        epoch: how often the role came or went.
        attempts: tried since the role came.
        ms: how long the last successful attempt took from the role change, or from the decision to take it back, to
            the acknowledgement, in milliseconds; None before.
    """

    state: State = State.IDLE
    detail: str = "not asked yet"
    holder: str | None = None
    ready: bool = False
    why: str = "not asked yet"
    weight: int = 0
    aside: str | None = None
    yields: str | None = None
    troubles: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    epoch: int = 0
    attempts: int = 0
    ms: float | None = None
