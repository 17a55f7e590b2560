"""What a program costs, as the kernel counts it: processor time, memory, descriptors, wake-ups.

All of an agent counts: the program that was started and all that descend from it.

Sources: clock_getcpuclockid(3) and `include/linux/posix-timers_types.h` for the clock of another process, which counts
nanoseconds of all its threads, also of those that have ended; proc_pid_smaps(5) for `smaps_rollup`; proc_pid_status(5)
for context switches.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from netns_lab import kernel

_SCHEDULER_CLOCK = 2


@dataclass(frozen=True, slots=True)
class Cost:
    """Of one agent, since it was started.

    Attributes:
        processor_ns: user and system time of all its threads.
        wakeups: how often one of them waited for something and went on.
        memory_mb: its proportional share of memory (Pss).
        descriptors: open files and sockets.
    """

    processor_ns: int
    wakeups: int
    memory_mb: float
    descriptors: int


def cost(pid: int) -> Cost:
    """What a program and all that descend from it have cost until now.

    Raises:
        OSError: one of them ended meanwhile.
    """
    pids = kernel.family(pid)
    family = [Path("/proc") / str(each) for each in pids]
    threads = [thread for process in family for thread in (process / "task").iterdir()]
    return Cost(
        processor_ns=sum(time.clock_gettime_ns(~each << 3 | _SCHEDULER_CLOCK) for each in pids),
        wakeups=sum(_number(thread / "status", "voluntary_ctxt_switches") for thread in threads),
        memory_mb=sum(_number(process / "smaps_rollup", "Pss") for process in family) / 1024,
        descriptors=sum(len(list((process / "fd").iterdir())) for process in family),
    )


def _number(file: Path, key: str) -> int:
    """The number in the line with this key."""
    for line in file.read_text().splitlines():
        name, _, value = line.partition(":")
        if name == key:
            return int(value.split()[0])
    raise KeyError(f"{file} has no line {key}")
