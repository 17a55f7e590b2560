"""What changes on links and addresses, as it happens, for the event loop.

Owns one non-blocking netlink socket that is a member of the kernel's groups for links and addresses. Events are
hints: the kernel drops them when the socket's buffer is full, and repeats some after others. So the state that a
caller builds from them starts with `Netlink.dump` and starts again after each `Overrun`. To lose nothing in between,
make `Events` first and dump afterwards.

When events were lost, those that still wait in the buffer are older than the dump that must follow; they are thrown
away here, so that no old one undoes what the dump showed.

A thousand addresses that we have renewed, or added, are no thousand events: a filter in the kernel holds them back (for
IPv4; in IPv6 the kernel does not tell who has asked).

Only the kernel is believed: any process may send to a netlink port, its messages carry its port id and are ignored.

Source: netlink(7), rtnetlink(7).
"""

from __future__ import annotations

import errno
import fcntl
import socket
import struct
import sys
from dataclasses import dataclass, replace
from typing import TypeAlias

import trio

from vrrpd.linux.netlink.frame import HEADER, split
from vrrpd.linux.netlink.messages import (
    QUIET,
    RTM_DELADDR,
    RTM_DELLINK,
    RTM_NEWADDR,
    RTM_NEWLINK,
    KernelAddress,
    Link,
    decode_address,
    decode_link,
    timeless,
)
from vrrpd.linux.packet_socket import JUMP_IF_EQUAL, JUMP_IF_SET, LOAD_HALF, LOAD_WORD, RETURN, Instruction, attach

# linux/rtnetlink.h: RTMGRP_LINK, RTMGRP_IPV4_IFADDR, RTMGRP_IPV6_IFADDR. The group for IPv6 interface settings is left
# out: it repeats a link's flags under another family.
_GROUPS = 0x1 | 0x10 | 0x100

_SO_RCVBUFFORCE = 33  # asm-generic/socket.h: beyond net.core.rmem_max, for CAP_NET_ADMIN
_BUFFER = 1 << 20  # about a thousand events
_SIOCGIFNAME = 0x8910  # netdevice(7)
_READ = 65536
_READS_AT_ONCE = 16  # together less than a few milliseconds of the event loop
_READS_TO_DISCARD = 4096
_REMEMBERED = 4096  # messages


@dataclass(frozen=True, slots=True)
class LinkChanged:
    """A link appeared, or something about it changed (often nothing that `Link` shows)."""

    link: Link


@dataclass(frozen=True, slots=True)
class LinkGone:
    """A link was deleted or moved to another namespace; one of the same name that comes later has another index.

    The removal of its addresses may be told before or after this.
    """

    link: Link


@dataclass(frozen=True, slots=True)
class AddressAdded:
    """An address appeared, or its flags, lifetimes or tag changed.

    Attributes:
        address: which.
        by: netlink port of whoever asked for it, usually the process id; 0 where the kernel did it by itself.
    """

    address: KernelAddress
    by: int


@dataclass(frozen=True, slots=True)
class AddressRemoved:
    """An address disappeared: removed by somebody, run out, or gone with its link.

    Attributes:
        address: which.
        by: netlink port of whoever asked for it, usually the process id; 0 where the kernel did it by itself.
    """

    address: KernelAddress
    by: int = 0


@dataclass(frozen=True, slots=True)
class Overrun:
    """Events were lost; nothing learnt from them holds any more until everything was read again."""


Event: TypeAlias = LinkChanged | LinkGone | AddressAdded | AddressRemoved | Overrun


