"""Many messages in one system call: each prepared once, with address and ancillary data, for as often as it is sent.

Owns the structures of sendmmsg(2) as the C library has them, which Python does not offer. A message that is prepared is
the bytes of its `struct mmsghdr`, whose pointers lead to buffers that the `Letter` keeps alive.

Sources: sendmmsg(2), cmsg(3), bits/socket.h.
"""

from __future__ import annotations

import ctypes
import os
import socket
import struct
from collections.abc import Sequence

from vrrpd.proto.settings import Address

AT_ONCE = 1024  # UIO_MAXIOV: the kernel takes no more


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

_libc = ctypes.CDLL(None, use_errno=True)
_libc.sendmmsg.argtypes = (ctypes.c_int, ctypes.c_void_p, ctypes.c_uint, ctypes.c_int)


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
