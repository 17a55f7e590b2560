"""The check `file: PATH`: a number in a file is added to the priority.

For whoever wants a say in the election without a program: a script of the user's writes a whole number of -254..254
into a file, and every router that tracks the check adds it to its priority. A file that is not there adds nothing, so
that deleting it ends the say. Anything else in the file is a mistake of its author, and a failed check.

A change is seen at once where the kernel tells of it (`linux.inotify`), else by the next probe. Replace the file by
renaming a finished one over it: whoever truncates it and then writes leaves it empty for a moment.

Must not do: touch the file system on the loop. A network file system may hang for ever, and one worker thread of this
check with it; no second one is started before the first is back.
"""

from __future__ import annotations

import os
import re
import stat
from typing import Final

import trio
from pydantic import TypeAdapter

from vrrpd.checks.base import Kind, Result, alone
from vrrpd.checks.paths import AbsolutePath, obstacle
from vrrpd.config.words import quote
from vrrpd.linux.inotify import FileWatch

LIMIT: Final = 254
"""The largest number, positive or negative: more than lies between the smallest and the largest priority."""

_READ = 64  # bytes: a number, and room to see that it is none

OPTIONS: TypeAdapter[str] = TypeAdapter(AbsolutePath)
"""Validates `PATH`."""


def inspect(path: str) -> str | None:
    """What keeps this process from the file, None where nothing does, as where there is none. Blocks."""
    return obstacle(path, os.R_OK)


class FileCheck:
    """Healthy while the file holds a number, or is not there."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._watch: FileWatch | None = None
        self._reader = trio.CapacityLimiter(1)

    async def probe(self) -> Result:
        """Read the file."""
        if self._watch is None:
            self._watch = _watch(self._path)
        return await trio.to_thread.run_sync(self._look, self._watch, abandon_on_cancel=True, limiter=self._reader)

    async def changed(self) -> None:
        """Return as soon as the file has changed."""
        if self._watch is None:
            await trio.sleep_forever()
        else:
            await self._watch.changed()

    def close(self) -> None:
        """Stop watching."""
        if self._watch is not None:
            self._watch.close()
            self._watch = None

    def _look(self, watch: FileWatch | None) -> Result:
        """Read the file, in a worker thread; watched first, so that no change falls between."""
        if watch is not None:
            watch.attach()
        try:
            return _understood(self._path, _read(self._path))
        except FileNotFoundError:
            return Result(ok=True, detail="no file, which adds nothing", value=0)
        except PermissionError as error:
            return Result(ok=False, detail=obstacle(self._path, os.R_OK) or _cause(error))
        except OSError as error:
            return Result(ok=False, detail=f"{self._path}: {_cause(error)}")


def _watch(path: str) -> FileWatch | None:
    """A watch, where the kernel gives one to this user."""
    try:
        return FileWatch(path)
    except OSError:
        return None


def _read(path: str) -> bytes:
    """The beginning of a file; never waits for somebody at the other end of a pipe.

    Raises:
        OSError: it cannot be read.
    """
    file = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        if not stat.S_ISREG(os.fstat(file).st_mode):
            raise OSError(0, "is no regular file")
        return os.read(file, _READ)
    finally:
        os.close(file)


def _understood(path: str, content: bytes) -> Result:
    """The number in the file."""
    text = content.decode(errors="replace").strip()
    if not re.fullmatch(r"[+-]?[0-9]{1,3}", text) or abs(int(text)) > LIMIT:
        found = quote(text[:20]) if text else "nothing"
        return Result(ok=False, detail=f"{path} holds {found}; write a whole number of -{LIMIT}..{LIMIT} into it")
    return Result(ok=True, detail=f"{int(text):+d}", value=int(text))


def _cause(error: OSError) -> str:
    return (error.strerror or str(error)).lower()


KINDS = {"file": Kind(OPTIONS, alone(FileCheck), inspect)}
"""For the registry."""
