"""The raw sockets that VRRP travels on: three for each interface and family, shared by all virtual routers there.

One sends, and hears what may be believed; another hears the rest, so that a flood of strangers delays nobody else; the
third hears farewells, which must not wait (`sieve` has what tells them apart).

Owns IP protocol 112 on one interface: socket options, the group's membership, the source address of what is sent,
and the facts around what is received (sender, destination, hop limit, interface). It judges nothing: a datagram goes
to the core as it came, except that one which arrived by another interface is nobody's business here.

Sending never raises for a condition of the network and never waits; receiving never waits and never raises for any
bytes. Two properties of raw sockets shape the code:

- An ICMP error about an earlier packet is delivered as the failure of whichever call comes next, even a send to
  another peer. So a failed send is tried once more: the second answer is its own.
- A socket with IP_RECVERR stays readable until its error queue is empty, and an event loop that only reads packets
  would spin. So each round of receiving empties that queue, too. What the queue says is kept as a hint: a host that
  answers "protocol unreachable" is alive and runs no agent. Such messages are easily forged, so only destinations
  that we sent to are counted, and they must not influence an election.

Sources: raw(7), ip(7), ipv6(7); RFC 9568 5.1 for the IP fields.
"""

from __future__ import annotations

import errno
import socket
from collections.abc import Sequence

import trio

from vrrpd.errors import VrrpdError
from vrrpd.linux.families import ANCILLARY_SPACE, PROTOCOL, STACKS
from vrrpd.linux.letters import SLOTS, Letter, Packet, send_some
from vrrpd.linux.packet_socket import attach
from vrrpd.linux.send_error import SendError, send_error
from vrrpd.linux.sieve import Hears, sieve
from vrrpd.proto.datagram import Datagram
from vrrpd.proto.outline import Outline
from vrrpd.proto.settings import Address, Family

# asm-generic/socket.h
_SO_RCVBUFFORCE = 33
_SO_BINDTOIFINDEX = 62

_BUFFER = 1 << 20  # about 1,300 adverts, several seconds of a busy link's
_SMALL_BUFFER = 1 << 16  # what waits there is a sample
_TC_PRIO_INTERACTIVE = 6  # first band of the default queueing; the highest without CAP_NET_ADMIN
_ERRORS_AT_ONCE = 64
_REMEMBERED = 1024  # packets; the same one comes again and again from each Active
_REMEMBERED_BURSTS = 32  # of many Actives of one host, which speak together; up to 128 packets each

# Emptied before the next one reads. What strangers send must not lie behind a shorter advertisement: `Mailbox.imprint`.
_MAILBOXES = {(family, adverts): stack.mailbox() for family, stack in STACKS.items() for adverts in (True, False)}


