"""The witness: did the machine itself stand still?

Started as `python -m netns_lab.soak.witness CORE`, once for every core. It sleeps for two milliseconds, again and
again, at a real-time priority above everything of the lab. What keeps it from a processor keeps any program from it: a
hypervisor that gave the core to somebody else, a kernel that was busy with itself. When its standard input ends it
says in one JSON line how long the core stood still, and when.
"""

from __future__ import annotations

import json
import os
import select
import sys
import time

from netns_lab.sockets import take_real_time

_PRIORITY = 3
_PACE_NS = 2_000_000
_STALL_NS = 5_000_000
_MOST = 1000


def watch(core: int) -> None:
    """Watch a core until standard input ends, then report."""
    os.sched_setaffinity(0, {core})
    take_real_time(_PRIORITY)
    stalls: list[tuple[int, int]] = []
    longest = 0
    due = time.monotonic_ns() + _PACE_NS
    while not select.select([sys.stdin], [], [], max(0, due - time.monotonic_ns()) / 1e9)[0]:
        now = time.monotonic_ns()
        late = now - due
        longest = max(longest, late)
        if late > _STALL_NS and len(stalls) < _MOST:
            stalls.append((due, late))
        due = now + _PACE_NS
    sys.stdout.write(json.dumps({"core": core, "longest_ns": longest, "stalls": stalls}) + "\n")


if __name__ == "__main__":
    watch(int(sys.argv[1]))
