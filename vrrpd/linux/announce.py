"""Frames that tell the link where an address lives now, and frames that ask who is there.

Owns the bytes of gratuitous ARP, unsolicited neighbour advertisements, and the two questions (ARP request, neighbour
solicitation), and the socket that puts them on an interface. Which address is announced when, and how often, is
decided above, in a task of its own: a hundred announcements must not delay an advert.

They are whole Ethernet frames, and not left to the kernel: the address must be announced from the moment that it is
added, from exactly this MAC, in both ARP forms.

Both ARP forms are sent because hosts differ in what they learn from. The request form is that of RFC 5227 3 ("ARP
Announcement"), its target MAC all ones, as routers send it; the reply form is honoured by Linux only with the target
MAC equal to the sender's. RFC 9568 6.4.1 (with errata 7947 and 7949) asks for the address in both protocol fields.

Sources: RFC 826, RFC 5227, RFC 4861 4.3, 4.4 and 7.2.6, RFC 4443 2.3, packet(7).
"""

from __future__ import annotations

import struct
from ipaddress import IPv4Address, IPv6Address

from vrrpd.linux.packet_socket import close_aside, open_packet_socket
from vrrpd.linux.send_error import SendError, send_error
from vrrpd.proto.packet import internet_checksum

_BROADCAST = b"\xff" * 6
_ETHERTYPE_ARP, _ETHERTYPE_IPV6 = 0x0806, 0x86DD
_ARP_REQUEST, _ARP_REPLY = 1, 2
_ICMPV6 = 58
_SOLICITATION, _ADVERTISEMENT = 135, 136
_ROUTER, _OVERRIDE = 1 << 31, 1 << 29
_SOURCE_LINK_LAYER, _TARGET_LINK_LAYER = 1, 2
_ALL_NODES = IPv6Address("ff02::1")
_SOLICITED_NODE = IPv6Address("ff02::1:ff00:0").packed[:13]  # RFC 4291 2.7.1
_UNSPECIFIED = IPv4Address(0)


def gratuitous_arp(address: IPv4Address, mac: bytes) -> tuple[bytes, bytes]:
    """Two broadcast frames that say "this address is at this MAC": request form, reply form.

    Args:
        address: the shared address.
        mac: six bytes, that of the interface which holds it.
    """
    request = _arp(_ARP_REQUEST, mac, address, _BROADCAST, address)
    reply = _arp(_ARP_REPLY, mac, address, mac, address)
    return request, reply


def arp_request(source: IPv4Address | None, target: IPv4Address, mac: bytes) -> bytes:
    """A broadcast frame that asks who has an address.

    Args:
        source: the address that asks; None for an ARP probe (RFC 5227 2.1.1), which changes no neighbour's table.
        target: the address that is asked for.
        mac: six bytes, that of the interface which asks.
    """
    return _arp(_ARP_REQUEST, mac, source or _UNSPECIFIED, bytes(6), target)


def neighbour_advertisement(address: IPv6Address, mac: bytes, *, router: bool) -> bytes:
    """An unsolicited advertisement to all nodes: "this address is at this MAC, forget what you knew".

    Args:
        address: the shared address; also the source of the packet.
        mac: six bytes, that of the interface which holds it.
        router: whether this node forwards IPv6; a neighbour that sees the flag vanish drops its default route.
    """
    flags = _OVERRIDE | (_ROUTER if router else 0)  # RFC 4861 4.4; not solicited
    body = struct.pack("!I16s", flags, address.packed) + _link_layer(_TARGET_LINK_LAYER, mac)
    return _icmpv6(_ADVERTISEMENT, body, mac, address.packed, _ALL_NODES.packed)


def neighbour_solicitation(source: IPv6Address, target: IPv6Address, mac: bytes) -> bytes:
    """A question for the MAC of an address, sent to its solicited-node group.

    Args:
        source: an address of the interface, whose holder the answer goes to; `::` asks as duplicate address
            detection does.
        target: the address that is asked for.
        mac: six bytes, that of the interface which asks.
    """
    # RFC 4861 4.3: the option must not be there when the source is unspecified.
    option = b"" if source.is_unspecified else _link_layer(_SOURCE_LINK_LAYER, mac)
    body = struct.pack("!I16s", 0, target.packed) + option
    return _icmpv6(_SOLICITATION, body, mac, source.packed, _SOLICITED_NODE + target.packed[13:])


def _arp(operation: int, mac: bytes, sender: IPv4Address, target_mac: bytes, target: IPv4Address) -> bytes:
    # RFC 826: hardware type Ethernet, protocol type IPv4, lengths 6 and 4.
    return struct.pack(
        "!6s6sHHHBBH6s4s6s4s",
        *(_BROADCAST, mac, _ETHERTYPE_ARP),
        *(1, 0x0800, 6, 4, operation),
        *(mac, sender.packed, target_mac, target.packed),
    )


def _link_layer(kind: int, mac: bytes) -> bytes:
    return struct.pack("!BB6s", kind, 1, mac)  # RFC 4861 4.6.1: length in units of 8 bytes


def _icmpv6(kind: int, body: bytes, mac: bytes, source: bytes, destination: bytes) -> bytes:
    """An ICMPv6 message to a group, in its Ethernet frame (RFC 2464 7), hop limit 255 (RFC 4861 7.1)."""
    length = 4 + len(body)
    pseudo_header = source + destination + struct.pack("!I3xB", length, _ICMPV6)  # RFC 8200 8.1
    checksum = internet_checksum(pseudo_header + struct.pack("!BBH", kind, 0, 0) + body)
    ethernet = b"\x33\x33" + destination[12:] + mac + _ETHERTYPE_IPV6.to_bytes(2, "big")
    header = struct.pack("!IHBB16s16s", 6 << 28, length, _ICMPV6, 255, source, destination)
    return ethernet + header + struct.pack("!BBH", kind, 0, checksum) + body


class PacketSocket:
    """Puts whole Ethernet frames on one interface; hears nothing, and so costs nothing per frame of others."""

    def __init__(self, interface: str) -> None:
        """Open the socket on the interface that has this name now.

        Raises:
            VrrpdError: CAP_NET_RAW is missing, or the interface is not there.
        """
        self._interface = interface
        self._socket = open_packet_socket(interface, 0)

    def send(self, frame: bytes) -> SendError | None:
        """Send one frame; never waits.

        Returns:
            None where the interface took it, else why not.
        """
        try:
            self._socket.send(frame)
        except OSError as error:
            return send_error(error, "an announcement", self._interface)
        return None

    def close(self) -> None:
        """Close the socket without waiting; a second call does nothing."""
        close_aside(self._socket)
