"""The fault proxy: a long way with TLS to a service on this machine, and rules for what goes wrong on it.

    async with FaultProxy("http://127.0.0.1:5000", tls=context, rtt=0.02, idle=60) as proxy:
        ... ask proxy.url ...
        proxy.faults.rules.append(Rule("lost_ack", "AssociateAddress", n=1))

What it is asked it asks the service, over a connection of its own for each request; the rules are those of `rules`, so
that a service without faults of its own has the same ones. The way is `rtt` seconds long, there and back: a new
connection costs one round trip, TLS 1.3 one more, as on a real network.
"""

from __future__ import annotations

import ssl
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Self
from urllib.parse import parse_qsl, urlsplit

import h11
import trio
from trio.abc import Stream

from netns_lab.cloud import answers
from netns_lab.cloud.rules import Faults, RefusedError
from netns_lab.cloud.server import Answer, Request, Wrap, listen, plain, secured

_OWN = {"connection", "keep-alive", "transfer-encoding", "content-length"}
"""Headers that are about a connection, not about what is said over it."""


class LongWay(Stream):
    """A stream whose other end is far away: what is sent and what comes is half a round trip late.

    Args:
        stream: the near end.
        rtt: seconds.
        nursery: where what is on its way travels.
    """

    def __init__(self, stream: Stream, rtt: float, nursery: trio.Nursery) -> None:
        self._stream = stream
        self._half = rtt / 2
        self._open_at = trio.current_time() + rtt  # the handshake of TCP is over on this machine in no time
        self._out, leaving = trio.open_memory_channel[tuple[float, bytes]](1024)
        self._coming, self._in = trio.open_memory_channel[tuple[float, bytes]](1024)
        self._sent = trio.Event()
        nursery.start_soon(self._leave, leaving)
        nursery.start_soon(self._come)

    async def _leave(self, leaving: trio.MemoryReceiveChannel[tuple[float, bytes]]) -> None:
        try:
            async for due, data in leaving:
                await trio.sleep_until(due)
                await self._stream.send_all(data)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            pass  # as on a real network, the sender learns of that when it reads
        finally:
            leaving.close()
            self._sent.set()

    async def _come(self) -> None:
        with self._coming:
            data = b"."
            while data:
                try:
                    data = bytes(await self._stream.receive_some())
                except (trio.BrokenResourceError, trio.ClosedResourceError):
                    data = b""
                await self._coming.send((max(self._open_at, trio.current_time()) + self._half, data))

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """Send; it arrives half a round trip from now."""
        await self._out.send((trio.current_time() + self._half, bytes(data)))

    async def wait_send_all_might_not_block(self) -> None:
        """As the near end has it."""
        await self._stream.wait_send_all_might_not_block()

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        """What was sent half a round trip ago, all of it that came at once."""
        try:
            due, data = await self._in.receive()
        except trio.EndOfChannel:
            return b""
        await trio.sleep_until(due)
        return data

    async def aclose(self) -> None:
        """Close the near end, when all has arrived."""
        self._out.close()
        await self._sent.wait()
        await self._stream.aclose()


class FaultProxy:
    """A proxy in front of one service.

    Attributes:
        faults: the rules.
        url: where it is.
        connections: how many were opened to it.
    """

    def __init__(
        self, upstream: str, *, tls: ssl.SSLContext | None = None, rtt: float = 0, idle: float | None = None
    ) -> None:
        """Plan it; it is served inside its block.

        Args:
            upstream: the service, `http://HOST:PORT`.
            tls: with the certificate to show; None for plain HTTP.
            rtt: seconds there and back.
            idle: seconds after which a connection on which nothing is asked is closed; None: never.
        """
        self.url = ""
        self.connections = 0
        where = urlsplit(upstream)
        self._host, self._port = where.hostname or "", where.port or 80
        self._tls = tls
        self._rtt = rtt
        self._idle = idle
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            self._nursery = await stack.enter_async_context(trio.open_nursery())
            self.faults = Faults(self._nursery)
            wrap: Wrap = secured(self._tls, self._way) if self._tls else self._way
            port = await listen(self._nursery, self._handle, wrap=wrap, idle=self._idle)
            self.url = f"{'https' if self._tls else 'http'}://127.0.0.1:{port}"
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._nursery.cancel_scope.cancel()
        await self._stack.aclose()

    def _way(self, stream: trio.SocketStream) -> Stream:
        self.connections += 1
        return LongWay(stream, self._rtt, self._nursery) if self._rtt else plain(stream)

    async def _handle(self, request: Request) -> Answer | None:
        action = dict(parse_qsl(request.body.decode("latin-1"))).get("Action", request.path)
        key = request.headers.get("authorization", "").partition("Credential=")[2].partition("/")[0]
        try:
            return await self.faults.around(action, key, lambda: self._forward(request))
        except RefusedError as refused:
            return answers.refusal(refused)

    async def _forward(self, request: Request) -> Answer | None:
        try:
            stream = await trio.open_tcp_stream(self._host, self._port)
        except OSError:
            return None
        async with stream:
            protocol = h11.Connection(h11.CLIENT)
            headers = [(name, value) for name, value in request.headers.items() if name not in _OWN]
            headers += [("Content-Length", str(len(request.body))), ("Connection", "close")]
            asked = h11.Request(method=request.method, target=request.path, headers=headers)
            parts = (asked, h11.Data(data=request.body), h11.EndOfMessage())
            await stream.send_all(b"".join(protocol.send(part) or b"" for part in parts))
            return await _answer(protocol, stream)


async def _answer(protocol: h11.Connection, stream: Stream) -> Answer | None:
    """What the service says; None where it says nothing."""
    head: h11.Response | None = None
    body = bytearray()
    while True:
        event = protocol.next_event()
        if event is h11.NEED_DATA:
            protocol.receive_data(bytes(await stream.receive_some()))
        elif isinstance(event, h11.Response):
            head = event
        elif isinstance(event, h11.Data):
            body += event.data
        elif isinstance(event, h11.EndOfMessage) and head is not None:
            headers = {name.decode(): value.decode("latin-1") for name, value in head.headers}
            kept = {name: value for name, value in headers.items() if name not in _OWN}
            return Answer(head.status_code, bytes(body), kept)
        elif isinstance(event, h11.ConnectionClosed):
            return None
