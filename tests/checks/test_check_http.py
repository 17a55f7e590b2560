"""The check `http: {url, expect, body, host, ca}`, against small servers on loopback."""

from __future__ import annotations

import contextlib
import os
import ssl
import subprocess
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trio
from pydantic import ValidationError

from vrrpd.checks.base import Host, Result
from vrrpd.checks.http import BODY_LIMIT, OPTIONS, HttpCheck, inspect
from vrrpd.errands import CannotStartError, Finished
from vrrpd.rights import account, acting_as

Talk = Callable[[trio.SocketStream], Awaitable[None]]
Serve = Callable[[Talk], AbstractAsyncContextManager[int]]


class Server:
    """Answers every request with the same bytes and remembers what it was asked."""

    def __init__(self, answer: bytes) -> None:
        self.answer = answer
        self.asked = b""

    async def __call__(self, stream: trio.abc.Stream) -> None:
        while b"\r\n\r\n" not in self.asked:
            self.asked += await stream.receive_some(4096)
        with contextlib.suppress(trio.BrokenResourceError):
            await stream.send_all(self.answer)


class Opener:
    """Opens files that a probe may not open itself."""

    def __init__(self, files: dict[str, int]) -> None:
        self.files = files

    async def run(
        self, argv: Sequence[str], *, user: str | None = None, environment: Mapping[str, str] | None = None
    ) -> Finished:
        raise NotImplementedError(argv, user, environment)

    async def open(self, path: str) -> int:
        if path not in self.files:
            raise CannotStartError("it was not in the configuration when the agent started; restart the agent")
        return os.dup(self.files[path])

    def carrier(self, interface: str) -> str | None:
        raise NotImplementedError(interface)

    async def changed(self) -> None:
        raise NotImplementedError


HOST = Host(Opener({}), Opener({}))


async def ask(serve: Serve, answer: bytes, path: str = "/healthz", **options: Any) -> tuple[Result, bytes]:
    server = Server(answer)
    async with serve(server) as port:
        check = HttpCheck(OPTIONS.validate_python({"url": f"http://127.0.0.1:{port}{path}", **options}), HOST)
        return await check.probe(), server.asked


OK = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nfine\n"


async def test_the_expected_code_is_healthy(serve: Serve) -> None:
    result, _ = await ask(serve, OK)
    assert result.ok
    assert result.detail.startswith("200 in ")


async def test_the_request_is_a_plain_get_that_names_the_host(serve: Serve) -> None:
    _, asked = await ask(serve, OK, "/a/b?c=d&e")
    lines = asked.split(b"\r\n")
    assert lines[0] == b"GET /a/b?c=d&e HTTP/1.1"
    assert lines[1].startswith(b"Host: 127.0.0.1:")
    assert b"Connection: close" in lines


async def test_a_url_without_a_path_asks_for_the_root(serve: Serve) -> None:
    _, asked = await ask(serve, OK, "")
    assert asked.startswith(b"GET / HTTP/1.1\r\n")


async def test_another_code_has_failed_and_is_named(serve: Serve) -> None:
    result, _ = await ask(serve, b"HTTP/1.1 503 Nope\r\nContent-Length: 0\r\n\r\n")
    assert not result.ok
    assert result.detail.startswith("503 Service Unavailable in ")


async def test_a_code_without_a_name_is_a_number(serve: Serve) -> None:
    result, _ = await ask(serve, b"HTTP/1.1 599 Nope\r\nContent-Length: 0\r\n\r\n")
    assert result.detail.startswith("599 in ")


@pytest.mark.parametrize("expect", ["204", ["200", "204"], [204]])
async def test_any_of_several_codes_may_be_expected(serve: Serve, expect: object) -> None:
    result, _ = await ask(serve, b"HTTP/1.1 204 No Content\r\n\r\n", expect=expect)
    assert result.ok


async def test_a_redirect_is_not_followed(serve: Serve) -> None:
    result, _ = await ask(serve, b"HTTP/1.1 302 Found\r\nLocation: /ok\r\nContent-Length: 0\r\n\r\n")
    assert result.detail.startswith("302 Found in ")


async def test_an_interim_answer_is_not_the_answer(serve: Serve) -> None:
    result, _ = await ask(serve, b"HTTP/1.1 103 Early Hints\r\n\r\n" + OK)
    assert result.ok


