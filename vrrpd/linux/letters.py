"""Many messages in one system call, sent or received.

Owns the structures of sendmmsg(2) and recvmmsg(2) as the C library has them, which Python does not offer. A message
that is to be sent is prepared once, with address and ancillary data: the bytes of its `struct mmsghdr`, whose pointers
lead to buffers that the `Letter` keeps alive. What is received is copied out of the `Mailbox` at once, so one serves
all sockets of a thread.

Sources: sendmmsg(2), recvmmsg(2), cmsg(3), bits/socket.h.
"""

from __future__ import annotations

import ctypes
import mmap
import os
import socket
import struct
from collections.abc import Iterator, Sequence
from typing import TypeAlias

from vrrpd.proto.settings import Address

AT_ONCE = 1024  # UIO_MAXIOV: the kernel takes no more

Packet: TypeAlias = tuple[bytes, bytes, bytes]
"""What was received: the message, the `struct sockaddr` of its sender, its control messages; the last two empty where
they were not asked for. Packets that say the same are equal."""


class _Iovec(ctypes.Structure):
    _fields_ = (("base", ctypes.c_void_p), ("length", ctypes.c_size_t))


class _Msghdr(ctypes.Structure):
    _fields_ = (
        ("name", ctypes.c_void_p),
        ("name_length", ctypes.c_uint32),
        ("iov", ctypes.c_void_p),
        ("iov_length", ctypes.c_size_t),
        ("control", ctypes.c_void_p),
        ("control_length", ctypes.c_size_t),
        ("flags", ctypes.c_int),
    )


class _Mmsghdr(ctypes.Structure):
    _fields_ = (("header", _Msghdr), ("length", ctypes.c_uint))


_CONTROL = struct.Struct("@Nii")  # struct cmsghdr: length, level, type

_LENGTH: int = _Mmsghdr.length.offset

_libc = ctypes.CDLL(None, use_errno=True)
_libc.sendmmsg.argtypes = (ctypes.c_int, ctypes.c_void_p, ctypes.c_uint, ctypes.c_int)
_libc.recvmmsg.argtypes = (ctypes.c_int, ctypes.c_void_p, ctypes.c_uint, ctypes.c_int, ctypes.c_void_p)

SLOTS = 32
"""Messages that a mailbox takes in one system call."""

_NAME_SPACE, _CONTROL_SPACE = 32, 256  # a struct sockaddr_in6 has 28 bytes
_DESCRIPTION = _NAME_SPACE + _CONTROL_SPACE


class Letter:
    """One message to one destination, ready to be sent.

    Attributes:
        destination: for people.
        envelope: its `struct mmsghdr`.
    """

    __slots__ = ("_kept", "destination", "envelope")

    def __init__(
        self, payload: bytes, destination: Address, name: bytes, ancillary: Sequence[tuple[int, int, bytes]]
    ) -> None:
        """Prepare it.

        Args:
            payload: the whole message.
            destination: for people.
            name: the destination as a `struct sockaddr`.
            ancillary: control messages as (level, type, data).
        """
        control = b"".join(_control(*each) for each in ancillary)
        buffers = [ctypes.create_string_buffer(each, len(each)) for each in (payload, name, control)]
        text, to, beside = (ctypes.addressof(each) for each in buffers)
        iovec = _Iovec(text, len(payload))
        header = _Msghdr(to, len(name), ctypes.addressof(iovec), 1, beside, len(control), 0)
        self._kept = buffers, iovec
        self.destination = destination
        self.envelope = bytes(_Mmsghdr(header, 0))


