"""One echo request and its answer, over IPv4 and IPv6 (RFC 792, RFC 4443 4).

Owns one socket for each question, connected to the host that is asked, so that the kernel hands over nothing of anybody
else. It is a datagram socket of ICMP where the kernel lets this group have one (`net.ipv4.ping_group_range`), because
that needs no right and is shown only the answers to its own requests; else a raw one, for which CAP_NET_RAW is needed
and which sees every ICMP message of the host that is asked. Either way an answer counts only if it repeats identifier
(which the kernel chooses and checks on a datagram socket), sequence number and 8 random bytes.

      0                   1                   2                   3
      0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
     +---------------+---------------+-------------------------------+
     |     Type      |    Code: 0    |           Checksum            |
     +---------------+---------------+-------------------------------+
     |          Identifier           |        Sequence Number        |
     +-------------------------------+-------------------------------+
     |                        8 random bytes                         |
     |                                                               |
     +---------------------------------------------------------------+

The checksum of ICMPv6 covers addresses that only the kernel knows here; it fills it in.
"""

from __future__ import annotations

import secrets
import socket
import struct
from dataclasses import dataclass
from typing import Any

import trio

from vrrpd.proto.packet import internet_checksum

_HEADER = struct.Struct("!BBHHH")
_LARGEST = 2048  # more than any answer to so short a request


@dataclass(frozen=True, slots=True)
class _Dialect:
    """What is different between the two families."""

    protocol: int
    request: int
    reply: int


_DIALECTS = {
    socket.AF_INET: _Dialect(socket.IPPROTO_ICMP, 8, 0),
    socket.AF_INET6: _Dialect(socket.IPPROTO_ICMPV6, 128, 129),
}


async def ping(family: socket.AddressFamily, address: tuple[Any, ...]) -> float | OSError:
    """Ask a host once and wait for its answer, for ever if there is none.

    Args:
        family: AF_INET or AF_INET6.
        address: the host, as the socket module calls it.

    Returns:
        Seconds from the question to the answer; or why the host cannot be reached, as far as the kernel knows.

    Raises:
        PermissionError: neither kind of socket is allowed.
        OSError: the kernel runs without the family, or no descriptor is left.
    """
    with open_socket(family) as asking:
        try:
            asking.connect(address)
            return await _ask(asking, _DIALECTS[family])
        except OSError as error:
            return error


async def _ask(asking: socket.socket, dialect: _Dialect) -> float:
    """Send the request and wait for its answer, on a connected socket.

    Raises:
        OSError: the host cannot be reached.
    """
    raw, old = asking.type == socket.SOCK_RAW, asking.family == socket.AF_INET
    identifier, sequence, token = secrets.randbits(16), secrets.randbits(16), secrets.token_bytes(8)
    bare = _HEADER.pack(dialect.request, 0, 0, identifier, sequence) + token
    checksum = internet_checksum(bare) if old else 0
    asked = _HEADER.pack(dialect.request, 0, checksum, identifier, sequence) + token
    # A datagram socket puts an identifier of its own in place of ours, and is shown no other.
    repeated = asked[4:] if raw else asked[6:]
    started = trio.current_time()
    asking.send(asked)
    while True:
        await trio.lowlevel.wait_readable(asking)
        packet = asking.recv(_LARGEST)
        message = _without_header(packet) if raw and old else packet
        if message[:2] == bytes((dialect.reply, 0)) and message.endswith(repeated):
            return trio.current_time() - started


def open_socket(family: socket.AddressFamily) -> socket.socket:
    """A socket that may send an echo request: without any right where that is allowed, else a raw one.

    Raises:
        PermissionError: neither is allowed.
        OSError: the kernel runs without the family, or no descriptor is left.
    """
    protocol = _DIALECTS[family].protocol
    try:
        return socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK, protocol)
    except PermissionError:
        return socket.socket(family, socket.SOCK_RAW | socket.SOCK_NONBLOCK, protocol)


def _without_header(packet: bytes) -> bytes:
    """The ICMP message in what a raw socket of IPv4 received, which is the whole packet (raw(7))."""
    return packet[(packet[0] & 0x0F) * 4 :]
