"""The blocking command socket: reads everything, changes addresses, hears the kernel's answer to each change.

Owns one netlink socket and its sequence numbers. It belongs to one thread, and never to the event loop's: a write
runs inside the kernel, under a lock that others hold too (82 ms were measured while another network namespace was
being deleted). The kernel answers a request before the write returns, so reading the answers does not wait.

Order is kept: changes are applied and acknowledged one after the other, also those of one write. A write carries at
most `_PIECE` changes, which keeps their answers far below the size of the receive buffer; an answer that found no
room would be lost.

Renewals are many and nobody needs an answer to them: they go out without asking for one, under a sequence number of
their own, so that neither the kernel's word of them wakes anybody (`Events`). Ten times less work for each.

Reading is consistent or repeated: the kernel marks a dump that something changed under (NLM_F_DUMP_INTR), and an
address on a link that the dump before did not show says the same.

Sources: netlink(7), RFC 3549, linux/netlink.h.
"""

from __future__ import annotations

import errno
import socket
import struct
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Self, TypeVar

from vrrpd.linux.netlink.frame import HEADER, SEQUENCE_OFFSET, split
from vrrpd.linux.netlink.messages import (
    QUIET,
    RTM_GETADDR,
    RTM_GETLINK,
    KernelAddress,
    NetlinkError,
    Snapshot,
    decode_address,
    decode_link,
    encode_dump,
    reason,
)
from vrrpd.linux.netlink.routes import KernelRoute, decode_route, encode_route_dump
from vrrpd.proto.settings import Family

# linux/netlink.h
_SOL_NETLINK, _CAP_ACK, _EXT_ACK, _STRICT = 270, 10, 11, 12
_NLMSG_ERROR, _NLMSG_DONE = 2, 3
_DUMP_INTR = 0x10
_ACK_TLVS = 0x200
_ERROR_TEXT = 1  # NLMSGERR_ATTR_MSG

_PIECE = 64
_DUMP_ATTEMPTS = 16
_SEQUENCE_LIMIT = QUIET - 0x10000  # starts again well before 31 bits are full, and never within one write
_READ = 65536
_ANSWER_TIMEOUT_S = 5

_T = TypeVar("_T")


