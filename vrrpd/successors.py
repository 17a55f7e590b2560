"""Who takes over from a dead agent: the advertisements of its successors, heard by the guardian.

Owns the raw sockets that hear IP protocol 112, one for each interface and family however many virtual routers are
there: every such socket gets every packet, and each takes a descriptor. An advertisement is looked at no closer than
it takes to know that somebody serves; a forged one makes the guardian let go sooner, no more.

Imports next to nothing, for a small process.

Sources: raw(7), ip(7), ipv6(7); RFC 9568 5.2.
"""

from __future__ import annotations

import select
import socket
import struct
from collections.abc import Iterator
from typing import Final, NamedTuple, Self

_PROTOCOL: Final = 112
_SO_BINDTOIFINDEX: Final = 62  # asm-generic/socket.h
_AT_ONCE: Final = 512  # packets of one interface, so that a flood on it does not keep the others waiting


class Successor(NamedTuple):
    """Whoever serves a virtual router next.

    Attributes:
        domain: of its addresses.
        interface: number of the one that it is heard on.
        vrid: Virtual Router Identifier.
    """

    domain: socket.AddressFamily
    interface: int
    vrid: int


class Ears:
    """The sockets; a context manager."""

    def __init__(self) -> None:
        self._sockets: dict[tuple[socket.AddressFamily, int], socket.socket] = {}
        self._groups: set[tuple[int, bytes]] = set()
        self._poll = select.poll()  # unlike select(2), for descriptors of any number

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for each in self._sockets.values():
            each.close()

    def open(self, interface: int, destination: str) -> socket.AddressFamily | None:
        """Hear from now on what comes by an interface, in one family.

        Args:
            interface: its number.
            destination: of the dead agent's advertisements: the group, which is joined, or a peer.

        Returns:
            The domain of the destination; None where nothing can be heard.
        """
        domain, group = domain_of(destination), packed(destination)
        try:
            if (domain, interface) not in self._sockets:
                self._sockets[domain, interface] = opened = _socket(domain, interface)
                self._poll.register(opened, select.POLLIN)
            if (interface, group) not in self._groups and _is_group(group):
                _join(self._sockets[domain, interface], interface, group)
                self._groups.add((interface, group))
        except OSError:
            return None
        return domain

    def wait(self, patience: float) -> Iterator[Successor]:
        """Wait until something comes in, for so many seconds at most; who has been heard to serve."""
        ready = {descriptor for descriptor, _ in self._poll.poll(patience * 1000)}
        for (domain, interface), opened in self._sockets.items():
            if opened.fileno() in ready:
                for vrid in _serving(opened):
                    yield Successor(domain, interface, vrid)


def domain_of(address: str) -> socket.AddressFamily:
    """The domain of an address as text."""
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def packed(address: str) -> bytes:
    """The four or sixteen bytes of an address as text, without its scope."""
    return socket.inet_pton(domain_of(address), address.partition("%")[0])


def _is_group(address: bytes) -> bool:
    return address[0] >> 4 == 0xE if len(address) == 4 else address[0] == 0xFF


def _socket(domain: socket.AddressFamily, interface: int) -> socket.socket:
    opened = socket.socket(domain, socket.SOCK_RAW | socket.SOCK_NONBLOCK, _PROTOCOL)
    try:
        opened.setsockopt(socket.SOL_SOCKET, _SO_BINDTOIFINDEX, interface)
    except OSError:
        opened.close()
        raise
    return opened


def _join(opened: socket.socket, interface: int, group: bytes) -> None:
    if len(group) == 4:
        request = struct.pack("=4s4si", group, bytes(4), interface)
        opened.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, request)
    else:
        opened.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP, struct.pack("=16si", group, interface))


def _serving(opened: socket.socket) -> Iterator[int]:
    """The VRID of each advertisement that has come in from somebody who serves."""
    for _ in range(_AT_ONCE):
        try:
            data = opened.recv(4096)
        except OSError:
            return
        start = (data[0] & 0xF) * 4 if opened.family == socket.AF_INET and data else 0
        message = data[start : start + 3]  # RFC 9568 5.2: version and type, VRID, priority
        if len(message) == 3 and message[0] & 0xF == 1 and message[2] > 0:
            yield message[1]
