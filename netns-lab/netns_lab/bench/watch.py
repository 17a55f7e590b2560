"""The eyes of a benchmark: what each of two nodes hears from the other, and the addresses that come and go on them.

Started as `python -m netns_lab.bench.watch NAMESPACE-OF-A NAMESPACE-OF-B`; says `ready` in a line, and when its
standard input ends everything it saw, in one line of JSON. While it watches it only collects, so that thousands of
packets in a second cost the nodes next to it little; it decodes at the end. Times are CLOCK_MONOTONIC nanoseconds:
those of packets are the kernel's, those of addresses are when it was told.
"""

from __future__ import annotations

import gc
import json
import os
import select
import socket
import sys
import time
from collections import defaultdict
from collections.abc import Callable
from functools import partial
from typing import Any

from netns_lab import kernel, packets, sockets
from netns_lab.bench.case import RECEIVER, SENDER


class Watch:
    """What was seen, in the order of arrival."""

    def __init__(self) -> None:
        self._packets: list[tuple[str, sockets.Packet]] = []
        self._addresses: list[tuple[int, str, str, bool]] = []

    def hear(self, node: str, opened: socket.socket) -> None:
        """Take what a node sent."""
        self._packets.extend((node, packet) for packet in sockets.read_packets(opened, 256))

    def look(self, node: str, opened: socket.socket) -> None:
        """Take what happened to a node's addresses."""
        now = time.monotonic_ns()
        for kind, what, held in sockets.read_changes(opened):
            if kind == "address":
                self._addresses.append((now, node, what, held))

    def report(self) -> dict[str, Any]:
        """What it came to.

        Returns:
            `adverts`: times by "NODE INTERFACE VRID"; `announced`: (time, node, address) of each gratuitous ARP;
            `addresses`: (time, node, address, held).
        """
        adverts: dict[str, list[int]] = defaultdict(list)
        announced: list[tuple[int, str, str]] = []
        for node, packet in self._packets:
            kind, values = packets.decode(packet.frame) or ("", {})
            if kind == "advert":
                adverts[f"{node} {packet.interface} {values['vrid']}"].append(packet.t)
            elif kind == "announcement":
                announced.append((packet.t, node, values["address"]))
        return {"adverts": adverts, "announced": announced, "addresses": self._addresses}


def watch(namespaces: dict[str, str]) -> None:
    """Watch two namespaces, by node, until standard input ends.

    Raises:
        LostEventsError: something was lost: a lost advertisement would be a late one.
    """
    seen = Watch()
    hearing: list[socket.socket] = []
    actions: dict[int, tuple[socket.socket, Callable[[socket.socket], None]]] = {}
    for node, namespace in namespaces.items():
        kernel.enter(namespace)
        [other] = namespaces.keys() - {node}
        ears, eyes = sockets.packet_socket(packets.FILTER), sockets.kernel_events()
        hearing.append(ears)
        actions[ears.fileno()] = ears, partial(seen.hear, other)
        actions[eyes.fileno()] = eyes, partial(seen.look, node)
    poll = select.epoll()
    for number in (*actions, sys.stdin.fileno()):
        poll.register(number, select.EPOLLIN)
    sockets.take_real_time(1)
    gc.disable()  # it would look through all that was collected, again and again
    print("ready", flush=True)  # noqa: T201  the protocol
    going = True
    while going:
        for number, _ in poll.poll():
            if number in actions:
                opened, action = actions[number]
                action(opened)
            else:
                going = bool(os.read(number, 4096))
    if lost := sum(sockets.lost_packets(ears) for ears in hearing):
        raise sockets.LostEventsError(f"{lost} packets")
    print(json.dumps(seen.report()))  # noqa: T201  the protocol


if __name__ == "__main__":
    watch(dict(zip((SENDER, RECEIVER), sys.argv[1:], strict=True)))
