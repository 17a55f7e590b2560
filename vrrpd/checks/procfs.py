"""Which processes a pidfile or a name means, read from /proc (proc(5)).

Only looks. Everything here blocks, if only for as long as a walk over /proc takes, so callers run it in a worker
thread.

A process is known by its id together with its start time, because the kernel gives an id to somebody else once its
owner is gone. Programs are told apart by network and process id namespace: a host may run the same proxy in ten
containers, and only the one that would serve the shared address counts.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeAlias

COMM_LENGTH: Final = 15
"""The kernel keeps this much of a program's name: TASK_COMM_LEN less the final zero."""

_PIDFILE_LIMIT = 64  # bytes read of a pidfile: a number, and room to see that it is none

Version: TypeAlias = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class Process:
    """One process, for good: an id is used again, a pair of id and start time is not.

    Attributes:
        pid: process id.
        start: start time in clock ticks since boot.
    """

    pid: int
    start: int


@dataclass(frozen=True, slots=True)
class Sighting:
    """What one look found.

    Attributes:
        processes: the processes that are meant; some may be zombies.
        problem: why there are none, for people.
        empty: True where there is a pidfile with nothing in it: somebody is about to write it.
        version: device, inode and time of change of the pidfile; None where there is no such file.
    """

    processes: tuple[Process, ...] = ()
    problem: str = ""
    empty: bool = False
    version: Version | None = None


def identify(pid: int) -> Process | None:
    """The process that has this id now; None where nobody has it."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return None
    # The second field is the program's name in parentheses and may hold anything, blanks and parentheses included.
    return Process(pid, int(stat.rpartition(b")")[2].split()[19]))


def by_pidfile(path: str) -> Sighting:
    """Look for the process whose id is the first line of a file."""
    try:
        file = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)  # a pipe is not waited for
        try:
            found, text = os.fstat(file), os.read(file, _PIDFILE_LIMIT)
        finally:
            os.close(file)
    except OSError as error:
        return Sighting(problem=f"{path}: {(error.strerror or str(error)).lower()}")
    version = (found.st_dev, found.st_ino, found.st_mtime_ns)
    line = text.partition(b"\n")[0].strip()
    if not line.isdigit() or not 0 < int(line) < 1 << 22:  # PID_MAX_LIMIT of 64-bit kernels
        return Sighting(problem=f"{path} holds no process id", empty=not text, version=version)
    process = identify(int(line))
    if process is None:
        return Sighting(problem=f"no process has the id {int(line)} of {path}", version=version)
    return Sighting(processes=(process,), version=version)


def by_name(name: str) -> Sighting:
    """Look for all processes of a program in our own network and process id namespaces."""
    comm = name.encode()[:COMM_LENGTH]
    found: list[Process] = []
    own = _namespaces("self")
    for entry in os.listdir("/proc"):  # noqa: PTH208 - names are all that is needed, and there are thousands
        if not entry.isdigit():
            continue
        try:
            if _comm(entry) == comm and _namespaces(entry) == own and (process := identify(int(entry))):
                found.append(process)
        except OSError:  # ended while we looked; zombies have no namespaces either
            continue
    return Sighting(processes=tuple(found)) if found else Sighting(problem=f"no process named {name}")


def _comm(pid: str) -> bytes:
    """The name of a process, as the kernel keeps it.

    Bare system calls, a fifth of what a file object costs: this is read of every process of the host, while an outage
    lasts.
    """
    file = os.open(f"/proc/{pid}/comm", os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.read(file, COMM_LENGTH + 1).rstrip(b"\n")
    finally:
        os.close(file)


def _namespaces(pid: str) -> tuple[int, int]:
    """The namespaces of a process that matter, in a form to compare: of the network and of process ids.

    The links in /proc/PID/ns say the same, to whoever may trace the process; an agent with few rights may not. Every
    network namespace has files of its own below /proc/PID/net, and a process has a number in its own namespace of
    process ids and in each one above it.
    """
    net = Path(f"/proc/{pid}/net/dev").stat().st_ino
    status = Path(f"/proc/{pid}/status").read_text(errors="replace")
    return net, len(status.partition("\nNSpid:")[2].partition("\n")[0].split())
