"""The VRRP packet: bytes to `Advertisement` and back, with every checksum that is spoken in the field.

Version 3 (RFC 9568 section 5.1; IPv4 and IPv6):

     0                   1                   2                   3
     0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
    +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
    |Version| Type  | Virtual Rtr ID|   Priority    | IPvX Addr Count|
    +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
    |Reserve| Max Advertise Interval|          Checksum             |
    +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
    |                   IPvX Address(es), 4 or 16 bytes each        |

Version 2 (RFC 3768 section 5.1; IPv4): the fifth byte is the Auth Type, the sixth the Adver Int in seconds, and eight
bytes of Authentication Data follow the addresses, always. In either version the HMAC trailer of `vrrpd.trailer` may
follow. Over IPv4 the checksum does not cover it; over IPv6 it does, as a transport checksum covers the whole payload.

This module trusts its input to have the length that `message_length` asks for; `validate` makes sure of it.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from enum import StrEnum
from ipaddress import IPv4Address, IPv6Address

from vrrpd import trailer as trailers
from vrrpd.proto.settings import Address, Family
from vrrpd.proto.timers import CENTISECOND, SECOND

PROTOCOL = 112
ADVERTISEMENT = 1  # RFC 9568 5.2.2: the only type
GROUP_V4 = IPv4Address("224.0.0.18")  # RFC 9568 5.1.1.2
GROUP_V6 = IPv6Address("ff02::12")  # RFC 9568 5.1.2.2
GROUPS: dict[Family, Address] = {Family.IPV4: GROUP_V4, Family.IPV6: GROUP_V6}
HEADER_LENGTH = 8
V2_AUTH_LENGTH = 8  # RFC 3768 5.3.10: present even without authentication
PASSWORD = 1  # RFC 2338 5.3.6.2: the only authentication type besides none
TRAILER_LENGTH = trailers.LENGTH


class Dialect(StrEnum):
    """Which bytes a version 3 IPv4 checksum covers; the others have one way only and are `MESSAGE` or `PSEUDO`."""

    MESSAGE = "rfc9568"  # RFC 9568 5.2.8: the VRRP message alone
    PSEUDO = "rfc5798"  # with the IPv4 pseudo-header: keepalived and FRR by default
    OLD_UNICAST = "old-unicast"  # pseudo-header to 224.0.0.18 although sent unicast: keepalived up to 1.3.6


@dataclass(frozen=True, slots=True)
class Advertisement:
    """One VRRP advertisement.

    Attributes:
        version: 2 or 3.
        vrid: Virtual Router Identifier.
        priority: 0 (leaving) .. 255 (owner).
        interval: Max Advertise Interval in nanoseconds; whole centiseconds (v3) or seconds (v2).
        addresses: the virtual router's addresses in the order of the packet.
        auth_type: version 2 only (RFC 3768 5.3.6).
        auth_data: version 2 only: the eight bytes of Authentication Data; may be a password, so nothing shows it.
    """

    version: int
    vrid: int
    priority: int
    interval: int
    addresses: tuple[Address, ...]
    auth_type: int = 0
    auth_data: bytes = field(default=bytes(V2_AUTH_LENGTH), repr=False)


def message_length(version: int, family: Family, count: int) -> int:
    """Bytes of a complete message; the address size follows from the IP version, never from the packet."""
    size = 4 if family is Family.IPV4 else 16
    return HEADER_LENGTH + size * count + (V2_AUTH_LENGTH if version == 2 else 0)


def encode(
    advert: Advertisement, source: Address, destination: Address, dialect: Dialect, trailer: bytes = b""
) -> bytes:
    """Bytes of the VRRP message, checksum included, and of its trailer.

    Args:
        advert: what to say.
        source: IP source address of the packet, part of a pseudo-header.
        destination: IP destination address, likewise; in unicast each peer's copy has its own checksum.
        dialect: for version 3 over IPv4; ignored elsewhere.
        trailer: the signature, where there is one.
    """
    message = unsummed(advert)
    covered = message + trailer if isinstance(source, IPv6Address) else message
    checksum = internet_checksum(_covered(covered, advert.version, source, destination, dialect))
    return message[:6] + struct.pack("!H", checksum) + message[8:] + trailer


def unsummed(advert: Advertisement) -> bytes:
    """The message with a checksum of zero."""
    first = advert.version << 4 | ADVERTISEMENT
    count = len(advert.addresses)
    if advert.version == 2:
        timing = struct.pack("!BB", advert.auth_type, advert.interval // SECOND)
        data = advert.auth_data
    else:
        timing = struct.pack("!H", advert.interval // CENTISECOND)  # RFC 9568 5.2.6: Reserve bits zero
        data = b""
    head = struct.pack("!BBBB", first, advert.vrid, advert.priority, count) + timing
    return head + b"\0\0" + b"".join(address.packed for address in advert.addresses) + data


def decode(payload: bytes, family: Family) -> Advertisement:
    """The advertisement in `payload`, which is as long as `message_length` says (more is ignored)."""
    first, vrid, priority, count, auth_type, seconds = struct.unpack_from("!BBBBBB", payload)
    version = first >> 4
    size = 4 if family is Family.IPV4 else 16
    end = HEADER_LENGTH + size * count
    data = bytes(V2_AUTH_LENGTH)
    if version == 2:
        interval = seconds * SECOND
        data = payload[end : end + V2_AUTH_LENGTH]
    else:
        interval = ((auth_type << 8 | seconds) & 0x0FFF) * CENTISECOND  # RFC 9568 5.2.6: Reserve is ignored
        auth_type = 0
    make = IPv4Address if family is Family.IPV4 else IPv6Address
    addresses = tuple(make(payload[at : at + size]) for at in range(HEADER_LENGTH, end, size))
    return Advertisement(version, vrid, priority, interval, addresses, auth_type, data)


def checksum_dialect(payload: bytes, length: int, source: Address, destination: Address) -> Dialect | None:
    """Which checksum the message is right in, or None when it is wrong in all.

    Args:
        payload: the message, with a trailer if there is one.
        length: bytes of the message without the trailer.
        source: IP source address as received.
        destination: IP destination address as received.
    """
    if isinstance(source, IPv6Address):  # RFC 8200 8.1: the transport checksum covers the whole payload
        good = (_sum(payload) + _pseudo_sum(source, destination, len(payload))) % 0xFFFF == 0
        return Dialect.PSEUDO if good else None
    message = _sum(payload[:length])
    if message == 0:
        return Dialect.MESSAGE
    if payload[0] >> 4 == 2:
        return None
    if (message + _pseudo_sum(source, destination, length)) % 0xFFFF == 0:
        return Dialect.PSEUDO
    if (message + _pseudo_sum(source, GROUP_V4, length)) % 0xFFFF == 0:
        return Dialect.OLD_UNICAST
    return None


def internet_checksum(data: bytes) -> int:
    """The one's complement checksum of RFC 1071; 0 over data that contains its own right checksum."""
    return 0xFFFF - (_sum(data) or 0xFFFF) if any(data) else 0xFFFF


