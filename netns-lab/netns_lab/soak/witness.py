"""The witness: did the machine itself stand still, or did others keep the agents from it?

Started as `python -m netns_lab.soak.witness CORE PRIORITY`, twice for every core. It sleeps for two milliseconds, again
and again, at a real-time priority. Above everything of the lab, what keeps it from a processor keeps any program from
it: a hypervisor that gave the core to somebody else, a kernel that was busy with itself. At the priority of the agents
it waits for what they wait for as well: real-time programs of others, which have their turns of 100 ms. When its
standard input ends it says in one JSON line how long it was kept from the core, and when, and for how much of that time
the hypervisor had given the core to somebody else (`steal` of /proc/stat, proc(5): in ticks of 10 ms as a rule).
"""

from __future__ import annotations

import json
import os
import select
import sys
import time
from pathlib import Path

from netns_lab.sockets import take_real_time

ABOVE, BESIDE = 3, 1
"""Above everything of the lab, and at the priority of an agent that asks for real time."""

_PACE_NS = 2_000_000
_STALL_NS = 5_000_000
_MOST = 20_000
_LOOK_NS = 100_000_000
_STEAL = 8  # the column of /proc/stat


def _stolen(core: int) -> int:
    """For how long others had this core of a virtual machine since it was started, nanoseconds."""
    lines = Path("/proc/stat").read_text().splitlines()
    columns = next((line.split() for line in lines if line.startswith(f"cpu{core} ")), list[str]())
    return int(columns[_STEAL]) * 1_000_000_000 // os.sysconf("SC_CLK_TCK") if len(columns) > _STEAL else 0


def share(stolen: int, stalls: list[list[int]]) -> None:
    """Give each stall its part of the stolen time, which the kernel counts at its next tick, so for several at once."""
    together = sum(late for _, late, _ in stalls)
    for stall in stalls:
        stall[2] = stolen * stall[1] // together


def watch(core: int, priority: int) -> None:
    """Watch a core until standard input ends, then report."""
    os.sched_setaffinity(0, {core})
    take_real_time(priority)
    stalls: list[list[int]] = []
    fresh: list[list[int]] = []  # of which it is not known yet how much was stolen
    longest = 0
    stolen = _stolen(core)
    due = looked = time.monotonic_ns() + _PACE_NS
    while not select.select([sys.stdin], [], [], max(0, due - time.monotonic_ns()) / 1e9)[0]:
        now = time.monotonic_ns()
        late = now - due
        longest = max(longest, late)
        if late > _STALL_NS and len(stalls) < _MOST:
            fresh.append([due, late, 0])
            stalls.append(fresh[-1])
            looked = now
        elif now > looked + _LOOK_NS:
            before, stolen = stolen, _stolen(core)
            share(stolen - before, fresh)
            fresh, looked = [], now
        due = now + _PACE_NS
    found = {"core": core, "above": priority == ABOVE, "longest_ns": longest, "stalls": stalls}
    sys.stdout.write(json.dumps(found) + "\n")


if __name__ == "__main__":
    watch(int(sys.argv[1]), int(sys.argv[2]))
