"""A classic BPF machine in twenty lines, to run filters without a kernel; after Documentation/networking/filter.rst."""

from __future__ import annotations

import struct
from collections.abc import Sequence

from vrrpd.proto.datagram import Datagram

Instruction = tuple[int, int, int, int]

NETWORK_HEADER = 0xFFF00000


class Machine:
    """The accumulator, X, and a packet."""

    def __init__(self, packet: bytes, header: bytes) -> None:
        self.packet = packet
        self.header = header
        self.accumulator = 0
        self.x = 0

    def loaded(self, operation: int, k: int) -> int | None:
        """What an instruction puts into the accumulator, None where it is none of those."""
        match operation:
            case 0x30 | 0x20:
                data, offset = (self.header, k - NETWORK_HEADER) if k >= NETWORK_HEADER else (self.packet, k)
                return _load(data, offset, 4 if operation == 0x20 else 1)
            case 0x50:
                return _load(self.packet, self.x + k, 1)
            case 0x80:
                return len(self.packet)
            case 0x24:
                return self.accumulator * k & 0xFFFFFFFF
            case 0x54:
                return self.accumulator & k
            case 0x0C | 0x1C:
                return self.accumulator + (self.x if operation == 0x0C else -self.x) & 0xFFFFFFFF
            case _:
                return None

    def indexed(self, operation: int, k: int) -> int | None:
        """What an instruction puts into X."""
        match operation:
            case 0xB1:
                return 4 * (_load(self.packet, k, 1) & 15)
            case 0x01:
                return k
            case 0x07:
                return self.accumulator
            case _:
                return None

    def jump(self, operation: int, if_true: int, if_false: int, k: int) -> int:
        """How many instructions one passes over."""
        match operation:
            case 0x05:
                return k
            case 0x15:
                return if_true if self.accumulator == k else if_false
            case 0x25:
                return if_true if self.accumulator > k else if_false
            case 0x35:
                return if_true if self.accumulator >= k else if_false
            case _:
                raise AssertionError(f"operation {operation:#x}")


def run(program: Sequence[Instruction], packet: bytes, header: bytes = b"") -> int:
    """How many bytes the filter keeps.

    Args:
        program: the filter.
        packet: what offsets count from.
        header: what offsets from SKF_NET_OFF on count from.
    """
    machine = Machine(packet, header)
    at = 0
    while program[at][0] != 0x06:
        operation, if_true, if_false, k = program[at]
        try:
            loaded, indexed = machine.loaded(operation, k), machine.indexed(operation, k)
        except IndexError:  # a load beyond the packet ends the program: dropped
            return 0
        if loaded is not None:
            machine.accumulator = loaded
        elif indexed is not None:
            machine.x = indexed
        else:
            at += machine.jump(operation, if_true, if_false, k)
        at += 1
    return program[at][3]


def _load(data: bytes, offset: int, size: int) -> int:
    if offset + size > len(data):
        raise IndexError
    return int.from_bytes(data[offset : offset + size], "big")


def passes(program: Sequence[Instruction], datagram: Datagram, options: bytes = b"") -> bool:
    """Whether the filter of a raw socket lets a datagram through; `options` of the IPv4 header may lie before it."""
    payload, source, destination = datagram.payload, datagram.source.packed, datagram.destination.packed
    if len(source) == 4:
        length = 20 + len(options) + len(payload)
        first = 0x45 + len(options) // 4
        header = struct.pack("!BBHHHBBH", first, 0, length, 0, 0, datagram.ttl, 112, 0) + source + destination + options
        return run(program, header + payload) > 0
    header = struct.pack("!IHBB", 6 << 28, len(payload), 112, datagram.ttl) + source + destination
    return run(program, payload, header) > 0
