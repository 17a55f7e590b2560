"""TCP ports that the agent answers on now and then: bound once, before rights are given away, and kept.

Owns the sockets and three facts of the kernel. A bound socket that does not listen refuses connections as a closed port
does. `shutdown` for reading takes a listening socket back to that state, resets what waits to be accepted, and leaves
it bound. And a bound socket without SO_REUSEADDR keeps the port from everybody else: so it has that option only while
it is bound (where connections of the agent before may still be on their way out) and while it listens.

A port below 1024 needs CAP_NET_BIND_SERVICE to be bound, and none to be listened on again. An address that is not here
yet, such as one that moves with the role, can be bound (IP_FREEBIND).

Sources: ip(7), ipv6(7), tcp(7), socket(7).
"""

from __future__ import annotations

import contextlib
import errno
import os
import socket
from collections.abc import Iterable
from ipaddress import ip_address
from typing import Self

from vrrpd.errors import VrrpdError

BACKLOG = 1024
"""Connections that may wait to be accepted; the kernel drops further ones, who try again."""

_IP_FREEBIND, _IPV6_FREEBIND = 15, 78  # linux/in.h, linux/in6.h

_MENDS = {
    errno.EADDRINUSE: "another program has it; stop that (ss -ltnp names it), or choose another port",
    errno.EACCES: "it is privileged; start the agent as root, grant CAP_NET_BIND_SERVICE, or choose one above 1023",
    errno.EADDRNOTAVAIL: "this host cannot have the address; write one of its own, or the port alone",
}


class Ports:
    """Bound ports by (host, port); a context manager."""

    def __init__(self) -> None:
        self._sockets: dict[tuple[str, int], socket.socket] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for each in self._sockets.values():
            each.close()
        self._sockets.clear()

    def take(self, ports: Iterable[tuple[str, int]]) -> None:
        """Bind them all.

        Args:
            ports: (address, port); "" for all addresses of this host.

        Raises:
            VrrpdError: the text names the port, the cause and the mend.
        """
        for host, port in ports:
            try:
                self._sockets[host, port] = _bound(host, port)
            except OSError as error:
                raise VrrpdError(_trouble(host, port, error)) from None

    def port(self, host: str, port: int) -> socket.socket:
        """The bound socket; whoever uses it does not close it."""
        return self._sockets[host, port]


def trouble(host: str, port: int) -> str | None:
    """What keeps anybody from having a port, tried and given back; None where nothing does but our own rights."""
    try:
        _bound(host, port).close()
    except OSError as error:
        return None if error.errno == errno.EACCES else _trouble(host, port, error)
    return None


def listen(bound: socket.socket) -> None:
    """Accept connections from now on, without waiting; nothing where it does already.

    Raises:
        OSError: somebody else listens there all the same.
    """
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.listen(BACKLOG)
    except OSError:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 0)
        raise


def refuse(bound: socket.socket) -> None:
    """Accept nothing from now on: connections are refused, those that wait are reset."""
    with contextlib.suppress(OSError):  # ENOTCONN: it did not listen
        bound.shutdown(socket.SHUT_RD)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 0)


def listening(bound: socket.socket) -> bool:
    """Whether connections are accepted."""
    return bool(bound.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN))


def _trouble(host: str, port: int, error: OSError) -> str:
    """The port, the cause and the mend."""
    code = error.errno or errno.EIO
    mend = _MENDS.get(code, f"{os.strerror(code).lower()}; choose another one")
    return f"cannot answer on {_shown(host, port)}: {mend}"


def _bound(host: str, port: int) -> socket.socket:
    """A socket that nobody else can have the port of.

    Raises:
        OSError: somebody has it, it is not permitted, or there is no such address.
    """
    for reuse in (0, 1):  # the second where connections of an agent before are on their way out
        made = _socket(host)
        try:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, reuse)
            made.bind((host or ("::" if made.family == socket.AF_INET6 else "0.0.0.0"), port))  # noqa: S104 - asked for
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 0)
        except OSError as error:
            made.close()
            if reuse or error.errno != errno.EADDRINUSE:
                raise
        else:
            return made
    raise AssertionError(host)


def _socket(host: str) -> socket.socket:
    """A socket for an address; for all of them one that takes both families, where the kernel has IPv6."""
    if not host or ip_address(host).version == 6:
        try:
            made = socket.socket(socket.AF_INET6, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        except OSError:
            if host:
                raise
        else:
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, bool(host))
            made.setsockopt(socket.IPPROTO_IPV6, _IPV6_FREEBIND, 1)
            return made
    made = socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    made.setsockopt(socket.IPPROTO_IP, _IP_FREEBIND, 1)
    return made


def _shown(host: str, port: int) -> str:
    if not host:
        return f"port {port}"
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
