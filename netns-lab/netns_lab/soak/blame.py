"""Whose doing was a disturbance: the agents', or that of a hypervisor that took a core away for too long?

All nodes of a soak are on one machine. Where the core of the Active is given to another machine for two intervals, it
is silent for as long as a dead one is, and the others are right to take over. There are two proofs, and both are
needed: a witness above everything of the lab was kept from that core at the same time, and the kernel counted the time
as stolen. Without them a disturbance is the agents'.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from netns_lab.expressions import MS

INTERVALS = 2
"""An Active that last spoke an interval before the stall is silent for three then, and the first Backup takes over."""
AFTERMATH = 500 * MS
"""Until the role is back, and whoever had it in between has handed it over."""


class Stall(NamedTuple):
    """A time in which nothing ran on a core; all in nanoseconds.

    Attributes:
        began: when.
        lasted: for how long.
        stolen: how much of it the hypervisor had, in ticks of the kernel, so a part of the last one is missing.
    """

    began: int
    lasted: int
    stolen: int


def of_the_hypervisor(times: Sequence[int], stalls: Iterable[Stall], interval: int) -> list[int]:
    """Those of the disturbances that happened because a core was taken away.

    Args:
        times: when each disturbance was seen, nanoseconds.
        stalls: of all cores.
        interval: between two advertisements, nanoseconds.
    """
    long = [each for each in stalls if each.lasted >= INTERVALS * interval and 2 * each.stolen >= each.lasted]
    return [t for t in times if any(each.began <= t <= each.began + each.lasted + AFTERMATH for each in long)]
