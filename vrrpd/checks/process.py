"""The check `process: {pidfile | unit | name, grace}`: does the process live?

A death is seen the moment it happens: the check holds a pidfd of every process that it counts on (pidfd_open(2)), and
the kernel makes that readable at the exit, before anybody has reaped the process. A zombie is dead by the same test,
and a pidfd never comes to mean somebody else.

A death need not be a failure: a proxy that is restarted or reloads itself is back in milliseconds. So after the last
process died, the pidfile, unit or name is read again at once, and once more after `grace`; only what is not back by
then has failed, and that counts as `fall` failures, because there is nothing to doubt. Of several processes of the unit
or with the name (a master and its workers) one that lives is enough. The process that comes back is found by the next
probe.

The grace is 5 ms, which a reload needs and a restart by systemd (RestartSec, 100 ms by default) never meets: such a
restart is an outage of the service, and moves the role. Whoever would rather wait writes a longer one.

Says nothing about whether the process does its work: a frozen proxy lives. `http` sees that.

Must not do: read /proc or a file on the loop (in a worker thread instead), except for one line about a single
process.
"""

from __future__ import annotations

import errno
import os
import select
from collections.abc import Callable, Iterable
from functools import partial
from itertools import islice
from typing import Annotated, Self

import trio
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, TypeAdapter, model_validator

from vrrpd.checks import cgroup, procfs
from vrrpd.checks.base import Kind, Result, alone
from vrrpd.checks.paths import AbsolutePath, obstacle
from vrrpd.checks.procfs import Process, Sighting
from vrrpd.config.scalars import duration
from vrrpd.proto.timers import MS, SECOND

_GRACE_LIMIT = 10 * SECOND

WRITING_S = 0.1
"""How much longer than the grace a pidfile may stay empty: a reload truncates it, and may then wait for a processor."""
_MOST = 64  # pidfds held at once; when the last of these has died, the others are found


