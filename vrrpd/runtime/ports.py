"""The raw sockets: one port for each interface and family, shared by every router there.

A port knows which router each VRID belongs to, hands datagrams over, and counts what belongs to nobody. It is opened
with its first router and closed with its last. An interface that was deleted and made again has another index and so
another port.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from typing import TypeAlias

from vrrpd.errors import VrrpdError
from vrrpd.linux.netlink import Link
from vrrpd.proto.datagram import Datagram
from vrrpd.proto.settings import Family
from vrrpd.proto.validate import Drop, Reason, validate, vrid_of
from vrrpd.runtime.kernel import AdvertSocket, Kernel

Take: TypeAlias = Callable[[Datagram], None]
"""Where the datagrams of one virtual router go."""


class Port:
    """One raw socket and the virtual routers behind it.

    Attributes:
        family: address family.
        link: the interface.
        socket: the raw socket.
        dropped: datagrams that no router here could be asked about, by reason.
        closed: True once its last router has left.
    """

    def __init__(self, family: Family, link: Link, socket: AdvertSocket) -> None:
        self.family = family
        self.link = link
        self.socket = socket
        self.dropped = Counter[Reason]()
        self.routers: dict[int, Take] = {}
        self.closed = False

    async def run(self, awake: Callable[[], None]) -> None:
        """Hand over what comes in, until the port is closed; each round is bounded, so a flood delays nobody.

        Args:
            awake: called first after each wait.
        """
        while not self.closed:  # its last router may leave between the wake-up and here, or while it reads
            await self.socket.wait_readable()
            awake()
            self.read()

    def read(self) -> None:
        """Hand over what has come in already, without waiting."""
        for datagram in self.socket.receive():
            take = self.routers.get(vrid_of(datagram) or 0)
            if take is not None:
                take(datagram)
            else:
                self._count(datagram)

    def _count(self, datagram: Datagram) -> None:
        verdict = validate(datagram, None, ())
        if isinstance(verdict, Drop):
            self.dropped[verdict.reason] += 1


class Ports:
    """All open ports."""

    def __init__(self, kernel: Kernel, opened: Callable[[Port], None]) -> None:
        """Start with none.

        Args:
            kernel: opens the sockets.
            opened: starts the task that reads a new port.
        """
        self._kernel = kernel
        self._opened = opened
        self._ports: dict[tuple[Family, int], Port] = {}

    def __iter__(self) -> Iterator[Port]:
        return iter(self._ports.values())

    def join(self, family: Family, link: Link, vrid: int, take: Take) -> Port:
        """Send datagrams of a VRID to `take`, opening the port where it is not open yet.

        Raises:
            VrrpdError: the socket cannot be opened, or another router has this VRID on this interface.
        """
        key = family, link.index
        if key not in self._ports:
            self._ports[key] = Port(family, link, self._kernel.advert_socket(family, link.name, link.index))
            self._opened(self._ports[key])
        port = self._ports[key]
        if vrid in port.routers:
            raise VrrpdError(f"VRID {vrid} is taken on {link.name} by another router of this file")
        port.routers[vrid] = take
        return port

    def leave(self, port: Port, vrid: int) -> None:
        """No more datagrams for this VRID; a port without routers is closed."""
        port.routers.pop(vrid, None)
        if not port.routers:
            del self._ports[port.family, port.link.index]
            port.closed = True
            port.socket.close()
