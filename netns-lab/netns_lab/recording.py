"""The lab's end of the recorder: starts it, follows it, stops it.

A thread reads the recorder's lines into the history as they come, so that a step can wait for an address to move
without asking any agent.
"""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Generator, Sequence
from pathlib import Path
from typing import IO, Any

from netns_lab import helper
from netns_lab.errors import LabError
from netns_lab.history import Event, History


class Recorder:
    """The recorder of one lab.

    Args:
        prefix: what the names of its namespaces begin with.
        nodes: hosts whose kernels are watched.
        ports: the switches' ports that are watched.
        directory: where the recorder's complaints go.
        capture: the file that every VRRP packet goes to.
    """

    def __init__(self, prefix: str, nodes: Sequence[str], ports: Sequence[str], directory: Path, capture: Path) -> None:
        self._argv = helper.command("recorder", prefix, str(capture), ",".join(nodes), ",".join(ports))
        self._errors = directory / "recorder.log"

    @contextlib.contextmanager
    def run(self, history: History) -> Generator[None]:
        """Record into `history` while the block runs.

        Raises:
            LabError: it could not start.
        """
        with self._errors.open("wb") as errors:
            process = helper.start(self._argv, errors)
        if process.stdin is None or process.stdout is None:
            raise AssertionError("started with pipes")
        if not process.stdout.readline():
            process.wait()
            raise LabError(f"the recorder did not start: {self._errors.read_text().strip()}")
        follower = threading.Thread(target=_follow, args=(process.stdout, history), name="recorder", daemon=True)
        follower.start()
        try:
            yield
        finally:
            process.stdin.close()  # its sign to end
            process.wait()
            follower.join()
            process.stdout.close()


def _follow(lines: IO[bytes], history: History) -> None:
    """Read the recorder's lines until it ends."""
    for line in lines:
        values: dict[str, Any] = json.loads(line)
        history.extend((Event(values.pop("t"), values.pop("kind"), values),))
