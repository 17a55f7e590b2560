"""The run directory: who owns a lab, and how what a dead lab left behind is found and removed.

Each lab has a short random id, a directory `/run/netns-lab/ID` and namespaces named `vlID-HOST`. The directory exists
before the first namespace and goes after the last, so a lab that was killed at any moment can be found. Its owner holds
a lock on a file in it for as long as it lives; the kernel drops the lock however the owner ends, so "the owner is dead"
is exactly "the lock can be taken", without a word about process ids that may have been given out again.

The sweep removes only what belongs to such a directory: namespaces with its id, processes inside them, its files.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import time
from collections.abc import Iterator
from pathlib import Path

from netns_lab import kernel

BASE = Path("/run/netns-lab")
PREFIX = "vl"


class RunDirectory:
    """One lab's directory, locked by this process.

    Attributes:
        run_id: six hexadecimal digits.
        path: the directory.
    """

    def __init__(self, path: Path, lock: int) -> None:
        self.path = path
        self.run_id = path.name
        self._lock = lock

    @classmethod
    def create(cls) -> RunDirectory:
        """Make a new directory with a new id and lock it."""
        BASE.mkdir(parents=True, exist_ok=True)
        run_id = os.urandom(3).hex()
        # Under its final name only once it is locked: until then a sweep by another lab must not see it.
        hidden = BASE / f".{run_id}"
        hidden.mkdir()
        lock = _lock(hidden / "lock")
        if lock is None:  # nobody else knows the name
            raise AssertionError(hidden)
        path = hidden.rename(BASE / run_id)
        path.chmod(0o755)  # agents that drop their rights still reach their files
        return cls(path, lock)

    @property
    def prefix(self) -> str:
        """What the names of this lab's namespaces begin with."""
        return f"{PREFIX}{self.run_id}-"

    def remove(self) -> None:
        """End every process in this lab's namespaces, delete the namespaces, then the directory."""
        names = kernel.namespace_names(self.prefix)
        _end(names)
        if names:
            kernel.ip_batch(f"netns del {name}" for name in names)
        shutil.rmtree(self.path, ignore_errors=True)
        os.close(self._lock)


def abandoned() -> Iterator[RunDirectory]:
    """The directories of labs whose owner is dead, each locked by us now."""
    if not BASE.is_dir():
        return
    for path in sorted(BASE.iterdir()):
        if path.name.startswith(".") or not (path / "lock").exists():
            continue
        lock = _lock(path / "lock")
        if lock is not None:
            yield RunDirectory(path, lock)


def sweep() -> list[str]:
    """Remove what dead labs left behind; returns their ids."""
    swept: list[str] = []
    for directory in abandoned():
        directory.remove()
        swept.append(directory.run_id)
    return swept


def _lock(path: Path) -> int | None:
    """Open and lock a file; None where somebody else holds the lock."""
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(fd)
        return None
    return fd


def _end(namespaces: list[str]) -> None:
    """Kill what runs inside the namespaces, until nothing does (a supervisor may start a child in between)."""
    deadline = time.monotonic() + 5
    while (pids := kernel.processes_inside(namespaces)) and time.monotonic() < deadline:
        for pid in pids:
            if pid != os.getpid():
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    continue
        time.sleep(0.005)
