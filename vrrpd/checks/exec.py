"""The check `exec: [argv...]`: does a program of the user's say that all is well?

Exit status 0 is healthy. There is no shell. The last line that the program prints is the detail that people see.

The program runs in a session of its own, with nothing on its standard input, in `/`. Whatever happens, its whole
process group is killed when the probe ends, be it at the timeout or because the program is done and has left children
behind. The signal is sent while the program is still a zombie at most, so that its id cannot belong to anybody else.
Nothing ever waits for a program that even SIGKILL does not end (it hangs in the kernel, on a dead network file
system): the probe fails, and the next one says so instead of starting a second one.
"""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import signal
import subprocess
from typing import Annotated, cast

import trio
from pydantic import BeforeValidator, TypeAdapter, WithJsonSchema

from vrrpd.checks.base import Result
from vrrpd.config.words import shown

_log = logging.getLogger("vrrpd.checks.exec")

_TAIL = 4096  # bytes of output that are kept
_PIPE = 65536  # what a pipe holds: pipe(7)
_LINE = 200  # characters of the last line that people see
_REAP = 0.05  # seconds that a killed program has to be gone; it takes microseconds


def _argv(value: object) -> tuple[str, ...]:
    """Accept a list of a program and its arguments."""
    if not isinstance(value, list | tuple) or not value:
        raise ValueError(
            f"{shown(cast('object', value))} is not a command; write a list such as [/usr/bin/test, -e, /run/proxy.ok]"
        )
    words = cast("list[object]", value)
    if not all(isinstance(word, str) and "\0" not in word for word in words):
        raise ValueError("the list holds something that is not text; write the program and its arguments as words")
    argv = tuple(cast("list[str]", words))
    if not argv[0] or ("/" in argv[0] and not argv[0].startswith("/")):
        raise ValueError(f"{shown(argv[0])} is no program; write an absolute path, or a name that PATH leads to")
    return argv


OPTIONS: TypeAdapter[tuple[str, ...]] = TypeAdapter(
    Annotated[
        tuple[str, ...],
        BeforeValidator(_argv),
        WithJsonSchema(
            {
                "type": "array",
                "items": {"type": ["string", "number", "boolean"]},
                "minItems": 1,
                "description": "a program and its arguments; exit status 0 is healthy, there is no shell",
                "examples": [["/usr/bin/test", "-e", "/run/proxy.ok"]],
            }
        ),
    ]
)
"""Validates `[argv...]`."""


class ExecCheck:
    """Healthy while the program ends with exit status 0."""

    def __init__(self, argv: tuple[str, ...]) -> None:
        program = shutil.which(argv[0])
        if program is None:
            _log.warning("%s is no program that could be started; the check fails until it is there", argv[0])
        self._argv = [program or argv[0], *argv[1:]]
        self._stuck: trio.Process | None = None  # killed, and still not gone

    async def probe(self) -> Result:
        """Run the program once."""
        if self._stuck is not None and self._stuck.poll() is None:
            return Result(ok=False, detail=f"pid {self._stuck.pid} of the probe before cannot be killed")
        self._stuck = None
        reading, writing = os.pipe()
        try:
            os.set_blocking(reading, False)
            try:
                process = await trio.lowlevel.open_process(
                    self._argv,
                    stdin=subprocess.DEVNULL,
                    stdout=writing,
                    stderr=writing,
                    start_new_session=True,
                    cwd="/",
                )
            except OSError as error:
                cause = (error.strerror or str(error)).lower()
                return Result(ok=False, detail=f"cannot start {self._argv[0]}: {cause}")
            finally:
                os.close(writing)
            output = await self._follow(process, reading)
        finally:
            os.close(reading)
        return _judge(process.returncode, output)

    async def _follow(self, process: trio.Process, reading: int) -> bytes:
        """Collect the end of the output until the program ends, and see to it that nothing of it stays behind."""
        output = bytearray()
        try:
            pidfd = os.pidfd_open(process.pid)
        except OSError:  # no descriptors left
            process.kill()
            self._stuck = process
            raise
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(_collect, reading, output)
                await trio.lowlevel.wait_readable(pidfd)
                nursery.cancel_scope.cancel()
            _read(reading, output)
        finally:
            with contextlib.suppress(ProcessLookupError, PermissionError):  # a program may have become another user
                os.killpg(process.pid, signal.SIGKILL)
            with trio.move_on_after(_REAP, shield=True):
                await trio.lowlevel.wait_readable(pidfd)
            os.close(pidfd)
            if process.poll() is None:
                self._stuck = process
        return bytes(output)


async def _collect(reading: int, output: bytearray) -> None:
    """Read until nobody can write any more."""
    while True:
        await trio.lowlevel.wait_readable(reading)
        if not _read(reading, output):
            return


def _read(reading: int, output: bytearray) -> bool:
    """Read what is there and keep the end of it; False at the end of the file."""
    try:
        piece = os.read(reading, _PIPE)
    except BlockingIOError:
        return True
    output += piece
    del output[:-_TAIL]
    return bool(piece)


def _judge(status: int | None, output: bytes) -> Result:
    """What an exit status and an output mean."""
    if status is None or status < 0:
        return Result(ok=False, detail=f"killed by {signal.Signals(-status).name}" if status else "cannot be killed")
    lines = [line.strip() for line in output.decode(errors="replace").splitlines()]
    last = next((line for line in reversed(lines) if line), "")
    shown_line = "".join(c for c in last if c.isprintable())[:_LINE]
    return Result(ok=status == 0, detail=f"exit {status}: {shown_line}" if shown_line else f"exit {status}")
