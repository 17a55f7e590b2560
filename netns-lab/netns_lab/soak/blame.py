"""Whose doing was a disturbance: the agents', or that of a machine that stood still longer than they may be silent?

All nodes of a soak are on one machine. Where a hypervisor gives its core to somebody else for two intervals, the Active
is silent for as long as a dead one is, and the others are right to take over. A witness above everything of the lab was
kept from the core at the same time: that is the proof, and without it a disturbance is the agents'.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from netns_lab.expressions import MS

INTERVALS = 2
"""An Active that last spoke an interval before the stall is silent for three then, and the first Backup takes over."""
AFTERMATH = 500 * MS
"""Until the role is back, and whoever had it in between has handed it over."""


def of_the_machine(times: Sequence[int], stalls: Iterable[tuple[int, int]], interval: int) -> list[int]:
    """Those of the disturbances that happened because the machine stood still.

    Args:
        times: when each disturbance was seen, nanoseconds.
        stalls: when the machine stood still, and for how long, nanoseconds.
        interval: between two advertisements, nanoseconds.
    """
    long = [(began, lasted) for began, lasted in stalls if lasted >= INTERVALS * interval]
    return [t for t in times if any(began <= t <= began + lasted + AFTERMATH for began, lasted in long)]
