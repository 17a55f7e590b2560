"""The frame of every rtnetlink message: a header, a fixed part of its kind, and attributes.

Owns how they are put together and taken apart; what they mean is the business of `messages` and `routes`. By hand, for
it is two structures, and the libraries that know all messages of the kernel take a fifth of a second to import.

     0               2               4               6               8
     +-------------------------------+---------------+---------------+
     |             length            |      type     |     flags     |    struct nlmsghdr
     +-------------------------------+---------------+---------------+
     |        sequence number        |            port id            |
     +-------------------------------+-------------------------------+
     |  ifaddrmsg, ifinfomsg or rtmsg: eight, sixteen, twelve bytes  |
     +---------------+---------------+-------------------------------+
     |    length     |     type      |  value, filled up to 4 bytes  |    struct nlattr, as often as needed
     +---------------+---------------+-------------------------------+

Sources: netlink(7), rtnetlink(7), linux/netlink.h.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from typing import Final

HEADER: Final = struct.Struct("=IHHII")
"""struct nlmsghdr: length, type, flags, sequence number, port id."""

FLAGS_OFFSET, SEQUENCE_OFFSET = 6, 8
"""Where the flags and the sequence number stand in a message."""

REQUEST, ACK, DUMP, REPLACE, EXCL, CREATE = 0x1, 0x4, 0x300, 0x100, 0x200, 0x400
"""Flags of a request (linux/netlink.h)."""

_ATTRIBUTE: Final = struct.Struct("=HH")
_NUMBER: Final = struct.Struct("=I")


def message(kind: int, flags: int, body: bytes, attributes: Sequence[tuple[int, bytes]] = (), mark: int = 0) -> bytes:
    """A request whose sequence number is still to be filled in, of a length that others can follow at once.

    Args:
        kind: type of the message.
        flags: of the header.
        body: the fixed part.
        attributes: (type, value) of each.
        mark: what the sequence number is to have besides.
    """
    parts = [body]
    for number, value in attributes:
        parts += [_ATTRIBUTE.pack(_ATTRIBUTE.size + len(value), number), value, bytes(-len(value) % 4)]
    rest = b"".join(parts)
    return HEADER.pack(HEADER.size + len(rest), kind, flags, mark, 0) + rest


def number(value: int) -> bytes:
    """The value of an attribute that is a number of four bytes."""
    return _NUMBER.pack(value)


def split(data: bytes) -> Iterator[tuple[int, int, int, bytes]]:
    """The messages of one read, each as (type, flags, sequence number, whole message)."""
    offset = 0
    while offset + HEADER.size <= len(data):
        length, kind, flags, sequence, _ = HEADER.unpack_from(data, offset)
        if length < HEADER.size:
            return
        yield kind, flags, sequence, data[offset : offset + length]
        offset += (length + 3) & ~3  # NLMSG_ALIGN


def places(data: bytes, offset: int) -> Iterator[tuple[int, int, int]]:
    """The attributes from an offset on: type, and where the whole of each begins and ends."""
    while offset + _ATTRIBUTE.size <= len(data):
        length, kind = _ATTRIBUTE.unpack_from(data, offset)
        end = offset + max(length, _ATTRIBUTE.size)
        yield kind, offset, end
        offset = end + 3 & ~3  # NLA_ALIGN


def values(data: bytes, offset: int) -> dict[int, bytes]:
    """The attributes from an offset on, by type."""
    return {kind: data[start + _ATTRIBUTE.size : end] for kind, start, end in places(data, offset)}


def as_number(value: bytes | None) -> int | None:
    """The number that an attribute of four bytes holds; None where there is no such attribute."""
    return None if value is None else int(_NUMBER.unpack(value)[0])
