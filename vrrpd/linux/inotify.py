"""Changes of one file, as the kernel tells them: inotify on the directory that it lies in.

The directory and not the file is watched, so that a file that appears, goes, or is replaced by renaming another over it
is seen like one that is written to. A change is told when the writer closes the file, and so once for each time that it
is written. What a symbolic link leads to is not seen.

Only a hint, for whoever also looks from time to time: the kernel allows each user a small number of these
(`fs.inotify.max_user_instances`), a network file system tells nothing, and a directory that goes takes the watch along.

Source: inotify(7).
"""

from __future__ import annotations

import ctypes
import os
import struct

import trio

_CLOSE_WRITE, _MOVED_FROM, _MOVED_TO, _DELETE = 0x8, 0x40, 0x80, 0x200
_DELETE_SELF, _MOVE_SELF, _UNMOUNT, _OVERFLOW, _IGNORED = 0x400, 0x800, 0x2000, 0x4000, 0x8000
_ONLYDIR = 0x1000000

_WANTED = _CLOSE_WRITE | _MOVED_FROM | _MOVED_TO | _DELETE | _DELETE_SELF | _MOVE_SELF | _ONLYDIR
_OF_DIRECTORY = _DELETE_SELF | _MOVE_SELF | _UNMOUNT | _IGNORED  # the path leads somewhere else now, if anywhere
_HEADER = struct.Struct("iIII")  # struct inotify_event: wd, mask, cookie, length of the name that follows
_BUFFER = 16 * 1024  # one event takes up to 272 bytes

_libc = ctypes.CDLL(None, use_errno=True)
_libc.inotify_add_watch.argtypes = (ctypes.c_int, ctypes.c_char_p, ctypes.c_uint32)


class FileWatch:
    """Watches one path for changes of the file that it names.

    Raises:
        OSError: the user has too many of these, or no descriptor is left.
    """

    def __init__(self, path: str) -> None:
        """Open it; nothing is watched before `attach`.

        Args:
            path: absolute path of the file, which need not exist.
        """
        self._directory, name = (os.fsencode(part) for part in os.path.split(path))
        self._name = name
        self._watch = -1
        self._descriptor: int = _libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)  # IN_NONBLOCK, IN_CLOEXEC
        if self._descriptor < 0:
            raise _last_error()

    def attach(self) -> None:
        """Watch the directory, unless that is being done; blocks where the file system does.

        A directory that does not exist is left alone: what is not there cannot change, and the next call tries again.
        """
        if self._watch < 0:
            self._watch = _libc.inotify_add_watch(self._descriptor, self._directory, _WANTED)

    async def changed(self) -> None:
        """Return once the file may have changed; wait for ever where nothing is watched."""
        while True:
            await trio.lowlevel.wait_readable(self._descriptor)
            try:
                events = os.read(self._descriptor, _BUFFER)
            except BlockingIOError:
                continue
            if self._concerned(events):
                return

    def close(self) -> None:
        """Give the descriptor back; whoever waits gets `trio.ClosedResourceError`."""
        if self._descriptor >= 0:
            if trio.lowlevel.in_trio_run():
                trio.lowlevel.notify_closing(self._descriptor)
            os.close(self._descriptor)
            self._descriptor = -1

    def _concerned(self, events: bytes) -> bool:
        """Whether any of these events is about the file; a directory that went is not watched any more."""
        concerned, offset = False, 0
        while offset < len(events):
            watch, mask, _, length = _HEADER.unpack_from(events, offset)
            start = offset + _HEADER.size
            offset = start + length
            if mask & _OF_DIRECTORY:
                if watch == self._watch:
                    self._drop()
                concerned = True
            elif mask & _OVERFLOW or events[start:offset].rstrip(b"\0") == self._name:
                concerned = True
        return concerned

    def _drop(self) -> None:
        """Stop watching a directory that went or was moved away; the kernel has done so itself where it is deleted."""
        _libc.inotify_rm_watch(self._descriptor, self._watch)
        self._watch = -1


def _last_error() -> OSError:
    code = ctypes.get_errno()
    return OSError(code, os.strerror(code))
