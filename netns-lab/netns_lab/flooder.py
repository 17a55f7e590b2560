"""The flooder: a process that sends forged packets at a steady rate for a while, and says how many it sent.

Started as `python -m netns_lab.flooder RECIPE RATE SECONDS TARGET`, where TARGET is a JSON object with the attributes
of `forgeries.Target`. It sends from the namespace that it is started in, at most `RATE * SECONDS` packets, and ends; a
line of JSON on standard output says how many there were and how long it took. Imports the standard library only.

Packets go out through a raw socket that takes whole IP packets, so any source address can be claimed, and the kernel
finds the way. A piece of them goes out each millisecond; one that the machine delayed is made up for.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import socket
import sys
import time

from netns_lab.forgeries import Target, packets

_IPV6_HDRINCL = 36
_PIECE_S = 0.001


def flood(recipe: str, rate: int, seconds: float, target: Target) -> int:
    """Send, and return how many packets the kernel took.

    Args:
        recipe: a name of `forgeries.RECIPES`.
        rate: packets a second.
        seconds: how long.
        target: whom.
    """
    six = target.family == "ipv6"
    opened = socket.socket(socket.AF_INET6 if six else socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
    if six:
        opened.setsockopt(socket.IPPROTO_IPV6, _IPV6_HDRINCL, 1)
    opened.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"eth0")  # the group needs no route then
    interface = socket.if_nametoindex("eth0")
    ready = [(bytes_, (to, 0, 0, interface) if six else (to, 0)) for to, bytes_ in packets(recipe, target)]
    ring = itertools.cycle(ready)
    begun, passed, sent = time.monotonic(), 0, 0
    with opened:
        while passed < rate * seconds:
            due = min(int((time.monotonic() - begun) * rate), int(rate * seconds))
            for _ in range(due - passed):
                with contextlib.suppress(OSError):  # a full queue: not sent, and not counted
                    opened.sendto(*next(ring))
                    sent += 1
            passed = due
            time.sleep(_PIECE_S)
    return sent


if __name__ == "__main__":
    _, given_recipe, given_rate, given_seconds, given_target = sys.argv
    started = time.monotonic()
    count = flood(given_recipe, int(given_rate), float(given_seconds), Target(**json.loads(given_target)))
    print(json.dumps({"sent": count, "seconds": time.monotonic() - started}))  # noqa: T201  the protocol
