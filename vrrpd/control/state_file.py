"""A short text that outlives the agent and a reboot: one file, replaced whole or not at all.

A new file is written beside the old one, fsync, rename, fsync of the directory; so a crash or a full disk at any moment
leaves the old text or the new one. All of it happens in a worker thread, one write at a time: a disk that hangs holds
up whoever waits for the write, for `PATIENCE_S`, and never the event loop. The text is asked for when a write begins,
so the last write always has the latest text, and wishes that come during a write share the next one.

What the text means is the business of who reads and writes it.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Never

import trio

from vrrpd.control.client import DEFAULT_CONTROL
from vrrpd.errors import VrrpdError

DEFAULT_STATE = "/var/lib/vrrpd/state.json"
"""Where the agent at the default control socket keeps its state."""

PATIENCE_S = 5.0
"""How long, in seconds, a write is waited for."""


def state_path(control: str) -> str:
    """Where the agent at this control socket keeps its state: each socket has a file of its own."""
    return DEFAULT_STATE if control == DEFAULT_CONTROL else control.removesuffix(".sock") + ".state.json"


@dataclass(slots=True)
class _Write:
    """One write, for those who wait for it."""

    done: trio.Event = field(default_factory=trio.Event)
    problem: str | None = None


class StateFile:
    """The file and the task that writes it.

    Args:
        path: of the file; missing parent directories are created by the first write.
        text: returns what is to be kept now.
    """

    def __init__(self, path: str, text: Callable[[], str]) -> None:
        self.path = path
        self._text = text
        self._wanted = trio.Event()
        self._next = _Write()

    def read(self) -> bytes | None:
        """What was kept, None where nothing was. Blocks: for the start of the agent, before it serves anybody.

        Raises:
            VrrpdError: the file is there and cannot be read.
        """
        try:
            _require_file(Path(self.path))
            return Path(self.path).read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise VrrpdError(f"cannot read {self.path}: {error.strerror}") from error

    def set_aside(self) -> str:
        """Give a file that is of no use another name, so that nothing is lost; says what became of it."""
        bad = f"{self.path}.bad"
        try:
            _require_file(Path(self.path))
            Path(self.path).replace(bad)
        except OSError as error:
            return f"it cannot be renamed to {bad}: {error.strerror}"
        return f"it is kept as {bad}"

    async def save(self) -> None:
        """Write the text, and return when it is on the disk.

        Raises:
            VrrpdError: it is not, and why; what was kept before still is.
        """
        write = self._next  # one that is under way may have begun before the text changed
        self._wanted.set()
        with trio.move_on_after(PATIENCE_S):
            await write.done.wait()
            if write.problem is None:
                return
        problem = write.problem or f"the disk has not answered for {PATIENCE_S:g} s"
        raise VrrpdError(f"cannot write {self.path}: {problem}; free or mend that place, or name another with --state")

    async def run(self) -> Never:
        """Write whenever it is wanted; runs until cancelled, and waits for no disk then."""
        while True:
            await self._wanted.wait()
            self._wanted = trio.Event()
            write, self._next = self._next, _Write()
            try:
                await trio.to_thread.run_sync(_replace, Path(self.path), self._text(), abandon_on_cancel=True)
            except OSError as error:
                write.problem = error.strerror or str(error)
            write.done.set()


def _replace(path: Path, text: str) -> None:
    """Put a file with this text in the place of another, or leave the other."""
    path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    if path.exists():
        _require_file(path)
    new = path.with_name(f"{path.name}.new")
    new.unlink(missing_ok=True)  # what a crash left; O_EXCL then follows no link that somebody else put there
    try:
        with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        new.replace(path)
    except OSError:
        new.unlink(missing_ok=True)
        raise
    directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def _require_file(path: Path) -> None:
    """Refuse a directory, a socket or a device: none of them is ours to replace."""
    if path.exists() and not path.is_file():
        raise OSError(errno.EINVAL, "it is no regular file")
