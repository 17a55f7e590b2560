"""Real-time priority for the event loop: an agent that waits for a processor behind other programs is late.

SCHED_RR at the lowest real-time priority goes before everything that asked for nothing, and leaves room for those that
did (watchdogs, other routing daemons). It is inherited by one thread, which does what the loop waits for
(`linux.worker`), since the right to take it has been given away when that begins; from then on it is not
(SCHED_RESET_ON_FORK): other threads, and all programs, stay ordinary. The kernel keeps a part of each second for
ordinary work, whatever a real-time task does.

Sources: sched(7), sched_setscheduler(2).
"""

from __future__ import annotations

import os

PRIORITY = 1

GRANT = "grant CAP_SYS_NICE or LimitRTPRIO=2"
"""What permits it, for people; the guardian goes before the loop that it watches, at 2."""


def take_real_time() -> str | None:
    """Run the calling thread at real-time priority, and those that it starts until `keep_real_time`.

    Returns:
        None, or why that is not permitted and what would permit it.
    """
    try:
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(PRIORITY))
    except OSError as error:
        cause = (error.strerror or str(error)).lower()
        return f"no real-time priority ({cause}): adverts may be late on a busy host; {GRANT}"
    return None


def has_real_time() -> bool:
    """Whether the calling thread runs at real-time priority."""
    return os.sched_getscheduler(0) & ~os.SCHED_RESET_ON_FORK == os.SCHED_RR


def keep_real_time() -> None:
    """Pass the priority on to no thread and no program any more, where the calling thread has it. Needs no right."""
    if has_real_time():
        os.sched_setscheduler(0, os.SCHED_RR | os.SCHED_RESET_ON_FORK, os.sched_param(PRIORITY))
