"""The mover `probe`: answers a load balancer's health probe while this node is Active, and only then.

Where the load balancer of a cloud (Azure, Google Cloud) holds the address, nothing has to be moved: it sends
connections to whichever node its probe finds healthy. So all nodes are behind it, and one of them answers.

With `protocol: tcp` an Active accepts connections and keeps them until the prober hangs up; everybody else refuses
them, and at the loss of the role the open ones are reset. With `protocol: http` every node answers: the Active 200, the
others 503. Both load balancers take any status but 200, and a refused or reset connection, for a failed probe, Azure
whatever its threshold; the 503 has the advantage that people, too, can tell a standby from a dead agent.

The port is bound when the agent starts, and nobody else can have it from then on (`linux.ports`); to begin to answer
is one system call. Whoever floods the port costs little: the kernel's queue is short, at most 3200 connections a
second are taken from it, at most 64 are open, of which the oldest goes for a new one, and each has little time. Whom a
firewall lets flood it all the same can keep a prober waiting: an Active looks dead then.

Must not do: say that the service is healthy. That is for the checks, which decide who is Active.

Sources: the overviews of health probes of Azure Load Balancer and of health checks of Google Cloud; RFC 9110, RFC 9112.
"""

from __future__ import annotations

import contextlib
import errno
import itertools
import re
import socket
import struct
from collections.abc import Sequence
from ipaddress import ip_address
from typing import Annotated, Any, Literal, Never, Self, cast

import h11
import trio
from pydantic import Field, TypeAdapter, model_validator

from vrrpd.config import scalars
from vrrpd.config.scalars import Scalar, Shorthand
from vrrpd.config.words import plain_error, quote
from vrrpd.linux import ports
from vrrpd.movers.base import CommonOptions, Holder, Host, Kind, UnavailableError, Who

OPEN = 64
"""Connections that are open at one time; a further one takes the place of the oldest."""

AT_ONCE = 16
"""Connections that are accepted in a row."""

PAUSE_S = 0.005
"""Between two rows, in seconds."""

PATIENCE_S = 10
"""How long a connection may last, in seconds; probers give up earlier."""

_READS, _READ = 16, 8192  # of one connection, and bytes of each: a request fits into one
_NO_ROOM = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}
_NO_ROOM_S = 0.1  # seconds until an accept that found no descriptor or memory is tried again
_RESET = struct.pack("ii", 1, 0)  # struct linger: close with a reset
_LISTEN = re.compile(r"(?:(?:\[(?P<v6>[^\]]*)\]|(?P<v4>[^:\[\]]*)):)?(?P<port>[0-9]{1,5})", re.ASCII)


def _listen() -> Scalar:
    """A port, for all addresses of this host, or `ADDRESS:PORT`."""
    form = "write a port such as 8080, or a shared address with it: 10.0.0.100:8080 or [fd00::100]:8080"

    def read(text: str) -> tuple[str, int]:
        found = _LISTEN.fullmatch(text)
        if found is None:
            raise plain_error(f"{quote(text)} is no port", form)
        host, port = found["v6"] or found["v4"] or "", int(found["port"])
        if not 1 <= port <= 65535:
            raise plain_error(f"port {port} does not exist", "write 1..65535")
        if ":" in text:
            try:
                right = ip_address(host).version == (6 if found["v6"] else 4)
            except ValueError:
                right = False
            if not right:
                raise plain_error(f"{quote(text)} names no address of this host", form)
        return host, port

    forms = [{"type": "integer", "minimum": 1, "maximum": 65535}, {"type": "string", "pattern": ":?[0-9]{1,5}$"}]
    return Scalar(read, "8080", {"anyOf": forms})


def _path() -> Scalar:
    """What a prober asks for."""

    def read(text: str) -> str:
        if not re.fullmatch("/[!-~]*", text) or "#" in text:
            raise plain_error(f"{quote(text)} is no path", "write one such as /healthz")
        return text

    return Scalar(read, "/healthz", {"type": "string", "pattern": "^/"})


def _body() -> Scalar:
    """What a prober looks for."""

    def read(text: str) -> str:
        if len(text.encode()) > 1024:
            raise plain_error("the body is too long", "write at most 1024 bytes, of which probers read no more")
        return text

    return Scalar(read, "active", {"type": "string", "minLength": 1, "maxLength": 1024})


