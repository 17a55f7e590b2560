"""Who holds the lock of this network namespace: asked by an agent that is refused, and by a command that finds nobody.

Standard library only: `vrrpd status` has a fifth of a second (see `client`). The lock itself is in `lock`.
"""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import struct
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from vrrpd.control import messages

NAME = "\0vrrpd"
"""The abstract name, written `@vrrpd` by ss and lsof."""

_CAP_NET_ADMIN = 12  # linux/capability.h
_DEADLINE = 0.2  # how long whoever asks waits for the holder's line, in seconds


@dataclass(frozen=True, slots=True)
class Holder:
    """The agent that holds the lock.

    Attributes:
        pid: its process id; 0 where it lives in a process id namespace that we cannot see into.
        control: its control socket; None where it did not say in time, or is not to be believed.
        ports: (host, port) of each port that it answers health probes on.
        stranger: who has taken the name and cannot be an agent, for people; "" for an agent.
    """

    pid: int
    control: str | None
    stranger: str = ""
    ports: frozenset[tuple[str, int]] = frozenset()

    @property
    def who(self) -> str:
        """For people."""
        where = f", control socket {self.control}" if self.control else ""
        return f"pid {self.pid or 'unknown'}{where}"

    @property
    def mend(self) -> str:
        """The command that asks it, or what to do about a stranger."""
        if self.stranger:
            return f"end that process: kill {self.pid}" if self.pid else "find it with: ss -xap | grep @vrrpd"
        import shlex  # noqa: PLC0415 - for the few who read this

        return f"vrrpd status --control {shlex.quote(self.control)}" if self.control else "vrrpd status"


def holder_of(name: str = NAME, *, taken: bool = False) -> Holder:
    """Ask the holder who it is; all unknown where nobody answers.

    Args:
        name: the abstract name.
        taken: whether somebody is known to have it; an agent would listen.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as asking, contextlib.suppress(OSError):
        # Not `settimeout`: it would not wait for a place in a queue that is full (unix(7): EAGAIN).
        asking.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("@ll", 0, round(_DEADLINE * 1_000_000)))
        refused = asking.connect_ex(name)
        if refused == errno.ECONNREFUSED and taken:
            return Holder(0, None, f"somebody who does not listen has taken the name {_shown(name)} (pid unknown)")
        if refused:
            return Holder(0, None)
        pid, uid, _ = struct.unpack("3i", asking.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
        if not _may_be_agent(pid, uid):
            return Holder(pid, None, f"user {uid} has taken the name {_shown(name)} (pid {pid or 'unknown'})")
        said = _said(asking)
        control: Any = said.get("control")
        return Holder(
            pid,
            control if isinstance(control, str) and control.isprintable() else None,
            ports=_ports(said.get("ports")),
        )
    return Holder(0, None)


def _may_be_agent(pid: int, uid: int) -> bool:
    """Whether it is root's or ours, or may change addresses, as an agent of whatever user can and nobody else does."""
    return uid in {0, os.getuid()} or bool(_capabilities(pid) >> _CAP_NET_ADMIN & 1)


def _capabilities(pid: int) -> int:
    """Its effective ones; none where it cannot be seen."""
    with contextlib.suppress(OSError), Path(f"/proc/{pid}/status").open() as lines:
        return next((int(line.split()[1], 16) for line in lines if line.startswith("CapEff:")), 0)
    return 0


def _shown(name: str) -> str:
    return name.replace("\0", "@", 1)


def _ports(said: Any) -> frozenset[tuple[str, int]]:
    found = set[tuple[str, int]]()
    for each in cast("list[Any]", said) if isinstance(said, list) else ():
        match each:
            case [str(host), int(port)]:
                found.add((host, port))
            case _:
                pass  # not to be believed
    return frozenset(found)


def _said(asking: socket.socket) -> dict[str, Any]:
    """Read the holder's line; empty where it does not say in time."""
    line = b""
    deadline = time.monotonic() + _DEADLINE
    with contextlib.suppress(OSError, messages.MessageError):
        while not line.endswith(b"\n") and len(line) < messages.REQUEST_LIMIT:
            asking.settimeout(max(deadline - time.monotonic(), 0.001))
            piece = asking.recv(4096)
            if not piece:
                return {}
            line += piece
        return dict(messages.decode(line))
    return {}
