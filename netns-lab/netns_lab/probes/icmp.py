"""The echo probe: who answers on the shared address, each millisecond.

Started in the client's namespace as `python -m netns_lab.probes.icmp SHARED CONTROL PACE_NS`. It sends through a
raw ICMP socket, so the kernel of the client decides where an echo request goes: its neighbour table is what a
failover must change, and what gratuitous ARP and unsolicited neighbour advertisements are for. The answers are seen
on a packet socket with the kernel's time; the source MAC address is who answered. Each request carries its own
time, so nothing needs to be remembered, and an answer that was long on its way says so.

Sources: RFC 792 and RFC 4443 4.1 (echo), raw(7), icmp(7).
"""

from __future__ import annotations

import contextlib
import socket
import struct
import sys
from array import array

from netns_lab import packets, sockets
from netns_lab.probes.pacing import report, sleep_until, ticks

_REQUEST = struct.Struct("!BBHHHQ")
_IDENTIFIERS = {0x5601: "shared", 0x5602: "control"}
_SOL_RAW = 255


class Echo:
    """Echo requests and replies of one address family.

    Args:
        version: 4 or 6.
    """

    def __init__(self, version: int) -> None:
        self._version = version
        if version == 4:
            self._type, reply, protocol, family = 8, 0, socket.IPPROTO_ICMP, socket.AF_INET
            where, kind, number = 23, packets.ETH_P_IP, 34
        else:
            self._type, reply, protocol, family = 128, 129, socket.IPPROTO_ICMPV6, socket.AF_INET6
            where, kind, number = 20, packets.ETH_P_IPV6, 54
        self._body = number
        self.sender = socket.socket(family, socket.SOCK_RAW, protocol)
        # This socket only sends; a copy of every reply would pile up in it.
        if version == 4:
            self.sender.setsockopt(_SOL_RAW, 1, b"\xff" * 4)  # ICMP_FILTER
        else:
            self.sender.setsockopt(socket.IPPROTO_ICMPV6, 1, b"\xff" * 32)  # ICMP6_FILTER
        self.sender.setblocking(False)
        self.receiver = sockets.packet_socket(
            (
                (0x28, 0, 0, 0xFFFFF004),  # packet type
                (0x15, 7, 0, 4),  # outgoing -> drop
                (0x28, 0, 0, 12),
                (0x15, 0, 5, kind),
                (0x30, 0, 0, where),
                (0x15, 0, 3, protocol),
                (0x30, 0, 0, number),
                (0x15, 0, 1, reply),
                (0x06, 0, 0, 0x40000),
                (0x06, 0, 0, 0),
            ),
            "eth0",
        )

    def request(self, identifier: int, sequence: int, now: int) -> bytes:
        """An echo request that carries the time."""
        message = _REQUEST.pack(self._type, 0, 0, identifier, sequence & 0xFFFF, now)
        if self._version == 6:
            return message  # the kernel fills in the checksum (RFC 3542 3.1)
        total = sum(struct.unpack("!8H", message))
        total = (total & 0xFFFF) + (total >> 16)
        total = (total & 0xFFFF) + (total >> 16)
        return message[:2] + (~total & 0xFFFF).to_bytes(2, "big") + message[4:]

    def reply(self, frame: bytes) -> tuple[int, int, bytes]:
        """Identifier, time of the request, and the MAC address of who answered."""
        _, _, _, identifier, _, sent = _REQUEST.unpack_from(frame, self._body)
        return identifier, sent, frame[6:12]


def probe(shared: str, control: str, pace_ns: int) -> None:
    """Probe both addresses until standard input ends, then report."""
    echo = Echo(6 if ":" in shared else 4)
    targets = [(identifier, (address, 0)) for identifier, address in zip(_IDENTIFIERS, (shared, control), strict=True)]
    times = {identifier: (array("q"), array("q")) for identifier in _IDENTIFIERS}
    macs: dict[int, list[bytes]] = {identifier: [] for identifier in _IDENTIFIERS}

    def read() -> None:
        for packet in sockets.read_packets(echo.receiver, 128):
            identifier, sent, mac = echo.reply(packet.frame)
            if identifier in times:
                received, asked = times[identifier]
                received.append(packet.t)
                asked.append(sent)
                macs[identifier].append(mac)

    def idle(due: int) -> None:
        read()
        sleep_until(due)

    count = 0
    for now in ticks(pace_ns, idle):
        for identifier, address in targets:
            with contextlib.suppress(OSError):  # no route, no neighbour: a probe without an answer
                echo.sender.sendto(echo.request(identifier, count, now), address)
        count += 1
    read()
    for identifier, name in _IDENTIFIERS.items():
        received, asked = times[identifier]
        named = (packets.mac_text(mac) for mac in macs[identifier])
        report(name, count, pace_ns, zip(received, asked, named, strict=True))


if __name__ == "__main__":
    _, given_shared, given_control, given_pace = sys.argv
    probe(given_shared, given_control, int(given_pace))
