"""The check `http: {url, expect, body, host, ca}`: does a GET answer as it should?

One new connection for each probe, because a connection that was opened in good times proves little, and HTTP/1.1 by h11
on a trio stream, because a full client library costs three times the processor time of the agent's busiest check.

Never follows a redirect (the answer of the service itself is in question, not that of another), reads at most 64 KiB of
the body, and sends `Connection: close`. With https the certificate must prove the host of the URL, or the one that
`host` gives (`checks.tls`); an expired one is an outage of the service, and the check says so.
"""

from __future__ import annotations

import re
from http import HTTPStatus
from typing import Annotated, Any, Self, TypeAlias, cast

import h11
import trio
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, TypeAdapter, WithJsonSchema, model_validator

from vrrpd.checks.base import Host, Kind, Result
from vrrpd.checks.paths import AbsolutePath
from vrrpd.checks.target import Target, connect, parse_target, reason
from vrrpd.checks.tls import Trust, TrustError, read_trusted, refusal
from vrrpd.config.words import shown

BODY_LIMIT = 64 * 1024
"""How much of a body is read and searched, in bytes."""

_PIECE = 16 * 1024
_PORTS = {"http": 80, "https": 443}

# No fragment: it is never sent. No blanks, control characters or anything that would need quoting.
_URL = re.compile(r"(?P<scheme>https?)://(?P<authority>[!-~]+?)(?P<path>/[!-~]*)?", re.ASCII)


def _url(value: object) -> str:
    """Accept an http or https URL that names a host and nothing a health check should not send."""
    parts = _URL.fullmatch(value) if isinstance(value, str) else None
    if parts is None:
        raise ValueError(f"{shown(value)} is not an http URL; write for example http://127.0.0.1:8404/healthz")
    if "@" in parts["authority"]:
        raise ValueError("a user or a password in the URL is not supported; leave it out")
    _target(parts["authority"], parts["scheme"])
    return parts[0]


def _host(value: object) -> str:
    """Accept what may stand in a Host header: a host, with a port or without."""
    if not isinstance(value, str):
        raise ValueError(f"{shown(value)} is no host; write for example www.example.org")  # noqa: TRY004 - for pydantic
    _target(value, "http")
    return value


def _target(authority: str, scheme: str) -> Target:
    """A host and its port; that of the scheme where none is named."""
    has_port = ":" in authority.rpartition("]")[2]
    return parse_target(authority if has_port else f"{authority}:{_PORTS[scheme]}")


def _codes(value: object) -> tuple[int, ...]:
    """Accept one status code or a list of them."""
    listed: list[object] = cast("list[object]", value) if isinstance(value, list | tuple) else [value]
    codes = tuple(int(str(code)) if str(code).isdecimal() else 0 for code in listed)
    if not codes or any(not 100 <= code <= 599 for code in codes):
        raise ValueError(
            f"{shown(cast('object', value))} is not an HTTP status code; write a number such as 200, or a list of them"
        )
    return codes


_CODE_SCHEMA: dict[str, Any] = {
    "anyOf": [{"type": "integer", "minimum": 100, "maximum": 599}, {"type": "string", "pattern": "^[1-5][0-9]{2}$"}]
}

Url: TypeAlias = Annotated[
    str,
    BeforeValidator(_url),
    WithJsonSchema({"type": "string", "pattern": "^https?://", "examples": ["http://127.0.0.1:8404/healthz"]}),
]
HostHeader: TypeAlias = Annotated[
    str, BeforeValidator(_host), WithJsonSchema({"type": "string", "examples": ["www.example.org"]})
]
Codes: TypeAlias = Annotated[
    tuple[int, ...],
    BeforeValidator(_codes),
    WithJsonSchema({"anyOf": [*_CODE_SCHEMA["anyOf"], {"type": "array", "items": _CODE_SCHEMA, "minItems": 1}]}),
]