class Events:
    """The link and address events of the network namespace of the thread that makes it; needs no privilege."""

    def __init__(self, ours: int = 0) -> None:
        """Begin to hear.

        Args:
            ours: netlink port of which is not told what it adds and renews (`messages.QUIET`); 0 for nobody's.
        """
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_NONBLOCK, socket.NETLINK_ROUTE)
        try:
            self._socket.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _BUFFER)
        except PermissionError:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER)
        attach(self._socket, _without(ours))
        self._socket.bind((0, _GROUPS))
        self._names: dict[int, str] = {}
        self._decoded: dict[bytes, KernelAddress] = {}

    async def receive(self) -> list[Event]:
        """Wait for the next events.

        Returns:
            At least one, in the kernel's order; an `Overrun` is always the last of its list.
        """
        while True:
            await trio.lowlevel.wait_readable(self._socket)
            events = self._drain()
            if events:
                return events

    def close(self) -> None:
        """Close the socket; whoever waits gets `trio.ClosedResourceError`."""
        if self._socket.fileno() >= 0 and trio.lowlevel.in_trio_run():
            trio.lowlevel.notify_closing(self._socket)
        self._socket.close()

    def _drain(self) -> list[Event]:
        events: list[Event] = []
        for _ in range(_READS_AT_ONCE):  # the rest waits for the next turn of the loop: adverts are due meanwhile
            try:
                data, (port, _group) = self._socket.recvfrom(_READ)
            except BlockingIOError:
                break
            except OSError as error:
                if error.errno != errno.ENOBUFS:
                    raise
                self._discard()
                events.append(Overrun())
                break
            if port == 0:
                events += self._decode(data)
        return events

    def _discard(self) -> None:
        """Forget what was queued before the loss; links may have been renamed in what was lost."""
        self._names.clear()
        self._decoded.clear()
        for _ in range(_READS_TO_DISCARD):
            try:
                self._socket.recv(_READ)
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno != errno.ENOBUFS:
                    raise

    def _decode(self, data: bytes) -> list[Event]:
        events: list[Event] = []
        for kind, _flags, _sequence, message in split(data):
            event = None
            if kind in (RTM_NEWLINK, RTM_DELLINK):
                event = self._link(kind, message)
            elif kind in (RTM_NEWADDR, RTM_DELADDR):
                event = self._address(kind, message)
            if event is not None:
                events.append(event)
        return events

    def _link(self, kind: int, message: bytes) -> Event | None:
        link = decode_link(message)
        if link is None:
            return None
        if kind == RTM_DELLINK:
            self._names.pop(link.index, None)
            self._decoded.clear()
            return LinkGone(link)
        if self._names.get(link.index) != link.name:
            self._names[link.index] = link.name
            self._decoded.clear()
        return LinkChanged(link)

    def _address(self, kind: int, message: bytes) -> Event | None:
        said = timeless(message)  # each renewal of a lifetime says it again
        address = self._decoded.get(said)
        if address is None:
            address = decode_address(message)
            if address is None:
                return None
            address = replace(address, device=self._name(address.index))
            if len(self._decoded) >= _REMEMBERED:
                self._decoded.clear()
            self._decoded[said] = address
        by = HEADER.unpack_from(message)[-1]
        return AddressAdded(address, by) if kind == RTM_NEWADDR else AddressRemoved(address, by)

    def _name(self, index: int) -> str:
        """Name of an interface, from the links heard of, else asked of the kernel; empty where it is gone."""
        name = self._names.get(index)
        if name is None:
            # On this socket, and not by socket.if_indextoname, which would look into the calling thread's namespace.
            try:
                answer = fcntl.ioctl(self._socket, _SIOCGIFNAME, struct.pack("=16si20x", b"", index))
            except OSError:
                return ""
            name = answer[:16].split(b"\0", 1)[0].decode("utf-8", "surrogateescape")
            self._names[index] = name
        return name


def _without(ours: int) -> list[Instruction]:
    """A filter on `struct nlmsghdr`, whose fields are those of this host, while BPF reads in network order."""
    kind, quiet, port = (
        int.from_bytes(value.to_bytes(size, sys.byteorder), "big")
        for value, size in ((RTM_NEWADDR, 2), (QUIET, 4), (ours, 4))
    )
    return [
        (LOAD_HALF, 0, 0, 4),
        (JUMP_IF_EQUAL, 0, 5, kind),
        (LOAD_WORD, 0, 0, 8),
        (JUMP_IF_SET, 0, 3, quiet),
        (LOAD_WORD, 0, 0, 12),
        (JUMP_IF_EQUAL, 0, 1, port),
        (RETURN, 0, 0, 0),
        (RETURN, 0, 0, 0xFFFFFFFF),
    ]
