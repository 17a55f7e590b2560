"""A back end: a web server that answers every request with its own name, fast and for ever.

Started in a namespace as `python -m netns_lab.web NAME`. One process, no threads, connections kept alive; it serves
the thousand small requests a second of a probe without being what the probe measures (which is also why it asks for
real-time priority: a back end that waits for the processor would look like a service that pauses). It understands
as much HTTP/1.1 as a proxy needs: a request ends with an empty line, and its answer has a length.
"""

from __future__ import annotations

import select
import socket
import sys

from netns_lab.sockets import take_real_time

_END = b"\r\n\r\n"
_MOST = 1 << 16
"""Bytes of a request that has no end yet, before its connection is closed."""


def answer(name: str) -> bytes:
    """The one answer."""
    body = f"hello from {name}\n".encode()
    head = f"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {len(body)}\r\nX-Backend: {name}"
    return head.encode() + _END + body


class Server:
    """All connections of one back end."""

    def __init__(self, name: str, port: int = 80) -> None:
        self._answer = answer(name)
        self._poll = select.epoll()
        self._connections: dict[int, tuple[socket.socket, bytes]] = {}
        self._listener = socket.create_server(("", port), backlog=1024)
        self._listener.setblocking(False)
        self._poll.register(self._listener, select.EPOLLIN)

    def serve(self) -> None:
        """Serve for ever."""
        while True:
            for number, _ in self._poll.poll():
                if number == self._listener.fileno():
                    self._accept()
                else:
                    self._read(number)

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
            *requests, pending = (pending + data).split(_END)
            connection.sendall(self._answer * len(requests))
        except OSError:  # reset, or it does not take our answers
            data = b""
        if not data or len(pending) > _MOST:
            self._poll.unregister(number)
            del self._connections[number]
            connection.close()
        else:
            self._connections[number] = (connection, pending)


if __name__ == "__main__":
    take_real_time(1)
    Server(sys.argv[1]).serve()
