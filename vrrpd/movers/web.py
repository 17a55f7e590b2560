"""HTTP as movers use it: one warm connection to one service, and every failure as a `MoverError` of the right kind.

Owns the connections (httpx2 on trio), their TLS and their time limits, and the one difference that decides what happens
next: whether anything was sent. A connection that could not be made is `UnreachableError`; one that broke, or did not
answer, after the request went out is `OutcomeUnknownError`. A status code is no failure here: what it means, the
service's own module knows.

Of httpx2 the transport alone is used. Its client would follow redirects, keep cookies and log addresses, none of which
is wanted, and takes a third of a millisecond more for each request.

Reads at most 1 MiB of an answer. A proxy of the environment (HTTPS_PROXY, NO_PROXY) is used for services, and never for
a host on this machine or on its link, as metadata services are.

Must not do: retry.
"""

from __future__ import annotations

import os
import socket
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from typing import cast
from urllib.parse import urlsplit
from urllib.request import getproxies_environment, proxy_bypass

import httpcore2._backends.trio  # noqa: F401  # pyright: ignore[reportUnusedImport] - httpx2 would, at the first request
import httpx2
import trio
import truststore  # noqa: F401  # pyright: ignore[reportUnusedImport] - likewise

from vrrpd import __version__
from vrrpd.movers.base import OutcomeUnknownError, UnreachableError
from vrrpd.proto.timers import SECOND

ANSWER_LIMIT = 1024 * 1024
"""Bytes of an answer that are read; the longest that a mover asks for has some thousand."""

_NO_PROXY = "name an http proxy in the agent's environment, or the host in NO_PROXY"
_KEPT_WARM = 120  # seconds; movers ask every 30
_GOODBYE_S = 0.5  # for the farewell of TLS

_HEADERS = {"User-Agent": f"vrrpd/{__version__}", "Accept": "*/*", "Accept-Encoding": "identity"}

_NOTHING_SENT = (
    httpx2.ConnectError,
    httpx2.ConnectTimeout,
    httpx2.PoolTimeout,
    httpx2.ProxyError,
    httpx2.UnsupportedProtocol,
    httpx2.LocalProtocolError,
)

_SOCKET_OPTIONS = [
    (socket.IPPROTO_TCP, socket.TCP_NODELAY, 1),
    # A peer or a NAT that forgot the connection shows as an error after so many milliseconds, not after minutes.
    (socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 4000),
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 15),
    (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 5),
]


