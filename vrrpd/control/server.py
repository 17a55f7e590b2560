"""The agent's end of the control socket.

Owns the socket file and the manners of the conversation: how long a line may be, how long a client may think, how many
may talk at once. What a command does is the business of the handlers that `serve` is given. A plain one gives one
consistent picture of the agent; one that must wait for an outcome returns an awaitable. A client that goes away
meanwhile does not undo what it asked for: the handler runs to its end, and the answer is lost.

Must not do: let a client hold up anybody else. A client that says nothing, that stops reading or that talks nonsense is
cut off; each has its own task, and the agent's work never waits for any of them. However many ask however often, a
hundred requests a second are answered.

The file is created with mode 0660, for the agent's user and the group `vrrpd`, or else the group of that user. A file
that a dead agent left is replaced; one that still answers is an error. What changes something is for root, for that
user and for that group, whoever else may have been given the right to connect: the kernel tells who that is
(SO_PEERCRED, SO_PEERGROUPS).

Sources: unix(7), socket(7).
"""

from __future__ import annotations

import contextlib
import grp
import math
import os
import socket
import stat
import struct
from array import array
from collections.abc import Awaitable, Callable, Collection, Mapping
from pathlib import Path
from typing import Any, Never, Self, TypeAlias

import trio

from vrrpd.control import messages
from vrrpd.control.places import making
from vrrpd.errors import VrrpdError
from vrrpd.linux.accounts import group_name
from vrrpd.rights import OWN_USER, Account

CLIENTS = 32
"""How many clients may be connected at once."""

PATIENCE = 5.0
"""How long, in seconds, a client may take to send its next request, or to read an answer."""

_SO_PEERGROUPS = 59  # asm-generic/socket.h
_GROUPS = 256  # of a client that are looked at; Python asks for a kilobyte at most

PACE = 0.01
"""Seconds between two requests, of whomever: an answer may take milliseconds, and adverts come first."""

_BACKLOG = 16
_PIECE = 4096
_PATH_LIMIT = 107  # sun_path has 108 bytes and ends with a zero: unix(7)

Answer: TypeAlias = Mapping[str, Any]
Handler: TypeAlias = Callable[[Mapping[str, Any]], Answer | Awaitable[Answer]]
"""Takes a request, returns the answer or an awaitable of it; raises `VrrpdError` to refuse. Must not block."""


Permit: TypeAlias = Callable[[str, trio.abc.HalfCloseableStream], None]
"""Told a command and who asks for it, raises `VrrpdError` to refuse."""


class ControlSocket:
    """A socket file that clients can connect to, from its creation until `close`.

    Args:
        path: where the file goes; missing parent directories are created.
        who: the user that it is for.

    Raises:
        VrrpdError: it cannot be created there, or another agent already listens at it.
    """

    def __init__(self, path: str, who: Account) -> None:
        self.path = path
        self.users = frozenset({0, who.uid})
        self.socket = _listen(path, who)
        self._identity = _identity(path)
        self.group = Path(path).stat().st_gid

    def insist_on_right(self, client: trio.socket.SocketType) -> None:
        """Refuse whoever may not change anything.

        Raises:
            VrrpdError: the text names the mend.
        """
        _, uid, gid = struct.unpack("=iII", client.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
        if uid in self.users or self.group in {gid, *_groups(client)}:
            return
        raise VrrpdError(
            f"user {uid} may look and change nothing; run the command as root, "
            f"or as a member of group {group_name(self.group)}, which owns {self.path}"
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Hear no more, and remove the file, unless that is another agent's by now."""
        self.socket.close()
        if self._identity is not None and _identity(self.path) == self._identity:
            with contextlib.suppress(OSError):  # a directory of root's: the next agent replaces it
                Path(self.path).unlink(missing_ok=True)


async def serve(at: ControlSocket, handlers: Mapping[str, Handler], changing: Collection[str] = ()) -> Never:
    """Answer requests at a control socket until cancelled.

    Args:
        at: the socket.
        handlers: the commands, by name.
        changing: those that change something, and are not for everybody who may connect.
    """

    def permit(command: str, client: trio.abc.HalfCloseableStream) -> None:
        assert isinstance(client, trio.SocketStream), "a listener accepts sockets"
        if command in changing:
            at.insist_on_right(client.socket)

    listener = trio.SocketListener(trio.socket.from_stdlib_socket(at.socket))
    await trio.serve_listeners(Server(handlers, permit).converse, [listener])


class Server:
    """The conversations of one socket."""

    def __init__(self, handlers: Mapping[str, Handler], permit: Permit) -> None:
        self._handlers = handlers
        self._permit = permit
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
            answer, goes_on = await self._answer(line, stream)
            goes_on = await _send(stream, answer) and goes_on

    async def _turn(self) -> None:
        """Wait until the next request may be looked at."""
        at = max(trio.current_time(), self._free_at)
        self._free_at = at + PACE
        await trio.sleep_until(at)

    async def _answer(self, line: bytes, client: trio.abc.HalfCloseableStream) -> tuple[bytes, bool]:
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
            self._permit(str(command), client)
            found = handler(request)
            return messages.encode(await found if isinstance(found, Awaitable) else found), True
        except (messages.MessageError, VrrpdError) as error:
            return messages.error(str(error)), False


def _groups(client: trio.socket.SocketType) -> array[int]:
    """The supplementary groups of whoever is at the other end; none of somebody who has hundreds."""
    try:
        return array("I", client.getsockopt(socket.SOL_SOCKET, _SO_PEERGROUPS, 4 * _GROUPS))
    except OSError:
        return array("I")


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


def _listen(path: str, who: Account) -> socket.socket:
    """Create the socket file and listen at it.

    Raises:
        VrrpdError: see `ControlSocket`.
    """
    if len(os.fsencode(path)) > _PATH_LIMIT:
        raise VrrpdError(f"the path of the control socket has more than {_PATH_LIMIT} bytes: {path}")
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        by_root = os.geteuid() == 0
        with making(path, who._replace(gid=_group(who)) if by_root else who):
            _clear(path)
            listening.bind(path)
        if not by_root:
            with contextlib.suppress(PermissionError):  # we are no member
                os.chown(path, -1, _group(who))
        listening.listen(_BACKLOG)
    except OSError as error:
        listening.close()
        raise VrrpdError(f"cannot create the control socket {path}: {_reason(error, path, who)}") from error
    except VrrpdError:
        listening.close()
        raise
    return listening


def _reason(error: OSError, path: str, who: Account) -> str:
    """Why it cannot be created, and where somebody may not, what would let them."""
    if not isinstance(error, PermissionError):
        return str(error.strerror)
    return f"{error.strerror}; make {Path(path).parent} and give it to {who.name}, or name another place with --control"


def _group(who: Account) -> int:
    """The group that may use the socket."""
    try:
        return grp.getgrnam(OWN_USER).gr_gid
    except KeyError:
        return who.gid


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


def _identity(path: str) -> tuple[int, int] | None:
    """Which file this is, as device and inode; None where there is none."""
    try:
        found = Path(path).lstat()
    except OSError:
        return None
    return found.st_dev, found.st_ino
