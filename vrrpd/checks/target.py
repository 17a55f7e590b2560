"""Where a check connects to: `HOST:PORT` read from the file, a connection made, and what went wrong in plain words.

Used by the kinds that speak TCP, and for the names that others use. Addresses are better than names here: a name is
looked up again for every probe, off the loop, and a resolver that hangs makes the probe hang until its timeout. A
lookup that hangs keeps its thread even then, so that lookups have a limit of their own: a resolver that is down costs
nothing but the checks that use names.
"""

from __future__ import annotations

import os
import re
import socket
from dataclasses import dataclass
from functools import partial
from ipaddress import ip_address
from typing import Any, TypeAlias

import trio

from vrrpd.config.words import quote, shown

SocketAddress: TypeAlias = tuple[Any, ...]
"""Whatever the socket module calls an address of a family."""

_LOOKUPS = trio.CapacityLimiter(8)

_NAME = re.compile(r"(?!-)[A-Za-z0-9_-]{1,63}(\.(?!-)[A-Za-z0-9_-]{1,63})*\.?")
_TARGET = re.compile(r"(?:\[(?P<v6>[^\]]*)\]|(?P<host>[^:\[\]]*)):(?P<port>[0-9]{1,5})")


@dataclass(frozen=True, slots=True)
class Target:
    """A TCP port of a host.

    Attributes:
        host: an IPv4 or IPv6 address, or a name.
        port: 1..65535.
    """

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def parse_target(text: object) -> Target:
    """Read `HOST:PORT`, with an IPv6 address in brackets.

    Raises:
        ValueError: anything else; the text says what would be right.
    """
    found = _TARGET.fullmatch(text) if isinstance(text, str) else None
    if found is None:
        raise ValueError(f"{shown(text)} is not HOST:PORT; write for example 127.0.0.1:80 or [::1]:80")
    host, port = found["v6"] or found["host"] or "", int(found["port"])
    if not 1 <= port <= 65535:
        raise ValueError(f"port {port} does not exist; ports are 1..65535")
    check_host(host, bracketed=found["v6"] is not None)
    return Target(host, port)


def check_host(host: str, *, bracketed: bool = False) -> None:
    """Make sure that a host is an address or a name.

    Raises:
        ValueError: it is neither, or its brackets are wrong; the text says what would be right.
    """
    try:
        address = ip_address(host)
    except ValueError:
        # Digits and dots that are no address ("10.0.0.300") would otherwise be looked up as a name for ever.
        if bracketed or not _NAME.fullmatch(host) or not re.search("[A-Za-z]", host):
            raise ValueError(f"{quote(host)} is neither an address nor a name; write for example 127.0.0.1") from None
    else:
        if bracketed and address.version == 4:
            raise ValueError(f"{host} is no IPv6 address; leave the brackets out")


async def connect(target: Target) -> trio.SocketStream:
    """Open a TCP connection; of a name with several addresses, the first that accepts.

    Raises:
        OSError: no address of the target accepts, the last one's reason.
    """
    failure: OSError = ConnectionRefusedError()
    for family, address in await resolve(target.host, target.port):
        connecting = trio.socket.socket(family, socket.SOCK_STREAM)
        try:
            await connecting.connect(address)
        except OSError as error:
            connecting.close()
            failure = error
            continue
        except BaseException:
            connecting.close()
            raise
        # With nobody listening on a port of the ephemeral range, the kernel now and then picks that very port as our
        # own and connects the socket to itself.
        if connecting.getsockname() == connecting.getpeername():
            connecting.close()
            continue
        return trio.SocketStream(connecting)
    raise failure


async def resolve(host: str, port: int = 0) -> list[tuple[socket.AddressFamily, SocketAddress]]:
    """Every address of a host, the preferred one first; an address is read at once, a name in a worker thread.

    Raises:
        socket.gaierror: the name is not found.
    """
    look = partial(socket.getaddrinfo, host, port, type=socket.SOCK_STREAM)
    try:
        found = look(flags=socket.AI_NUMERICHOST)
    except socket.gaierror:
        found = await trio.to_thread.run_sync(look, abandon_on_cancel=True, limiter=_LOOKUPS)
    return [(family, address) for family, _, _, _, address in found]


def reason(error: OSError) -> str:
    """Why a connection failed, in a few plain words."""
    if isinstance(error, socket.gaierror):
        return f"the name is not found: {error.strerror}"
    if error.errno:
        return os.strerror(error.errno).lower()  # trio puts the address into the text, which people know already
    return str(error) or type(error).__name__