class Mailbox:
    """Where messages arrive, many in one system call."""

    def __init__(self, largest: int, gaps: Sequence[tuple[int, int]] = (), *, described: bool = False) -> None:
        """Make room.

        Args:
            largest: bytes of a message; of what is longer the rest is lost.
            gaps: parts of each message, from one byte up to another, that are left out of what is received: they
                differ from one to the next and mean nothing.
            described: with the sender and the control messages of each.
        """
        self._described = described
        self._gap = sum(end - start for start, end in gaps)
        self._starts = range(0, SLOTS * largest, largest)
        self._beside = SLOTS * largest
        self._memory = mmap.mmap(-1, self._beside + SLOTS * _DESCRIPTION)  # what is never written takes none
        self._begin = ctypes.addressof(ctypes.c_char.from_buffer(self._memory))
        self._waste = ctypes.create_string_buffer(max(self._gap, 1))
        self._iovecs = [self._slices(start, largest, gaps) for start in self._starts]
        self._headers = (_Mmsghdr * SLOTS)(*(_Mmsghdr(self._header(slot), 0) for slot in range(SLOTS)))
        self._template = bytes(self._headers)
        words = memoryview(self._headers).cast("B").cast("I")
        self._lengths = words[_LENGTH // 4 :: ctypes.sizeof(_Mmsghdr) // 4]

    def receive(self, descriptor: int, limit: int) -> list[Packet]:
        """Take what has arrived, in its order, without waiting; nothing more was there where it is less than `SLOTS`.

        Args:
            descriptor: a socket.
            limit: at most so many.

        Raises:
            BlockingIOError: nothing is there.
            OSError: the error of an earlier packet, told once.
        """
        if self._described:  # the kernel writes lengths into the headers
            ctypes.memmove(self._headers, self._template, len(self._template))
        taken: int = _libc.recvmmsg(descriptor, self._headers, min(limit, SLOTS), socket.MSG_DONTWAIT, None)
        if taken < 0:
            code = ctypes.get_errno()
            raise OSError(code, os.strerror(code))
        memory, gap = self._memory, self._gap
        pairs = zip(self._starts, self._lengths[:taken].tolist(), strict=False)
        if not self._described:
            return [(memory[start : start + length - gap], b"", b"") for start, length in pairs]
        return [(memory[start : start + length], *self._description(n)) for n, (start, length) in enumerate(pairs)]

    def _slices(self, start: int, largest: int, gaps: Sequence[tuple[int, int]]) -> ctypes.Array[_Iovec]:
        """Where the parts of one message go: what is wanted without gaps, the rest into the waste."""
        text, waste = self._begin + start, ctypes.addressof(self._waste)
        slices: list[_Iovec] = []
        at = 0
        for first, last in gaps:
            slices += [_Iovec(text, first - at), _Iovec(waste, last - first)]
            text, at = text + first - at, last
        slices.append(_Iovec(text, largest - at))
        return (_Iovec * len(slices))(*slices)

    def _header(self, slot: int) -> _Msghdr:
        iovecs = self._iovecs[slot]
        if not self._described:
            return _Msghdr(None, 0, ctypes.addressof(iovecs), len(iovecs), None, 0, 0)
        name = self._begin + self._beside + slot * _DESCRIPTION
        control = name + _NAME_SPACE
        return _Msghdr(name, _NAME_SPACE, ctypes.addressof(iovecs), len(iovecs), control, _CONTROL_SPACE, 0)

    def _description(self, slot: int) -> tuple[bytes, bytes]:
        header = self._headers[slot].header
        name = self._beside + slot * _DESCRIPTION
        control = name + _NAME_SPACE
        return self._memory[name : name + header.name_length], self._memory[control : control + header.control_length]


def control_messages(data: bytes) -> Iterator[tuple[int, int, bytes]]:
    """The control messages that a packet came with, as (level, type, data)."""
    at = 0
    while at + _CONTROL.size <= len(data):
        length, level, kind = _CONTROL.unpack_from(data, at)
        if not socket.CMSG_LEN(0) <= length <= len(data) - at:
            return
        yield level, kind, data[at + socket.CMSG_LEN(0) : at + length]
        at += socket.CMSG_SPACE(length - socket.CMSG_LEN(0))


def send_some(descriptor: int, letters: Sequence[Letter]) -> int:
    """Send as many as the kernel takes at once; how many it took, from the first on.

    Raises:
        OSError: it did not take the first.
    """
    some = letters[:AT_ONCE]
    envelopes = bytearray().join([each.envelope for each in some])  # the kernel writes lengths into them
    taken: int = _libc.sendmmsg(descriptor, (ctypes.c_char * len(envelopes)).from_buffer(envelopes), len(some), 0)
    if taken < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return taken


def _control(level: int, kind: int, data: bytes) -> bytes:
    whole = _CONTROL.pack(socket.CMSG_LEN(len(data)), level, kind) + data
    return whole.ljust(socket.CMSG_SPACE(len(data)), b"\0")
