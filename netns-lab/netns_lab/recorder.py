"""The recorder: a process of its own that watches every kernel and every cable of a lab.

Started as `python -m netns_lab.recorder PREFIX CAPTURE NODE...`. It opens one netlink socket in the namespace of each
node (who has which address and default route) and one packet socket in the switches' namespace (who says what), tells
what it sees as JSON lines on standard output, and keeps every VRRP packet in a capture file. It ends when its standard
input does, so it never outlives the lab, however the lab ends.

A process and not a thread, at real-time priority: an interpreter that is busy with something else would stamp
those events late. Imports the standard library only.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import socket
import struct
import sys
import time
from collections.abc import Callable
from io import BufferedWriter
from pathlib import Path

from netns_lab import kernel, packets, sockets
from netns_lab.topology import SWITCH

_PCAP_HEAD = struct.pack("=IHHiIII", 0xA1B23C4D, 2, 4, 0, 0, 0x40000, 1)  # nanoseconds, Ethernet
_PCAP_RECORD = struct.Struct("=IIII")


class Recorder:
    """Turns what the sockets give into lines."""

    def __init__(self, capture: BufferedWriter) -> None:
        self._capture = capture
        self._lines: list[str] = []
        self._held: dict[tuple[str, str, str], bool] = {}

    def kernel(self, node: str, opened: socket.socket) -> None:
        """Note what a node gets and loses; that the lifetime of an address begins anew is no news."""
        now = time.monotonic_ns()
        try:
            for kind, what, held in sockets.read_changes(opened):
                if self._held.get((node, kind, what)) == held:
                    continue
                self._held[node, kind, what] = held
                self._note(now, kind, {"node": node, kind: what, "held": held})
        except sockets.LostEventsError:
            self._note(now, "lost_events", {"node": node})

    def packets(self, ports: frozenset[str], opened: socket.socket) -> None:
        """Note what came in on the hosts' ports; cables between switches would show it a second time."""
        for packet in sockets.read_packets(opened):
            if packet.interface not in ports:
                continue
            if packets.is_vrrp(packet.frame):
                size = len(packet.frame)
                head = _PCAP_RECORD.pack(*divmod(packet.wall, 1_000_000_000), size, size)
                self._capture.write(head + packet.frame)
            if decoded := packets.decode(packet.frame):
                self._note(packet.t, decoded[0], {"node": packet.interface.partition(".")[0], **decoded[1]})

    def flush(self) -> None:
        """Hand over what was noted."""
        if self._lines:
            with contextlib.suppress(BrokenPipeError):
                sys.stdout.write("".join(self._lines))
                sys.stdout.flush()
            self._lines.clear()
        self._capture.flush()

    def _note(self, t: int, kind: str, values: dict[str, object]) -> None:
        self._lines.append(json.dumps({"t": t, "kind": kind, **values}) + "\n")


def record(prefix: str, capture: Path, nodes: list[str], ports: frozenset[str]) -> None:
    """Record until standard input ends.

    Args:
        prefix: what the names of the lab's namespaces begin with.
        capture: the capture file to write.
        nodes: the hosts whose addresses are watched.
        ports: the switches' ports that are watched, each named after its host: n1, and n1.2 for a second cable.
    """
    poll = select.epoll()
    actions: dict[int, tuple[socket.socket, Callable[[socket.socket], None]]] = {}
    with capture.open("wb") as file:
        file.write(_PCAP_HEAD)
        recorder = Recorder(file)
        for node in nodes:
            kernel.enter(prefix + node)
            opened = sockets.kernel_events()
            actions[opened.fileno()] = (opened, _bound(recorder, node))
        kernel.enter(prefix + SWITCH)
        opened = sockets.packet_socket(packets.FILTER)
        actions[opened.fileno()] = (opened, lambda opened: recorder.packets(ports, opened))
        for number in (*actions, sys.stdin.fileno()):
            poll.register(number, select.EPOLLIN)
        sockets.take_real_time(1)
        print(json.dumps({"t": time.monotonic_ns(), "kind": "ready"}), flush=True)  # noqa: T201  the protocol
        while True:
            for number, _ in poll.poll():
                if number not in actions:
                    if not os.read(number, 4096):
                        return
                    continue
                opened, action = actions[number]
                action(opened)
            recorder.flush()


def _bound(recorder: Recorder, node: str) -> Callable[[socket.socket], None]:
    """The action for a node's socket."""
    return lambda opened: recorder.kernel(node, opened)


if __name__ == "__main__":
    _, given_prefix, given_capture, given_nodes, given_ports = sys.argv
    record(given_prefix, Path(given_capture), given_nodes.split(","), frozenset(given_ports.split(",")))
