"""The clock of a probe: an absolute schedule, the report at the end, and the end itself.

Ticks lie on a grid that is laid once, so a late one does not shift those after it; ticks that were missed altogether
are skipped, since a burst afterwards would only pretend that they had been there.

A probe prints one JSON line when it is ready and its findings, a line each, when its standard input ends.
"""

from __future__ import annotations

import gc
import json
import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from netns_lab.sockets import take_real_time

_PRIORITY = 2
"""Above the recorder: a late stamp can be told from its packet, a late probe cannot."""


def ticks(pace_ns: int, idle: Callable[[int], None]) -> Iterator[int]:
    """Yield the time at every tick, until standard input ends.

    Args:
        pace_ns: nanoseconds between two ticks.
        idle: called with the time of the next tick while there is time until then; returns by then.
    """
    os.set_blocking(sys.stdin.fileno(), False)
    gc.disable()  # nothing here makes cycles, and a collection is a pause
    take_real_time(_PRIORITY)
    say({"ready": True})
    due = time.monotonic_ns()
    count = 0
    while True:
        yield time.monotonic_ns()
        due += pace_ns
        now = time.monotonic_ns()
        if due <= now:
            due += (now - due) // pace_ns * pace_ns + pace_ns
        idle(due)
        count += 1
        if count % 16 == 0 and _ended():
            return


def sleep_until(due: int) -> None:
    """Sleep until a time of CLOCK_MONOTONIC, in nanoseconds."""
    remaining = due - time.monotonic_ns()
    if remaining > 0:
        time.sleep(remaining / 1_000_000_000)


def say(values: dict[str, Any]) -> None:
    """Print one JSON line."""
    sys.stdout.write(json.dumps(values, separators=(",", ":")) + "\n")
    sys.stdout.flush()


def report(
    target: str,
    sent: int,
    pace_ns: int,
    replies: Iterable[tuple[int, int, str]],
    failures: Iterable[tuple[int, int, str, bool]] = (),
) -> None:
    """Print the findings about one target.

    Args:
        target: `shared` or `control`.
        sent: how many probes it was sent.
        pace_ns: nanoseconds between two of them.
        replies: for each answer: when it came, when its probe was sent, who answered.
        failures: for each failure: when it was noticed, when its probe was sent, why, whether on a kept connection.
    """
    found = {"target": target, "sent": sent, "pace_ns": pace_ns, "replies": list(replies), "failures": list(failures)}
    say(found)


def _ended() -> bool:
    """Whether standard input was closed."""
    try:
        return os.read(sys.stdin.fileno(), 64) == b""
    except BlockingIOError:
        return False
