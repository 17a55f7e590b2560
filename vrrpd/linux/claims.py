"""Hears who else on the link says "this address is mine": of the shared addresses that we hold, and of our own.

Owns one packet socket for one interface and one form of claim, and the filter that lets through only frames about the
addresses that are watched. Everything else, a flood of ARP included, costs a few instructions in the kernel (0.1 to 0.4
us a packet of its Ethernet type measured) and never wakes the agent; what passes is read by the caller at its own pace,
and what comes too fast is dropped.

    ARP    any ARP packet, by its sender address (RFC 5227 2.4)
    NDP    neighbour advertisements, by their target (RFC 4861 7.2.5)
    VRRP   IPv4 packets of protocol 112, by their source: an IPv4 raw socket never sees one that comes back by a loop,
           because Linux drops what arrives from an address of its own; in IPv6 it does see it

What is heard is a hint and no proof: anybody on the link can send it.

Sources: RFC 826, RFC 5227, RFC 4861 4.4, packet(7), linux/filter.h.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from enum import Enum, auto
from ipaddress import IPv4Address
from itertools import pairwise
from types import MappingProxyType

from vrrpd.linux.families import PROTOCOL
from vrrpd.linux.listener import parse_neighbour_advert
from vrrpd.linux.packet_socket import (
    JUMP_IF_EQUAL,
    JUMP_IF_GREATER,
    JUMP_UNLESS_LESS,
    LOAD_BYTE,
    LOAD_WORD,
    RETURN,
    Instruction,
    attach,
    close_aside,
    open_packet_socket,
    read_frames,
)
from vrrpd.linux.send_error import SendError, send_error
from vrrpd.proto.settings import Address

_ETHERNET = 14  # length of its header
_ICMPV6, _ADVERTISEMENT = 58, 136
_MOST_RANGES = 32  # what the kernel compiles in 100 us; the 4096 instructions that it takes cost it 10 ms

_KEEP, _DROP = (RETURN, 0, 0, 0xFFFF), (RETURN, 0, 0, 0)


class Form(Enum):
    """How a frame can claim an address; see the module's chapter."""

    ARP = auto()
    NDP = auto()
    VRRP = auto()


@dataclass(frozen=True, slots=True)
class Claim:
    """Somebody says that an address is at a MAC.

    Attributes:
        form: how.
        address: the address.
        mac: six bytes, by the message; by the frame's own sender where it gives none.
    """

    form: Form
    address: Address
    mac: bytes


@dataclass(frozen=True, slots=True)
class _Kind:
    """One form: the Ethernet type, what a byte of the frame must be, where the last four bytes of the address are."""

    ethertype: int
    bytes_wanted: tuple[tuple[int, int], ...]
    address_at: int
    parse: Callable[[bytes], tuple[Address, bytes] | None]


def parse_arp(frame: bytes) -> tuple[IPv4Address, bytes] | None:
    """Sender address and sender MAC of an ARP packet; None for anything else, whatever the bytes."""
    arp = frame[_ETHERNET : _ETHERNET + 28]
    if len(arp) < 28 or arp[:6] != struct.pack("!HHBB", 1, 0x0800, 6, 4):  # RFC 826: Ethernet, IPv4, lengths
        return None
    return IPv4Address(arp[14:18]), arp[8:14]


def _parse_advert(frame: bytes) -> tuple[Address, bytes] | None:
    found = parse_neighbour_advert(frame)
    return (found.target, found.mac) if found else None


def _parse_vrrp(frame: bytes) -> tuple[Address, bytes] | None:
    header = frame[_ETHERNET : _ETHERNET + 20]
    if len(header) < 20 or header[0] >> 4 != 4 or header[9] != PROTOCOL:
        return None
    return IPv4Address(header[12:16]), frame[6:12]


_KINDS: Mapping[Form, _Kind] = MappingProxyType(
    {
        Form.ARP: _Kind(0x0806, (), _ETHERNET + 14, parse_arp),
        Form.NDP: _Kind(
            0x86DD, ((_ETHERNET + 6, _ICMPV6), (_ETHERNET + 40, _ADVERTISEMENT)), _ETHERNET + 40 + 20, _parse_advert
        ),
        Form.VRRP: _Kind(0x0800, ((_ETHERNET + 9, PROTOCOL),), _ETHERNET + 12, _parse_vrrp),
    }
)


class ClaimListener:
    """Hears claims of one form on one interface; deaf until it is told what to watch."""

    def __init__(self, form: Form, interface: str) -> None:
        """Open the socket on the interface that has this name now.

        Raises:
            VrrpdError: CAP_NET_RAW is missing, or the interface is not there.
        """
        self._form = form
        self._kind = _KINDS[form]
        self._interface = interface
        self._socket = open_packet_socket(interface, self._kind.ethertype, (_DROP,))

    def watch(self, addresses: Iterable[Address]) -> None:
        """From now on let claims of these addresses through; of very many, also some of addresses in between."""
        attach(self._socket, _program(self._kind, addresses))

    async def receive(self) -> list[Claim]:
        """Wait for claims; at least one, at most 64, in order of arrival.

        A link that goes down ends nothing: the next claim comes when it is up again.
        """
        while True:
            frames = await read_frames(self._socket)
            claims = [Claim(self._form, *found) for each in frames if (found := self._kind.parse(each)) is not None]
            if claims:
                return claims

    def ask(self, question: bytes) -> SendError | None:
        """Send one frame, an ARP probe or a neighbour solicitation, whose answer would be a claim; never waits."""
        try:
            self._socket.send(question)
        except OSError as error:
            return send_error(error, "a question", self._interface)
        return None

    def close(self) -> None:
        """Close the socket; whoever waits gets `trio.ClosedResourceError`."""
        close_aside(self._socket)


def _program(kind: _Kind, addresses: Iterable[Address]) -> list[Instruction]:
    """The filter; of an IPv6 address it compares the last four bytes, the rest is the reader's."""
    program: list[Instruction] = []
    for at, wanted in kind.bytes_wanted:
        program += [(LOAD_BYTE, 0, 0, at), (JUMP_IF_EQUAL, 1, 0, wanted), _DROP]
    program.append((LOAD_WORD, 0, 0, kind.address_at))
    for first, last in _ranges({int.from_bytes(address.packed[-4:], "big") for address in addresses}):
        program += [(JUMP_UNLESS_LESS, 0, 2, first), (JUMP_IF_GREATER, 1, 0, last), _KEEP]
    return [*program, _DROP]


def _ranges(numbers: Collection[int]) -> list[tuple[int, int]]:
    """At most 32 ranges that have all the numbers in them, and as little else as possible."""
    ordered = sorted(numbers)
    steps = sorted((b - a for a, b in pairwise(ordered) if b - a > 1), reverse=True)
    widest = steps[_MOST_RANGES - 1] if len(steps) >= _MOST_RANGES else 1
    ranges: list[tuple[int, int]] = []
    for number in ordered:
        if ranges and number - ranges[-1][1] <= widest:
            ranges[-1] = ranges[-1][0], number
        else:
            ranges.append((number, number))
    return ranges
