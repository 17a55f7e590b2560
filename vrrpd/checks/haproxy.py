"""The check `haproxy: {socket, backend, min_servers}`: does HAProxy itself say that it can serve?

Asks the runtime API (HAProxy's management guide, "Unix Socket commands") on one new connection for each probe:
`show info`, which a process that hangs does not answer and one on its way out answers with `Stopping: 1`, and `show
stat` for one back end. Up are the servers that HAProxy would send a request to (its columns `act` and `bck`): those
that pass its own checks or have none, but none in maintenance, drained, or with weight 0.

The level `user` of a stats socket is enough. A frozen process still has its connections accepted, by the kernel, and
is found out by its silence.
"""

from __future__ import annotations

import csv
import os
import re
from dataclasses import dataclass
from typing import Annotated, TypeAlias

import trio
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, TypeAdapter, WithJsonSchema

from vrrpd.checks.base import Kind, Result, alone
from vrrpd.checks.paths import obstacle
from vrrpd.checks.target import Target, connect, parse_target, reason
from vrrpd.config.scalars import number
from vrrpd.config.words import quote, shown

ANSWER_LIMIT = 4 * 1024 * 1024
"""The longest answer that is read, in bytes: some 10,000 servers."""

_PIECE = 64 * 1024
_PATH_LIMIT = 107  # bytes, unix(7)
_BACKEND_AND_SERVERS = 2 + 4  # types of `show stat`

_Row: TypeAlias = dict[str, str]


def _socket(value: object) -> str | Target:
    """Accept the path of a unix socket, or HOST:PORT."""
    if not isinstance(value, str) or not value.startswith("/"):
        try:
            return parse_target(value)
        except ValueError:
            raise ValueError(
                f"{shown(value)} is no socket of HAProxy; write /run/haproxy/admin.sock or 127.0.0.1:9999"
            ) from None
    if len(value.encode()) > _PATH_LIMIT or "\0" in value:
        raise ValueError(f"{shown(value)} is no path of a socket; write one of up to {_PATH_LIMIT} bytes")
    return value


def _backend(value: object) -> str:
    """Accept a name as HAProxy has them; anything else could be read as a second command."""
    if not isinstance(value, str) or not re.fullmatch(r"[A-Za-z0-9_.:-]+", value):
        raise ValueError(f"{shown(value)} is no name of a back end; write it as in the configuration of HAProxy")
    return value


Socket: TypeAlias = Annotated[
    str | Target,
    BeforeValidator(_socket),
    WithJsonSchema({"type": "string", "examples": ["/run/haproxy/admin.sock", "127.0.0.1:9999"]}),
]


