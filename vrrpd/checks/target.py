"""Where a check connects to: `HOST:PORT` read from the file, a connection made, and what went wrong in plain words.

Used by the kinds that speak TCP. Addresses are better than names here: a name is looked up again for every probe, off
the loop, and a resolver that hangs makes the probe hang until its timeout.
"""

from __future__ import annotations

import os
import re
import socket
from dataclasses import dataclass
from ipaddress import ip_address

import trio

from vrrpd.config.words import quote, shown

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
    _check_host(host, bracketed=found["v6"] is not None)
    return Target(host, port)


def _check_host(host: str, *, bracketed: bool) -> None:
    """Make sure that a host is an address or a name.

    Raises:
        ValueError: it is neither, or its brackets are wrong.
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
    found = await trio.socket.getaddrinfo(target.host, target.port, type=socket.SOCK_STREAM)
    failure: OSError = ConnectionRefusedError()
    for family, kind, protocol, _, address in found:
        connecting = trio.socket.socket(family, kind, protocol)
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


def reason(error: OSError) -> str:
    """Why a connection failed, in a few plain words."""
    if isinstance(error, socket.gaierror):
        return f"the name is not found: {error.strerror}"
    if error.errno:
        return os.strerror(error.errno).lower()  # trio puts the address into the text, which people know already
    return str(error) or type(error).__name__
