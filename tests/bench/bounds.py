"""What the regular work of the agent may cost, in numbers that do not depend on how fast a machine is.

Each figure is what was counted when it was written down, with Python 3.11; `hold` allows a little on top. One that has
become smaller is written down here as soon as it has, or the gain can be lost again unseen: `pytest -rP tests/bench`
shows what is counted now. Another version of Python compiles to other bytecode and calls other functions, so there
these figures are not held against anything; what the kernel is asked for is the same with all of them.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping

import pytest

MARGIN = 1.1
MARGINS = {"calls": 1.03, "bytecode": 1.03}
"""What is the same in each run needs less: one more call of twenty is seen."""

figures_hold = pytest.mark.skipif(sys.version_info[:2] != (3, 11), reason="the figures are those of Python 3.11")


def hold(what: str, found: Mapping[str, float], bounds: Mapping[str, float]) -> None:
    """Fail where more was counted than a bound and the margin allow; say what was counted in any case."""
    assert found.keys() == bounds.keys()
    allowed = {name: bound * MARGINS.get(name, MARGIN) for name, bound in bounds.items()}
    lines = [
        f"{name}: {round(number, 3)} counted, {bounds[name]} written down, {round(allowed[name], 3)} allowed"
        for name, number in found.items()
    ]
    said = "\n".join([f"{what} (tests/bench/bounds.py):", *lines])
    sys.stdout.write(said + "\n")
    assert all(number <= allowed[name] for name, number in found.items()), said


# Of the runtime on a host in memory (`quiet`), with fifty routers at 100 ms, without what the fakes of the kernel do.
#   calls: functions called, of Python and of C (`counting.calls`)
#   bytecode: instructions of the interpreter, for loops call nothing (`counting.operations`)
#   blocks: memory blocks allocated, most of them given back (`counting.blocks_made`), which is slow to count

SENT = {"calls": 4.0, "bytecode": 56.5, "blocks": 8.1}
"""A regular advertisement of an Active, in a burst: from the timer to the socket and back to the timer."""

NOTED = {"calls": 5.0, "bytecode": 47.1, "blocks": 4.0}
"""One that a Backup has heard before, in a burst: from the socket to the timer."""

JUDGED = {"calls": 296, "bytecode": 3710}
"""The same where each says something else than the one before, as all that are signed do."""

RENEWED = {"calls": 62.2, "bytecode": 838}
"""One address whose lifetime begins anew, of a hundred: what the event loop does, and not the thread that writes."""

KEPT = {"blocks": 100, "bytes": 1000}
"""Of a thousand advertisements together: blocks that stay, for numbers have become larger and caches fuller, and by how
much lists, dictionaries and the like have grown; so many references are 8,000 bytes."""


# Of the real socket, IPv4, with a burst of fifty that it sends itself (`test_socket_work`).

WRITTEN = {"calls": 0.18, "bytecode": 1.6}
"""`VrrpSocket.send`, of one prepared message of a bundle that was sent before."""

READ = {"calls": 0.2, "bytecode": 2.9}
"""`VrrpSocket.receive`, of one that came in before."""


# System calls of all threads of a real agent, with those of the timer and of the guardian's stamps
# (`test_system_calls`).

ASKED_FOR_ADVERTS = {"advert sent": 0.38, "advert heard": 0.24}
"""Of an Active and of a Backup, with fifty routers at 100 ms, which speak in bursts of 25."""

ASKED_FOR_LEASES = {"address renewed": 0.3}
"""A hundred addresses of one router, in a piece."""


INSTRUCTIONS = {"encode": 27_500, "decode": 28_700, "validate": 64_000}
"""Of the processor, for one call with one IPv4 address and one peer (`test_instructions`)."""