class ProbeOptions(CommonOptions):
    """Options of a `probe` mover."""

    listen: Annotated[
        tuple[str, int],
        _listen(),
        Field(description="the port that answers, on all addresses of this host, or ADDRESS:PORT of a shared one"),
    ]
    protocol: Annotated[
        Literal["tcp", "http"],
        scalars.choice("tcp", "http"),
        Field(
            description="tcp (default): an Active accepts connections, the others refuse them; http: an Active answers "
            "200, the others 503"
        ),
    ] = "tcp"
    path: Annotated[
        str | None, _path(), Field(description="the only path that is answered so, others with 404 (default: any)")
    ] = None
    body: Annotated[str, _body(), Field(description="what an Active's answer carries (default active)")] = "active"

    @model_validator(mode="after")
    def _fits(self) -> Self:
        self.refuse("takeover", "connect_timeout", "release", "unready_weight")
        useless = sorted({"path", "body"} & self.model_fields_set)
        if useless and self.protocol == "tcp":
            raise plain_error(f"{useless[0]!r} is of no use with tcp", "write protocol: http, or leave it out")
        return self


def _expanded(value: object) -> object:
    return {"listen": cast("object", value)} if isinstance(value, str) else value


class ProbeMover:
    """Answers while it has been acquired."""

    compares = False
    local = True

    def __init__(self, options: ProbeOptions, host: Host) -> None:
        self._options = options
        self._host = host
        self._http = options.protocol == "http"
        self._path = None if options.path is None else options.path.encode()
        self._active_answer = _answer(200, options.body)
        self._answering = False
        self._wanted = trio.Event()  # somebody is to be accepted
        self._accepting: trio.CancelScope | None = None
        self._open: dict[trio.CancelScope, trio.SocketStream] = {}  # the oldest first

    async def prepare(self) -> None:
        """Nothing is missing: the port is ours since the start."""

    async def holder(self, *, fresh: bool = False) -> Holder:
        """This node, while it answers; of the others it knows nothing."""
        return Holder(Who.ME if self._answering else Who.NOBODY)

    async def acquire(self, seen: Holder | None) -> None:
        """Begin to answer that this node is Active."""
        if not self._http:  # with http an agent that hangs gives no answer
            self._host.watch.listens(self._name, self._listener)
        self._listen()
        self._answering = True

    async def release(self, seen: Holder) -> None:
        """Answer no more, and cut those who are waiting to see whether we do."""
        self._answering = False
        if not self._http:
            self._refuse()

    async def local_verify(self) -> bool | None:
        """Whether the port answers."""
        return self._answering and ports.listening(self._listener)

    async def aclose(self) -> None:
        """As `release`; with http the others are told 503 for as long as `serve` runs."""
        await self.release(Holder(Who.ME))

    async def serve(self) -> Never:
        """Accept and answer, whenever the port listens; with http it always does."""
        try:
            if self._http:
                with contextlib.suppress(UnavailableError):  # said by `acquire`
                    self._listen()
            while True:
                await self._wanted.wait()
                if not ports.listening(self._listener):  # and no more, before we were awake
                    continue
                async with trio.open_nursery() as nursery:
                    self._accepting = nursery.cancel_scope
                    nursery.start_soon(self._accept, nursery)
        finally:
            self._refuse()

    @property
    def _listener(self) -> socket.socket:
        return self._host.port(*self._options.listen)

    @property
    def _name(self) -> str:
        host, port = self._options.listen
        return f"{host} {port}"

    def _listen(self) -> None:
        try:
            ports.listen(self._listener)
        except OSError as error:
            text = "another program listens on the port of the probe; stop that (ss -ltnp names it)"
            raise UnavailableError(text) from error
        self._wanted.set()

    def _refuse(self) -> None:
        """Refuse connections, reset those that are open."""
        ports.refuse(self._listener)
        self._host.watch.refuses(self._name)
        self._wanted = trio.Event()
        if self._accepting is not None:
            self._accepting.cancel()
            self._accepting = None
        for stream in self._open.values():
            _reset(stream)

    async def _accept(self, nursery: trio.Nursery) -> None:
        listener = trio.socket.from_stdlib_socket(self._listener.dup())
        with listener:
            for number in itertools.count(1):
                try:
                    connection, _ = await listener.accept()
                except OSError as error:
                    # One that is gone already is nobody's fault (accept(2)); without room it would be asked in a loop.
                    await trio.sleep(_NO_ROOM_S if error.errno in _NO_ROOM else PAUSE_S)
                    continue
                if len(self._open) >= OPEN:
                    next(iter(self._open)).cancel()
                nursery.start_soon(self._attend, trio.SocketStream(connection))
                if not number % AT_ONCE:
                    await trio.sleep(PAUSE_S)

    async def _attend(self, stream: trio.SocketStream) -> None:
        """One connection, from its beginning to its end, which is soon."""
        with trio.move_on_after(PATIENCE_S) as scope:
            self._open[scope] = stream
            try:
                with contextlib.suppress(trio.BrokenResourceError, trio.ClosedResourceError):
                    await (self._speak(stream) if self._http else _hold(stream))
            finally:
                del self._open[scope]
                stream.socket.close()

    async def _speak(self, stream: trio.SocketStream) -> None:
        """Answer one request; whoever sends none, or no HTTP, gets no answer."""
        request = await _request(stream)
        if request is None:
            return
        if request.method not in {b"GET", b"HEAD"}:
            answer = _WRONG_METHOD
        elif self._path not in {None, request.target.partition(b"?")[0]}:
            answer = _WRONG_PATH
        else:
            answer = self._active_answer if self._answering else _STANDBY
        await stream.send_all(answer[0] if request.method == b"HEAD" else b"".join(answer))
        with contextlib.suppress(trio.BrokenResourceError):
            await stream.send_eof()
            await _hold(stream)  # what is closed with something unread is reset, and the answer lost


