"""The web probe: one request each tick, and what became of every one of them.

Started in the client's namespace as `python -m netns_lab.probes.http SHARED CONTROL PACE_NS new|kept`. The shared
address is asked through whatever proxy answers there; the control is a web server asked directly. Who answered is what
the proxy says of itself in the header `X-Node`, with the back end from `X-Backend` behind a slash (`n1/w2`).

`new`: a new TCP connection for each request, as a client without patience makes them. `kept`: the shared address is
asked over connections that are kept alive, the one that rested longest first, and a new one where none is free.

A request has failed when it was reset, refused, closed early, answered with another status than 200, or not answered
within a second; each is reported with its reason, and whether its connection was a kept one (one that had answered
before: its other end may be gone through no fault of the service). Requests are independent of each other: one that
hangs holds up nothing. After the last tick all those on their way are waited for, so that sent = answered + failed.
"""

from __future__ import annotations

import errno
import select
import socket
import struct
import sys
import time
from collections import deque
from dataclasses import dataclass, field

from netns_lab.probes.pacing import report, ticks

_PATIENCE_NS = 1_000_000_000
_TARGETS = ("shared", "control")
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)  # no TIME_WAIT: thousands of those would use up the client's ports
_REASONS = {
    errno.ECONNRESET: "reset",
    errno.EPIPE: "reset",
    errno.ECONNREFUSED: "refused",
    errno.EHOSTUNREACH: "unreachable",
    errno.ENETUNREACH: "unreachable",
}


def request(*, keep: bool) -> bytes:
    """The one request."""
    return f"GET / HTTP/1.1\r\nHost: lab\r\nConnection: {'keep-alive' if keep else 'close'}\r\n\r\n".encode()


@dataclass(slots=True)
class Exchange:
    """A connection with a request on its way; at rest in between, where it is kept.

    Attributes:
        target: `shared` or `control`.
        connection: the socket.
        started: when the request began, nanoseconds.
        kept: it has answered before.
        answer: what has come so far.
    """

    target: str
    connection: socket.socket
    started: int
    kept: bool = False
    answer: bytes = b""


@dataclass(slots=True)
class Findings:
    """What became of the requests to one target."""

    replies: list[tuple[int, int, str]] = field(default_factory=list[tuple[int, int, str]])
    failures: list[tuple[int, int, str, bool]] = field(default_factory=list[tuple[int, int, str, bool]])


