"""Priorities from the order of nodes, and what weights make of them.

Owns two rules. Weights move a priority within 1..254, and an owner's not at all. And the order: two Backups whose
timers run out at almost the same instant both become Active for a moment, so neighbours need Skew_Times that a timer
and a network can tell apart: 4 ms. One step of priority is interval / 256 of Skew_Time (RFC 9568 6.1), which makes the
step small at long intervals and large at short ones. All stay as high as that allows, because a high priority is a
short Skew_Time, and that is the length of a planned handover.

Must not do: look at health. Who adds which weights when is the runtime's affair.
"""

from __future__ import annotations

from vrrpd.proto.settings import OWNER, UNHEALTHY
from vrrpd.proto.timers import MS, SECOND

FIRST = 250
"""Priority of the first node: below 255, the owner's, with room for one that is put before it by hand."""

LAST = 2
"""Lowest priority given: 1 is what an unhealthy node says."""

MOST_NODES = FIRST - LAST + 1
"""More nodes than this cannot all be different."""

DEFAULT = 100
"""Priority where no order is known (RFC 9568 5.2.4)."""

_APART = 4 * MS
_USUAL_STEP = 10
_ROUND = 5


def step(version: int, interval: int) -> int:
    """The distance between neighbours that keeps their Skew_Times apart.

    From 100 ms up it is 10 (at 100 ms exactly that is 3.9 ms), below the next multiple of 5 that gives 4 ms.

    Args:
        version: 2 or 3; in version 2 Skew_Time does not depend on the interval (RFC 3768 6.1).
        interval: Advertisement_Interval in nanoseconds.
    """
    if version == 2 or interval >= SECOND // 10:
        return _USUAL_STEP
    return -(-_APART * 256 // (interval * _ROUND)) * _ROUND


def from_order(count: int, version: int, interval: int) -> list[int]:
    """Priorities of so many nodes, the preferred one first; where they do not fit, spread as wide as possible.

    Args:
        count: 1..`MOST_NODES`.
        version: 2 or 3.
        interval: Advertisement_Interval in nanoseconds, above 0.
    """
    distance = step(version, interval)
    if distance * (count - 1) <= FIRST - LAST:
        return [FIRST - distance * place for place in range(count)]
    return [FIRST - (FIRST - LAST) * place // (count - 1) for place in range(count)]


def weighted(base: int, total: int) -> int:
    """A configured priority with the sum of the weights that count at the moment.

    Args:
        base: 1..255; the owner's 255 ignores weights (RFC 9568 5.2.4: it always wins).
        total: the sum, also beyond what fits.
    """
    return base if base == OWNER else min(max(base + total, UNHEALTHY), OWNER - 1)