@pytest.mark.parametrize(
    "answer",
    [
        OK,
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nfi\r\n2\r\nne\r\n0\r\n\r\n",
        b"HTTP/1.0 200 OK\r\n\r\nall is fine",
    ],
    ids=["length", "chunked", "until the end"],
)
async def test_the_expected_text_is_found_however_the_body_is_framed(serve: Serve, answer: bytes) -> None:
    assert (await ask(serve, answer, body="fine"))[0].ok


async def test_a_body_without_the_text_has_failed(serve: Serve) -> None:
    result, _ = await ask(serve, OK, body="ready")
    assert not result.ok
    assert result.detail.endswith(", but the expected text is not in the body")


async def test_no_more_than_the_limit_of_a_body_is_read(serve: Serve) -> None:
    endless = b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * (BODY_LIMIT + 1) + b"fine" + b"x" * (1 << 22)
    assert not (await ask(serve, endless, body="fine"))[0].ok


async def test_something_that_is_not_http_has_failed(serve: Serve) -> None:
    result, _ = await ask(serve, b"SSH-2.0-OpenSSH_9.2\r\n\r\n")
    assert not result.ok
    assert result.detail.startswith("not an HTTP answer: ")


async def test_a_server_that_hangs_up_without_a_word_has_failed(serve: Serve) -> None:
    result, _ = await ask(serve, b"")
    assert not result.ok
    assert result.detail.startswith("not an HTTP answer: ")