class Client:
    """All connections of the probe.

    Args:
        keep: the shared address is asked over connections that are kept.
    """

    def __init__(self, *, keep: bool) -> None:
        self.findings = {target: Findings() for target in _TARGETS}
        self._kept = {"shared"} if keep else set[str]()
        self._poll = select.epoll()
        self._open: dict[int, Exchange] = {}
        self._resting: deque[int] = deque()

    def begin(self, target: str, address: str, now: int) -> None:
        """Send a request."""
        if target in self._kept and self._resting:
            number = self._resting.popleft()
            old = self._open.pop(number)  # to the end of the dictionary: it is in the order of the starts
            exchange = Exchange(target, old.connection, now, kept=True)
            self._open[number] = exchange
            self._send(number, exchange)
            return
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        connection = socket.socket(family, socket.SOCK_STREAM)
        connection.setblocking(False)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        connection.connect_ex((address, 80))  # a failure shows when sending
        exchange = Exchange(target, connection, now)
        self._open[connection.fileno()] = exchange
        self._poll.register(connection, select.EPOLLOUT)
        # On veth the handshake is over by now, mostly: the request follows as closely as that of a client which waits.
        self._send(connection.fileno(), exchange)

    def idle(self, due: int) -> None:
        """Serve the connections until a time, and give up on the old ones."""
        while (left := due - time.monotonic_ns()) > 0:
            # select(2) wakes in microseconds where epoll_wait(2) counts in milliseconds.
            select.select([self._poll], [], [], left / 1_000_000_000)
            self._serve()
        now = time.monotonic_ns()
        for number, exchange in list(self._open.items()):  # in the order of their start
            if now - exchange.started < _PATIENCE_NS:
                break
            if number not in self._resting:
                self._fail(number, exchange, "timeout")

    def finish(self) -> None:
        """Wait for the requests that are on their way."""
        while len(self._open) > len(self._resting):
            self.idle(time.monotonic_ns() + 10_000_000)

    def _serve(self) -> None:
        for number, event in self._poll.poll(0):
            exchange = self._open[number]
            if event & select.EPOLLOUT:
                self._send(number, exchange)
            else:
                self._read(number, exchange)

    def _send(self, number: int, exchange: Exchange) -> None:
        try:
            exchange.connection.send(request(keep=exchange.target in self._kept))
            self._poll.modify(number, select.EPOLLIN)
        except BlockingIOError:  # not connected yet
            return
        except OSError as failure:
            self._fail(number, exchange, _reason(failure))

    def _read(self, number: int, exchange: Exchange) -> None:
        try:
            data = exchange.connection.recv(4096)
        except OSError as failure:
            self._fail(number, exchange, _reason(failure))
            return
        exchange.answer += data
        if is_whole(exchange.answer):
            self._answered(number, exchange)
        elif not data:
            self._fail(number, exchange, "closed")

    def _answered(self, number: int, exchange: Exchange) -> None:
        status = exchange.answer[9:12].decode("ascii", "replace")
        if status != "200":
            self._fail(number, exchange, f"status {status}")
            return
        reply = (time.monotonic_ns(), exchange.started, who(exchange.answer))
        self.findings[exchange.target].replies.append(reply)
        if exchange.target in self._kept and b"onnection: close" not in exchange.answer:
            exchange.answer = b""
            self._resting.append(number)
        else:
            self._close(number)

    def _fail(self, number: int, exchange: Exchange, reason: str) -> None:
        if number in self._resting:  # closed while it rested: nobody asked for anything
            self._resting.remove(number)
        else:
            failure = (time.monotonic_ns(), exchange.started, reason, exchange.kept)
            self.findings[exchange.target].failures.append(failure)
        self._close(number)

    def _close(self, number: int) -> None:
        exchange = self._open.pop(number)
        self._poll.unregister(number)
        exchange.connection.close()


def is_whole(answer: bytes) -> bool:
    """Whether an answer has its head and all of its body, as long as the head says it is."""
    head, found, body = answer.partition(b"\r\n\r\n")
    return bool(found) and len(body) >= int(header(head, b"content-length") or 0)


def header(head: bytes, wanted: bytes) -> str:
    """A header of an answer by its name in small letters; empty where it is not there."""
    for line in head.split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        if name.lower() == wanted:
            return value.strip().decode("ascii", "replace")
    return ""


def who(answer: bytes) -> str:
    """Who answered, from the headers: `NODE/BACKEND`, with an empty part for what is not there."""
    head = answer.partition(b"\r\n\r\n")[0]
    return f"{header(head, b'x-node')}/{header(head, b'x-backend')}"


def _reason(failure: OSError) -> str:
    return _REASONS.get(failure.errno or 0, (failure.strerror or "failed").lower())


def probe(shared: str, control: str, pace_ns: int, *, keep: bool) -> None:
    """Probe both addresses until standard input ends, then report."""
    client = Client(keep=keep)
    count = 0
    for now in ticks(pace_ns, client.idle):
        client.begin("shared", shared, now)
        client.begin("control", control, now)
        count += 1
    client.finish()
    for target in _TARGETS:
        report(target, count, pace_ns, client.findings[target].replies, client.findings[target].failures)


if __name__ == "__main__":
    _, given_shared, given_control, given_pace, given_mode = sys.argv
    probe(given_shared, given_control, int(given_pace), keep=given_mode == "kept")