@dataclass(frozen=True, slots=True)
class Answer:
    """What a service said.

    Attributes:
        status: of HTTP.
        headers: by lower-case name.
        body: as it came.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes


def is_near(url: str) -> bool:
    """Whether a URL names a host on this machine or on its link, by address or as localhost."""
    host = urlsplit(url).hostname or ""
    if host == "localhost":
        return True
    try:
        address = ip_address(host)
    except ValueError:
        return False
    return address.is_loopback or address.is_link_local


class Web:
    """A client for one service, with a connection that is kept."""

    def __init__(self, near: bool, *, connect_timeout: int, ca: str | None = None, connections: int = 1) -> None:
        """Open nothing yet.

        Args:
            near: the service is on this machine or its link (`is_near`).
            connect_timeout: nanoseconds that a connection may take, with its TLS.
            ca: file of the certificates to trust in PEM form; None: those of the system.
            connections: how many are kept, for a service that is sent several requests at the same time.
        """
        self._near = near
        self._extensions = {"timeout": {"connect": connect_timeout / SECOND, "pool": connect_timeout / SECOND}}
        self._ca = ca
        self._connections = connections
        self._tls: ssl.SSLContext | None = None
        self._transport: httpx2.AsyncHTTPTransport | None = None

    async def open(self) -> None:
        """Read certificates, in a worker thread; nothing where that was done before.

        Raises:
            UnreachableError: the file of certificates cannot be used.
        """
        if self._tls is not None:
            return
        try:
            self._tls = await trio.to_thread.run_sync(_trusted, self._ca)
        except ssl.SSLError:
            raise UnreachableError(f"{self._ca} holds no certificate in PEM form; correct 'ca'") from None
        except OSError as error:
            what = f"the certificates of {self._ca} cannot be read: {(error.strerror or str(error)).lower()}"
            raise UnreachableError(f"{what}; correct 'ca'") from None

    async def send(
        self, method: str, url: str, headers: Mapping[str, str] | None = None, body: bytes = b"", *, fresh: bool = False
    ) -> Answer:
        """One request and its answer; how long both may take together is the caller's to say, by a cancel scope.

        Args:
            method: of HTTP.
            url: the whole of it.
            headers: beside those that every request has.
            body: what is sent.
            fresh: on a new connection.

        Raises:
            UnreachableError: nothing was sent.
            OutcomeUnknownError: it was sent, or may have been.
        """
        if fresh:
            await self.aclose()
        if url.startswith("https:"):
            await self.open()
        where = urlsplit(url).netloc.rpartition("@")[2]
        try:
            request = httpx2.Request(
                method, url, headers={**_HEADERS, **(headers or {})}, content=body, extensions=self._extensions
            )
            transport = self._transport or self._connecting(url)
        except (httpx2.InvalidURL, ValueError) as error:  # which may quote a header
            raise UnreachableError(f"{where} cannot be asked ({type(error).__name__}); correct the URL") from None
        except ImportError:  # of what speaks SOCKS
            raise UnreachableError(f"{where} cannot be asked through {_proxy_kind(url)}; {_NO_PROXY}") from None
        try:
            response = await transport.handle_async_request(request)
            try:
                return Answer(response.status_code, dict(response.headers), await _read(response))
            finally:
                await response.aclose()
        except _NOTHING_SENT as error:
            raise UnreachableError(f"{where} cannot be reached: {_reason(error)}") from None
        except httpx2.HTTPError as error:
            raise OutcomeUnknownError(f"{where} did not answer: {_reason(error)}") from None

    async def aclose(self) -> None:
        """Close the connections; the next request opens new ones."""
        transport, self._transport = self._transport, None
        if transport is not None:
            with trio.CancelScope(shield=True, deadline=trio.current_time() + _GOODBYE_S):
                await transport.aclose()

    def _connecting(self, url: str) -> httpx2.AsyncHTTPTransport:
        """What makes connections and keeps them; to the service, or to the proxy in between."""
        self._transport = httpx2.AsyncHTTPTransport(
            verify=self._tls or ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT),  # the latter trusts nobody
            trust_env=False,
            proxy=None if self._near else _proxy(url),
            limits=httpx2.Limits(
                max_connections=self._connections + 3,
                max_keepalive_connections=self._connections,
                keepalive_expiry=_KEPT_WARM,
            ),
            socket_options=_SOCKET_OPTIONS,
        )
        return self._transport


def _trusted(ca: str | None) -> ssl.SSLContext:
    """The trusted certificates; blocks."""
    # Those of the system are named, because Python lets no other thread run while it reads them by itself.
    system = ssl.get_default_verify_paths()
    return ssl.create_default_context(cafile=ca or system.cafile, capath=None if ca else system.capath)


def _proxy(url: str) -> str | None:
    """The proxy that the environment names for a URL."""
    parts = urlsplit(url)
    if proxy_bypass(parts.hostname or ""):
        return None
    proxy = getproxies_environment().get(parts.scheme)
    return proxy if not proxy or "://" in proxy else f"http://{proxy}"


def _proxy_kind(url: str) -> str:
    """What kind of proxy that is, without where it is: there may be a password in it."""
    return f"a {(_proxy(url) or '').partition(':')[0]} proxy"


async def _read(response: httpx2.Response) -> bytes:
    """The body, up to the limit."""
    body = bytearray()
    with trio.CancelScope() as scope:
        async for piece in response.aiter_raw():
            body += piece
            if len(body) > ANSWER_LIMIT:
                scope.cancel()  # an exception here would leave the generators beneath unfinished
    if len(body) > ANSWER_LIMIT:
        raise httpx2.ReadError(f"it says more than {ANSWER_LIMIT >> 20} MiB")
    return bytes(body)


def _reason(error: Exception) -> str:
    """Why, in a few plain words: of a chain of exceptions the innermost one that says something."""
    if isinstance(error, httpx2.LocalProtocolError):  # which quotes the header that it does not like
        return "the request is none that HTTP allows"
    said = type(error).__name__
    inner: BaseException | None = error
    while inner is not None:
        if isinstance(inner, ssl.SSLCertVerificationError):
            return f"the certificate is refused: {inner.verify_message.rstrip('.')}"
        if isinstance(inner, ssl.SSLError):
            return f"no TLS: {(inner.reason or str(inner)).replace('_', ' ').lower()}"
        if isinstance(inner, OSError) and inner.errno:
            return os.strerror(inner.errno).lower() if inner.errno > 0 else str(inner.strerror).lower()
        said = str(inner) or said
        inner = _beneath(inner)
    return "no answer in time" if isinstance(error, httpx2.TimeoutException) else said


def _beneath(error: BaseException) -> BaseException | None:
    """What an exception comes from; of a name with several addresses trio says what was wrong with each."""
    cause = error.__cause__ or error.__context__
    if isinstance(cause, BaseExceptionGroup):
        return cast("BaseExceptionGroup[BaseException]", cause).exceptions[0]
    return cause