class Netlink:
    """Links and addresses for one worker thread; a context manager.

    Needs no privilege to read, and CAP_NET_ADMIN to change. Acts on the network namespace of the thread that made it.

    Attributes:
        port: our netlink port, by which events name us.
    """

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE)
        self._socket.setsockopt(_SOL_NETLINK, _EXT_ACK, 1)  # the kernel's own words with a refusal
        self._socket.setsockopt(_SOL_NETLINK, _CAP_ACK, 1)  # without a copy of our request
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("@ll", _ANSWER_TIMEOUT_S, 0))
        self._socket.bind((0, 0))
        self.port: int = self._socket.getsockname()[0]
        self._sequence = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the socket; a second call does nothing."""
        self._socket.close()

    def dump(self) -> Snapshot:
        """Read all links and addresses of the network namespace, as they were at one moment.

        Raises:
            NetlinkError: the kernel refused, or (EBUSY) things changed during each of many attempts.
        """
        for _ in range(_DUMP_ATTEMPTS):
            links = self._dump(encode_dump(RTM_GETLINK), decode_link)
            addresses = self._dump(encode_dump(RTM_GETADDR), decode_address)
            if links is None or addresses is None:
                continue
            names = {link.index: link.name for link in links}
            if all(address.index in names for address in addresses):
                return Snapshot(tuple(links), tuple(_named(addresses, names)))
        raise NetlinkError(errno.EBUSY, reason(errno.EBUSY))

    def routes(self) -> list[KernelRoute]:
        """Read all routes that carry our tag, of all tables.

        Raises:
            NetlinkError: as `dump`.
        """
        self._socket.setsockopt(_SOL_NETLINK, _STRICT, 1)  # the kernel picks them out: there may be a million others
        try:
            return [route for family in Family for route in self._routes(family) if route.ours]
        finally:
            self._socket.setsockopt(_SOL_NETLINK, _STRICT, 0)

    def _routes(self, family: Family) -> list[KernelRoute]:
        for _ in range(_DUMP_ATTEMPTS):
            found = self._dump(encode_route_dump(family), decode_route)
            if found is not None:
                return found
        raise NetlinkError(errno.EBUSY, reason(errno.EBUSY))

    def add(self, change: bytes) -> None:
        """Add the address of a message of `encode_add`.

        Raises:
            NetlinkError: with EEXIST where the address is there already, whoever put it there.
        """
        self._change(change)

    def remove(self, change: bytes) -> None:
        """Remove the address of a message of `encode_remove`.

        Raises:
            NetlinkError: with EADDRNOTAVAIL where it is not there (for IPv4 also with another prefix length).
        """
        self._change(change)

    def apply(self, changes: Sequence[bytes]) -> list[int]:
        """Apply many changes in order, with few system calls; one that fails does not stop the others.

        Returns:
            One errno for each change, in order; 0 for success. `reason` turns one into a sentence.

        Raises:
            NetlinkError: the socket itself failed; how far the changes went is then unknown.
        """
        results: list[int] = []
        for start in range(0, len(changes), _PIECE):
            results += [code for code, _ in self._exchange(changes[start : start + _PIECE])]
        return results

    def renew(self, renewals: Sequence[bytes]) -> None:
        """Let the lifetimes of addresses begin anew; what the kernel does not do, it does not tell.

        Args:
            renewals: messages of `encode_renewal`; a few hundred, for the kernel takes them in one write.

        Raises:
            NetlinkError: the socket itself failed.
        """
        if renewals:
            self._send(b"".join(renewals))
            self._forget_answers()

    def _forget_answers(self) -> None:
        """A refusal is answered all the same: nothing may fill the buffer that later answers need."""
        while True:
            try:
                self._socket.recv(_READ, socket.MSG_DONTWAIT)
            except OSError as error:
                if error.errno != errno.ENOBUFS:  # some had no room; those that had are still there
                    return

    def _change(self, change: bytes) -> None:
        code, detail = self._exchange([change])[0]
        if code:
            raise NetlinkError(code, reason(code, detail))

    def _exchange(self, changes: Sequence[bytes]) -> list[tuple[int, str]]:
        """Send some changes in one write; their answers as (errno, the kernel's words), in order."""
        self._write(changes)
        first = self._sequence - len(changes) + 1
        answers: dict[int, tuple[int, str]] = {}
        while len(answers) < len(changes):
            for kind, flags, sequence, message in split(self._read()):
                number = sequence & ~QUIET
                # An older one answers a request that was given up.
                if kind == _NLMSG_ERROR and first <= number <= self._sequence:
                    answers[number] = _answer(flags, message)
        return [answers[sequence] for sequence in range(first, self._sequence + 1)]

    def _dump(self, request: bytes, decode: Callable[[bytes], _T | None]) -> list[_T] | None:
        """All objects that are asked for; None where something changed meanwhile."""
        self._write([request])
        found: list[_T] = []
        interrupted = False
        while True:
            for message_kind, flags, sequence, message in split(self._read()):
                if sequence != self._sequence:
                    continue
                interrupted |= bool(flags & _DUMP_INTR)
                if message_kind in (_NLMSG_ERROR, _NLMSG_DONE):
                    code, detail = _answer(flags if message_kind == _NLMSG_ERROR else 0, message)
                    if code:
                        raise NetlinkError(code, reason(code, detail))
                    return None if interrupted else found
                value = decode(message)
                if value is not None:
                    found.append(value)

    def _write(self, messages: Sequence[bytes]) -> None:
        if self._sequence > _SEQUENCE_LIMIT:
            self._sequence = 0
        buffer = bytearray()
        for message in messages:
            self._sequence += 1
            at = len(buffer) + SEQUENCE_OFFSET
            buffer += message
            (mark,) = struct.unpack_from("=I", buffer, at)
            struct.pack_into("=I", buffer, at, self._sequence | mark)
        self._send(buffer)

    def _send(self, buffer: bytes | bytearray) -> None:
        try:
            self._socket.send(buffer)
        except OSError as error:
            raise _mapped(error) from error

    def _read(self) -> bytes:
        while True:
            try:
                data, (port, _) = self._socket.recvfrom(_READ)
            except OSError as error:
                raise _mapped(error) from error
            if port == 0:  # from the kernel; any process may send to our port
                return data


def _named(addresses: list[KernelAddress], names: dict[int, str]) -> Iterator[KernelAddress]:
    for address in addresses:
        yield replace(address, device=names[address.index])


def _answer(flags: int, message: bytes) -> tuple[int, str]:
    """Errno and the kernel's words of an NLMSG_ERROR or NLMSG_DONE message."""
    if len(message) < HEADER.size + 4:
        return 0, ""
    (code,) = struct.unpack_from("=i", message, HEADER.size)
    detail = ""
    if flags & _ACK_TLVS:
        # struct nlmsgerr: the errno and the header of our request (capped, so without its body), then attributes.
        detail = _attribute_text(message[HEADER.size + 4 + HEADER.size :])
    return -code, detail


def _attribute_text(data: bytes) -> str:
    while len(data) >= 4:
        length, kind = struct.unpack_from("=HH", data)
        if length < 4:
            break
        if kind == _ERROR_TEXT:
            return data[4:length].rstrip(b"\0").decode("utf-8", "replace")
        data = data[(length + 3) & ~3 :]
    return ""


def _mapped(error: OSError) -> NetlinkError:
    code = error.errno or errno.EIO
    if code == errno.EAGAIN:  # SO_RCVTIMEO ran out
        code = errno.ETIMEDOUT
    return NetlinkError(code, reason(code))