class HaproxyOptions(BaseModel):
    """Options of a `haproxy` check."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    socket: Socket = Field(description="path or HOST:PORT of a stats socket, as in HAProxy's own configuration")
    backend: Annotated[str, BeforeValidator(_backend)] = Field(description="name of a backend or listen section")
    min_servers: Annotated[int, number(0, 65535)] = Field(
        default=1, description="how many servers of the back end must be up; 0: the back end need only exist"
    )


OPTIONS: TypeAdapter[HaproxyOptions] = TypeAdapter(HaproxyOptions)
"""Validates `{socket, backend, min_servers}`."""


def inspect(options: HaproxyOptions) -> str | None:
    """What keeps this host from asking: a socket that is there and closed to this process."""
    return obstacle(options.socket, os.W_OK) if isinstance(options.socket, str) else None


class _OddAnswerError(Exception):
    """What came back is no answer to what was asked; the text says what is wrong with it."""


@dataclass(frozen=True, slots=True)
class _Answer:
    """What HAProxy says of itself and of a back end.

    Attributes:
        stopping: it is on its way out.
        up: servers that would get a request.
        servers: all servers.
        load: sessions, queue and connections, with their limits, for people.
    """

    stopping: bool
    up: int
    servers: int
    load: str


class HaproxyCheck:
    """Healthy while HAProxy answers, is not stopping, and has enough servers in a back end."""

    def __init__(self, options: HaproxyOptions) -> None:
        self._socket = options.socket
        self._backend = options.backend
        self._min_servers = options.min_servers
        self._question = f"show info;show stat {options.backend} {_BACKEND_AND_SERVERS} -1\n".encode()

    async def probe(self) -> Result:
        """Connect, ask, judge the answer."""
        try:
            answer = _read(await self._ask())
            if answer is not None and answer.stopping:  # it was reloaded just now, and its successor has the socket
                answer = _read(await self._ask())
        except PermissionError as error:
            return Result(ok=False, detail=await self._obstacle() or reason(error))
        except OSError as error:
            return Result(ok=False, detail=reason(error))
        except trio.BrokenResourceError:
            return Result(ok=False, detail="the connection was cut")
        except _OddAnswerError as error:
            return Result(ok=False, detail=str(error))
        if answer is None:
            return Result(ok=False, detail=f"HAProxy has no back end {self._backend}")
        if answer.stopping:
            return Result(ok=False, detail="HAProxy is stopping")
        enough = answer.up >= self._min_servers
        wanted = "" if enough else f", {self._min_servers} wanted"
        return Result(ok=enough, detail=f"{answer.up} of {answer.servers} servers up{wanted}; {answer.load}")

    async def _ask(self) -> str:
        """Ask, and read until HAProxy hangs up, which it does after the last answer.

        Raises:
            OSError: it cannot be reached.
            trio.BrokenResourceError: the connection broke.
            _OddAnswerError: it never stops talking.
        """
        async with await self._connect() as stream:
            await stream.send_all(self._question)
            answer = bytearray()
            while piece := await stream.receive_some(_PIECE):
                answer += piece
                if len(answer) > ANSWER_LIMIT:
                    raise _OddAnswerError(f"not an answer of HAProxy: it is longer than {ANSWER_LIMIT >> 20} MiB")
        return answer.decode(errors="replace")

    async def _connect(self) -> trio.SocketStream:
        if isinstance(self._socket, Target):
            return await connect(self._socket)
        stream = await trio.open_unix_socket(self._socket)
        try:
            stream.socket.getpeername()  # a unix socket whose queue is full looks connected to trio, and is not
        except OSError:
            stream.socket.close()
            raise ConnectionError("takes no more connections: it hangs, or has too many") from None
        return stream

    async def _obstacle(self) -> str | None:
        """What is in the way to the socket; in a worker thread, because it asks for names of users and groups."""
        assert isinstance(self._socket, str), self._socket
        return await trio.to_thread.run_sync(obstacle, self._socket, os.W_OK, abandon_on_cancel=True)


def _read(text: str) -> _Answer | None:
    """Understand both answers; None where HAProxy has no such back end.

    Raises:
        _OddAnswerError: they are not what was asked for, or not whole.
    """
    head, _, table = text.partition("\n# ")
    info = dict(line.split(": ", 1) for line in head.splitlines() if ": " in line)
    try:
        stopping, connections, limit = (int(info[name]) for name in ("Stopping", "CurrConns", "Maxconn"))
    except (KeyError, ValueError):
        raise _OddAnswerError(f"not an answer of HAProxy: {quote((text.strip().splitlines() or [''])[0])}") from None
    if not text.endswith("\n\n"):
        raise _OddAnswerError("the answer of HAProxy breaks off")
    try:
        # The columns differ between versions, so they are found by the names in the first line.
        rows = list(csv.DictReader(table.splitlines()))
        totals = [row for row in rows if row["svname"] == "BACKEND"]
        if not totals:
            return None
        up = int(totals[0]["act"]) + int(totals[0]["bck"])
        servers = [row for row in rows if row["svname"] != "BACKEND"]
        load = f"{_load(rows, servers)}, {connections} of {limit} connections in all"
    except (KeyError, TypeError, ValueError, csv.Error):
        raise _OddAnswerError("HAProxy describes the back end in a way that is not understood") from None
    return _Answer(bool(stopping), up, len(servers), load)


def _load(rows: list[_Row], servers: list[_Row]) -> str:
    """Sessions and queue of a back end; with their limits, where every server that is up has one."""
    sessions = sum(int(row["scur"]) for row in servers)
    queued = sum(int(row["qcur"]) for row in rows)  # the back end has a queue of its own
    up = [row for row in servers if row["status"].startswith(("UP", "no check"))]
    return f"{sessions}{_limit(up, 'slim')} sessions, {queued}{_limit(up, 'qlimit')} queued"


def _limit(servers: list[_Row], column: str) -> str:
    limits = [int(row[column] or 0) for row in servers]
    return f" of {sum(limits)}" if limits and all(limits) else ""


KINDS = {"haproxy": Kind(OPTIONS, alone(HaproxyCheck), inspect)}
"""For the registry."""
