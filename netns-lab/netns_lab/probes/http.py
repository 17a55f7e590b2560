"""The web probe: a new TCP connection and one request for each probe, as a client without patience would make them.

Started in the client's namespace as `python -m netns_lab.probes.http SHARED CONTROL PACE_NS`. The shared address is
asked through whatever proxy answers there; the control is a web server asked directly. Who answered is what the proxy
says of itself in the header `X-Node`, with the back end from `X-Backend` behind a slash (`n1/w2`).

Connections are independent of each other: one that hangs holds up nothing, and counts for nothing after a second.
An answer's time is when it was read, at most a quarter of a millisecond after it came.
"""

from __future__ import annotations

import select
import socket
import struct
import sys
import time
from dataclasses import dataclass

from netns_lab.probes.pacing import report, sleep_until, ticks

_PATIENCE_NS = 1_000_000_000
_LOOK_NS = 250_000
_TARGETS = ("shared", "control")
_REQUEST = b"GET / HTTP/1.1\r\nHost: lab\r\nConnection: close\r\n\r\n"
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)  # no TIME_WAIT: thousands of those would use up the client's ports


@dataclass(slots=True)
class Attempt:
    """One connection on its way."""

    target: str
    started: int
    connection: socket.socket
    answer: bytes = b""


class Client:
    """All connections of the probe."""

    def __init__(self) -> None:
        self.replies: dict[str, list[tuple[int, int, str]]] = {target: [] for target in _TARGETS}
        self._poll = select.epoll()
        self._open: dict[int, Attempt] = {}

    def begin(self, target: str, address: str, now: int) -> None:
        """Start a connection."""
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        connection = socket.socket(family, socket.SOCK_STREAM)
        connection.setblocking(False)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        connection.connect_ex((address, 80))  # a failure shows as an event
        self._open[connection.fileno()] = Attempt(target, now, connection)
        self._poll.register(connection, select.EPOLLOUT)

    def idle(self, due: int) -> None:
        """Serve the connections until a time, and give up on the old ones."""
        while True:
            self._serve()
            now = time.monotonic_ns()
            if now >= due:
                break
            sleep_until(min(due, now + _LOOK_NS))
        for number, attempt in list(self._open.items()):  # in the order of their start
            if now - attempt.started < _PATIENCE_NS:
                break
            self._close(number)

    def _serve(self) -> None:
        for number, event in self._poll.poll(0):
            attempt = self._open[number]
            try:
                if event & select.EPOLLOUT:
                    attempt.connection.send(_REQUEST)
                    self._poll.modify(number, select.EPOLLIN)
                else:
                    self._read(number, attempt)
            except OSError:  # refused, reset, unreachable: a probe without an answer
                self._close(number)

    def _read(self, number: int, attempt: Attempt) -> None:
        data = attempt.connection.recv(4096)
        attempt.answer += data
        if b"\r\n\r\n" in attempt.answer:
            if attempt.answer.startswith(b"HTTP/1.1 200"):
                self.replies[attempt.target].append((time.monotonic_ns(), attempt.started, who(attempt.answer)))
            self._close(number)
        elif not data:
            self._close(number)

    def _close(self, number: int) -> None:
        attempt = self._open.pop(number)
        self._poll.unregister(number)
        attempt.connection.close()


def who(answer: bytes) -> str:
    """Who answered, from the headers: `NODE/BACKEND`, with an empty part for what is not there."""
    named = {b"x-node": "", b"x-backend": ""}
    for line in answer.split(b"\r\n\r\n", 1)[0].split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        if name.lower() in named:
            named[name.lower()] = value.strip().decode("ascii", "replace")
    return f"{named[b'x-node']}/{named[b'x-backend']}"


def probe(shared: str, control: str, pace_ns: int) -> None:
    """Probe both addresses until standard input ends, then report."""
    client = Client()
    count = 0
    for now in ticks(pace_ns, client.idle):
        client.begin("shared", shared, now)
        client.begin("control", control, now)
        count += 1
    for target in _TARGETS:
        report(target, count, pace_ns, client.replies[target])


if __name__ == "__main__":
    _, given_shared, given_control, given_pace = sys.argv
    probe(given_shared, given_control, int(given_pace))
