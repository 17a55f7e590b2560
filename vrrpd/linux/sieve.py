"""The sieve before a raw VRRP socket: the kernel sorts what may be believed from what cannot be, before we are woken.

Owns the translation of an `Outline` into classic BPF. One socket of an interface takes what fits the outline, a second
one the rest: a flood of strangers fills the queue of the second alone, and the advertisements of peers never wait, nor
are lost, behind it. What fits may still be forged; what does not fit never was an advertisement for us. A third socket
takes priority 0 of what fits, once more.

The instructions, for a packet that begins at its IP header (IPv4) or behind all headers (IPv6, whose header is read at
an offset of its own):

    X = length of the IP header         at least 8 bytes follow
    TTL at least ...                    multicast or not
    first byte: version and type        VRID: one of ...
    priority: 0                         (for farewells)
    length: 8 + size x count            (version 2: 8 more; signed: 28 more)
    source: one of ...                  then keep; any other way out: drop; or both the other way round

Jumps if true or false reach 255 instructions, an unconditional one any number: a list of values is a chain of
comparisons, each followed by a jump to the end of the list.

Sources: linux/filter.h, Documentation/networking/filter.rst of the kernel, RFC 791 3.1, RFC 8200 3, RFC 9568 5.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from enum import Enum, auto

from vrrpd.linux.packet_socket import JUMP_IF_EQUAL, RETURN, Instruction
from vrrpd.proto.outline import Outline
from vrrpd.proto.packet import ADVERTISEMENT, GROUPS, HEADER_LENGTH, TRAILER_LENGTH, V2_AUTH_LENGTH
from vrrpd.proto.settings import Address, Family

_LOAD_BYTE, _LOAD_WORD, _LOAD_LENGTH = 0x30, 0x20, 0x80
_LOAD_BYTE_AT_X = 0x50
_X_IS_IP_HEADER, _X_IS, _X_IS_A = 0xB1, 0x01, 0x07  # 4 x (a byte & 15), a number, the accumulator
_MULTIPLY, _AND, _ADD_X, _SUBTRACT_X = 0x24, 0x54, 0x0C, 0x1C
_JUMP, _JUMP_IF_LESS_NOT, _JUMP_IF_MORE = 0x05, 0x35, 0x25  # to anywhere; greater or equal; greater

_IPV6_HEADER = 0xFFF00000  # SKF_NET_OFF
_KEEP, _DROP = (RETURN, 0, 0, 0xFFFFFFFF), (RETURN, 0, 0, 0)
_TO_REJECT = (_JUMP, 0, 0, 0xFFFFFFFF)  # where that is, is known at the end


class Hears(Enum):
    """What a raw socket is for.

    Attributes:
        ADVERTS: what may be believed.
        STRANGERS: everything else.
        FAREWELLS: priority 0, of what may be believed.
    """

    ADVERTS = auto()
    STRANGERS = auto()
    FAREWELLS = auto()


def sieve(expected: Outline, hears: Hears = Hears.ADVERTS) -> list[Instruction]:
    """The filter of a raw socket.

    Args:
        expected: what may be believed.
        hears: what is let through.
    """
    ipv4 = expected.family is Family.IPV4
    header = 0 if ipv4 else _IPV6_HEADER
    code: list[Instruction] = [
        (_X_IS_IP_HEADER, 0, 0, 0) if ipv4 else (_X_IS, 0, 0, 0),
        (_LOAD_LENGTH, 0, 0, 0),
        (_SUBTRACT_X, 0, 0, 0),
        (_JUMP_IF_LESS_NOT, 1, 0, HEADER_LENGTH),
        _TO_REJECT,
        (_LOAD_BYTE, 0, 0, header + (8 if ipv4 else 7)),
        (_JUMP_IF_LESS_NOT, 1, 0, expected.least_hops),
        _TO_REJECT,
        *_destination(expected, header + (16 if ipv4 else 24)),
        (_LOAD_BYTE_AT_X, 0, 0, 0),
        *_one_of(version << 4 | ADVERTISEMENT for version in expected.versions),
        (_LOAD_BYTE_AT_X, 0, 0, 1),
        *_within(expected.vrids),
        *([(_LOAD_BYTE_AT_X, 0, 0, 2), *_one_of([0])] if hears is Hears.FAREWELLS else []),
        (_LOAD_BYTE_AT_X, 0, 0, 3),
        (_MULTIPLY, 0, 0, 4 if ipv4 else 16),
        (_ADD_X, 0, 0, 0),
        (_X_IS_A, 0, 0, 0),
        (_LOAD_LENGTH, 0, 0, 0),
        (_SUBTRACT_X, 0, 0, 0),
        *_one_of(_lengths(expected.versions)),
    ]
    if expected.sources is not None:
        code += _one_address(expected.sources, header + (12 if ipv4 else 8))
    code += [_DROP, _KEEP] if hears is Hears.STRANGERS else [_KEEP, _DROP]
    end = len(code) - 1
    return [(_JUMP, 0, 0, end - at - 1) if each is _TO_REJECT else each for at, each in enumerate(code)]


def _lengths(versions: Iterable[int]) -> set[int]:
    """Bytes of a message without its addresses, signed or not."""
    plain = {HEADER_LENGTH + (V2_AUTH_LENGTH if version == 2 else 0) for version in versions}
    return plain | {length + TRAILER_LENGTH for length in plain}


def _destination(expected: Outline, at: int) -> list[Instruction]:
    if expected.multicast is None:
        return []
    if expected.multicast:
        return _one_address([GROUPS[expected.family]], at)
    first, kind = (0xF0, 0xE0) if expected.family is Family.IPV4 else (0xFF, 0xFF)  # RFC 5771 3, RFC 4291 2.7
    return [(_LOAD_BYTE, 0, 0, at), (_AND, 0, 0, first), (JUMP_IF_EQUAL, 0, 1, kind), _TO_REJECT]


def _one_of(values: Iterable[int]) -> list[Instruction]:
    """Go on where the accumulator is one of the values."""
    return _any([[(JUMP_IF_EQUAL, 0, 1, value)] for value in sorted(values)])


def _within(numbers: Iterable[int]) -> list[Instruction]:
    """Go on where the accumulator is one of many numbers: of a row of them, only the ends are compared."""
    rows: list[list[int]] = []
    for number in sorted(numbers):
        if rows and number == rows[-1][1] + 1:
            rows[-1][1] = number
        else:
            rows.append([number, number])
    return _any([[(_JUMP_IF_LESS_NOT, 0, 2, first), (_JUMP_IF_MORE, 1, 0, last)] for first, last in rows])


def _one_address(addresses: Iterable[Address], at: int) -> list[Instruction]:
    """Go on where the address at this offset is one of these."""
    return _any([_same_address(address.packed, at) for address in sorted(addresses, key=int)])


def _same_address(packed: bytes, at: int) -> list[Instruction]:
    """Fall through where all words are equal, else pass over one instruction more than there are."""
    words: Sequence[int] = struct.unpack(f"!{len(packed) // 4}I", packed)
    code: list[Instruction] = []
    for index, word in enumerate(words):
        left = 2 * (len(words) - 1 - index)
        code += [(_LOAD_WORD, 0, 0, at + 4 * index), (JUMP_IF_EQUAL, 0, left + 1, word)]
    return code


def _any(tests: Sequence[Sequence[Instruction]]) -> list[Instruction]:
    """Go on where one of the tests, each of which passes over the next instruction if it fails, comes true."""
    length = sum(len(test) + 1 for test in tests) + 1
    code: list[Instruction] = []
    for test in tests:
        code += test
        code.append((_JUMP, 0, 0, length - len(code) - 1))
    return [*code, _TO_REJECT]
