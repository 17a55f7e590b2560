"""What the shared contract of movers needs of each kind: a mover on a node, and a service that it can look into.

A kind takes part by a file in `cells` with a table `CELLS` of kind -> `Cell`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import TypeAlias

import pytest

from vrrpd.movers.base import (
    ForbiddenError,
    Mover,
    MoverError,
    OutcomeUnknownError,
    ThrottledError,
    UnauthenticatedError,
    UnavailableError,
    UnreachableError,
    Who,
)


class Fault(StrEnum):
    """What a service can do to every request from now on."""

    UNREACHABLE = "unreachable"
    UNAVAILABLE = "unavailable"
    THROTTLED = "throttled"
    FORBIDDEN = "forbidden"
    UNAUTHENTICATED = "unauthenticated"
    CUT = "cut"
    SILENT = "silent"


MEANS: Mapping[Fault, type[MoverError]] = {
    Fault.UNREACHABLE: UnreachableError,
    Fault.UNAVAILABLE: UnavailableError,
    Fault.THROTTLED: ThrottledError,
    Fault.FORBIDDEN: ForbiddenError,
    Fault.UNAUTHENTICATED: UnauthenticatedError,
    Fault.CUT: OutcomeUnknownError,
}
"""What a change comes to that meets such a service; one that never answers is ended by who called."""


@dataclass
class Stage:
    """A mover and what it moves.

    Attributes:
        mover: of this node, not prepared.
        asked: what the service has been asked, in order, dry runs apart.
        changes: those of them that change something.
        give: hands the thing to somebody, behind the back of the mover: each of these can be shown.
        faults: makes the service behave so: each of these can be.
        steps: how many changes one `acquire` is.
        secrets: what must never be told.
    """

    mover: Mover
    asked: Callable[[], Sequence[str]]
    changes: Callable[[], Sequence[str]]
    give: Mapping[Who, Callable[[], object]] = field(default_factory=dict[Who, Callable[[], object]])
    faults: Mapping[Fault, Callable[[], object]] = field(default_factory=dict[Fault, Callable[[], object]])
    steps: int = 1
    secrets: Sequence[str] = ()


@dataclass(frozen=True)
class Desk:
    """What a cell may use.

    Attributes:
        folder: an empty one.
        patch: for the environment.
    """

    folder: Path
    patch: pytest.MonkeyPatch


Cell: TypeAlias = Callable[[Desk], AbstractAsyncContextManager[Stage]]