async def test_a_body_that_breaks_off_has_failed(serve: Serve) -> None:
    result, _ = await ask(serve, b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nfi", body="fine")
    assert not result.ok


async def test_a_closed_port_is_refused(closed_port: int) -> None:
    result = await HttpCheck(OPTIONS.validate_python({"url": f"http://127.0.0.1:{closed_port}/"}), HOST).probe()
    assert (result.ok, result.detail) == (False, "connection refused")


async def test_ipv6_works(serve: Serve) -> None:
    async with trio.open_nursery() as nursery:
        (listener,) = await nursery.start(partial(trio.serve_tcp, Server(OK), 0, host="::1"))
        port = listener.socket.getsockname()[1]
        assert (await HttpCheck(OPTIONS.validate_python({"url": f"http://[::1]:{port}/"}), HOST).probe()).ok
        nursery.cancel_scope.cancel()


async def test_another_host_is_asked_for_where_one_is_given(serve: Serve) -> None:
    _, asked = await ask(serve, OK, host="www.example.org:8080")
    assert b"\r\nHost: www.example.org:8080\r\n" in asked


@dataclass
class Authority:
    """A certificate authority of the tests, made with openssl."""

    folder: Path

    @property
    def ca(self) -> str:
        return str(self.folder / "ca.pem")

    def issue(self, *names: str, days: int = 1) -> ssl.SSLContext:
        """A server's context with a certificate for these names; one of -1 days has expired."""
        certificate = self.folder / f"{'-'.join(names).replace(':', '_')}-{days}.pem"
        if not certificate.exists():
            key, request = self.folder / "key.pem", self.folder / "request.pem"
            wanted = ["-subj", "/CN=server", "-addext", f"subjectAltName={','.join(names)}"]
            _openssl("req", "-new", "-key", key, *wanted, "-out", request)
            signed = ["-CA", self.ca, "-CAkey", key, "-copy_extensions", "copyall", "-days", str(days)]
            _openssl("x509", "-req", "-in", request, *signed, "-out", certificate)
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(certificate, self.folder / "key.pem")
        return context


def _openssl(*arguments: str | Path) -> None:
    subprocess.run(["openssl", *arguments], check=True, capture_output=True)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    folder = tmp_path_factory.mktemp("authority")
    _openssl("ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", folder / "key.pem")
    subject = ["-subj", "/CN=Authority of the tests", "-addext", "keyUsage=critical,keyCertSign"]
    _openssl("req", "-x509", "-new", "-key", folder / "key.pem", *subject, "-days", "1", "-out", folder / "ca.pem")
    return Authority(folder)


class TestTls:
    async def ask(
        self, serve: Serve, context: ssl.SSLContext, url: str = "https://127.0.0.1:{port}/", **more: str
    ) -> Result:
        """Probe a server that speaks TLS."""

        async def talk(stream: trio.SocketStream) -> None:
            secured = trio.SSLStream(stream, context, server_side=True, https_compatible=True)
            with contextlib.suppress(trio.BrokenResourceError):
                await Server(OK)(secured)

        async with serve(talk) as port:
            check = HttpCheck(OPTIONS.validate_python({"url": url.format(port=port), **more}), HOST)
            with trio.fail_after(5):
                return await check.probe()

    async def test_a_certificate_of_a_trusted_authority_is_healthy(self, serve: Serve, authority: Authority) -> None:
        result = await self.ask(serve, authority.issue("IP:127.0.0.1"), ca=authority.ca)
        assert result.ok
        assert result.detail.startswith("200 in ")

    async def test_the_host_that_is_given_must_be_proven(self, serve: Serve, authority: Authority) -> None:
        context = authority.issue("DNS:www.example.org")
        asked_for: list[str] = []
        context.sni_callback = lambda _socket, name, _context: asked_for.append(name)
        assert (await self.ask(serve, context, ca=authority.ca, host="www.example.org:443")).ok
        assert asked_for == ["www.example.org"]

    @pytest.mark.parametrize("more", [{}, {"host": "www.example.com"}])
    async def test_a_certificate_for_somebody_else_is_refused(
        self, serve: Serve, authority: Authority, more: dict[str, str]
    ) -> None:
        result = await self.ask(serve, authority.issue("DNS:www.example.org"), ca=authority.ca, **more)
        assert not result.ok
        assert result.detail.startswith("the certificate is refused: ")
        assert "mismatch" in result.detail

    async def test_a_certificate_of_an_authority_nobody_knows_is_refused(
        self, serve: Serve, authority: Authority
    ) -> None:
        result = await self.ask(serve, authority.issue("IP:127.0.0.1"))
        assert result == Result(ok=False, detail="the certificate is refused: unable to get local issuer certificate")

    async def test_an_expired_certificate_is_refused(self, serve: Serve, authority: Authority) -> None:
        result = await self.ask(serve, authority.issue("IP:127.0.0.1", days=-1), ca=authority.ca)
        assert result == Result(ok=False, detail="the certificate is refused: certificate has expired")

    async def test_a_certificate_may_vouch_for_itself(self, serve: Serve, authority: Authority) -> None:
        own = authority.folder / "self.pem"
        made = ["-key", authority.folder / "key.pem", "-subj", "/CN=self", "-addext", "subjectAltName=IP:127.0.0.1"]
        _openssl("req", "-x509", "-new", *made, "-days", "1", "-out", own)
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(own, authority.folder / "key.pem")
        assert (await self.ask(serve, context, ca=str(own))).ok

    async def test_a_server_without_tls_is_said_to_have_none(self, serve: Serve, authority: Authority) -> None:
        async def talk(stream: trio.SocketStream) -> None:
            await stream.receive_some(4096)
            await stream.send_all(b"HTTP/1.1 400 Bad Request\r\n\r\n")

        async with serve(talk) as port:
            check = HttpCheck(OPTIONS.validate_python({"url": f"https://127.0.0.1:{port}/", "ca": authority.ca}), HOST)
            assert (await check.probe()).detail.startswith("no TLS: ")

    async def test_a_server_that_hangs_up_in_the_handshake_has_failed(self, serve: Serve, authority: Authority) -> None:
        async def talk(stream: trio.SocketStream) -> None:
            await stream.receive_some(4096)

        async with serve(talk) as port:
            check = HttpCheck(OPTIONS.validate_python({"url": f"https://127.0.0.1:{port}/", "ca": authority.ca}), HOST)
            assert (await check.probe()).detail == "the connection was cut during the TLS handshake"

    async def test_a_handshake_that_hangs_ends_with_the_probe(self, silent_port: int, authority: Authority) -> None:
        check = HttpCheck(
            OPTIONS.validate_python({"url": f"https://127.0.0.1:{silent_port}/", "ca": authority.ca}), HOST
        )
        with trio.move_on_after(0.05) as scope:
            await check.probe()
        assert scope.cancelled_caught

    async def test_an_authority_that_cannot_be_read_is_named_by_the_probe_and_before(
        self, silent_port: int, tmp_path: Path
    ) -> None:
        for text, complaint in (
            (None, f"cannot read the certificates of {tmp_path}/ca.pem: no such file or directory"),
            ("junk", f"{tmp_path}/ca.pem holds no certificate that can be read; it must be in PEM form"),
        ):
            if text is not None:
                (tmp_path / "ca.pem").write_text(text)
            url = f"https://127.0.0.1:{silent_port}/"
            options = OPTIONS.validate_python({"url": url, "ca": str(tmp_path / "ca.pem")})
            assert await HttpCheck(options, HOST).probe() == Result(ok=False, detail=complaint)
            assert inspect(options) == complaint

    async def test_an_authority_that_comes_later_is_read_then(
        self, serve: Serve, authority: Authority, tmp_path: Path
    ) -> None:
        context = authority.issue("IP:127.0.0.1")

        async def talk(stream: trio.SocketStream) -> None:
            secured = trio.SSLStream(stream, context, server_side=True, https_compatible=True)
            await Server(OK)(secured)

        async with serve(talk) as port:
            ca = tmp_path / "ca.pem"
            check = HttpCheck(OPTIONS.validate_python({"url": f"https://127.0.0.1:{port}/", "ca": str(ca)}), HOST)
            assert not (await check.probe()).ok
            ca.symlink_to(authority.ca)
            assert (await check.probe()).ok


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"url": "ftp://a/"}, "'ftp://a/' is not an http URL; write for example http://127.0.0.1:8404/healthz"),
        ({"url": "a b"}, "'a b' is not an http URL; write for example http://127.0.0.1:8404/healthz"),
        ({"url": "http://a/\r\nX: y"}, "is not an http URL; write for example http://127.0.0.1:8404/healthz"),
        ({"url": "https://"}, "'https://' is not an http URL; write for example http://127.0.0.1:8404/healthz"),
        ({"url": "http://a/", "host": "a\r\nX: y"}, "is not HOST:PORT; write for example"),
        ({"url": "http://a/", "host": "a b"}, "'a b' is neither an address nor a name; write for example 127.0.0.1"),
        ({"url": "http://a/", "host": ["a"]}, "this list is no host; write for example www.example.org"),
        ({"url": "https://a/", "ca": "ca.pem"}, "'ca.pem' is no absolute path; write one that begins with /"),
        ({"url": "http://a/", "ca": "/ca.pem"}, "ca is of no use without TLS; write an https:// URL, or leave it out"),
        ({"url": "http://a:99999/"}, "port 99999 does not exist; ports are 1..65535"),
        ({"url": "http://u:p@a/"}, "a user or a password in the URL is not supported; leave it out"),
        (
            {"url": "http://a/", "expect": "ok"},
            "'ok' is not an HTTP status code; write a number such as 200, or a list",
        ),
        ({"url": "http://a/", "expect": []}, "this list is not an HTTP status code; write a number such as 200"),
        ({"url": "http://a/", "expect": ["99"]}, "this list is not an HTTP status code; write a number such as 200"),
    ],
)
def test_mistakes_are_said_in_plain_words(options: dict[str, object], complaint: str) -> None:
    with pytest.raises(ValidationError) as raised:
        OPTIONS.validate_python(options)
    (error,) = raised.value.errors()
    assert complaint in str(error.get("ctx", {})["error"])