def _answer(status: int, text: str) -> tuple[bytes, bytes]:
    """Head and body of an answer, once for all."""
    body = f"{text}\n".encode()
    headers = [("Content-Type", "text/plain; charset=utf-8"), ("Content-Length", str(len(body)))]
    headers += [("Cache-Control", "no-store"), ("Connection", "close")]
    server = h11.Connection(our_role=h11.SERVER)
    head = server.send(h11.Response(status_code=status, headers=headers, reason=_REASONS[status]))
    return head, body


_REASONS = {200: b"OK", 404: b"Not Found", 405: b"Method Not Allowed", 503: b"Service Unavailable"}
_STANDBY = _answer(503, "this node is not Active")
_WRONG_PATH = _answer(404, "there is nothing here")
_WRONG_METHOD = _answer(405, "write GET")


async def _request(stream: trio.SocketStream) -> h11.Request | None:
    """The head of the first request; None where there is none."""
    server = h11.Connection(our_role=h11.SERVER, max_incomplete_event_size=_READ)
    for _ in range(_READS):
        server.receive_data(bytes(await stream.receive_some(_READ)))
        try:
            event = server.next_event()
        except h11.RemoteProtocolError:
            return None
        if event is not h11.NEED_DATA:
            return event if isinstance(event, h11.Request) else None
    return None


async def _hold(stream: trio.SocketStream) -> None:
    """Stay until the other side hangs up, or has said more than a prober would."""
    for _ in range(_READS):
        if not await stream.receive_some(_READ):
            return


def _reset(stream: trio.SocketStream) -> None:
    """Have the connection end with a reset when it is closed, so that a prober sees a failure, and no end."""
    with contextlib.suppress(OSError):
        stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)


def _ports(options: ProbeOptions) -> Sequence[tuple[str, int]]:
    return [options.listen]


def _things(options: ProbeOptions) -> Sequence[str]:
    return [f"port {options.listen[1]}"]


_FORM: dict[str, Any] = {"type": "integer", "description": "the port that answers while this node is Active"}

OPTIONS: TypeAdapter[ProbeOptions] = TypeAdapter(Annotated[ProbeOptions, Shorthand(_expanded, _FORM)])
"""Validates `PORT` and `{listen: ..., protocol: ..., ...}`."""

KINDS = {"probe": Kind(OPTIONS, ProbeMover, ports=_ports, things=_things)}
"""For the registry."""
