"""A load: one process that is busy on one core, at ordinary priority, until its standard input ends.

Started as `python -m netns_lab.soak.load CORE`. It does what busy programs do: it computes, and it moves memory that is
larger than the caches.
"""

from __future__ import annotations

import os
import select
import sys

_MEMORY = 8 << 20
_ROUNDS = 20_000


def burn(core: int) -> None:
    """Keep a core busy until standard input ends."""
    os.sched_setaffinity(0, {core})
    memory = bytes(_MEMORY)
    while not select.select([sys.stdin], [], [], 0)[0]:
        total = 0
        for number in range(_ROUNDS):
            total += number * number
        memory = memory[1:] + memory[:1]


if __name__ == "__main__":
    burn(int(sys.argv[1]))
