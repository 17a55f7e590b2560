"""One agent in each network namespace.

Two agents in one namespace would take each other's addresses for leftovers and fight over them. The lock is the
abstract unix socket `@vrrpd`: the kernel keeps abstract names apart by network namespace, exactly the border that
matters here, and a name goes with its holder however that ends, so that no stale lock is possible (unix(7)).

Whoever is refused learns why: the kernel tells the holder's process id (SO_PEERCRED), and the holder answers every
connection with one line that names its control socket. Anybody may take the name first, and so keep agents from
starting; what he says is not believed, but he is named.
"""

from __future__ import annotations

import contextlib
import errno
import socket
from collections.abc import Iterable
from typing import Never, Self

import trio

from vrrpd.control import messages
from vrrpd.control.holder import NAME, holder_of
from vrrpd.errors import VrrpdError

_PAUSE = 0.2  # seconds
_PACE = 0.01  # seconds after each answer: whoever floods us with connections waits for us, not our loop for the flood
_BACKLOG = 8


class NameTakenError(VrrpdError):
    """The lock is held by somebody who is no agent, so that no agent can start."""


class NamespaceLock:
    """Held from its creation until `close`, or until the process ends.

    Args:
        control: the path of our control socket, told to whoever comes second.
        name: the abstract name.

    Raises:
        NameTakenError: somebody who is no agent has taken the name; the text names the user.
        VrrpdError: another agent holds the lock; the text names its process and its control socket.
    """

    def __init__(self, control: str, name: str = NAME) -> None:
        self._control = control
        self._line = messages.encode({"control": control})
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            self._socket.bind(name)
            self._socket.listen(_BACKLOG)
        except OSError as error:
            self._socket.close()
            holder = holder_of(name, taken=error.errno == errno.EADDRINUSE)
            if holder.stranger:
                raise NameTakenError(f"{holder.stranger}; {holder.mend}") from error
            who = f"an agent already runs in this network namespace: {holder.who}"
            raise VrrpdError(f"{who}; stop it, or ask it with: {holder.mend}") from error
        self._socket.setblocking(False)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def has(self, ports: Iterable[tuple[str, int]]) -> None:
        """Tell whoever asks which ports are ours, so that he takes us for nobody else."""
        self._line = messages.encode({"control": self._control, "ports": [list(each) for each in ports]})

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
                await trio.sleep(_PAUSE)
                continue
            with client, contextlib.suppress(OSError):
                client.setblocking(False)
                client.send(self._line)
            await trio.sleep(_PACE)