@pytest.mark.parametrize("options", [{}, {"url": "http://a/", "path": "/"}, "http://a/"])
def test_unknown_and_missing_keys_are_refused(options: object) -> None:
    with pytest.raises(ValidationError):
        OPTIONS.validate_python(options)


@pytest.mark.skipif(os.geteuid() != 0, reason="becomes another user")
async def test_an_authority_that_only_root_may_read_is_opened_by_who_may(
    serve: Serve, authority: Authority, request: pytest.FixtureRequest
) -> None:
    context = authority.issue("IP:127.0.0.1")
    os.chmod(authority.ca, 0o600)  # noqa: PTH101 - a file of the test's
    opened = os.open(authority.ca, os.O_RDONLY)
    request.addfinalizer(lambda: os.close(opened))
    privileged = Host(Opener({authority.ca: opened}), HOST.carriers)

    async def talk(stream: trio.SocketStream) -> None:
        await Server(OK)(trio.SSLStream(stream, context, server_side=True, https_compatible=True))

    async with serve(talk) as port:
        options = OPTIONS.validate_python({"url": f"https://127.0.0.1:{port}/", "ca": authority.ca})
        with acting_as(account("nobody", by_root=True), 0):
            assert (await HttpCheck(options, privileged).probe()).ok
            refused = await HttpCheck(options, HOST).probe()
    assert refused.detail.endswith("it was not in the configuration when the agent started; restart the agent")
