"""The timers of RFC 9568 section 6.1 and RFC 3768 section 6.1, in integer nanoseconds.

Every time in the protocol core is an `int` of nanoseconds on one monotonic clock that the caller reads. Products come
before quotients, so that no interval is truncated on the way (an implementation that cut Skew_Time down to whole
seconds took over at once).
"""

from __future__ import annotations

MS = 1_000_000
CENTISECOND = 10 * MS
SECOND = 1_000 * MS

ANSWER_MARGIN = 50 * MS
LONGEST_WAIT_FOR_ANSWER = 5 * SECOND


def skew_time(version: int, priority: int, interval: int) -> int:
    """How long a Backup of this priority waits beyond three silent intervals, in nanoseconds.

    Args:
        version: 2 or 3.
        priority: effective priority, 1..255.
        interval: Active_Adver_Interval in nanoseconds; without influence in version 2 (RFC 3768 6.1).
    """
    if version == 2:
        interval = SECOND  # RFC 3768 6.1: (256 - Priority) / 256 seconds, whatever the interval
    return (256 - priority) * interval // 256  # RFC 9568 6.1


def active_down_interval(version: int, priority: int, interval: int, down_adverts: int = 3) -> int:
    """How long a Backup waits for an advertisement before it takes over, in nanoseconds (RFC 9568 6.1)."""
    return down_adverts * interval + skew_time(version, priority, interval)


def answer_wait(interval: int) -> int:
    """How long a node that gives its role away waits for somebody who takes it, in nanoseconds."""
    return min(interval + ANSWER_MARGIN, LONGEST_WAIT_FOR_ANSWER)


def next_advert(last: int, interval: int, phase: int | None) -> int:
    """When Adver_Timer fires next, in nanoseconds: after an interval, or once earlier, to fall in with others.

    Args:
        last: when the last advertisement was due.
        interval: Advertisement_Interval.
        phase: where in an interval it is to fire, on the clock of `last`; None: where it does.
    """
    beyond = (last - phase) % interval if phase is not None else 0
    return last + interval - beyond
