"""The agent's end of the control socket.

Owns the socket file and the manners of the conversation: how long a line may be, how long a client may think, how many
may talk at once. What a command does is the business of the handlers that `serve` is given. A plain one gives one
consistent picture of the agent; one that must wait for an outcome returns an awaitable. A client that goes away
meanwhile does not undo what it asked for: the handler runs to its end, and the answer is lost.

Must not do: let a client hold up anybody else. A client that says nothing, that stops reading or that talks nonsense is
cut off; each has its own task, and the agent's work never waits for any of them. However many ask however often, a
hundred requests a second are answered.

The file is created with mode 0660. A file that a dead agent left is replaced; one that still answers is an error.
"""

from __future__ import annotations

import contextlib
import math
import os
import socket
import stat
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, TypeAlias

import trio

from vrrpd.control import messages
from vrrpd.errors import VrrpdError

CLIENTS = 32
"""How many clients may be connected at once."""

PATIENCE = 5.0
"""How long, in seconds, a client may take to send its next request, or to read an answer."""

PACE = 0.01
"""Seconds between two requests, of whomever: an answer may take milliseconds, and adverts come first."""

_BACKLOG = 16
_PIECE = 4096
_PATH_LIMIT = 107  # sun_path has 108 bytes and ends with a zero: unix(7)

Answer: TypeAlias = Mapping[str, Any]
Handler: TypeAlias = Callable[[Mapping[str, Any]], Answer | Awaitable[Answer]]
"""Takes a request, returns the answer or an awaitable of it; raises `VrrpdError` to refuse. Must not block."""


async def serve(
    path: str,
    handlers: Mapping[str, Handler],
    *,
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Answer requests at a unix socket until cancelled; started once the socket can be connected to.

    Args:
        path: where the socket file goes; missing parent directories are created.
        handlers: the commands, by name.
        task_status: tells `nursery.start` that the socket is there.

    Raises:
        VrrpdError: the socket cannot be created there, or another agent already listens at it.
    """
    listening = _listen(path)
    identity = _identity(path)
    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.serve_listeners, Server(handlers).converse, [trio.SocketListener(listening)])
            task_status.started()
            await trio.sleep_forever()
    finally:
        listening.close()
        _remove(path, identity)


class Server:
    """The conversations of one socket."""

    def __init__(self, handlers: Mapping[str, Handler]) -> None:
        self._handlers = handlers
        self._clients = 0
        self._free_at = -math.inf

    async def converse(self, stream: trio.abc.HalfCloseableStream) -> None:
        """Talk to one client until it leaves, misbehaves or falls silent."""
        self._clients += 1
        try:
            async with stream:
                await self._talk(stream)
        except trio.BrokenResourceError:
            pass  # the client went away in the middle: its own affair
        finally:
            self._clients -= 1

    async def _talk(self, stream: trio.abc.HalfCloseableStream) -> None:
        if self._clients > CLIENTS:
            await _send(stream, messages.error(f"{CLIENTS} clients are connected already; try again later"))
            return
        received = bytearray()
        goes_on = True
        while goes_on:
            line = await _line(stream, received)
            if line is None:
                return
            await self._turn()
            answer, goes_on = await self._answer(line)
            goes_on = await _send(stream, answer) and goes_on

    async def _turn(self) -> None:
        """Wait until the next request may be looked at."""
        at = max(trio.current_time(), self._free_at)
        self._free_at = at + PACE
        await trio.sleep_until(at)

    async def _answer(self, line: bytes) -> tuple[bytes, bool]:
        """The answer to one request line, and whether the conversation goes on."""
        if len(line) >= messages.REQUEST_LIMIT:
            return messages.error(f"a request has at most {messages.REQUEST_LIMIT} bytes"), False
        try:
            request = messages.decode(line)
            command = request.get("command")
            handler = self._handlers.get(command) if isinstance(command, str) else None
            if handler is None:
                known = ", ".join(sorted(self._handlers))
                return messages.error(f"unknown command; this agent knows: {known}"), False
            found = handler(request)
            return messages.encode(await found if isinstance(found, Awaitable) else found), True
        except (messages.MessageError, VrrpdError) as error:
            return messages.error(str(error)), False


async def _line(stream: trio.abc.HalfCloseableStream, received: bytearray) -> bytes | None:
    """The next line, or as much of it as shows that it is too long; None where the client left or fell silent.

    `received` keeps what came after the line, for the next call.
    """
    with trio.move_on_after(PATIENCE):
        while (end := received.find(b"\n")) < 0 and len(received) < messages.REQUEST_LIMIT:
            piece = await stream.receive_some(_PIECE)
            if not piece:
                return None
            received += piece
        end = len(received) if end < 0 else end
        line = bytes(received[:end])
        del received[: end + 1]
        return line
    return None


async def _send(stream: trio.abc.HalfCloseableStream, line: bytes) -> bool:
    """Send one line; False where the client does not read it in time."""
    with trio.move_on_after(PATIENCE):
        await stream.send_all(line)
        return True
    return False


def _listen(path: str) -> trio.socket.SocketType:
    """Create the socket file and listen at it.

    Raises:
        VrrpdError: see `serve`.
    """
    if len(os.fsencode(path)) > _PATH_LIMIT:
        raise VrrpdError(f"the path of the control socket has more than {_PATH_LIMIT} bytes: {path}")
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        Path(path).parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        _clear(path)
        # Before bind, the mode of the descriptor is what the file gets at most, so that no moment leaves it open to
        # all; chmod then gives back to the group what the umask took away.
        os.fchmod(listening.fileno(), 0o660)
        listening.bind(path)
        Path(path).chmod(0o660)
        listening.listen(_BACKLOG)
    except OSError as error:
        listening.close()
        raise VrrpdError(f"cannot create the control socket {path}: {error.strerror}") from error
    except VrrpdError:
        listening.close()
        raise
    return trio.socket.from_stdlib_socket(listening)


def _clear(path: str) -> None:
    """Remove the socket file of a dead agent.

    Raises:
        VrrpdError: something lives there, or it is no socket.
    """
    try:
        mode = Path(path).lstat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise VrrpdError(f"{path} exists and is no socket; name another control socket with --control")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        with contextlib.suppress(ConnectionRefusedError, FileNotFoundError):  # nobody listens: it is stale
            with contextlib.suppress(BlockingIOError):  # somebody listens, whose queue is full
                probe.connect(path)
            raise VrrpdError(f"another agent listens at {path}; stop it, or name another socket with --control")
    Path(path).unlink(missing_ok=True)


def _remove(path: str, identity: tuple[int, int] | None) -> None:
    """Remove the socket file, but never that of an agent that took our place."""
    if identity is not None and _identity(path) == identity:
        Path(path).unlink(missing_ok=True)


def _identity(path: str) -> tuple[int, int] | None:
    """Which file this is, as device and inode; None where there is none."""
    try:
        found = Path(path).lstat()
    except OSError:
        return None
    return found.st_dev, found.st_ino
