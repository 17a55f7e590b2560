"""The agent's end of the launcher: runs a program, or opens a file, and waits, with all other tasks going on.

Owns the conversation with `vrrpd.launcher`: numbers the runs, makes the pipes, keeps the end of each output. Whoever
runs programs (health checks today) is handed a `LauncherClient` as something that can `run`, and imports nothing of
this. So the module stands above them, between them and the daemon that puts both together.

Killing is closing: a run that is cancelled closes its end of the pipe, the launcher sees that and kills the process
group, and nobody waits. A program that survives is remembered until the launcher reports its end, and the same command
is not started a second time beside it.

Must not do: block, or wait for the launcher anywhere but in `run` and `listen`, where cancelling helps.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import logging
import os
import signal
import socket
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, TypeAlias

import trio

from vrrpd.errands import CannotStartError, Finished, LauncherGoneError
from vrrpd.launcher import REQUEST_LIMIT, Launcher
from vrrpd.rights import Account

_log = logging.getLogger(__name__)

_TAIL = 4096  # bytes of output that are kept
_PIPE = 65536  # what a pipe holds: pipe(7)
_PAUSE = 0.001  # seconds between two readings of a full pipe: who floods it waits for us, not our loop for the flood
_REAP = 0.25  # seconds that a killed program has to be gone; it takes a millisecond, unless the host is out of breath
_ANSWER_LIMIT = 4096  # bytes

_Command: TypeAlias = tuple[tuple[str, ...], str | None]


@dataclass(slots=True, eq=False)
class _Run:
    """One run of a program, until the launcher has reported its end.

    Attributes:
        command: what was asked for: argv and user.
        pid: process id; None until it is known.
        failed: why it could not be started, or "".
        status: exit status, or the negative number of a signal; of use once it has ended.
        ended: set at its end.
        dropped: nobody waits for it any more, it is being killed.
        opened: descriptor of the file that was asked for.
    """

    command: _Command
    pid: int | None = None
    failed: str = ""
    status: int = 0
    ended: trio.Event = field(default_factory=trio.Event)
    dropped: bool = False
    opened: int | None = None


class LauncherClient:
    """Runs programs through the launcher; `listen` must run for as long as it is used.

    Attributes:
        lost: why no program can be started any more; empty while they can.
        lost_at: since when, on the wall clock.
    """

    def __init__(self, launcher: Launcher) -> None:
        launcher.channel.setblocking(False)
        self._launcher = launcher
        self._channel = launcher.channel
        self._sending = trio.Lock()
        self._numbers = itertools.count()
        self._runs: dict[int, _Run] = {}
        self.lost = ""
        self.lost_at = datetime.min.replace(tzinfo=UTC)

    async def listen(self) -> None:
        """Take the launcher's answers until it ends, which is logged and fails every run from then on."""
        while True:
            await trio.lowlevel.wait_readable(self._channel)
            try:
                packet, descriptors, _, _ = socket.recv_fds(self._channel, _ANSWER_LIMIT, 1)
            except BlockingIOError:
                continue
            except ConnectionError:
                packet, descriptors = b"", []
            if not packet:
                self._lose()
                return
            self._hear(json.loads(packet), descriptors)

    async def run(
        self, argv: Sequence[str], *, user: str | None = None, environment: Mapping[str, str] | None = None
    ) -> Finished:
        """Run a program to its end, in a process group of its own; cancelled, the whole group is killed.

        Args:
            argv: the program, by its absolute path or by a name that the launcher's PATH leads to, and its arguments.
            user: whose rights it has; None for those of nobody in particular.
            environment: further variables, whose names begin with VRRPD_.

        Raises:
            CannotStartError: the text names the cause.
            OSError: there is no descriptor left for its output.
        """
        command = (tuple(argv), user)
        run, output = await self._go(command, {"argv": argv, "user": user, "env": {**(environment or {})}})
        return Finished(run.status, output)

    async def open(self, path: str) -> int:
        """Have a file opened that we may not open ourselves; the caller closes the descriptor.

        Args:
            path: of a regular file, one of those that were promised.

        Raises:
            CannotStartError: the text names the cause.
            OSError: there is no descriptor left.
        """
        run, _ = await self._go(((path,), None), {"open": path})
        if run.opened is None:
            raise CannotStartError("too many open files")
        return run.opened

    def promise(self, errands: Iterable[Mapping[str, Any]]) -> None:
        """Tell the launcher all that will be asked of it; blocks, for the start.

        Args:
            errands: `argv` and `user` of a program, `open` and the path of a file, or `guardian` and its account.
        """
        self._channel.setblocking(True)
        try:
            for errand in (*errands, None):
                self._channel.send(json.dumps({"promise": errand}).encode())
        except ConnectionError:
            self._lose()
        finally:
            self._channel.setblocking(False)

    async def fork_guardian(self, who: Account, descriptors: Sequence[int]) -> None:
        """Have the launcher become a guardian in a fork of itself.

        Args:
            who: the user that it is to be, as promised.
            descriptors: its channel, the bell, the shared memory, and our pidfd.

        Raises:
            CannotStartError: the launcher has ended.
        """
        await self._send(json.dumps({"guardian": who}).encode(), descriptors)

    async def _go(self, command: _Command, request: Mapping[str, Any]) -> tuple[_Run, bytes]:
        """Have something done to its end; the run, and what was written to its pipe.

        Raises:
            CannotStartError, OSError: as `run`.
        """
        await trio.lowlevel.checkpoint_if_cancelled()
        await self._await_end_of_dropped(command)
        reading, writing = os.pipe()
        try:
            os.set_blocking(reading, False)
            try:
                run = await self._ask(command, request, writing)
            finally:
                os.close(writing)
            output = await self._follow(run, reading)
        finally:
            os.close(reading)
        if run.failed and run.failed == self.lost:
            raise LauncherGoneError(run.failed)
        if run.failed:
            raise CannotStartError(run.failed)
        return run, output

    async def _await_end_of_dropped(self, command: _Command) -> None:
        """Make sure that the same command, cancelled a moment ago, is gone."""
        before = next((run for run in self._runs.values() if run.dropped and run.command == command), None)
        if before is None:
            return
        with trio.move_on_after(_REAP):
            await before.ended.wait()
            return
        if before.pid is None:
            raise CannotStartError(f"the launcher (pid {self._launcher.pid}) does not answer")
        raise CannotStartError(f"pid {before.pid} of the run before cannot be killed")

    async def _ask(self, command: _Command, request: Mapping[str, Any], output: int) -> _Run:
        """Send a request with the write end of a pipe."""
        number = next(self._numbers)
        packet = json.dumps({"run": number, **request}).encode()
        if len(packet) > REQUEST_LIMIT:
            raise CannotStartError("its arguments are too long")
        await self._send(packet, [output])
        run = self._runs[number] = _Run(command)
        return run

    async def _send(self, request: bytes, descriptors: Sequence[int]) -> None:
        """Send a request with descriptors."""
        while True:
            if self.lost:
                raise LauncherGoneError(self.lost)
            try:
                socket.send_fds(self._channel, [request], descriptors)
            except BlockingIOError:
                async with self._sending:  # one task at a time may wait for a socket
                    await trio.lowlevel.wait_writable(self._channel)
            except ConnectionError:
                self._lose()
            else:
                return

    async def _follow(self, run: _Run, reading: int) -> bytes:
        """Collect the end of the output until the program ends."""
        output = bytearray()
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(_collect, reading, output)
                await run.ended.wait()
                nursery.cancel_scope.cancel()
        except trio.Cancelled:
            if run.opened is not None:
                os.close(run.opened)
            raise
        finally:
            run.dropped = not run.ended.is_set()
        with contextlib.suppress(BlockingIOError):
            _read(reading, output)  # what came last
        return bytes(output)

    def _hear(self, answer: dict[str, Any], descriptors: Sequence[int]) -> None:
        """Note what the launcher says of a run."""
        run = self._runs[answer["run"]]
        for descriptor in descriptors:
            os.set_inheritable(descriptor, False)
            if run.dropped:
                os.close(descriptor)
            else:
                run.opened = descriptor
        run.pid = answer.get("pid", run.pid)
        run.failed = answer.get("failed", run.failed)
        if "status" in answer:
            run.status = answer["status"]
            run.ended.set()
            del self._runs[answer["run"]]

    def _lose(self) -> None:
        """The launcher is gone: kill what it has left, as far as we may, and let nobody wait for it."""
        if self.lost:
            return
        self.lost_at = datetime.now(UTC)
        self.lost = f"the launcher (pid {self._launcher.pid}) has ended; restart the agent"
        _log.error("the launcher (pid %d) has ended: no program can be started; restart the agent", self._launcher.pid)
        for run in self._runs.values():
            run.failed = self.lost
            run.ended.set()
            if run.pid is not None:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.killpg(run.pid, signal.SIGKILL)
        self._runs.clear()


async def _collect(reading: int, output: bytearray) -> None:
    """Read until nobody can write any more."""
    while True:
        await trio.lowlevel.wait_readable(reading)
        with contextlib.suppress(BlockingIOError):
            got = _read(reading, output)
            if not got:
                return
            if got == _PIPE:
                await trio.sleep(_PAUSE)


def _read(reading: int, output: bytearray) -> int:
    """Read what is there, keep the end of it, and return how much it was; 0 at the end of the file."""
    piece = os.read(reading, _PIPE)
    output += piece
    del output[:-_TAIL]
    return len(piece)
