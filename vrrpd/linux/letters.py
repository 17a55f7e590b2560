"""Many messages in one system call, sent or received.

Owns the structures of sendmmsg(2) and recvmmsg(2) as the C library has them, which Python does not offer. A message
that is to be sent is prepared once, with address and ancillary data: the bytes of its `struct mmsghdr`, whose pointers
lead to buffers that the `Letter` keeps alive. What is received is copied out of the `Mailbox` at once, so one serves
all sockets of a thread. Who hears the same burst again and again need not take it apart each time: the beginnings of
all messages lie side by side there, so that one look tells (`Mailbox.imprint`).

Sources: sendmmsg(2), recvmmsg(2), cmsg(3), bits/socket.h.
"""

from __future__ import annotations

import ctypes
import mmap
import os
import socket
import struct
from collections.abc import Iterator, Sequence
from functools import cached_property
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

SLOTS = 128
"""Messages that a mailbox takes in one system call."""

_BEGINNING = 64
"""Bytes of a message that lie beside those of the others: advertisements of a few addresses are no longer."""

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


class Bundle(tuple[Letter, ...]):
    """Letters that leave together more than once: their envelopes are kept in a row."""

    @cached_property
    def envelopes(self) -> bytearray:
        """The array of `struct mmsghdr`; the kernel writes into it how much it took of each."""
        return _in_a_row(self)


class Mailbox:
    """Where messages arrive, many in one system call."""

    def __init__(self, largest: int, gaps: Sequence[tuple[int, int]] = (), *, described: bool = False) -> None:
        """Make room.

        Args:
            largest: bytes of a message; of what is longer the rest is lost.
            gaps: parts of each message, from one byte up to another, near its beginning, that are left out of what is
                received: they differ from one to the next and mean nothing.
            described: with the sender and the control messages of each.
        """
        self._described = described
        self._gap = sum(end - start for start, end in gaps)
        self._slot = _BEGINNING + (_DESCRIPTION if described else 0)
        self._far, self._rest = SLOTS * self._slot, largest - _BEGINNING - self._gap  # where the others' rests are
        self._memory = mmap.mmap(-1, self._far + SLOTS * self._rest)  # what is never written takes none
        self._begin = ctypes.addressof(ctypes.c_char.from_buffer(self._memory))
        self._waste = ctypes.create_string_buffer(max(self._gap, 1))
        self._iovecs = [self._slices(slot, gaps) for slot in range(SLOTS)]
        self._headers = (_Mmsghdr * SLOTS)(*(_Mmsghdr(self._header(slot), 0) for slot in range(SLOTS)))
        self._template = bytes(self._headers)
        self._bytes = memoryview(self._headers).cast("B")
        self._lengths = self._bytes.cast("I")[_LENGTH // 4 :: ctypes.sizeof(_Mmsghdr) // 4]

    def receive(self, descriptor: int, limit: int) -> int:
        """Take in what has arrived, in its order, without waiting, in place of what is here.

        Args:
            descriptor: a socket.
            limit: at most so many.

        Returns:
            How many; where it is less than the limit and `SLOTS`, nothing more was there.

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
        return taken

    def imprint(self, count: int) -> bytes:
        """The first so many messages as one value: where it comes again, so do they; empty where one is too long."""
        lengths = self._lengths[:count].tolist()
        if max(lengths) > _BEGINNING + self._gap:
            return b""
        # The headers tell how long each part of a description is.
        said = self._bytes[: count * ctypes.sizeof(_Mmsghdr)].tobytes() if self._described else bytes(lengths)
        return said + self._memory[: count * self._slot]

    def packets(self, count: int) -> list[Packet]:
        """The first so many messages."""
        return [self._packet(slot, length) for slot, length in enumerate(self._lengths[:count].tolist())]

    def _packet(self, slot: int, length: int) -> Packet:
        memory, length, near = self._memory, length - self._gap, slot * self._slot
        text = memory[near : near + min(length, _BEGINNING)]
        if length > _BEGINNING:
            far = self._far + slot * self._rest
            text += memory[far : far + length - _BEGINNING]
        if not self._described:
            return text, b"", b""
        header, name = self._headers[slot].header, near + _BEGINNING
        control = name + _NAME_SPACE
        return text, memory[name : name + header.name_length], memory[control : control + header.control_length]

    def _slices(self, slot: int, gaps: Sequence[tuple[int, int]]) -> ctypes.Array[_Iovec]:
        """Where the parts of one message go: what is wanted without gaps, what is not into the waste."""
        near, far = self._begin + slot * self._slot, self._begin + self._far + slot * self._rest
        end, waste = near + _BEGINNING, ctypes.addressof(self._waste)
        slices: list[_Iovec] = []
        at = 0
        for first, last in gaps:
            slices += [_Iovec(near, first - at), _Iovec(waste, last - first)]
            near, at = near + first - at, last
        slices += [_Iovec(near, end - near), _Iovec(far, self._rest)]
        return (_Iovec * len(slices))(*slices)

    def _header(self, slot: int) -> _Msghdr:
        iovecs = self._iovecs[slot]
        if not self._described:
            return _Msghdr(None, 0, ctypes.addressof(iovecs), len(iovecs), None, 0, 0)
        name = self._begin + slot * self._slot + _BEGINNING
        control = name + _NAME_SPACE
        return _Msghdr(name, _NAME_SPACE, ctypes.addressof(iovecs), len(iovecs), control, _CONTROL_SPACE, 0)


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
    number = min(len(letters), AT_ONCE)
    envelopes = letters.envelopes if isinstance(letters, Bundle) else _in_a_row(letters[:number])
    taken: int = _libc.sendmmsg(descriptor, (ctypes.c_char * len(envelopes)).from_buffer(envelopes), number, 0)
    if taken < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return taken


def _in_a_row(letters: Sequence[Letter]) -> bytearray:
    return bytearray().join([each.envelope for each in letters])


def _control(level: int, kind: int, data: bytes) -> bytes:
    whole = _CONTROL.pack(socket.CMSG_LEN(len(data)), level, kind) + data
    return whole.ljust(socket.CMSG_SPACE(len(data)), b"\0")
