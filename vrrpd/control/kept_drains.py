"""Drained routers as a file keeps them: JSON that a person can read, by the names of routers of the configuration.

    {"version": 1, "drained": {"web": {"until": "2026-01-01T02:00:00Z", "left_s": 7200.0}, "api": {}}}

A drain with an end is kept as the time of its end and as the seconds that are left. Whoever reads it takes the earlier
of the two: a machine that was off, or whose wall clock jumped either way, does not stay drained longer than was asked.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

LONGEST_S = 8760 * 3600.0
"""The longest drain that ends by itself, in seconds: a year is more than anybody means."""


@dataclass(frozen=True, slots=True)
class Drain:
    """How long a router is drained.

    Attributes:
        until: the end on the wall clock, for people and for the time after a reboot; None: until it is undrained.
        ends: the same on the event loop's clock, seconds.
    """

    until: datetime | None = None
    ends: float | None = None


class _Kept(BaseModel):
    model_config = ConfigDict(extra="forbid")

    until: AwareDatetime | None = None
    left_s: Annotated[float, Field(ge=0, le=LONGEST_S)] | None = None


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid")

    version: Literal[1] = 1
    drained: dict[str, _Kept]


def lasting(seconds: float | None, now: float, wall: datetime) -> Drain:
    """A drain that begins now; None: one without an end."""
    return Drain() if seconds is None else Drain(wall + timedelta(seconds=seconds), now + seconds)


def encode(drained: Mapping[str, Drain], now: float) -> str:
    """The file.

    Args:
        drained: by router.
        now: the event loop's clock, seconds.
    """
    kept = {
        name: _Kept(until=d.until, left_s=None if d.ends is None else round(max(d.ends - now, 0.0), 3))
        for name, d in drained.items()
    }
    return _File(drained=kept).model_dump_json(indent=2, exclude_none=True) + "\n"


def decode(text: bytes, now: float, wall: datetime) -> dict[str, Drain]:
    """What a file says now; a drain that is over has its end in the past.

    Args:
        text: the file.
        now: the event loop's clock, seconds.
        wall: the same moment on the wall clock.

    Raises:
        ValueError: it makes no sense; the text says where and why.
    """
    try:
        kept = _File.model_validate_json(text).drained
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(str(step) for step in first["loc"])
        raise ValueError(f"{place}: {first['msg']}" if place else first["msg"]) from error
    return {name: lasting(_left(each, wall), now, wall) for name, each in kept.items()}


def _left(kept: _Kept, wall: datetime) -> float | None:
    """How many seconds are left, None where there is no end."""
    left = [] if kept.left_s is None else [kept.left_s]
    if kept.until is not None:
        left.append((kept.until - wall).total_seconds())
    return min(left, default=None)
