"""A small HTTP server on loopback: answers with what a function says, and remembers what it was asked."""

from __future__ import annotations

import json
import ssl
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import h11
import trio


@dataclass(frozen=True)
class Request:
    """What was asked."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def path(self) -> str:
        return urlsplit(self.target).path

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def form(self) -> dict[str, str]:
        return dict(parse_qsl(self.body.decode()))

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


@dataclass(frozen=True)
class Response:
    """What is answered."""

    status: int = 200
    body: Any = b""
    headers: Mapping[str, str] = field(default_factory=dict[str, str])

    @property
    def data(self) -> bytes:
        if isinstance(self.body, bytes):
            return self.body
        return self.body.encode() if isinstance(self.body, str) else json.dumps(self.body).encode()


class CutError(Exception):
    """The connection breaks instead of an answer."""


Answering = Callable[[Request], Awaitable[Response]]


class Server:
    """Answers requests; an open connection is kept, as clouds do."""

    def __init__(self, answer: Answering) -> None:
        self.answer = answer
        self.asked: list[Request] = []
        self.connections = 0
        self.heard = trio.Event()
        """Set when a request has come in."""
        self.broken = trio.Event()
        """Set when the other side closes a connection."""
        self.port = 0
        self._open: list[trio.abc.Stream] = []

    async def close_idle(self) -> None:
        """Close the connections that are open, as a server does after a while."""
        for stream in self._open:
            await stream.aclose()
        self._open.clear()

    async def serve(self, transport: trio.SocketStream, tls: ssl.SSLContext | None) -> None:
        self.connections += 1
        stream = transport if tls is None else trio.SSLStream(transport, tls, server_side=True, https_compatible=True)
        self._open.append(stream)
        try:
            async with stream:
                await self._talk(stream)
        except (trio.BrokenResourceError, trio.ClosedResourceError, h11.RemoteProtocolError):
            pass

    async def _talk(self, stream: trio.abc.Stream) -> None:
        connection = h11.Connection(h11.SERVER)
        while (request := await self._heard(connection, stream)) is not None:
            self.asked.append(request)
            self.heard.set()
            try:
                response = await self._answered(request, stream)
            except CutError:
                return
            headers = {
                "Content-Type": "application/json",
                "Content-Length": str(len(response.data)),
                **response.headers,
            }
            if response.status == 204:
                del headers["Content-Length"]
            said = connection.send(h11.Response(status_code=response.status, headers=list(headers.items())))
            for event in (h11.Data(data=response.data), h11.EndOfMessage()):
                said = (said or b"") + (connection.send(event) or b"")
            await stream.send_all(said or b"")
            if connection.our_state is not h11.DONE:
                return
            connection.start_next_cycle()

    async def _answered(self, request: Request, stream: trio.abc.Stream) -> Response:
        """The answer; a caller that hangs up meanwhile is noticed."""
        found: list[Response] = []

        async def listen() -> None:
            with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
                await stream.receive_some(1)
            self.broken.set()
            nursery.cancel_scope.cancel()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(listen)
            with suppress(CutError):
                found.append(await self.answer(request))
            nursery.cancel_scope.cancel()
        if not found:
            raise CutError
        return found[0]

    async def _heard(self, connection: h11.Connection, stream: trio.abc.Stream) -> Request | None:
        head, body = None, bytearray()
        while True:
            match connection.next_event():
                case h11.Request() as head:
                    pass
                case h11.Data(data=data):
                    body += data
                case h11.EndOfMessage():
                    assert head is not None
                    headers = {name.decode().lower(): value.decode() for name, value in head.headers}
                    return Request(head.method.decode(), head.target.decode(), headers, bytes(body))
                case h11.ConnectionClosed() | h11.PAUSED:
                    return None
                case _:
                    connection.receive_data(bytes(await stream.receive_some(65536)))


@asynccontextmanager
async def serving(answer: Answering, tls: ssl.SSLContext | None = None) -> AsyncGenerator[Server]:
    """Run a server on a port of its own."""
    server = Server(answer)
    async with trio.open_nursery() as nursery:
        start = partial(trio.serve_tcp, lambda stream: server.serve(stream, tls), 0, host="127.0.0.1")
        [listener] = await nursery.start(start)
        server.port = listener.socket.getsockname()[1]
        yield server
        nursery.cancel_scope.cancel()
