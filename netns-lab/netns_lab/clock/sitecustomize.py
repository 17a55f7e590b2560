"""A wall clock of its own for one program: the one of the machine and as much as a file says.

The kernel has one CLOCK_REALTIME for all namespaces (a time namespace knows only the clocks that nobody can set), and a
library in front of libc that fakes it makes Python's `time.sleep` fail. So the interpreter itself is told, by the
module that it loads first when it finds one on its path (`site`): a fault of the host, of which the program knows
nothing. The file is read each time, so a clock can jump while the program runs. The clocks that only go on stay as
they are, and so does a program that is no Python.
"""

from __future__ import annotations

import os
import time

_FILE = os.environ["NETNS_LAB_CLOCK"]

_gettime_ns = time.clock_gettime_ns


def _clock_gettime_ns(clock: int, /) -> int:
    now = _gettime_ns(clock)
    if clock != time.CLOCK_REALTIME:
        return now
    with open(_FILE) as file:  # noqa: PTH123  before anything is imported
        return now + int(file.read())


time.clock_gettime_ns = _clock_gettime_ns
time.clock_gettime = lambda clock, /: time.clock_gettime_ns(clock) / 1e9
time.time_ns = lambda: time.clock_gettime_ns(time.CLOCK_REALTIME)
time.time = lambda: time.time_ns() / 1e9  # noqa: TID251  the very clock that is set here
