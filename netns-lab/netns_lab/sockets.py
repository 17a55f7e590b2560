"""Raw views of a namespace for the processes that record and probe: packets with kernel timestamps, kernel events.

Everything here runs inside the namespace of the calling thread. Timestamps of packets are taken by the kernel when the
packet passes, not when Python gets round to it; the kernel gives them on the wall clock, so they are turned into
CLOCK_MONOTONIC with the difference of the two clocks at the moment of reading.

Sources: packet(7), socket(7) SO_TIMESTAMPNS, netlink(7), rtnetlink(7).
"""

from __future__ import annotations

import ctypes
import errno
import os
import socket
import struct
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from ipaddress import ip_address

from netns_lab.packets import compile_filter

_SO_ATTACH_FILTER = 26
_SO_TIMESTAMPNS = 35
_SO_RCVBUFFORCE = 33
_SOL_PACKET = 263
_PACKET_STATISTICS = 6
_ETH_P_ALL = 3
_BUFFER = 8 << 20

_RTMGRP_IPV4_IFADDR = 0x10
_RTMGRP_IPV6_IFADDR = 0x100
_RTMGRP_IPV4_ROUTE = 0x40
_RTMGRP_IPV6_ROUTE = 0x400
_RTM_NEWADDR = 20
_RTM_DELADDR = 21
_RTM_NEWROUTE = 24
_RTM_DELROUTE = 25
_RT_TABLE_MAIN = 254
_NLMSGHDR = struct.Struct("=IHHII")
_IFADDRMSG = struct.Struct("=BBBBI")
_RTMSG = struct.Struct("=BBBBBBBBI")
_RTATTR = struct.Struct("=HH")
_IFA_ADDRESS = 1
_IFA_LOCAL = 2


@dataclass(frozen=True, slots=True)
class Packet:
    """One frame off a packet socket.

    Attributes:
        t: when the kernel saw it, CLOCK_MONOTONIC in nanoseconds.
        wall: the same moment on the wall clock, in nanoseconds since 1970.
        interface: the interface that it came in on.
        frame: from the Ethernet header on.
    """

    t: int
    wall: int
    interface: str
    frame: bytes


class LostEventsError(Exception):
    """The kernel had to drop events, because nobody read them in time."""


def packet_socket(program: Sequence[tuple[int, int, int, int]], interface: str = "") -> socket.socket:
    """Open a packet socket in the current namespace.

    Args:
        program: classic BPF; only frames that it takes are seen, from the first one on.
        interface: one interface, or "" for all.
    """
    # Bound to one interface it hears nothing until the filter stands. Bound to none it hears all from the start.
    protocol = 0 if interface else socket.htons(_ETH_P_ALL)
    opened = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, protocol)
    code = compile_filter(program)
    buffer = ctypes.create_string_buffer(code)
    opened.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, struct.pack("HL", len(program), ctypes.addressof(buffer)))
    opened.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
    opened.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _BUFFER)
    opened.setblocking(False)
    if interface:
        opened.bind((interface, _ETH_P_ALL))
    else:
        for _ in _unfiltered(opened):
            pass
    return opened


def _unfiltered(opened: socket.socket) -> Iterator[bytes]:
    """What was queued before the filter stood."""
    while True:
        try:
            yield opened.recv(1)
        except BlockingIOError:
            return


def read_packets(opened: socket.socket, size: int = 2048) -> Iterator[Packet]:
    """Read what a packet socket has, until it has no more."""
    wall_to_monotonic = time.monotonic_ns() - time.time_ns()
    while True:
        try:
            frame, ancillary, _, sender = opened.recvmsg(size, 64)
        except BlockingIOError:
            return
        except OSError as failure:
            if failure.errno == errno.ENETDOWN:  # one of the interfaces went down: the socket goes on
                continue
            raise
        seconds, nanoseconds = struct.unpack("qq", ancillary[0][2][:16])
        wall = seconds * 1_000_000_000 + nanoseconds
        yield Packet(wall + wall_to_monotonic, wall, sender[0], frame)


def lost_packets(opened: socket.socket) -> int:
    """How many frames a packet socket had to drop since it was last asked, because nobody read them in time."""
    _, drops = struct.unpack("II", opened.getsockopt(_SOL_PACKET, _PACKET_STATISTICS, 8))  # struct tpacket_stats
    return drops


def kernel_events() -> socket.socket:
    """Open a socket that hears of every address and route that comes to or leaves the current namespace."""
    opened = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE)
    opened.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _BUFFER)
    opened.setblocking(False)
    groups = _RTMGRP_IPV4_IFADDR | _RTMGRP_IPV6_IFADDR | _RTMGRP_IPV4_ROUTE | _RTMGRP_IPV6_ROUTE
    opened.bind((0, groups))
    return opened


def read_changes(opened: socket.socket) -> Iterator[tuple[str, str, bool]]:
    """Read the pending events as (`address`, which one, held) and (`route`, the family of a default route, held).

    Raises:
        LostEventsError: some were dropped.
    """
    while True:
        try:
            data = opened.recv(1 << 16)
        except BlockingIOError:
            return
        except OSError as failure:
            if failure.errno == errno.ENOBUFS:
                raise LostEventsError from failure
            raise
        yield from parse_changes(data)


def parse_changes(data: bytes) -> Iterator[tuple[str, str, bool]]:
    """The events in one netlink datagram, as of `read_changes`."""
    offset = 0
    while offset + _NLMSGHDR.size <= len(data):
        length, kind, _, _, _ = _NLMSGHDR.unpack_from(data, offset)
        body = data[offset + _NLMSGHDR.size : offset + length]
        if kind in {_RTM_NEWADDR, _RTM_DELADDR} and (address := _address(body)):
            yield "address", str(ip_address(address)), kind == _RTM_NEWADDR
        elif kind in {_RTM_NEWROUTE, _RTM_DELROUTE} and (family := _default_route(body)):
            yield "route", family, kind == _RTM_NEWROUTE
        offset += (max(length, _NLMSGHDR.size) + 3) & ~3


def _default_route(message: bytes) -> str:
    """The family of an `rtmsg` about a default route of the main table; empty for every other route (rtnetlink(7))."""
    family, length, _, _, table, *_ = _RTMSG.unpack_from(message)
    if length or table != _RT_TABLE_MAIN:
        return ""
    return {socket.AF_INET: "ipv4", socket.AF_INET6: "ipv6"}.get(family, "")


def _address(message: bytes) -> bytes:
    """The address of an `ifaddrmsg`: IFA_LOCAL where there is one (IPv4), else IFA_ADDRESS (rtnetlink(7))."""
    found = b""
    offset = _IFADDRMSG.size
    while offset + _RTATTR.size <= len(message):
        length, kind = _RTATTR.unpack_from(message, offset)
        value = message[offset + _RTATTR.size : offset + length]
        if kind == _IFA_LOCAL or (kind == _IFA_ADDRESS and not found):
            found = value
        offset += (max(length, _RTATTR.size) + 3) & ~3
    return found


def take_real_time(priority: int) -> bool:
    """Ask for SCHED_RR for this process, so that a busy machine does not blur its times; False where refused."""
    try:
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(priority))
    except PermissionError:
        return False
    return True
