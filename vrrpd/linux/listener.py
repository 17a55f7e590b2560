"""Hears who answers on the link: ARP replies and neighbour advertisements.

Owns one packet socket for one interface and family, open only while somebody wants to know whether the network
carries frames (a switch port may stay deaf for half a minute after its carrier is up). A filter in the kernel lets
nothing else through, so that other traffic does not wake the agent.

What is heard is a hint and no proof: anybody on the link can send it. The ICMPv6 checksum is not verified, because
between two ends of one machine it is often not computed at all (checksum offload), and nothing but "frames arrive"
follows from the answer.

Sources: RFC 826, RFC 4861 4.4 and 7.1.2, packet(7).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from typing import TypeAlias

from vrrpd.linux.packet_socket import (
    JUMP_IF_EQUAL,
    LOAD_BYTE,
    LOAD_HALF,
    RETURN,
    Instruction,
    close_aside,
    open_packet_socket,
    read_frames,
)
from vrrpd.proto.settings import Family

_ETHERTYPE_ARP, _ETHERTYPE_IPV6 = 0x0806, 0x86DD
_ETHERNET, _IPV6 = 14, 40  # lengths of the headers
_ARP_REPLY = 2
_ICMPV6, _HOP_LIMIT, _ADVERTISEMENT = 58, 255, 136
_TARGET_LINK_LAYER = 2

_KEEP, _DROP = (RETURN, 0, 0, 0xFFFF), (RETURN, 0, 0, 0)

_ARP_REPLIES: tuple[Instruction, ...] = (
    (LOAD_HALF, 0, 0, _ETHERNET + 6),  # operation
    (JUMP_IF_EQUAL, 0, 1, _ARP_REPLY),
    _KEEP,
    _DROP,
)
_ADVERTISEMENTS: tuple[Instruction, ...] = (
    (LOAD_BYTE, 0, 0, _ETHERNET + 6),  # next header
    (JUMP_IF_EQUAL, 0, 5, _ICMPV6),
    (LOAD_BYTE, 0, 0, _ETHERNET + 7),  # RFC 4861 7.1.2: no router has forwarded it
    (JUMP_IF_EQUAL, 0, 3, _HOP_LIMIT),
    (LOAD_BYTE, 0, 0, _ETHERNET + _IPV6),  # ICMPv6 type
    (JUMP_IF_EQUAL, 0, 1, _ADVERTISEMENT),
    _KEEP,
    _DROP,
)


@dataclass(frozen=True, slots=True)
class ArpReply:
    """An ARP reply, asked for or not.

    Attributes:
        source: the address that the sender claims.
        mac: the sender's MAC according to the message, six bytes.
    """

    source: IPv4Address
    mac: bytes


@dataclass(frozen=True, slots=True)
class NeighbourAdvert:
    """A neighbour advertisement, asked for or not.

    Attributes:
        source: source of the packet, often a link-local address.
        target: the address that the sender claims; the one to compare with what was asked for.
        mac: the MAC that it gives for `target`, or the frame's where it gives none, six bytes.
    """

    source: IPv6Address
    target: IPv6Address
    mac: bytes


Answer: TypeAlias = ArpReply | NeighbourAdvert


class Listener:
    """Hears ARP replies (IPv4) or neighbour advertisements (IPv6) on one interface."""

    def __init__(self, family: Family, interface: str) -> None:
        """Open the socket on the interface that has this name now.

        Raises:
            VrrpdError: CAP_NET_RAW is missing, or the interface is not there.
        """
        if family is Family.IPV4:
            self._socket = open_packet_socket(interface, _ETHERTYPE_ARP, _ARP_REPLIES)
            self._parse = parse_arp_reply
        else:
            self._socket = open_packet_socket(interface, _ETHERTYPE_IPV6, _ADVERTISEMENTS)
            self._parse = parse_neighbour_advert

    async def receive(self) -> list[Answer]:
        """Wait for answers; at least one, in order of arrival.

        A link that goes down ends nothing: the next answer comes when it is up again.
        """
        while True:
            frames = await read_frames(self._socket)
            answers = [answer for each in frames if (answer := self._parse(each)) is not None]
            if answers:
                return answers

    def close(self) -> None:
        """Close the socket; whoever waits gets `trio.ClosedResourceError`."""
        close_aside(self._socket)


def parse_arp_reply(frame: bytes) -> ArpReply | None:
    """The ARP reply in an Ethernet frame; None for anything else, whatever the bytes."""
    arp = frame[_ETHERNET : _ETHERNET + 28]
    # RFC 826: Ethernet, IPv4, lengths 6 and 4.
    if len(arp) < 28 or arp[:8] != struct.pack("!HHBBH", 1, 0x0800, 6, 4, _ARP_REPLY):
        return None
    return ArpReply(IPv4Address(arp[14:18]), arp[8:14])


def parse_neighbour_advert(frame: bytes) -> NeighbourAdvert | None:
    """The neighbour advertisement in an Ethernet frame; None for anything else, whatever the bytes."""
    header = frame[_ETHERNET : _ETHERNET + _IPV6]
    if len(header) < _IPV6 or header[6] != _ICMPV6 or header[7] != _HOP_LIMIT:
        return None
    length = int.from_bytes(header[4:6], "big")  # behind it, a short frame is padded
    message = frame[_ETHERNET + _IPV6 : _ETHERNET + _IPV6 + length]
    if len(message) < max(24, length) or message[0] != _ADVERTISEMENT or message[1] != 0:  # RFC 4861 7.1.2
        return None
    target = IPv6Address(message[8:24])
    if target.is_multicast:
        return None
    mac = _target_link_layer(message[24:]) or frame[6:12]
    return NeighbourAdvert(IPv6Address(header[8:24]), target, mac)


def _target_link_layer(options: bytes) -> bytes | None:
    """The MAC of the target link-layer address option (RFC 4861 4.6.1), if it is there and well formed."""
    while len(options) >= 8:
        length = options[1] * 8
        if length == 0:
            return None
        if options[0] == _TARGET_LINK_LAYER and length == 8:
            return options[2:8]
        options = options[length:]
    return None
