"""Packet sockets: whole Ethernet frames on one interface, with a filter that runs in the kernel.

Owns how such a socket is opened, so that all of its uses (`announce` sends, `listener` and `claims` hear) start deaf:
filter first, then interface and protocol in one step. Otherwise every frame of every interface that arrives between
two system calls would be queued, and read later as if it belonged here.

Opening takes 30 us. Closing one that hears waits in the kernel until no processor can be looking at it any more (0.5 to
22 ms measured), so that is done by a thread.

A filter is classic BPF: a list of instructions that looks at a frame and says how many of its bytes to keep, 0 for
"do not wake me". It is what makes listening affordable on a machine that forwards a gigabit a second.

Sources: packet(7), socket(7), linux/filter.h.
"""

from __future__ import annotations

import ctypes
import errno
import os
import socket
import struct
from collections.abc import Sequence
from typing import TypeAlias

import trio

from vrrpd.errors import VrrpdError

_SO_ATTACH_FILTER = 26  # asm-generic/socket.h
_LARGEST = 2048
_READS_AT_ONCE = 64

Instruction: TypeAlias = tuple[int, int, int, int]
"""struct sock_filter: operation, jump if true, jump if false, operand."""

LOAD_BYTE, LOAD_HALF, LOAD_WORD = 0x30, 0x28, 0x20
JUMP_IF_EQUAL, JUMP_IF_GREATER, JUMP_UNLESS_LESS, JUMP_IF_SET, RETURN = 0x15, 0x25, 0x35, 0x45, 0x06


def open_packet_socket(interface: str, protocol: int, program: Sequence[Instruction] = ()) -> socket.socket:
    """A non-blocking packet socket on the interface that has this name now.

    Args:
        interface: name of the interface.
        protocol: Ethernet type of the frames to receive; 0 for none, which then cost nothing.
        program: filter that frames must pass; offsets count from the Ethernet header.

    Raises:
        VrrpdError: CAP_NET_RAW is missing, or the interface is not there.
    """
    try:
        packet = socket.socket(socket.AF_PACKET, socket.SOCK_RAW | socket.SOCK_NONBLOCK, 0)
    except OSError as error:
        raise VrrpdError(_cause(error, interface)) from error
    try:
        if program:
            attach(packet, program)
        packet.bind((interface, protocol))
    except OSError as error:
        packet.close()
        raise VrrpdError(_cause(error, interface)) from error
    return packet


def attach(opened: socket.socket, program: Sequence[Instruction]) -> None:
    """Put a filter before a socket, in place of the one that it had; no packet passes unfiltered."""
    code = b"".join(struct.pack("=HBBI", *instruction) for instruction in program)
    buffer = ctypes.create_string_buffer(code, len(code))  # the kernel copies it during the call
    filter_program = struct.pack("@HP", len(program), ctypes.addressof(buffer))  # struct sock_fprog
    opened.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, filter_program)


async def read_frames(packet: socket.socket) -> list[bytes]:
    """Wait for frames; at most 64, in order of arrival, none where all that came was the news of a link that went down.

    Raises:
        trio.ClosedResourceError: the socket was closed, be it before this call.
    """
    if packet.fileno() < 0:
        raise trio.ClosedResourceError
    await trio.lowlevel.wait_readable(packet)
    frames: list[bytes] = []
    for _ in range(_READS_AT_ONCE):
        try:
            frames.append(packet.recv(_LARGEST))
        except BlockingIOError:
            break
        except OSError:
            continue  # ENETDOWN, told once when the interface goes down
    return frames


def close_aside(packet: socket.socket) -> None:
    """Close a socket without waiting; whoever reads it gets `trio.ClosedResourceError`. A second call does nothing."""
    if packet.fileno() < 0 or not trio.lowlevel.in_trio_run():
        packet.close()
        return
    trio.lowlevel.notify_closing(packet)
    descriptor = packet.detach()
    trio.lowlevel.start_thread_soon(lambda: os.close(descriptor), lambda _: None)


def _cause(error: OSError, interface: str) -> str:
    start = f"cannot open a packet socket on {interface}"
    if isinstance(error, PermissionError):
        return (
            f"{start}: CAP_NET_RAW is missing; run as root or grant it "
            "(systemd: AmbientCapabilities=CAP_NET_RAW CAP_NET_ADMIN)"
        )
    if error.errno in (errno.ENODEV, errno.ENXIO):
        return f"{start}: the interface does not exist; `ip link` shows those that do"
    return f"{start}: {error.strerror}"
