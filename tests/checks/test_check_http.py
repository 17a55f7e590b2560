"""The check `http: {url, expect, body}`, against small servers on loopback."""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from functools import partial
from typing import Any

import pytest
import trio
from pydantic import ValidationError

from vrrpd.checks.base import Result
from vrrpd.checks.http import BODY_LIMIT, OPTIONS, HttpCheck

Talk = Callable[[trio.SocketStream], Awaitable[None]]
Serve = Callable[[Talk], AbstractAsyncContextManager[int]]


class Server:
    """Answers every request with the same bytes and remembers what it was asked."""

    def __init__(self, answer: bytes) -> None:
        self.answer = answer
        self.asked = b""

    async def __call__(self, stream: trio.SocketStream) -> None:
        while b"\r\n\r\n" not in self.asked:
            self.asked += await stream.receive_some(4096)
        with contextlib.suppress(trio.BrokenResourceError):
            await stream.send_all(self.answer)


async def ask(serve: Serve, answer: bytes, path: str = "/healthz", **options: Any) -> tuple[Result, bytes]:
    server = Server(answer)
    async with serve(server) as port:
        check = HttpCheck(OPTIONS.validate_python({"url": f"http://127.0.0.1:{port}{path}", **options}))
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
    result = await HttpCheck(OPTIONS.validate_python({"url": f"http://127.0.0.1:{closed_port}/"})).probe()
    assert (result.ok, result.detail) == (False, "connection refused")


async def test_ipv6_works(serve: Serve) -> None:
    async with trio.open_nursery() as nursery:
        (listener,) = await nursery.start(partial(trio.serve_tcp, Server(OK), 0, host="::1"))
        port = listener.socket.getsockname()[1]
        assert (await HttpCheck(OPTIONS.validate_python({"url": f"http://[::1]:{port}/"})).probe()).ok
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"url": "https://a/"}, "https is not supported yet; write http://, or use an exec check with curl"),
        ({"url": "ftp://a/"}, "'ftp://a/' is not an http URL; write for example http://127.0.0.1:8404/healthz"),
        ({"url": "a b"}, "'a b' is not an http URL; write for example http://127.0.0.1:8404/healthz"),
        ({"url": "http://a/\r\nX: y"}, "is not an http URL; write for example http://127.0.0.1:8404/healthz"),
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
