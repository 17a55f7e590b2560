"""Who holds the lock of this network namespace: asked by an agent that is refused, and by a command that finds nobody.

Standard library only: `vrrpd status` has a fifth of a second (see `client`). The lock itself is in `lock`.
"""

from __future__ import annotations

import contextlib
import socket
import struct
import time
from dataclasses import dataclass
from typing import Any

from vrrpd.control import messages

NAME = "\0vrrpd"
"""The abstract name, written `@vrrpd` by ss and lsof."""

_DEADLINE = 0.2  # how long whoever asks waits for the holder's line, in seconds


@dataclass(frozen=True, slots=True)
class Holder:
    """The agent that holds the lock.

    Attributes:
        pid: its process id; 0 where it lives in a process id namespace that we cannot see into.
        control: its control socket; None where it did not say in time.
    """

    pid: int
    control: str | None

    @property
    def who(self) -> str:
        """For people."""
        where = f", control socket {self.control}" if self.control else ""
        return f"pid {self.pid or 'unknown'}{where}"

    @property
    def mend(self) -> str:
        """The command that asks it."""
        return f"vrrpd status --control {self.control}" if self.control else "vrrpd status"


def holder_of(name: str = NAME) -> Holder:
    """Ask the holder who it is; all unknown where nobody answers."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as asking, contextlib.suppress(OSError):
        asking.settimeout(_DEADLINE)
        asking.connect(name)
        pid, _, _ = struct.unpack("3i", asking.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
        return Holder(pid, _control(asking))
    return Holder(0, None)


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
