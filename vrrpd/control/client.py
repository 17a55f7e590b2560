"""The command's end of the control socket: connect, ask, read one line.

Blocking and made of the standard library alone, because `vrrpd status` has 200 ms from the shell prompt to the answer
and the imports of trio or pydantic alone would take more than that. Every way in which there can be no answer is mapped
to one clear line here, once.
"""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Mapping
from typing import Any, Self

from vrrpd.control import messages
from vrrpd.control.holder import holder_of
from vrrpd.errors import VrrpdError

DEFAULT_CONTROL = "/run/vrrpd/control.sock"
"""Where an agent listens unless it is told otherwise."""


class NoAgentError(VrrpdError):
    """Nobody answers at the control socket: no agent runs there."""


class Connection:
    """One connection to an agent, good for any number of requests, one after another.

    Args:
        path: the control socket.
        timeout: the longest wait for the connection and for each answer, in seconds.

    Raises:
        NoAgentError: no agent listens at `path`.
        VrrpdError: there is a socket, but this user may not use it.
    """

    def __init__(self, path: str, timeout: float = 2.0) -> None:
        self.path = path
        self._timeout = timeout
        self._received = b""
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.settimeout(timeout)
        try:
            self._socket.connect(path)
        except OSError as error:
            self._socket.close()
            raise _explain(path, error) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection."""
        self._socket.close()

    def request(self, message: Mapping[str, Any]) -> dict[str, Any]:
        """Send one request and return its answer.

        Raises:
            NoAgentError: the agent ended before it answered.
            VrrpdError: the agent refuses the request, or does not answer in time.
        """
        try:
            self._socket.sendall(messages.encode(message))
            answer = messages.decode(self._line())
        except TimeoutError as error:
            raise VrrpdError(
                f"the agent at {self.path} does not answer within {self._timeout:g} s; it hangs or is stopped"
            ) from error
        except (ConnectionError, messages.MessageError) as error:
            raise NoAgentError(f"the agent at {self.path} ended before it answered") from error
        if "error" in answer:
            raise VrrpdError(f"the agent at {self.path} refuses: {answer['error']}")
        return answer

    def _line(self) -> bytes:
        """Read up to the next newline."""
        pieces = [self._received]
        size = len(self._received)
        while b"\n" not in pieces[-1]:
            piece = self._socket.recv(1 << 16)
            size += len(piece)
            if not piece or size > messages.ANSWER_LIMIT:
                raise ConnectionResetError("no whole line")
            pieces.append(piece)
        line, _, self._received = b"".join(pieces).partition(b"\n")
        return line


def request(path: str, message: Mapping[str, Any], timeout: float = 2.0) -> dict[str, Any]:
    """Ask an agent one thing on a connection of its own; see `Connection`."""
    with Connection(path, timeout) as connection:
        return connection.request(message)


def _explain(path: str, error: OSError) -> VrrpdError:
    """Why there is no connection, in words that name the mend."""
    match error.errno:
        case errno.ENOENT | errno.ENOTDIR | errno.ECONNREFUSED | errno.ENOTSOCK:
            return _nobody(path)
        case errno.EACCES | errno.EPERM:
            return VrrpdError(
                f"no permission to use {path}; run as root or as a member of the group that owns the socket"
            )
        case _ if isinstance(error, TimeoutError) or error.errno == errno.EAGAIN:
            return VrrpdError(f"the agent at {path} accepts no connection; it hangs or is stopped")
        case _:
            return VrrpdError(f"cannot use the control socket {path}: {error.strerror or error}")


def _nobody(path: str) -> VrrpdError:
    """Nobody listens at this path; the lock of the network namespace knows whether an agent runs all the same."""
    holder = holder_of()
    if holder.stranger:
        return NoAgentError(f"no agent runs at {path}, and none can start: {holder.stranger}; {holder.mend}")
    if holder.control is None:
        mend = "start one with: vrrpd run, or name another socket with --control"
        return NoAgentError(f"no agent runs at {path}; {mend}")
    if os.path.abspath(holder.control) == os.path.abspath(path):  # noqa: PTH100 - no file is looked at
        return VrrpdError(f"an agent runs (pid {holder.pid}), but its control socket {path} was removed; restart it")
    return NoAgentError(f"no agent runs at {path}; one does at {holder.control} (pid {holder.pid}): {holder.mend}")
