"""HTTP/1.1 for the lab's services: connections that are kept, answers in one write, and callers that hang up.

A handler takes a `Request` and returns an `Answer`, or None to cut the connection without a word. It is cancelled when
its caller hangs up meanwhile; what must happen all the same is the handler's to start elsewhere.
"""

from __future__ import annotations

import ssl
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from typing import TypeAlias

import h11
import trio
from trio.abc import Stream


@dataclass(frozen=True, slots=True)
class Request:
    """What a caller asked.

    Attributes:
        method: of HTTP.
        path: with what stands behind the question mark.
        headers: by lower-case name.
        body: all of it.
        source: the caller's address.
        port: the port of ours that it came to.
        connection: which connection it came over, counted from 0.
    """

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes
    source: str
    port: int
    connection: int


@dataclass(frozen=True, slots=True)
class Answer:
    """What is answered."""

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict[str, str])


Handler: TypeAlias = Callable[[Request], Awaitable[Answer | None]]
Wrap: TypeAlias = Callable[[trio.SocketStream], Stream]
"""What to lay around a connection: TLS, a long way."""

_GOODBYE_S = 0.5
_numbers = count()


def plain(stream: trio.SocketStream) -> Stream:
    """Nothing around it."""
    return stream


def secured(context: ssl.SSLContext, wrap: Wrap = plain) -> Wrap:
    """TLS around what `wrap` makes of a connection."""

    def both(stream: trio.SocketStream) -> Stream:
        return trio.SSLStream(wrap(stream), context, server_side=True, https_compatible=True)

    return both


async def listen(
    nursery: trio.Nursery,
    handler: Handler,
    address: str = "127.0.0.1",
    port: int = 0,
    *,
    wrap: Wrap = plain,
    idle: float | None = None,
) -> int:
    """Serve in a nursery until that is cancelled, and return the port.

    Args:
        nursery: what the connections live in.
        handler: answers.
        address: to listen on.
        port: to listen on; 0 for any free one.
        wrap: what to lay around each connection.
        idle: seconds without a request after which a connection is closed; None: never.

    Raises:
        OSError: it cannot listen there.
    """
    (listener,) = await trio.open_tcp_listeners(port, host=address)
    serve = partial(_serve, handler, wrap, idle)
    nursery.start_soon(partial(trio.serve_listeners, serve, [listener]))
    return int(listener.socket.getsockname()[1])


async def _serve(handler: Handler, wrap: Wrap, idle: float | None, connected: trio.SocketStream) -> None:
    stream = wrap(connected)
    try:
        await _Connection(handler, connected, stream).serve(idle)
    finally:
        with trio.CancelScope(shield=True), trio.move_on_after(_GOODBYE_S), suppress(trio.BrokenResourceError):
            await stream.aclose()


class _Connection:
    """One connection; what comes is read all the time, as that is how a caller that hangs up is noticed."""

    def __init__(self, handler: Handler, connected: trio.SocketStream, stream: Stream) -> None:
        self._handler = handler
        self._stream = stream
        self._source: str = connected.socket.getpeername()[0]
        self._port = int(connected.socket.getsockname()[1])
        self._number = next(_numbers)
        self._protocol = h11.Connection(h11.SERVER)
        self._put, self._get = trio.open_memory_channel[bytes](64)
        self._gone = trio.Event()

    async def serve(self, idle: float | None) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._read)
            try:
                while await self._exchange(idle):
                    self._protocol.start_next_cycle()
            except (h11.RemoteProtocolError, trio.BrokenResourceError, trio.ClosedResourceError):
                pass  # the caller's fault, or its end: either way there is nobody to tell
            nursery.cancel_scope.cancel()

    async def _read(self) -> None:
        try:
            while data := await self._stream.receive_some(65536):
                await self._put.send(bytes(data))
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            pass
        self._gone.set()
        self._put.close()

    async def _exchange(self, idle: float | None) -> bool:
        """One request and its answer; whether another one may follow."""
        request = None
        with trio.move_on_after(idle if idle is not None else float("inf")):
            request = await self._request()
        if request is None:
            return False
        answer = await self._answer(request)
        if answer is None:
            return False
        headers = [*answer.headers.items(), ("Content-Length", str(len(answer.body)))]
        parts = (
            h11.Response(status_code=answer.status, headers=headers),
            h11.Data(data=answer.body),
            h11.EndOfMessage(),
        )
        # In one write: head and body apart would wait for a delayed acknowledgement.
        await self._stream.send_all(b"".join(self._protocol.send(part) or b"" for part in parts))
        return self._protocol.our_state is h11.DONE and self._protocol.their_state is h11.DONE

    async def _request(self) -> Request | None:
        """The next request; None where the caller is gone."""
        head: h11.Request | None = None
        body = bytearray()
        while True:
            event = self._protocol.next_event()
            if event is h11.NEED_DATA:
                if self._protocol.they_are_waiting_for_100_continue:
                    go_on = h11.InformationalResponse(status_code=100, headers=[])
                    await self._stream.send_all(self._protocol.send(go_on) or b"")
                self._protocol.receive_data(await self._more())
            elif isinstance(event, h11.Request):
                head = event
            elif isinstance(event, h11.Data):
                body += event.data
            elif isinstance(event, h11.EndOfMessage) and head is not None:
                headers = {name.decode(): value.decode("latin-1") for name, value in head.headers}
                where = (self._source, self._port, self._number)
                return Request(head.method.decode(), head.target.decode(), headers, bytes(body), *where)
            else:
                return None

    async def _more(self) -> bytes:
        try:
            return await self._get.receive()
        except trio.EndOfChannel:
            return b""

    async def _answer(self, request: Request) -> Answer | None:
        """What the handler says; None where the caller hung up first."""
        answer: Answer | None = None
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._until_gone, nursery.cancel_scope)
            answer = await self._handler(request)
            nursery.cancel_scope.cancel()
        return answer

    async def _until_gone(self, scope: trio.CancelScope) -> None:
        await self._gone.wait()
        scope.cancel()
