"""A back end: a web server that answers every request with its own name, after its service time, for ever.

Started in a namespace as `python -m netns_lab.web NAME SERVICE_TIME_MS`. One process, no threads, connections kept
alive; it serves the thousand small requests a second of a probe without being what the probe measures (which is also
why it asks for real-time priority: a back end that waits for the processor would look like a service that pauses). The
service time delays each answer by itself, so any number of requests are served at once. It understands as much HTTP/1.1
as a proxy needs: a request ends with an empty line, and its answer has a length.

SIGUSR1 lets it answer with status 500 from then on, SIGUSR2 with 200 again.
"""

from __future__ import annotations

import select
import signal
import socket
import sys
import time
from collections import deque

from netns_lab.sockets import take_real_time

_END = b"\r\n\r\n"
_MOST = 1 << 16
"""Bytes of a request that has no end yet, before its connection is closed."""


def answer(name: str, status: str = "200 OK") -> bytes:
    """The one answer."""
    body = f"hello from {name}\n".encode()
    head = f"HTTP/1.1 {status}\r\nContent-Type: text/plain\r\nContent-Length: {len(body)}\r\nX-Backend: {name}"
    return head.encode() + _END + body


class Server:
    """All connections of one back end.

    Args:
        name: what it calls itself.
        service_time: seconds.
        port: where it listens, on every address.
    """

    def __init__(self, name: str, service_time: float = 0, port: int = 80) -> None:
        self._good, self._bad = answer(name), answer(name, "500 Internal Server Error")
        self._answer = self._good
        self._service_time = service_time
        self._poll = select.epoll()
        self._connections: dict[int, tuple[socket.socket, bytes]] = {}
        self._due: deque[tuple[float, socket.socket]] = deque()  # all wait equally long: the first in is the first out
        self._listener = socket.create_server(("", port), backlog=1024)
        self._listener.setblocking(False)
        self._poll.register(self._listener, select.EPOLLIN)

    def break_down(self, *_: object) -> None:
        """Answer with status 500 from now on; a handler of a signal."""
        self._answer = self._bad

    def mend(self, *_: object) -> None:
        """Answer as it should again; a handler of a signal."""
        self._answer = self._good

    def serve(self) -> None:
        """Serve for ever."""
        while True:
            wait = max(0.0, self._due[0][0] - time.monotonic()) if self._due else None
            for number, _ in self._poll.poll(wait):
                if number == self._listener.fileno():
                    self._accept()
                else:
                    self._read(number)
            while self._due and self._due[0][0] <= time.monotonic():
                self._reply(self._due.popleft()[1])

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:  # none left, or it was gone before we took it
                return
            connection.setblocking(False)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._connections[connection.fileno()] = (connection, b"")
            self._poll.register(connection, select.EPOLLIN)

    def _read(self, number: int) -> None:
        connection, pending = self._connections[number]
        try:
            data = connection.recv(_MOST)
        except OSError:  # reset
            data = b""
        *requests, pending = (pending + data).split(_END)
        if not data or len(pending) > _MOST:
            self._close(connection)
            return
        self._connections[number] = (connection, pending)
        for _ in requests:
            if self._service_time:
                self._due.append((time.monotonic() + self._service_time, connection))
            else:
                self._reply(connection)

    def _reply(self, connection: socket.socket) -> None:
        try:
            connection.sendall(self._answer)
        except OSError:  # reset or closed meanwhile, or it does not take our answers
            self._close(connection)

    def _close(self, connection: socket.socket) -> None:
        if connection.fileno() in self._connections:
            self._poll.unregister(connection)
            del self._connections[connection.fileno()]
            connection.close()


if __name__ == "__main__":
    take_real_time(1)
    _, given_name, given_time = sys.argv
    server = Server(given_name, int(given_time) / 1000)
    signal.signal(signal.SIGUSR1, server.break_down)
    signal.signal(signal.SIGUSR2, server.mend)
    server.serve()
