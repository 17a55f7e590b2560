"""The mover `probe`, asked over loopback as a load balancer would."""

from __future__ import annotations

import os
import socket
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, closing, suppress
from ipaddress import IPv4Address
from pathlib import Path

import pytest
import trio
import trio.testing
from pydantic import ValidationError

from tests.movers.bare import bare_host
from vrrpd.errors import VrrpdError
from vrrpd.linux.ports import Ports, listen, listening, refuse
from vrrpd.movers import probe
from vrrpd.movers.base import Holder, Host, Serving, Who
from vrrpd.movers.probe import OPEN, OPTIONS, ProbeMover

ME = Holder(Who.ME)
Probe = Callable[..., AbstractAsyncContextManager[tuple[ProbeMover, int]]]


def free_port() -> int:
    with closing(socket.create_server(("127.0.0.1", 0))) as found:
        return found.getsockname()[1]


def host_with(ports: Ports) -> Host:
    return bare_host(addresses=(IPv4Address("10.0.0.1"),), port=ports.port)


@asynccontextmanager
async def _probe(**more: str) -> AsyncGenerator[tuple[ProbeMover, int]]:
    port = free_port()
    options = OPTIONS.validate_python({"listen": f"127.0.0.1:{port}", **more})
    with Ports() as ports:
        ports.take([("127.0.0.1", port)])
        mover = ProbeMover(options, host_with(ports))
        await mover.prepare()
        with trio.fail_after(10):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(mover.serve)
                await trio.testing.wait_all_tasks_blocked(0.01)
                yield mover, port
                nursery.cancel_scope.cancel()
        await mover.aclose()


@pytest.fixture
def a_probe() -> Probe:
    """`async with a_probe(protocol="http") as (mover, port)`."""
    return _probe


@pytest.fixture(autouse=True)
def no_descriptor_leaks() -> Iterator[None]:
    """Every connection is given back."""
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - one name each is enough
    yield
    assert len(list(Path("/proc/self/fd").iterdir())) <= before + 1


async def ask(port: int, request: bytes = b"GET / HTTP/1.1\r\nHost: lb\r\n\r\n") -> bytes:
    stream = await trio.open_tcp_stream("127.0.0.1", port)
    async with stream:
        await stream.send_all(request)
        return b"".join([bytes(piece) async for piece in stream])


async def connects(port: int) -> bool:
    try:
        stream = await trio.open_tcp_stream("127.0.0.1", port)
    except OSError:
        return False
    await stream.aclose()
    return True


async def ending(stream: trio.SocketStream) -> str:
    """How the other side ended a connection."""
    try:
        return "closed" if await stream.receive_some() == b"" else "spoke"
    except trio.BrokenResourceError:
        return "reset"


# -------------------------------------------------------------------- tcp


async def test_whoever_comes_behind_many_others_is_answered_soon(
    a_probe: Probe, monkeypatch: pytest.MonkeyPatch
) -> None:
    rests: list[float] = []
    sleep = trio.sleep

    async def rest(seconds: float) -> None:
        rests.append(seconds)
        await sleep(0)

    async with a_probe(protocol="http") as (mover, port):
        await mover.acquire(None)
        others = [socket.create_connection(("127.0.0.1", port)) for _ in range(150)]  # the loop does not turn meanwhile
        monkeypatch.setattr(trio, "sleep", rest)
        assert (await ask(port)).startswith(b"HTTP/1.1 200")
        for each in others:
            each.close()
    assert sum(rests) < 0.1


async def test_only_an_active_accepts_connections(a_probe: Probe) -> None:
    async with a_probe() as (mover, port):
        assert not await connects(port)
        assert (await mover.holder()).who is Who.NOBODY
        for _ in range(3):
            await mover.acquire(None)
            assert await connects(port)
            assert (await mover.holder()).who is Who.ME
            assert await mover.local_verify()
            await mover.release(ME)
            assert not await connects(port)
            assert (await mover.holder()).who is Who.NOBODY
            assert not await mover.local_verify()


async def test_at_the_loss_of_the_role_open_connections_are_reset(a_probe: Probe) -> None:
    async with a_probe() as (mover, port):
        await mover.acquire(None)
        accepted = await trio.open_tcp_stream("127.0.0.1", port)
        await trio.testing.wait_all_tasks_blocked(0.02)
        waiting = await trio.open_tcp_stream("127.0.0.1", port)  # in the queue of the kernel, maybe
        async with accepted, waiting:
            await mover.release(ME)
            assert [await ending(accepted), await ending(waiting)] == ["reset", "reset"]


