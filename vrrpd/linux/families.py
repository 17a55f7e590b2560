"""What differs between IPv4 and IPv6 on a raw socket: options, ancillary data, where the IP header is.

Owns the numbers and structures of ip(7) and ipv6(7), so that `sockets` reads the same for both families. Everything
here is a pure function of bytes or one setsockopt; it keeps no state and opens nothing.

Three differences matter. An IPv4 raw socket returns the IP header before the message, which tells everything; of an
IPv6 one the rest comes as ancillary data, with the interface, since such a socket hears groups of others. A
link-local IPv6 address means nothing without its interface, given as scope id. And IPv6 could compute and verify the
checksum in the kernel (IPV6_CHECKSUM); it is left off, since bad packets would vanish uncounted: the core does both.

Values of constants that Python's `socket` does not name come from linux/in.h, linux/in6.h and linux/errqueue.h.
"""

from __future__ import annotations

import socket
import struct
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from typing import Protocol, TypeAlias

from vrrpd.linux.letters import Mailbox, Packet, control_messages
from vrrpd.proto.datagram import Datagram
from vrrpd.proto.settings import Address, Family

PROTOCOL = 112  # RFC 9568 5.1.1.4 and 5.1.2.4

HOPS = 255  # RFC 9568 5.1.1.3 and 5.1.2.3

CLASS = 0xC0  # class selector 6, network control (RFC 2474 4.2.2)

Ancillary: TypeAlias = Iterable[tuple[int, int, bytes]]

_IP_PKTINFO, _IP_RECVERR, _IP_MULTICAST_ALL = 8, 11, 49
_IPV6_RECVERR = 25
_PKTINFO4 = struct.Struct("=i4s4s")  # struct in_pktinfo: interface, local address, destination of the header
_PKTINFO6 = struct.Struct("=16si")  # struct in6_pktinfo: address, interface
_EXTENDED_ERROR = struct.Struct("=IBBBBII")  # struct sock_extended_err: errno, origin, type, code, pad, info, data
_ORIGIN_ICMP, _ORIGIN_ICMP6 = 2, 3
_HEADER4 = 20  # bytes of an IPv4 header without options
_LARGEST = 8192  # 255 IPv6 addresses make 4,088 bytes
ANCILLARY_SPACE = 256


@dataclass(frozen=True, slots=True)
class Unreachable:
    """What an ICMP error said about a destination that we sent to.

    Attributes:
        peer: the destination of the packet that came back.
        no_agent: the host is there, but nothing on it listens to VRRP.
    """

    peer: Address
    no_agent: bool


class Stack(Protocol):
    """One address family, as the raw socket needs it."""

    @property
    def domain(self) -> socket.AddressFamily:
        """The family's number for `socket.socket`."""
        ...

    def configure(self, raw: socket.socket, ifindex: int) -> None:
        """Set every option of a socket that is bound to its interface."""
        ...

    def join(self, raw: socket.socket, ifindex: int) -> None:
        """Become a member of the VRRP group on the interface."""
        ...

    def leave(self, raw: socket.socket, ifindex: int) -> None:
        """Leave the VRRP group on the interface."""
        ...

    def source(self, address: Address, ifindex: int) -> list[tuple[int, int, bytes]]:
        """The ancillary data that fixes source address and interface of one packet."""
        ...

    def name(self, address: Address, ifindex: int) -> bytes:
        """The `struct sockaddr` of a destination."""
        ...

    def mailbox(self) -> Mailbox:
        """A place for what such a socket receives."""
        ...

    def datagram(self, packet: Packet, ifindex: int) -> Datagram | None:
        """What was read; None where it came in by another interface."""
        ...

    def unreachable(self, ancillary: Ancillary, destination: str) -> Unreachable | None:
        """What one entry of the error queue says; None for errors that no ICMP message caused."""
        ...


class _Ipv4:
    domain = socket.AF_INET

    _GROUP = IPv4Address("224.0.0.18").packed  # RFC 9568 5.1.1.2

    def configure(self, raw: socket.socket, ifindex: int) -> None:
        for option, value in (
            (socket.IP_TTL, HOPS),
            (socket.IP_MULTICAST_TTL, HOPS),
            (socket.IP_TOS, CLASS),
            (socket.IP_MULTICAST_LOOP, 0),
            (_IP_MULTICAST_ALL, 0),  # else groups that another socket of the host joined are delivered here too
            (_IP_RECVERR, 1),
        ):
            raw.setsockopt(socket.IPPROTO_IP, option, value)
        raw.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, struct.pack("=8xi", ifindex))

    def join(self, raw: socket.socket, ifindex: int) -> None:
        raw.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, self._membership(ifindex))

    def leave(self, raw: socket.socket, ifindex: int) -> None:
        raw.setsockopt(socket.IPPROTO_IP, socket.IP_DROP_MEMBERSHIP, self._membership(ifindex))

    def _membership(self, ifindex: int) -> bytes:
        return struct.pack("=4s4xi", self._GROUP, ifindex)  # struct ip_mreqn, its address left open

    def source(self, address: Address, ifindex: int) -> list[tuple[int, int, bytes]]:
        return [(socket.IPPROTO_IP, _IP_PKTINFO, _PKTINFO4.pack(ifindex, address.packed, b""))]

    def name(self, address: Address, ifindex: int) -> bytes:
        return struct.pack("=HH4s8x", self.domain, 0, address.packed)  # struct sockaddr_in

    def mailbox(self) -> Mailbox:
        return Mailbox(_LARGEST, ((4, 6), (10, 12)))  # without identification and checksum (RFC 791 3.1)

    def datagram(self, packet: Packet, ifindex: int) -> Datagram | None:
        text = packet[0]
        data = text[:4] + bytes(2) + text[4:8] + bytes(2) + text[8:]
        header = data[:_HEADER4].ljust(_HEADER4, b"\0")
        return Datagram(_message(data), IPv4Address(header[12:16]), IPv4Address(header[16:20]), header[8])

    def unreachable(self, ancillary: Ancillary, destination: str) -> Unreachable | None:
        for level, kind, value in ancillary:
            if level == socket.IPPROTO_IP and kind == _IP_RECVERR and len(value) >= _EXTENDED_ERROR.size:
                _, origin, icmp_type, code, *_ = _EXTENDED_ERROR.unpack_from(value)
                if origin == _ORIGIN_ICMP:
                    # RFC 792: destination unreachable, protocol unreachable
                    return Unreachable(IPv4Address(destination), (icmp_type, code) == (3, 2))
        return None


