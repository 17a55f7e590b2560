"""HTTP as movers use it: one warm connection, and what is known of a request that failed."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
import trio
import trustme

from tests.movers.fakes.server import CutError, Request, Response, Server, serving
from vrrpd.movers.base import OutcomeUnknownError, UnreachableError
from vrrpd.movers.web import ANSWER_LIMIT, Web, is_near
from vrrpd.proto.timers import MS, SECOND

SECRET = {"Authorization": "Bearer s3cr3t-t0k3n"}


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def ca(authority: trustme.CA, tmp_path: Path) -> str:
    path = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(path))
    return str(path)


def proving(authority: trustme.CA, name: str) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert(name).configure_cert(context)  # pyright: ignore[reportUnknownMemberType] - of pyOpenSSL too
    return context


async def fine(_request: Request) -> Response:
    return Response(200, {"ok": True}, {"X-Kind": "Fine"})


def url(server: Server, scheme: str = "http") -> str:
    return f"{scheme}://127.0.0.1:{server.port}/thing"


@pytest.fixture
async def web() -> Web:
    return Web(near=True, connect_timeout=SECOND)


async def test_an_answer_has_status_headers_and_body(web: Web) -> None:
    async with serving(fine) as server:
        answer = await web.send("POST", url(server), {"X-Mine": "1"}, b"hello")
        assert (answer.status, answer.body, answer.headers["x-kind"]) == (200, b'{"ok": true}', "Fine")
        [asked] = server.asked
        assert (asked.method, asked.body, asked.headers["x-mine"]) == ("POST", b"hello", "1")
        await web.aclose()


async def test_a_second_request_uses_the_first_ones_connection(web: Web) -> None:
    async with serving(fine) as server:
        for _ in range(3):
            await web.send("GET", url(server))
        assert server.connections == 1
        await web.aclose()


async def test_a_fresh_request_has_a_connection_of_its_own(web: Web) -> None:
    async with serving(fine) as server:
        await web.send("GET", url(server))
        await web.send("GET", url(server), fresh=True)
        assert server.connections == 2
        await web.aclose()


async def test_a_connection_that_the_server_closed_meanwhile_is_replaced(web: Web) -> None:
    async with serving(fine) as server:
        await web.send("GET", url(server))
        await server.close_idle()
        await trio.sleep(0.01)  # until the end of the connection has arrived
        assert (await web.send("POST", url(server))).status == 200
        assert server.connections == 2
        await web.aclose()


async def test_a_refused_connection_sent_nothing(web: Web) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
    with pytest.raises(UnreachableError, match=rf"^127\.0\.0\.1:{port} cannot be reached: connection refused$"):
        await web.send("POST", f"http://127.0.0.1:{port}/", SECRET)
    await web.aclose()


async def test_a_name_that_is_not_found_sent_nothing(web: Web) -> None:
    with pytest.raises(UnreachableError, match=r"no-such-host\.invalid cannot be reached: "):
        await web.send("POST", "http://no-such-host.invalid/", SECRET)
    await web.aclose()


@pytest.fixture
def full() -> Iterator[int]:
    """A port whose queue is full: connections to it take for ever."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listening:
        port = listening.getsockname()[1]
        waiting = [socket.socket() for _ in range(3)]
        for each in waiting:
            each.setblocking(False)
            each.connect_ex(("127.0.0.1", port))
        yield port
        for each in waiting:
            each.close()


async def test_a_connection_has_its_own_time_limit(full: int) -> None:
    web = Web(near=True, connect_timeout=30 * MS)
    with pytest.raises(UnreachableError, match="cannot be reached: no answer in time"):
        await web.send("POST", f"http://127.0.0.1:{full}/", SECRET)
    await web.aclose()


async def test_an_answer_that_breaks_off_leaves_the_outcome_unknown(web: Web) -> None:
    async def cut(_request: Request) -> Response:
        raise CutError

    async with serving(cut) as server:
        with pytest.raises(OutcomeUnknownError, match=r"^127\.0\.0\.1:\d+ did not answer: "):
            await web.send("POST", url(server), SECRET)
        assert len(server.asked) == 1
        await web.aclose()


async def test_something_else_than_http_leaves_the_outcome_unknown(web: Web) -> None:
    async def ssh(stream: trio.SocketStream) -> None:
        async with stream:
            await stream.send_all(b"SSH-2.0-OpenSSH_9.2\r\n\r\n")
            await stream.receive_some(1)

    async with trio.open_nursery() as nursery:
        [listener] = await nursery.start(partial(trio.serve_tcp, ssh, 0, host="127.0.0.1"))
        with pytest.raises(OutcomeUnknownError):
            await web.send("POST", f"http://127.0.0.1:{listener.socket.getsockname()[1]}/")
        await web.aclose()
        nursery.cancel_scope.cancel()


async def test_a_cancelled_request_hangs_up_at_once(web: Web) -> None:
    async def hang(_request: Request) -> Response:
        await trio.sleep_forever()
        raise AssertionError

    async with serving(hang) as server:
        with trio.move_on_after(0.05) as scope:
            await web.send("POST", url(server))
        assert scope.cancelled_caught
        with trio.fail_after(1):
            await server.broken.wait()
        assert len(server.asked) == 1
        await web.aclose()