async def test_a_connection_that_stays_for_ever_is_closed(a_probe: Probe, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe, "PATIENCE_S", 0.02)
    async with a_probe() as (mover, port):
        await mover.acquire(None)
        async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
            assert await ending(stream) == "closed"


async def test_a_prober_that_talks_without_end_is_cut(a_probe: Probe) -> None:
    async with a_probe() as (mover, port):
        await mover.acquire(None)
        async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
            with pytest.raises(trio.BrokenResourceError):  # noqa: PT012 - whichever piece it is
                while True:
                    await stream.send_all(b"x" * 65536)


@pytest.mark.parametrize("protocol", ["tcp", "http"])
async def test_with_all_places_taken_the_oldest_connection_goes(
    a_probe: Probe, protocol: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(probe, "PAUSE_S", 0)
    async with a_probe(protocol=protocol) as (mover, port), trio.open_nursery() as nursery:
        await mover.acquire(None)
        streams = [await trio.open_tcp_stream("127.0.0.1", port) for _ in range(OPEN + 1)]
        assert await ending(streams[0]) == "closed"
        if protocol == "http":
            assert (await ask(port)).startswith(b"HTTP/1.1 200 ")
        for each in streams:
            nursery.start_soon(each.aclose)


async def test_while_we_refuse_nobody_else_can_have_the_port(a_probe: Probe) -> None:
    async with a_probe() as (mover, port):
        for _ in range(2):
            with pytest.raises(OSError, match="in use"), closing(socket.create_server(("127.0.0.1", port))):
                pass  # it sets SO_REUSEADDR, as servers do
            await mover.acquire(None)
            await connects(port)
            await mover.release(ME)


async def test_the_port_is_closed_when_the_service_ends() -> None:
    async with _probe() as (mover, port):
        await mover.acquire(None)
        assert await connects(port)
    assert not await connects(port)


async def test_a_role_that_is_gone_before_anybody_was_accepted_is_gone(a_probe: Probe) -> None:
    async with a_probe() as (mover, port):
        await mover.acquire(None)
        await mover.release(ME)
        await trio.testing.wait_all_tasks_blocked(0.01)
        assert not await connects(port)
        await mover.acquire(None)
        assert await connects(port)


# -------------------------------------------------------------------- http


async def test_an_active_answers_200_and_a_standby_503(a_probe: Probe) -> None:
    async with a_probe(protocol="http", body="here I am") as (mover, port):
        standby = await ask(port)
        assert standby.startswith(b"HTTP/1.1 503 Service Unavailable\r\n")
        assert standby.endswith(b"\r\n\r\nthis node is not Active\n")
        await mover.acquire(None)
        active = await ask(port)
        assert active.startswith(b"HTTP/1.1 200 OK\r\n")
        assert active.endswith(b"\r\n\r\nhere I am\n")
        await mover.release(ME)
        assert (await ask(port)).startswith(b"HTTP/1.1 503 ")


async def test_a_request_that_was_begun_before_the_loss_is_told_the_truth(a_probe: Probe) -> None:
    async with a_probe(protocol="http") as (mover, port):
        await mover.acquire(None)
        async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
            await stream.send_all(b"GET / HTTP/1.1\r\nHost: ")
            await trio.testing.wait_all_tasks_blocked(0.01)
            await mover.release(ME)
            await stream.send_all(b"lb\r\n\r\n")
            assert bytes(await stream.receive_some()).startswith(b"HTTP/1.1 503 ")


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"GET /healthz HTTP/1.1\r\nHost: lb\r\n\r\n", b"200"),
        (b"GET /healthz?from=lb HTTP/1.1\r\nHost: lb\r\n\r\n", b"200"),
        (b"GET /healthz HTTP/1.0\r\n\r\n", b"200"),
        (b"GET / HTTP/1.1\r\nHost: lb\r\n\r\n", b"404"),
        (b"POST /healthz HTTP/1.1\r\nHost: lb\r\nContent-Length: 0\r\n\r\n", b"405"),
    ],
)
async def test_the_path_and_the_method_count(a_probe: Probe, request_: bytes, status: bytes) -> None:
    async with a_probe(protocol="http", path="/healthz") as (mover, port):
        await mover.acquire(None)
        assert (await ask(port, request_)).split()[1] == status


async def test_head_has_no_body(a_probe: Probe) -> None:
    async with a_probe(protocol="http") as (mover, port):
        await mover.acquire(None)
        answer = await ask(port, b"HEAD / HTTP/1.1\r\nHost: lb\r\n\r\n")
        assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
        assert answer.endswith(b"\r\n\r\n")