class _Ipv6:
    domain = socket.AF_INET6

    _GROUP = IPv6Address("ff02::12").packed  # RFC 9568 5.1.2.2

    def configure(self, raw: socket.socket, ifindex: int) -> None:
        for option, value in (
            (socket.IPV6_UNICAST_HOPS, HOPS),
            (socket.IPV6_MULTICAST_HOPS, HOPS),
            (socket.IPV6_TCLASS, CLASS),
            # No IPV6_MULTICAST_ALL: the kernel does not heed it on a raw socket without a bound address, which hears
            # every group that anybody on the host joined. The core looks at the destination.
            (socket.IPV6_MULTICAST_LOOP, 0),
            (socket.IPV6_RECVPKTINFO, 1),
            (socket.IPV6_RECVHOPLIMIT, 1),
            (_IPV6_RECVERR, 1),
            (socket.IPV6_MULTICAST_IF, ifindex),
        ):
            raw.setsockopt(socket.IPPROTO_IPV6, option, value)

    def join(self, raw: socket.socket, ifindex: int) -> None:
        raw.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP, _PKTINFO6.pack(self._GROUP, ifindex))

    def leave(self, raw: socket.socket, ifindex: int) -> None:
        raw.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_LEAVE_GROUP, _PKTINFO6.pack(self._GROUP, ifindex))

    def source(self, address: Address, ifindex: int) -> list[tuple[int, int, bytes]]:
        return [(socket.IPPROTO_IPV6, socket.IPV6_PKTINFO, _PKTINFO6.pack(address.packed, ifindex))]

    def name(self, address: Address, ifindex: int) -> bytes:
        # struct sockaddr_in6
        return struct.pack("=HHI16sI", self.domain, 0, 0, address.packed, ifindex if _scoped(address) else 0)

    def mailbox(self) -> Mailbox:
        return Mailbox(_LARGEST, described=True)

    def datagram(self, packet: Packet, ifindex: int) -> Datagram | None:
        data, sender, control = packet
        arrived_by, destination, hop_limit = 0, bytes(16), 0
        for level, kind, value in control_messages(control):
            if level != socket.IPPROTO_IPV6:
                continue
            if kind == socket.IPV6_PKTINFO and len(value) >= _PKTINFO6.size:
                destination, arrived_by = _PKTINFO6.unpack_from(value)
            elif kind == socket.IPV6_HOPLIMIT:
                hop_limit = int.from_bytes(value, sys.byteorder)
        if arrived_by != ifindex:
            return None
        # One that fills the mailbox is longer than any VRRP message can be: the core counts it as a wrong length.
        message = data if len(data) < _LARGEST else b""
        return Datagram(message, IPv6Address(sender[8:24]), IPv6Address(destination), hop_limit)

    def unreachable(self, ancillary: Ancillary, destination: str) -> Unreachable | None:
        for level, kind, value in ancillary:
            if level == socket.IPPROTO_IPV6 and kind == _IPV6_RECVERR and len(value) >= _EXTENDED_ERROR.size:
                _, origin, icmp_type, code, *_ = _EXTENDED_ERROR.unpack_from(value)
                if origin == _ORIGIN_ICMP6:
                    # RFC 4443 3.4: parameter problem, unrecognized next header
                    return Unreachable(IPv6Address(destination), (icmp_type, code) == (4, 1))
        return None


STACKS: dict[Family, Stack] = {Family.IPV4: _Ipv4(), Family.IPV6: _Ipv6()}


def _scoped(address: Address) -> bool:
    """Whether an IPv6 address is only unique on its link: fe80::/10, or a group of interface or link scope."""
    return address.is_link_local or (address.is_multicast and address.packed[1] & 0xF in (1, 2))


def _message(data: bytes) -> bytes:
    """The payload of an IPv4 packet, cut by header length and total length; empty where they make no sense.

    Link layers pad short frames, and on some network cards the padding reaches raw sockets.
    """
    if len(data) < _HEADER4:
        return b""
    header = (data[0] & 0xF) * 4  # RFC 791 3.1: IHL in words of 32 bits
    total = int.from_bytes(data[2:4], "big")
    if data[0] >> 4 != 4 or not _HEADER4 <= header <= total <= len(data):
        return b""
    return data[header:total]
