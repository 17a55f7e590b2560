"""The HMAC trailer of an advertisement: bytes only, as keepalived 2.4.2 and later put it after the VRRP message.

     0                   1                   2                   3
     0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
    +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
    |   Ext Type    |    Key Id     |           Reserved            |
    +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
    |                 Seconds since 1970-01-01 UTC                  |
    +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
    |      Fraction, 1/65536 s      |  Counter inside one fraction  |
    +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
    |            HMAC-SHA-256, its first 16 bytes ...               |

The HMAC covers 20 bytes of its own (family, version, VRID, source address), the message with its checksum read as zero,
and the trailer with its HMAC read as zero. It does not cover the destination, so one advertisement is signed once for
all peers; it covers the source, so a translation of addresses between the peers breaks it.

Imports next to nothing, so that a process with little memory can sign, too.
"""

from __future__ import annotations

import hmac
import struct
from typing import NamedTuple

LENGTH = 28
HMAC_SHA256_128 = 1
"""The only Ext Type: HMAC-SHA-256, truncated to 128 bits."""

SEQUENCE_BITS = 64
FRACTION = 1 << 16
"""A 65536th of a second, in sequence numbers."""

_SECOND = 1_000_000_000
_HEAD = struct.Struct("!BBHQ")
_MAC_LENGTH = 16
_PSEUDO_LENGTH = 20


class Trailer(NamedTuple):
    """A trailer as received.

    Attributes:
        kind: Ext Type.
        key_id: which key it was signed with.
        reserved: 0 in a well-formed one.
        sequence: seconds, fraction and counter as one number of 64 bits.
        mac: what is to be compared with `digest`.
    """

    kind: int
    key_id: int
    reserved: int
    sequence: int
    mac: bytes


def parse(trailer: bytes) -> Trailer:
    """The fields of a trailer, which is `LENGTH` bytes long."""
    kind, key_id, reserved, sequence = _HEAD.unpack_from(trailer)
    return Trailer(kind, key_id, reserved, sequence, trailer[_HEAD.size :])


def head(trailer: Trailer) -> bytes:
    """The bytes of a trailer up to its HMAC."""
    return _HEAD.pack(trailer.kind, trailer.key_id, trailer.reserved, trailer.sequence)


def seal(message: bytes, source: bytes, key_id: int, key: bytes, sequence: int) -> bytes:
    """The trailer of a message.

    Args:
        message: the VRRP message without a trailer; its checksum does not matter.
        source: IP source address of the packet, 4 or 16 bytes.
        key_id: 1..255.
        key: the secret of that number.
        sequence: see `clock_sequence`; must rise from one advertisement to the next.
    """
    begin = _HEAD.pack(HMAC_SHA256_128, key_id, 0, sequence)
    return begin + digest(message, source, key, begin)


def digest(message: bytes, source: bytes, key: bytes, begin: bytes) -> bytes:
    """The first 16 bytes of the HMAC.

    Args:
        message: see `seal`.
        source: see `seal`.
        key: the secret.
        begin: the trailer up to its HMAC.
    """
    family = 4 if len(source) == 4 else 6
    pseudo = bytes((family, message[0] >> 4, message[1], 0)) + source
    covered = pseudo.ljust(_PSEUDO_LENGTH, b"\0") + message[:6] + b"\0\0" + message[8:]
    return hmac.digest(key, covered + begin + bytes(_MAC_LENGTH), "sha256")[:_MAC_LENGTH]


def clock_sequence(wall: int) -> int:
    """The sequence number of a moment.

    Args:
        wall: nanoseconds since 1970-01-01 UTC.
    """
    seconds, rest = divmod(wall, _SECOND)
    return (seconds & 0xFFFFFFFF) << 32 | rest * FRACTION // _SECOND * FRACTION


def difference(one: int, other: int) -> int:
    """How far one sequence number is after the other, by RFC 1982; negative where it is before."""
    half = 1 << (SEQUENCE_BITS - 1)
    return ((one - other + half) & ((1 << SEQUENCE_BITS) - 1)) - half


def nanoseconds(difference: int) -> int:
    """A difference of sequence numbers as a length of time."""
    return difference * _SECOND >> 32