@pytest.mark.parametrize("nonsense", [b"\0\1\2\r\n\r\n", b"hello\r\n\r\n", b"GET /" + b"x" * 20000, b""])
async def test_what_is_no_request_gets_no_answer(a_probe: Probe, nonsense: bytes) -> None:
    async with a_probe(protocol="http") as (mover, port):
        await mover.acquire(None)
        async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
            with suppress(trio.BrokenResourceError):  # the answer may be faster
                await stream.send_all(nonsense)
                await stream.send_eof()
            assert await ending(stream) in {"closed", "reset"}
        assert (await ask(port)).startswith(b"HTTP/1.1 200 ")


# -------------------------------------------------------------------- ports


def test_a_port_that_somebody_has_is_told_with_the_mend() -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as server, Ports() as ports:
        port = server.getsockname()[1]
        with pytest.raises(VrrpdError) as refused:
            ports.take([("127.0.0.1", port)])
    assert str(refused.value) == (
        f"cannot answer on 127.0.0.1:{port}: another program has it; stop that (ss -ltnp names it), "
        "or choose another port"
    )


async def test_a_restart_does_not_wait_for_old_connections() -> None:
    port = free_port()
    for _ in range(2):
        with Ports() as ports:
            ports.take([("", port)])
            bound = ports.port("", port)
            listen(bound)
            with closing(socket.create_connection(("127.0.0.1", port))) as client:
                bound.accept()[0].close()  # we hang up first, so the connection lingers on our side
                assert client.recv(1) == b""
            refuse(bound)
            assert not listening(bound)


def test_all_addresses_means_both_families() -> None:
    port = free_port()
    with Ports() as ports:
        ports.take([("", port)])
        listen(ports.port("", port))
        for host in ("127.0.0.1", "::1"):
            socket.create_connection((host, port)).close()


def test_an_address_that_moves_with_the_role_can_be_bound() -> None:
    with Ports() as ports:
        ports.take([("192.0.2.77", free_port()), ("2001:db8::77", free_port())])


def test_it_serves_beside_what_it_is_asked_for() -> None:
    with Ports() as ports:
        assert isinstance(ProbeMover(OPTIONS.validate_python("8080"), host_with(ports)), Serving)


# -------------------------------------------------------------------- options


def test_a_port_alone_is_enough() -> None:
    assert OPTIONS.validate_python("8080") == OPTIONS.validate_python({"listen": "8080"})
    assert OPTIONS.validate_python("8080").listen == ("", 8080)
    assert OPTIONS.validate_python("10.0.0.1:80").listen == ("10.0.0.1", 80)
    assert OPTIONS.validate_python("[fd00::1]:80").listen == ("fd00::1", 80)


def test_the_port_is_what_the_agent_binds_and_what_no_other_mover_may_have() -> None:
    kind = probe.KINDS["probe"]
    options = OPTIONS.validate_python({"listen": "10.0.0.1:80", "protocol": "http"})
    assert kind.ports(options) == [("10.0.0.1", 80)]
    assert kind.things(options) == ["port 80"]


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"listen": "80", "unready_weight": "-5"}, "'unready_weight' is of no use here; leave it out"),
        ("http", "'http' is no port; write a port such as 8080, or a shared address with it: 10.0.0.100:8080"),
        ("0", "port 0 does not exist; write 1..65535"),
        ("localhost:80", "'localhost:80' names no address of this host; write a port such as 8080"),
        (":80", "':80' names no address of this host; write a port such as 8080"),
        ("[10.0.0.1]:80", "'[10.0.0.1]:80' names no address of this host; write a port such as 8080"),
        ({"listen": "80", "protocol": "udp"}, "'udp' is not known here; write tcp or http"),
        ({"listen": "80", "path": "/x"}, "'path' is of no use with tcp; write protocol: http, or leave it out"),
        ({"listen": "80", "protocol": "http", "path": "x"}, "'x' is no path; write one such as /healthz"),
        ({"listen": "80", "protocol": "http", "body": "x" * 1025}, "the body is too long; write at most 1024 bytes"),
        ({"listen": "80", "takeover": "compare"}, "'takeover' is of no use here; leave it out"),
    ],
)
def test_mistakes_are_said_in_plain_words(options: object, complaint: str) -> None:
    with pytest.raises(ValidationError) as raised:
        OPTIONS.validate_python(options)
    assert raised.value.errors()[0]["msg"].startswith(complaint)
