"""One agent in each network namespace.

Two agents in one namespace would take each other's addresses for leftovers and fight over them. The lock is the
abstract unix socket `@vrrpd`: the kernel keeps abstract names apart by network namespace, exactly the border that
matters here, and a name goes with its holder however that ends, so that no stale lock is possible (unix(7)).

Whoever is refused learns why: the kernel tells the holder's process id (SO_PEERCRED), and the holder answers every
connection with one line that names its control socket.
"""

from __future__ import annotations

import contextlib
import socket
import struct
import time
from typing import Any, Never, Self

import trio

from vrrpd.control import messages
from vrrpd.errors import VrrpdError

NAME = "\0vrrpd"
"""The abstract name, written `@vrrpd` by ss and lsof."""

_DEADLINE = 0.2  # how long the one who is refused waits for the holder's line, in seconds
_BACKLOG = 8


class NamespaceLock:
    """Held from its creation until `close`, or until the process ends.

    Args:
        control: the path of our control socket, told to whoever comes second.
        name: the abstract name.

    Raises:
        VrrpdError: another agent holds the lock; the text names its process and its control socket.
    """

    def __init__(self, control: str, name: str = NAME) -> None:
        self._line = messages.encode({"control": control})
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            self._socket.bind(name)
            self._socket.listen(_BACKLOG)
        except OSError as error:
            self._socket.close()
            raise VrrpdError(_holder(name)) from error
        self._socket.setblocking(False)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let the next agent in."""
        self._socket.close()

    async def answer(self) -> Never:
        """Tell everyone who comes where our control socket is; runs until cancelled."""
        while True:
            await trio.lowlevel.wait_readable(self._socket)
            try:
                client, _ = self._socket.accept()
            except OSError:  # whoever came is gone already, or there is no descriptor left: do not spin on that
                await trio.sleep(_DEADLINE)
                continue
            with client, contextlib.suppress(OSError):
                client.setblocking(False)
                client.send(self._line)


def _holder(name: str) -> str:
    """What to tell the one who is refused."""
    pid, control = 0, None
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as asking, contextlib.suppress(OSError):
        asking.settimeout(_DEADLINE)
        asking.connect(name)
        pid, _, _ = struct.unpack("3i", asking.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
        control = _control(asking)
    who = f"pid {pid}" if pid else "pid unknown"  # 0: it lives in a process id namespace that we cannot see into
    where = f", control socket {control}" if control else ""
    mend = f"vrrpd status --control {control}" if control else "vrrpd status"
    return f"an agent already runs in this network namespace: {who}{where}; stop it, or ask it with: {mend}"


def _control(asking: socket.socket) -> str | None:
    """Read the holder's line; None where it does not say in time."""
    line = b""
    deadline = time.monotonic() + _DEADLINE
    with contextlib.suppress(OSError, messages.MessageError):
        while not line.endswith(b"\n") and len(line) < messages.REQUEST_LIMIT:
            asking.settimeout(max(deadline - time.monotonic(), 0.001))
            piece = asking.recv(4096)
            if not piece:
                return None
            line += piece
        said: Any = messages.decode(line).get("control")
        return said if isinstance(said, str) else None
    return None