class HttpOptions(BaseModel):
    """Options of an `http` check."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    url: Url = Field(description="what to GET; an address is better than a name here")
    expect: Codes = Field(default=(200,), description="the status code, or the list of codes, that means healthy")
    body: str | None = Field(default=None, min_length=1, description="text that must occur in the answer's body")
    host: HostHeader | None = Field(
        default=None, description="the host that is asked for, and that its certificate must prove; else the URL's"
    )
    ca: AbsolutePath | None = Field(
        default=None, description="file of the certificates to trust, in PEM form; else the system's"
    )

    @model_validator(mode="after")
    def _secure(self) -> Self:
        if self.ca is not None and self.url.startswith("http:"):
            raise ValueError("ca is of no use without TLS; write an https:// URL, or leave it out")
        return self


OPTIONS: TypeAdapter[HttpOptions] = TypeAdapter(HttpOptions)
"""Validates `{url, expect, body, host, ca}`."""


def inspect(options: HttpOptions) -> str | None:
    """What keeps this host from probing so: a file of trusted certificates that cannot be read."""
    if options.ca is None:
        return None
    try:
        read_trusted(options.ca)
    except TrustError as error:
        return str(error)
    return None


def errands(options: HttpOptions) -> list[dict[str, Any]]:
    """What the launcher is asked for: certificates that only root may read."""
    return [] if options.ca is None else [{"open": options.ca}]


class HttpCheck:
    """Healthy while a GET answers with an expected status code, and with the expected text if one is asked for."""

    def __init__(self, options: HttpOptions, host: Host) -> None:
        parts = _URL.fullmatch(options.url)
        assert parts is not None, options.url  # the options are validated
        authority = options.host or parts["authority"]
        self._target = _target(parts["authority"], parts["scheme"])
        self._trust = Trust(options.ca, host.programs) if parts["scheme"] == "https" else None
        self._proven = _target(authority, parts["scheme"]).host.partition("%")[0].rstrip(".")
        self._expect = options.expect
        self._body = None if options.body is None else options.body.encode()
        headers = [("Host", authority), ("User-Agent", "vrrpd"), ("Accept", "*/*"), ("Connection", "close")]
        self._request = h11.Request(method="GET", target=parts["path"] or "/", headers=headers)

    async def probe(self) -> Result:
        """Connect, ask, judge the answer."""
        started = trio.current_time()
        try:
            if self._trust:
                await self._trust.load()
            transport = await connect(self._target)
            async with transport:
                stream = self._trust.secured(transport, self._proven) if self._trust else transport
                status, body = await self._exchange(stream)
        except OSError as error:
            return Result(ok=False, detail=reason(error))
        except TrustError as error:
            return Result(ok=False, detail=str(error))
        except trio.BrokenResourceError as error:
            return Result(ok=False, detail=refusal(error.__cause__) or "the connection was cut")
        except h11.RemoteProtocolError as error:
            return Result(ok=False, detail=f"not an HTTP answer: {error}")
        took = f"in {(trio.current_time() - started) * 1000:.0f} ms"
        if status not in self._expect:
            return Result(ok=False, detail=f"{_name(status)} {took}")
        if self._body is not None and self._body not in body:
            return Result(ok=False, detail=f"{status} {took}, but the expected text is not in the body")
        return Result(ok=True, detail=f"{status} {took}")

    async def _exchange(self, stream: trio.abc.Stream) -> tuple[int, bytes]:
        """Send the request; return the status code and as much of the body as matters.

        Raises:
            h11.RemoteProtocolError: what came back is not HTTP.
            trio.BrokenResourceError: the connection broke.
        """
        connection = h11.Connection(our_role=h11.CLIENT)
        await stream.send_all(connection.send(self._request) + connection.send(h11.EndOfMessage()))
        status, body = 0, bytearray()
        while True:
            event = connection.next_event()
            match event:
                case h11.NEED_DATA:
                    connection.receive_data(bytes(await stream.receive_some(_PIECE)))
                case h11.Response(status_code=status) if self._body is None:
                    return status, b""
                case h11.Response(status_code=status):
                    pass
                case h11.Data(data=data):
                    body += data
                    if len(body) >= BODY_LIMIT or (self._body is not None and self._body in body):
                        return status, bytes(body[:BODY_LIMIT])
                case h11.InformationalResponse():
                    pass
                case _:
                    return status, bytes(body)


def _name(status: int) -> str:
    """A status code with its phrase, for people."""
    try:
        return f"{status} {HTTPStatus(status).phrase}"
    except ValueError:
        return str(status)


KINDS = {"http": Kind(OPTIONS, HttpCheck, inspect, errands)}
"""For the registry."""
