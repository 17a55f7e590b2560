"""What a frame says, for the few kinds of frames that a history is about: VRRP, gratuitous ARP, unsolicited NA.

A decoder of its own, small and forgiving: it shows what is there and judges nothing (tshark judges packets, in
`judges.wellformed`). It shares no line with any agent, or a mistake in one would hide the same mistake in the other.

Sources: RFC 9568 5.1 and RFC 3768 5.1 (VRRP), RFC 826 (ARP), RFC 4861 4.4 (neighbour advertisement).
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from ipaddress import IPv4Address, IPv6Address
from typing import Any, TypeAlias

from netns_lab.topology import REFERENCE_NUMBER

Decoded: TypeAlias = tuple[str, dict[str, Any]]
"""The kind of a history event and its values."""

ETH_P_ARP = 0x0806
ETH_P_IP = 0x0800
ETH_P_IPV6 = 0x86DD
VRRP = 112
ICMPV6 = 58

_ETHERNET = 14
_VRRP_HEAD = struct.Struct("!BBBBHH")
_NEIGHBOUR_ADVERTISEMENT = 136

# What the recorder's sockets let through, in classic BPF (code, jump if true, jump if false, value). The probe's own
# packets, thousands a second, end here and cost next to nothing; so do the forgeries of a flood.
#
#     who sent it   4 = outgoing: skipped, so that each frame is seen once, where it enters the switch
#     EtherType     ARP: taken   IPv4: protocol 112   IPv6: next header 112, or ICMPv6 type 136, which is taken
#     source MAC    of a VRRP packet: taken, unless it comes from the host `ref`, which takes part in nothing
FILTER: Sequence[tuple[int, int, int, int]] = (
    (0x28, 0, 0, 0xFFFFF004),  # ldh  [packet type]
    (0x15, 14, 0, 4),  # jeq  outgoing -> drop
    (0x28, 0, 0, 12),  # ldh  [12]
    (0x15, 11, 0, ETH_P_ARP),  # jeq  ARP -> take
    (0x15, 0, 2, ETH_P_IP),
    (0x30, 0, 0, 23),  # ldb  [IPv4 protocol]
    (0x15, 6, 9, VRRP),
    (0x15, 0, 8, ETH_P_IPV6),
    (0x30, 0, 0, 20),  # ldb  [IPv6 next header]
    (0x15, 3, 0, VRRP),
    (0x15, 0, 5, ICMPV6),
    (0x30, 0, 0, 54),  # ldb  [ICMPv6 type]
    (0x15, 2, 3, _NEIGHBOUR_ADVERTISEMENT),
    (0x20, 0, 0, 8),  # ld   [the last four bytes of the source MAC]
    (0x15, 1, 0, REFERENCE_NUMBER),
    (0x06, 0, 0, 0x40000),  # take
    (0x06, 0, 0, 0),  # drop
)


def compile_filter(program: Sequence[tuple[int, int, int, int]]) -> bytes:
    """The instructions of a classic BPF program as the kernel takes them (`struct sock_filter`)."""
    return b"".join(struct.pack("HBBI", *instruction) for instruction in program)


def is_vrrp(frame: bytes) -> bool:
    """Whether a frame carries VRRP."""
    kind = int.from_bytes(frame[12:14], "big")
    return (kind == ETH_P_IP and frame[23] == VRRP) or (kind == ETH_P_IPV6 and frame[20] == VRRP)


def decode(frame: bytes) -> Decoded | None:
    """What a frame says.

    Args:
        frame: from its Ethernet header on.

    Returns:
        The kind and the values of an event (see `history`); None for a frame that no history is about.
    """
    try:
        kind = int.from_bytes(frame[12:14], "big")
        if kind == ETH_P_ARP:
            return _arp(frame[_ETHERNET:])
        if kind == ETH_P_IP:
            return _ipv4(frame[_ETHERNET:])
        if kind == ETH_P_IPV6:
            return _ipv6(frame[_ETHERNET:])
    except (struct.error, ValueError, IndexError):  # cut short: tshark has the say about those
        return None
    return None


def mac_text(octets: bytes) -> str:
    """A MAC address as people write it."""
    return octets.hex(":")


def _arp(packet: bytes) -> Decoded | None:
    """A gratuitous ARP has the same address as sender and as target, in a request or in a reply (RFC 5944 4.6)."""
    operation = int.from_bytes(packet[6:8], "big")
    sender, target = packet[14:18], packet[24:28]
    if len(target) < 4 or sender != target:
        return None
    form = "arp-request" if operation == 1 else "arp-reply"
    return "announcement", {"address": str(IPv4Address(sender)), "mac": mac_text(packet[8:14]), "form": form}


def _ipv4(packet: bytes) -> Decoded | None:
    length = 4 * (packet[0] & 0x0F)
    where = {
        "source": str(IPv4Address(packet[12:16])),
        "destination": str(IPv4Address(packet[16:20])),
        "hop_limit": packet[8],
    }
    total = int.from_bytes(packet[2:4], "big")
    return "advert", {**_vrrp(packet[length:total], 4), **where}


def _ipv6(packet: bytes) -> Decoded | None:
    if packet[6] == ICMPV6:
        return _neighbour_advertisement(packet[40:])
    where = {
        "source": str(IPv6Address(packet[8:24])),
        "destination": str(IPv6Address(packet[24:40])),
        "hop_limit": packet[7],
    }
    total = int.from_bytes(packet[4:6], "big")
    return "advert", {**_vrrp(packet[40 : 40 + total], 16), **where}


def _neighbour_advertisement(message: bytes) -> Decoded | None:
    """RFC 4861 4.4; solicited ones (bit S) are answers and announce nothing."""
    if message[4] & 0x40:
        return None
    option = message[24:32]
    mac = mac_text(option[2:8]) if option[:2] == b"\x02\x01" else ""
    return "announcement", {"address": str(IPv6Address(message[8:24])), "mac": mac, "form": "na"}


def _vrrp(message: bytes, size: int) -> dict[str, Any]:
    """The fields that versions 2 and 3 share, and the interval of either in milliseconds."""
    first, vrid, priority, count, timing, _ = _VRRP_HEAD.unpack_from(message)
    version = first >> 4
    interval_ms = (timing & 0xFF) * 1000 if version == 2 else (timing & 0x0FFF) * 10
    address = IPv4Address if size == 4 else IPv6Address
    start = _VRRP_HEAD.size
    addresses = [str(address(message[start + size * n : start + size * (n + 1)])) for n in range(count)]
    return {
        "vrid": vrid,
        "version": version,
        "priority": priority,
        "interval_ms": interval_ms,
        "addresses": addresses,
    }