class VrrpSocket:
    """One raw socket of IP protocol 112 on one interface.

    Attributes:
        no_agent: for each destination that we sent to, how often its host answered that nothing there speaks VRRP.
        answers: how often in all.
        unreachable: the same for every other ICMP error (host or network unreachable, prohibited, ...).
    """

    def __init__(
        self, family: Family, interface: str, ifindex: int, *, multicast: bool, hears: Hears = Hears.ADVERTS
    ) -> None:
        """Open the socket.

        Args:
            family: IPv4 or IPv6.
            interface: name of the interface, for messages.
            ifindex: its number; the socket hears nothing any more once an interface of that number is gone.
            multicast: become a member of the VRRP group at once.
            hears: what, once it was told what to expect.

        Raises:
            VrrpdError: CAP_NET_RAW is missing, the interface is not there, or the family is switched off.
        """
        self._interface = interface
        self._ifindex = ifindex
        self._family = family
        self._stack = STACKS[family]
        self._mailbox = _MAILBOXES[family, hears is Hears.ADVERTS]
        self._member = False
        self._hears = hears
        self._peers: set[Address] = set()
        self._decoded: dict[Packet, Datagram] = {}
        self._bursts: dict[bytes, list[Datagram]] = {}
        self.no_agent: dict[Address, int] = {}
        self.answers = 0
        self.unreachable: dict[Address, int] = {}
        try:
            self._socket = socket.socket(self._stack.domain, socket.SOCK_RAW | socket.SOCK_NONBLOCK, PROTOCOL)
        except OSError as error:
            raise VrrpdError(_cause(error, family, interface)) from error
        try:
            self._configure()
            if multicast:
                self.join()
        except OSError as error:
            self._socket.close()
            raise VrrpdError(_cause(error, family, interface)) from error
        except VrrpdError:
            self._socket.close()
            raise

    def _configure(self) -> None:
        # First of all, so that next to nothing of other interfaces gets in. By number: the name may belong to another
        # interface by now, and then the number is refused, instead of a socket that hears nothing.
        self._socket.setsockopt(socket.SOL_SOCKET, _SO_BINDTOIFINDEX, self._ifindex)
        self._forget_others()
        size = _BUFFER if self._hears is Hears.ADVERTS else _SMALL_BUFFER
        try:
            self._socket.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, size)
        except PermissionError:  # CAP_NET_RAW without CAP_NET_ADMIN: as much as net.core.rmem_max allows
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, size)
        self._stack.configure(self._socket, self._ifindex)
        # After the type of service, which sets the priority as well.
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_PRIORITY, _TC_PRIO_INTERACTIVE)

    def join(self) -> None:
        """Become a member of the VRRP group (RFC 9568 5.1.1.2, 5.1.2.2); a second call does nothing.

        Raises:
            VrrpdError: the interface is gone, or its family is switched off.
        """
        if self._member:
            return
        try:
            self._stack.join(self._socket, self._ifindex)
        except OSError as error:
            raise VrrpdError(_cause(error, self._family, self._interface)) from error
        self._member = True

    def leave(self) -> None:
        """Leave the VRRP group; does nothing where the socket is no member, or its interface is gone."""
        if not self._member:
            return
        self._member = False
        try:
            self._stack.leave(self._socket, self._ifindex)
        except OSError as error:
            if error.errno not in (errno.EADDRNOTAVAIL, errno.ENODEV):  # went with the interface
                raise

    def expect(self, expected: Outline) -> None:
        """From now on hear, of what fits an outline and what does not, the part that this socket is for."""
        attach(self._socket, sieve(expected, self._hears))

    async def wait_readable(self) -> None:
        """Return once `receive` has something to do."""
        await trio.lowlevel.wait_readable(self._socket)

    def receive(self, limit: int = 64) -> list[Datagram]:
        """Take what has arrived; never waits.

        Args:
            limit: at most so many datagrams, so that a flood cannot keep the event loop from its timers.

        Returns:
            In order of arrival; empty where nothing (more) is there. What comes in twice is one object, each datagram
            and a burst as a whole, so that the caller can tell at a glance.
        """
        datagrams = list[Datagram]()
        left, told = limit, False
        while left > 0:
            asked = min(left, SLOTS)
            try:
                count = self._mailbox.receive(self._socket.fileno(), asked)
            except BlockingIOError:
                break
            except OSError:
                left, told = left - 1, True
                continue  # the error of an earlier packet, told here once; its details are in the error queue
            burst = self._burst(count)
            datagrams = [*datagrams, *burst] if datagrams else burst
            left -= count
            if count < asked:
                break
        if told or not datagrams:  # a send that failed may have told it: then nothing but the queue wakes us
            self._drain_errors()
        return datagrams

    def letter(self, payload: bytes, source: Address, destination: Address) -> Letter:
        """Prepare a VRRP message, to be sent any number of times.

        Args:
            payload: the whole message with its checksum.
            source: the address that it must come from; it has to be on the host.
            destination: a peer, or the VRRP group.
        """
        self._peers.add(type(destination)(destination.packed))  # as the error queue will name it, without scope
        stack = self._stack
        name = stack.name(destination, self._ifindex)
        return Letter(payload, destination, name, stack.source(source, self._ifindex))

    def send(self, letters: Sequence[Letter]) -> list[tuple[Letter, SendError]]:
        """Send messages, in as few system calls as can be; never waits.

        Returns:
            Those that the kernel did not take, and why not.
        """
        failed: list[tuple[Letter, SendError]] = []
        while letters:
            try:
                taken = self._send_some(letters)
            except OSError as error:
                failed.append(
                    (letters[0], send_error(error, f"an advert to {letters[0].destination}", self._interface))
                )
                taken = 1
            letters = letters[taken:]
        return failed

    def _send_some(self, letters: Sequence[Letter]) -> int:
        try:
            return send_some(self._socket.fileno(), letters)
        except OSError:
            return send_some(self._socket.fileno(), letters)

    def close(self) -> None:
        """Close the socket, which leaves the group; whoever waits gets `trio.ClosedResourceError`."""
        if self._socket.fileno() >= 0 and trio.lowlevel.in_trio_run():
            trio.lowlevel.notify_closing(self._socket)
        self._socket.close()

    def _burst(self, count: int) -> list[Datagram]:
        """What the mailbox has."""
        imprint = self._mailbox.imprint(count)
        burst = self._bursts.get(imprint)
        if burst is None:
            packets, decoded = self._mailbox.packets(count), self._decoded
            found = (decoded.get(packet) or self._decode(packet) for packet in packets)
            burst = [datagram for datagram in found if datagram is not None]
            if len(self._bursts) >= _REMEMBERED_BURSTS:
                self._bursts.clear()
            if imprint:
                self._bursts[imprint] = burst
        return burst

    def _decode(self, packet: Packet) -> Datagram | None:
        datagram = self._stack.datagram(packet, self._ifindex)
        if datagram is not None:
            if len(self._decoded) >= _REMEMBERED:
                self._decoded.clear()
            self._decoded[packet] = datagram
        return datagram

    def _forget_others(self) -> None:
        """Throw away what came in by other interfaces before the socket was bound to its own."""
        for _ in range(_BUFFER // 64):
            try:
                self._socket.recv(1)
            except BlockingIOError:
                return
            except OSError:
                continue

    def _drain_errors(self) -> None:
        for _ in range(_ERRORS_AT_ONCE):
            try:
                _, ancillary, _, name = self._socket.recvmsg(0, ANCILLARY_SPACE, socket.MSG_ERRQUEUE)
            except OSError:  # BlockingIOError: the queue is empty
                return
            hint = self._stack.unreachable(ancillary, name[0]) if name else None
            if hint is not None and hint.peer in self._peers:
                counts = self.no_agent if hint.no_agent else self.unreachable
                counts[hint.peer] = counts.get(hint.peer, 0) + 1
                self.answers += hint.no_agent


def _cause(error: OSError, family: Family, interface: str) -> str:
    """What a person must mend before a raw socket can be opened on an interface."""
    start = f"cannot open the {family.value} VRRP socket on {interface}"
    if isinstance(error, PermissionError):
        return (
            f"{start}: CAP_NET_RAW is missing; run as root or grant it "
            "(systemd: AmbientCapabilities=CAP_NET_RAW CAP_NET_ADMIN)"
        )
    if error.errno in (errno.EAFNOSUPPORT, errno.EPROTONOSUPPORT):
        return f"{start}: this kernel runs without {family.value}; boot it with {family.value} enabled"
    if error.errno in (errno.ENODEV, errno.EADDRNOTAVAIL):  # how IPV6_MULTICAST_IF and IP_MULTICAST_IF say it
        return f"{start}: the interface does not exist; `ip link` shows those that do"
    if error.errno == errno.EINVAL and family is Family.IPV6:  # from IPV6_JOIN_GROUP (RFC 8200 5 on the MTU)
        return f"{start}: it has no IPv6; its MTU is below 1280, or it is being deleted"
    return f"{start}: {error.strerror}"