class ProcessOptions(BaseModel):
    """Options of a `process` check."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    pidfile: AbsolutePath | None = Field(
        default=None, description="absolute path of a file with a process id", examples=["/run/haproxy.pid"]
    )
    unit: Annotated[str, AfterValidator(cgroup.full_name)] | None = Field(
        default=None, description="name of a systemd unit", examples=["haproxy.service"]
    )
    name: str | None = Field(default=None, min_length=1, description="name of the program, in our own namespaces")
    grace: Annotated[int, duration(0, _GRACE_LIMIT)] = Field(
        default=5 * MS, description="how long a process may be gone, for a restart, before it has failed"
    )

    @model_validator(mode="after")
    def _one(self) -> Self:
        if [self.pidfile, self.unit, self.name].count(None) != 2:
            raise ValueError("a process is found by one thing; write either pidfile, unit or name")
        return self


OPTIONS: TypeAdapter[ProcessOptions] = TypeAdapter(ProcessOptions)
"""Validates `{pidfile | unit | name, grace}`."""


def inspect(options: ProcessOptions) -> str | None:
    """What keeps this process from the pidfile, None where nothing does; it may be missing for now. Blocks."""
    return obstacle(options.pidfile, os.R_OK) if options.pidfile else None


class ProcessCheck:
    """Healthy while the process lives, or one of those of its unit or with its name."""

    def __init__(self, options: ProcessOptions) -> None:
        self._options = options
        self._held: dict[Process, int] = {}  # a pidfd of each process that we count on
        self._judged_at: float | None = None  # when a death that we saw becomes a failure, on trio's clock
        self._version: procfs.Version | None = None  # the pidfile as it was when it named ...
        self._named: Process | None = None  # ... this process
        self._writing = False  # the pidfile is there and empty: a new process is about to write it
        self._looking = trio.CapacityLimiter(1)

    async def probe(self) -> Result | None:
        """Look; after the last process died there is no verdict before the grace is over."""
        if self._held and self._judged_at is None and all(_dead(pidfd) for pidfd in self._held.values()):
            self._judged_at = trio.current_time() + self._options.grace / SECOND
        judged_at = self._judged_at
        over = judged_at is not None and trio.current_time() >= judged_at
        problem = await self._look()
        if problem and judged_at is not None and not over:
            return None
        if problem and self._writing and judged_at is not None and trio.current_time() < judged_at + WRITING_S:
            await trio.sleep(WRITING_S / 10)
            return None
        self._judged_at = None
        if problem:
            return Result(ok=False, detail=problem, decisive=over)
        return Result(ok=True, detail=_living(self._held))

    async def changed(self) -> None:
        """Return as soon as one of the processes that we count on has died, or when the grace after that is over."""
        if self._judged_at is not None:
            await trio.sleep_until(self._judged_at)
            return
        if not self._held:
            await trio.sleep_forever()
        async with trio.open_nursery() as nursery:
            for pidfd in self._held.values():
                nursery.start_soon(_death, pidfd, nursery.cancel_scope)

    def close(self) -> None:
        """Let go of the processes."""
        self._keep({})

    async def _look(self) -> str:
        """Bring what we hold up to date; return why nothing lives, or an empty text."""
        self._keep({process: pidfd for process, pidfd in self._held.items() if not _dead(pidfd)})
        if self._options.pidfile is not None:
            sighting = self._believed(await self._in_thread(partial(procfs.by_pidfile, self._options.pidfile)))
        elif self._held:
            return ""  # one is enough, and a walk over /proc is not free
        elif self._options.unit is not None:
            sighting = await self._in_thread(partial(cgroup.by_unit, self._options.unit))
        else:
            sighting = await self._in_thread(partial(procfs.by_name, self._options.name or ""))
        self._writing = sighting.empty
        if found := self._hold(sighting.processes):
            self._keep(found)
        # A process that we hold counts until it dies, also where its pidfile was deleted, is being written just now, or
        # names a successor that died at once.
        if self._held:
            return ""
        return sighting.problem or f"process {sighting.processes[0].pid} is dead"

    async def _in_thread(self, look: Callable[[], Sighting]) -> Sighting:
        """Look in a worker thread; a probe that is cancelled does not wait for it.

        The limit is the check's own: one that hangs, as on a file of a dead server, is in nobody else's way.
        """
        return await trio.to_thread.run_sync(look, abandon_on_cancel=True, limiter=self._looking)

    def _believed(self, sighting: Sighting) -> Sighting:
        """Do not take a stale pidfile for a sign of life.

        A file that has not changed since it named a process cannot mean another one that got the same id later. What
        an old file means at the first look is not known: comparing its date with the start of the process would be
        wrong on every machine that set its clock after booting.
        """
        if sighting.version is None or not sighting.processes:
            return sighting
        if sighting.version != self._version:
            self._version, self._named = sighting.version, sighting.processes[0]
        if sighting.processes[0] == self._named:
            return sighting
        return Sighting(problem=f"the process of {self._options.pidfile} is gone, its id belongs to another one")

    def _hold(self, processes: Iterable[Process]) -> dict[Process, int]:
        """A pidfd for each of the processes that lives, or for many of them."""
        held = {process: self._held.get(process, None) or _open(process) for process in islice(processes, _MOST)}
        return {process: pidfd for process, pidfd in held.items() if pidfd is not None}

    def _keep(self, held: dict[Process, int]) -> None:
        """Count on these processes from now on, and let go of all others."""
        for pidfd in set(self._held.values()) - set(held.values()):
            os.close(pidfd)
        self._held = held


async def _death(pidfd: int, scope: trio.CancelScope) -> None:
    """Wait for one process to die, then cancel the waiting for all others."""
    await trio.lowlevel.wait_readable(pidfd)
    scope.cancel()


def _open(process: Process) -> int | None:
    """A pidfd of a process that lives; None where it is dead."""
    try:
        pidfd = os.pidfd_open(process.pid)
    except OSError as error:
        if error.errno == errno.ESRCH:
            return None
        raise
    if procfs.identify(process.pid) == process and not _dead(pidfd):  # else the id went to somebody else meanwhile
        return pidfd
    os.close(pidfd)
    return None


def _dead(pidfd: int) -> bool:
    """Whether the process has exited, reaped or not."""
    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
    return bool(poll.poll(0))


def _living(held: Iterable[Process]) -> str:
    """The processes, for people."""
    pids = sorted(process.pid for process in held)
    count = len(pids) if len(pids) < _MOST else f"{_MOST} or more"
    return f"pid {pids[0]}" if len(pids) == 1 else f"{count} processes, pid {pids[0]} the first"


KINDS = {"process": Kind(OPTIONS, alone(ProcessCheck), inspect)}
"""For the registry."""
