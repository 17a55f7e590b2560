"""The check `link: IFNAME`: can an interface carry frames?

Healthy is an interface that exists, is up, has a carrier and is RUNNING, as the kernel last told; it is told by events,
so that a pulled cable is seen at once. There is nothing to doubt about it, and it counts as `fall` failures. The
interface of a router itself is watched without any check; this one is for another one, such as that to the back ends.

`down_delay` forgives a carrier that is back before it is over. `up_delay` waits that long for a carrier that came back:
the port of a switch may stay deaf for half a minute. What is there at the start is believed at once.

Must not do: wait between reading the state and waiting for the next event, which would be lost.
"""

from __future__ import annotations

import math
from typing import Annotated

import trio
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from vrrpd.checks.base import Host, Kind, Result
from vrrpd.config.scalars import Shorthand, device, duration, written
from vrrpd.proto.timers import SECOND

_DELAY_LIMIT = 3600 * SECOND


class LinkOptions(BaseModel):
    """Options of a `link` check."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    interface: Annotated[str, device()] = Field(description="name of the interface")
    up_delay: Annotated[int, duration(0, _DELAY_LIMIT)] = Field(
        default=0, description="how long a carrier must have been back before it is believed"
    )
    down_delay: Annotated[int, duration(0, _DELAY_LIMIT)] = Field(
        default=0, description="how long a carrier may be gone before the check has failed"
    )


def _expanded(value: object) -> object:
    return {"interface": value} if isinstance(value, str) else value


OPTIONS: TypeAdapter[LinkOptions] = TypeAdapter(
    Annotated[LinkOptions, Shorthand(_expanded, {"type": "string", "minLength": 1, "maxLength": 15})]
)
"""Validates `IFNAME` and `{interface, up_delay, down_delay}`."""


class LinkCheck:
    """Healthy while the interface carries frames."""

    def __init__(self, options: LinkOptions, host: Host) -> None:
        self._interface = options.interface
        self._delays = {True: options.up_delay, False: options.down_delay}
        self._carriers = host.carriers
        self._believed: bool | None = None  # whether it carries, as the last verdict had it
        self._turn: float | None = None  # when the opposite will be believed, on trio's clock

    async def probe(self) -> Result | None:
        """Look; a change that is not believed yet keeps a check that is up from any verdict."""
        await trio.lowlevel.checkpoint()
        trouble = self._carriers.carrier(self._interface)
        carries = trouble is None
        if self._believed in {None, carries} or self._is_over(carries):
            self._believed, self._turn = carries, None
            return Result(ok=carries, detail=f"{self._interface} {trouble or 'is up'}", decisive=not carries)
        if not carries:
            return None
        waits = written(self._delays[True])
        return Result(ok=False, detail=f"{self._interface} is up again, but not for {waits} yet")

    async def changed(self) -> None:
        """Return after the next event of a link, or when a change is to be believed."""
        with trio.move_on_at(math.inf if self._turn is None else self._turn):
            await self._carriers.changed()

    def close(self) -> None:
        """Nothing is held."""

    def _is_over(self, carries: bool) -> bool:
        """Whether a change has lasted long enough; its time begins when it is first seen."""
        now = trio.current_time()
        if self._turn is None:
            self._turn = now + self._delays[carries] / SECOND
        return now >= self._turn


KINDS = {"link": Kind(OPTIONS, LinkCheck)}
"""For the registry."""