async def test_an_answer_without_an_end_is_given_up(web: Web) -> None:
    async def endless(_request: Request) -> Response:
        return Response(200, b"x" * (ANSWER_LIMIT + 1))

    async with serving(endless) as server:
        with pytest.raises(OutcomeUnknownError, match="more than 1 MiB"):
            await web.send("GET", url(server))
        await web.aclose()


async def test_a_redirect_is_not_followed_and_a_cookie_is_not_kept(web: Web) -> None:
    async def elsewhere(_request: Request) -> Response:
        return Response(302, b"", {"Location": "/other", "Set-Cookie": "session=1"})

    async with serving(elsewhere) as server:
        assert (await web.send("POST", url(server))).status == 302
        await web.send("POST", url(server))
        assert [str(asked) for asked in server.asked] == ["POST /thing"] * 2
        assert "cookie" not in server.asked[1].headers
        await web.aclose()


async def test_a_certificate_of_the_named_authority_is_trusted(authority: trustme.CA, ca: str) -> None:
    web = Web(near=True, connect_timeout=SECOND, ca=ca)
    async with serving(fine, proving(authority, "127.0.0.1")) as server:
        assert (await web.send("GET", url(server, "https"))).status == 200
        await web.aclose()


@pytest.mark.parametrize(
    ("name", "trusted", "why"),
    [
        ("127.0.0.1", False, "unable to get local issuer certificate"),
        ("elsewhere.example", True, "IP address mismatch"),
    ],
)
async def test_a_certificate_that_proves_nothing_sent_nothing(
    authority: trustme.CA, ca: str, name: str, trusted: bool, why: str
) -> None:
    web = Web(near=True, connect_timeout=SECOND, ca=ca if trusted else None)
    async with serving(fine, proving(authority, name)) as server:
        with pytest.raises(UnreachableError, match=f"the certificate is refused: .*{why}"):
            await web.send("POST", url(server, "https"), SECRET)
        assert server.asked == []
        await web.aclose()


async def test_a_service_without_tls_sent_nothing(ca: str) -> None:
    web = Web(near=True, connect_timeout=SECOND, ca=ca)
    async with serving(fine) as server:
        with pytest.raises(UnreachableError, match="no TLS"):
            await web.send("POST", url(server, "https"), SECRET)
        await web.aclose()


@pytest.mark.parametrize("content", [None, "no certificate"])
async def test_certificates_that_cannot_be_read_are_named(tmp_path: Path, content: str | None) -> None:
    path = tmp_path / "ca.pem"
    if content is not None:
        path.write_text(content)
    web = Web(near=True, connect_timeout=SECOND, ca=str(path))
    with pytest.raises(UnreachableError, match=f"{path}.*; correct 'ca'"):
        await web.open()


@pytest.mark.parametrize("value", ["s3cr3t\n", "s3cr3t ", " s3cr3t", "s3cr3t\x00", "s3cr3t\u20ac"])
async def test_a_header_that_cannot_be_sent_is_not_shown(web: Web, value: str) -> None:
    async with serving(fine) as server:
        with pytest.raises(UnreachableError) as caught:
            await web.send("GET", url(server), {"Authorization": value})
        assert server.asked == []
        assert "s3cr3t" not in repr(caught.value)
        assert caught.value.__cause__ is None
        await web.aclose()


@pytest.mark.parametrize("near", [True, False])
async def test_a_proxy_of_the_environment_is_for_services_only(monkeypatch: pytest.MonkeyPatch, near: bool) -> None:
    web = Web(near=near, connect_timeout=SECOND)
    async with serving(fine) as proxy, serving(fine) as server:
        monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{proxy.port}")
        await web.send("GET", url(server))
        assert (len(server.asked), len(proxy.asked)) == ((1, 0) if near else (0, 1))
        await web.aclose()


async def test_a_proxy_of_a_kind_that_is_not_spoken_is_said_without_its_password(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    web = Web(near=False, connect_timeout=SECOND)
    monkeypatch.setenv("http_proxy", "socks5://me:s3cr3t@127.0.0.1:1")
    with pytest.raises(UnreachableError, match="through a socks5 proxy; name an http proxy") as caught:
        await web.send("GET", "http://service.example/")
    assert "s3cr3t" not in str(caught.value)


async def test_a_host_without_proxy_is_asked_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    web = Web(near=False, connect_timeout=SECOND)
    async with serving(fine) as server:
        monkeypatch.setenv("http_proxy", "127.0.0.1:1")
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        assert (await web.send("GET", url(server))).status == 200
        await web.aclose()


async def test_closing_twice_is_fine(web: Web) -> None:
    async with serving(fine) as server:
        await web.send("GET", url(server))
        await web.aclose()
        await web.aclose()
        assert (await web.send("GET", url(server))).status == 200
        await web.aclose()


@pytest.mark.parametrize(
    ("where", "near"),
    [
        ("http://127.0.0.1:80/", True),
        ("http://localhost/", True),
        ("http://169.254.169.254/latest", True),
        ("http://[::1]/", True),
        ("http://[fe80::1]/", True),
        ("http://127.0.0.1.example/", False),
        ("http://10.0.0.1/", False),
        ("http://metadata.google.internal/", False),
    ],
)
def test_near_is_this_machine_and_its_link(where: str, near: bool) -> None:
    assert is_near(where) is near