def _sum(data: bytes) -> int:
    """The sum of the 16-bit words modulo 65535, which is one's complement addition with 0 and 0xFFFF taken for one.

    2^16 is 1 modulo 65535, so the number that the bytes write is as good as the sum of its words: one division in place
    of a loop, because forged packets are paid for here (RFC 1071 2).
    """
    return int.from_bytes(data if len(data) % 2 == 0 else data + b"\0") % 0xFFFF


def _pseudo_sum(source: Address, destination: Address, length: int) -> int:
    """The sum of the pseudo-header (RFC 8200 8.1, RFC 5798 5.2.8)."""
    return int(source) + int(destination) + PROTOCOL + length


def _covered(message: bytes, version: int, source: Address, destination: Address, dialect: Dialect) -> bytes:
    if isinstance(source, IPv6Address):
        return _pseudo_header(source, destination, len(message)) + message
    if version == 2 or dialect is Dialect.MESSAGE:
        return message
    if dialect is Dialect.OLD_UNICAST:
        destination = GROUP_V4
    return _pseudo_header(source, destination, len(message)) + message


def _pseudo_header(source: Address, destination: Address, length: int) -> bytes:
    if isinstance(source, IPv6Address):  # RFC 8200 8.1
        return source.packed + destination.packed + struct.pack("!II", length, PROTOCOL)
    return source.packed + destination.packed + struct.pack("!BBH", 0, PROTOCOL, length)
