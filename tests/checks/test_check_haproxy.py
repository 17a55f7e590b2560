"""The check `haproxy: {socket, backend, min_servers}`, against real HAProxy and against servers with odd answers."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import trio
from pydantic import ValidationError

from vrrpd.checks.base import Result
from vrrpd.checks.haproxy import ANSWER_LIMIT, OPTIONS, HaproxyCheck, inspect
from vrrpd.checks.target import Target

Talk = Callable[[trio.SocketStream], Awaitable[None]]
Serve = Callable[[Talk], AbstractAsyncContextManager[int]]

CONFIG = """
global
    stats socket {folder}/s mode 660 level admin expose-fd listeners
    stats socket ipv4@127.0.0.1:{api} level user
    maxconn 500
defaults
    mode http
    timeout connect 1s
    timeout client 20s
    timeout server 20s
frontend entry
    bind 127.0.0.1:{entry}
    default_backend web
backend web
    server a 127.0.0.1:{one} maxconn 20 maxqueue 7 check inter 20ms fall 1 rise 1
    server b 127.0.0.1:{two} maxconn 30 maxqueue 5
backend unlimited
    server c 127.0.0.1:{one} maxconn 20
    server d 127.0.0.1:{one}
    server e 127.0.0.1:{one} backup
backend none
"""


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on."""
    held = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [each.getsockname()[1] for each in held]
    for each in held:
        each.close()
    return ports


class Proxy:
    """A real HAProxy; it and all its successors end with the test."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.path = str(folder / "s")
        self.api, self.entry, self.one, self.two = free_ports(4)
        self._processes: list[subprocess.Popen[bytes]] = []

    def start(self, *arguments: str) -> subprocess.Popen[bytes]:
        """Start it; it listens when this returns."""
        ports = {"api": self.api, "entry": self.entry, "one": self.one, "two": self.two}
        (self.folder / "cfg").write_text(CONFIG.format(folder=self.folder, **ports))
        process = subprocess.Popen(
            ["/usr/sbin/haproxy", "-db", "-f", self.folder / "cfg", *arguments],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self._processes.append(process)
        deadline = time.monotonic() + 10
        while f"Pid: {process.pid}\n" not in self.say("show info"):
            assert time.monotonic() < deadline
            time.sleep(0.005)
        return process

    def say(self, command: str) -> str:
        """Say something to its runtime API; an empty answer where nobody listens."""
        with socket.socket(socket.AF_UNIX) as talking:
            try:
                talking.connect(self.path)
                talking.sendall(f"{command}\n".encode())
                return b"".join(iter(lambda: talking.recv(65536), b"")).decode()
            except OSError:
                return ""

    def end(self) -> None:
        for process in self._processes:
            process.kill()
            process.wait()


def freeze(process: subprocess.Popen[bytes]) -> None:
    """Stop a process as a hang would; not one of its threads runs when this returns."""
    process.send_signal(signal.SIGSTOP)
    os.waitid(os.P_PID, process.pid, os.WSTOPPED | os.WNOWAIT)


@pytest.fixture
def proxy() -> Iterator[Proxy]:
    with TemporaryDirectory(prefix="vh") as folder:  # short: HAProxy adds to the path, and the kernel allows 107 bytes
        found = Proxy(Path(folder))
        yield found
        found.end()


def check_of(socket_: str, backend: str = "web", **more: str) -> HaproxyCheck:
    return HaproxyCheck(OPTIONS.validate_python({"socket": socket_, "backend": backend, **more}))


async def probe(check: HaproxyCheck, seconds: float = 5) -> Result:
    with trio.fail_after(seconds):
        return await check.probe()


async def until(check: HaproxyCheck, wanted: str) -> Result:
    """Probe until the result is described so."""
    with trio.fail_after(10):
        while not re.match(wanted, (result := await check.probe()).detail):  # noqa: ASYNC110 - HAProxy decides when
            await trio.sleep(0.01)
    return result


@asynccontextmanager
async def web_server(port: int) -> AsyncGenerator[None]:
    """A server that HAProxy finds healthy; it never answers a request."""
    with socket.create_server(("127.0.0.1", port)):
        yield


class TestHaproxy:
    async def test_answers_how_many_servers_are_up_and_how_busy_it_is(self, proxy: Proxy) -> None:
        async with web_server(proxy.one):
            proxy.start()
            for where in (proxy.path, f"127.0.0.1:{proxy.api}"):
                result = await until(check_of(where, min_servers="2"), "2 of 2 servers up")
                assert result == Result(
                    ok=True,
                    detail="2 of 2 servers up; 0 of 50 sessions, 0 of 12 queued, 0 of 500 connections in all",
                )

    async def test_has_failed_with_too_few_servers(self, proxy: Proxy) -> None:
        async with web_server(proxy.one):
            proxy.start()
            await until(check_of(proxy.path, min_servers="2"), "2 of 2")
        result = await until(check_of(proxy.path, min_servers="2"), "1 of 2")
        assert not result.ok
        assert result.detail.startswith("1 of 2 servers up, 2 wanted; 0 of 30 sessions, ")
        assert (await probe(check_of(proxy.path))).ok

    @pytest.mark.parametrize("state", ["drain", "maint"])
    async def test_a_server_that_gets_no_requests_is_not_up(self, proxy: Proxy, state: str) -> None:
        proxy.start()
        proxy.say(f"set server web/b state {state}")
        result = await until(check_of(proxy.path), "0 of 2")
        assert not result.ok

    async def test_a_limit_that_some_server_does_not_have_is_none(self, proxy: Proxy) -> None:
        proxy.start()
        result = await probe(check_of(proxy.path, "unlimited"))
        assert result.detail == "3 of 3 servers up; 0 sessions, 0 queued, 0 of 500 connections in all"

    async def test_a_back_end_without_servers_need_only_exist_where_that_is_asked_for(self, proxy: Proxy) -> None:
        proxy.start()
        assert not (await probe(check_of(proxy.path, "none"))).ok
        assert (await probe(check_of(proxy.path, "none", min_servers="0"))).ok

    @pytest.mark.parametrize("name", ["nowhere", "entry"])
    async def test_what_is_no_back_end_is_said_to_be_none(self, proxy: Proxy, name: str) -> None:
        proxy.start()
        assert await probe(check_of(proxy.path, name)) == Result(ok=False, detail=f"HAProxy has no back end {name}")

    async def test_sessions_and_connections_are_counted(self, proxy: Proxy) -> None:
        async with web_server(proxy.one), web_server(proxy.two):
            proxy.start()
            with socket.create_connection(("127.0.0.1", proxy.entry)) as client:
                client.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
                busy = r"\d of 2 servers up; 1 of \d+ sessions, 0 of \d+ queued, 1 of 500 connections in all"
                await until(check_of(proxy.path), busy)

    async def test_that_is_on_its_way_out_has_failed(self, proxy: Proxy) -> None:
        process = proxy.start()
        with socket.create_connection(("127.0.0.1", proxy.entry)) as client:
            client.sendall(b"GET / HTTP/1.1\r\n")
            process.send_signal(signal.SIGUSR1)
            result = await until(check_of(proxy.path), "(?!.*servers up)")
            assert not result.ok
            assert process.poll() is None

    async def test_that_is_frozen_never_answers(self, proxy: Proxy) -> None:
        process = proxy.start()
        freeze(process)
        with trio.move_on_after(0.05) as scope:
            await check_of(proxy.path).probe()
        assert scope.cancelled_caught

    async def test_that_was_killed_refuses(self, proxy: Proxy) -> None:
        process = proxy.start()
        process.kill()
        process.wait()
        assert await probe(check_of(proxy.path)) == Result(ok=False, detail="connection refused")

    async def test_that_never_ran_has_no_socket(self, proxy: Proxy) -> None:
        result = await probe(check_of(proxy.path))
        assert result == Result(ok=False, detail="no such file or directory")
        assert inspect(OPTIONS.validate_python({"socket": proxy.path, "backend": "web"})) is None

    async def test_a_reload_is_no_failure(self, proxy: Proxy) -> None:
        process = proxy.start()
        check = check_of(proxy.path)
        results: list[Result] = []
        async with trio.open_nursery() as nursery:

            async def watch() -> None:
                while True:
                    results.append(await probe(check))
                    await trio.sleep(0.001)

            nursery.start_soon(watch)
            for _ in range(3):
                process = await trio.to_thread.run_sync(
                    proxy.start, "-sf", str(process.pid), "-x", proxy.path, abandon_on_cancel=True
                )
            nursery.cancel_scope.cancel()
        assert [result for result in results if not result.ok] == []


class TestPermissions:
    @pytest.fixture(autouse=True)
    def root_only(self) -> None:
        if os.geteuid() != 0:
            pytest.skip("only root can give a socket to somebody else")

    async def refused(self, proxy: Proxy) -> str:
        """What the check says to a user who may not use the socket."""
        options = OPTIONS.validate_python({"socket": proxy.path, "backend": "web"})
        groups = os.getgroups()
        os.setgroups([])
        os.setegid(65534)
        os.seteuid(65534)
        try:
            found = inspect(options)
            result = await probe(HaproxyCheck(options))
        finally:
            os.seteuid(0)
            os.setegid(0)
            os.setgroups(groups)
        assert not result.ok
        assert result.detail == found
        return result.detail

    async def test_a_socket_that_is_closed_to_us_is_named_with_the_group_to_join(self, proxy: Proxy) -> None:
        proxy.start()
        proxy.folder.chmod(0o755)
        os.chown(proxy.path, 0, 33)
        assert await self.refused(proxy) == (
            f"no permission to use {proxy.path}, which belongs to root:www-data with mode 0660; "
            "add the user of the agent (nobody) to the group www-data"
        )

    @pytest.mark.parametrize(("group", "mode"), [(33, 0o600), (0, 0o660)])
    async def test_a_group_that_is_closed_out_too_is_not_offered_and_neither_is_that_of_root(
        self, proxy: Proxy, group: int, mode: int
    ) -> None:
        proxy.start()
        proxy.folder.chmod(0o755)
        os.chown(proxy.path, 0, group)
        (proxy.folder / "s").chmod(mode)
        assert (await self.refused(proxy)).endswith(
            f" with mode {mode:04o}; give it a group that may, and let the user of the agent (nobody) join that"
        )

    async def test_the_folder_in_the_way_is_named(self, proxy: Proxy) -> None:
        proxy.start()
        os.chown(proxy.folder, 0, 33)
        proxy.folder.chmod(0o750)
        assert await self.refused(proxy) == (
            f"no permission to enter {proxy.folder}, which belongs to root:www-data with mode 0750; "
            "add the user of the agent (nobody) to the group www-data"
        )


INFO = "Name: HAProxy\nStopping: 0\nCurrConns: 1\nMaxconn: 9\n\n"
HEADER = "# pxname,svname,qcur,scur,slim,status,act,bck,qlimit,\n"
TABLE = f"{HEADER}web,a,0,1,,UP,1,0,,\nweb,BACKEND,0,1,50,UP,1,0,,\n\n"


@pytest.mark.parametrize(
    ("answer", "detail"),
    [
        (INFO + TABLE, "1 of 1 servers up; 1 sessions, 0 queued, 1 of 9 connections in all"),
        (INFO.replace("Stopping: 0", "Stopping: 1") + TABLE, "HAProxy is stopping"),
        ("", "not an answer of HAProxy: ''"),
        ("\n\n\n", "not an answer of HAProxy: ''"),
        ("Unknown command, but maybe\n  help\n\n", "not an answer of HAProxy: 'Unknown command, but maybe'"),
        ("SSH-2.0-OpenSSH_9.2\r\n", "not an answer of HAProxy: 'SSH-2.0-OpenSSH_9.2'"),
        ("\xff\x00\x1b[31m" * 99, "not an answer of HAProxy: '"),
        (INFO[:20], "not an answer of HAProxy: 'Name: HAProxy'"),
        (INFO.replace("9", "many") + TABLE, "not an answer of HAProxy: 'Name: HAProxy'"),
        (INFO + "Permission denied\n\n", "HAProxy has no back end web"),
        (INFO + TABLE[:-1], "the answer of HAProxy breaks off"),
        (INFO + TABLE[:70], "the answer of HAProxy breaks off"),
        (INFO + TABLE.replace("act", "acts"), "HAProxy describes the back end in a way that is not understood"),
        (INFO + TABLE.replace("UP,1,0", "UP"), "HAProxy describes the back end in a way that is not understood"),
        (INFO + TABLE.replace("UP,1", "UP,x"), "HAProxy describes the back end in a way that is not understood"),
        (INFO + HEADER + "x" * 200_000 + "\n\n", "HAProxy describes the back end in a way that is not understood"),
        ("x" * (ANSWER_LIMIT + 1), "not an answer of HAProxy: it is longer than 4 MiB"),
    ],
)
async def test_odd_answers_are_understood_or_described(serve: Serve, answer: str, detail: str) -> None:
    async def talk(stream: trio.SocketStream) -> None:
        assert await stream.receive_some(4096) == b"show info;show stat web 6 -1\n"
        await stream.send_all(answer.encode("latin-1"))

    async with serve(talk) as port:
        result = await probe(check_of(f"127.0.0.1:{port}"))
    assert result.detail.startswith(detail)
    assert result.ok is detail.startswith("1 of 1 servers up")
    assert result.detail.isprintable()


async def test_a_process_on_its_way_out_is_asked_once_more_for_its_successor(serve: Serve) -> None:
    stopping = iter("10")

    async def talk(stream: trio.SocketStream) -> None:
        await stream.receive_some(4096)
        await stream.send_all((INFO.replace("Stopping: 0", f"Stopping: {next(stopping)}") + TABLE).encode())

    async with serve(talk) as port:
        assert (await probe(check_of(f"127.0.0.1:{port}"))).ok


async def test_somebody_who_never_stops_talking_is_cut_short(serve: Serve) -> None:
    async def talk(stream: trio.SocketStream) -> None:
        try:
            while True:
                await stream.send_all(b"Name: HAProxy\n" * 10_000)
        except trio.BrokenResourceError:
            pass

    async with serve(talk) as port:
        assert (
            await probe(check_of(f"127.0.0.1:{port}"))
        ).detail == "not an answer of HAProxy: it is longer than 4 MiB"


async def test_a_full_queue_is_no_connection(tmp_path: Path) -> None:
    path = str(tmp_path / "s")
    with socket.socket(socket.AF_UNIX) as frozen, socket.socket(socket.AF_UNIX) as first:
        frozen.bind(path)
        frozen.listen(0)
        first.connect(path)
        assert await probe(check_of(path)) == Result(
            ok=False, detail="takes no more connections: it hangs, or has too many"
        )


@pytest.mark.parametrize(
    ("text", "found"),
    [("/run/haproxy/admin.sock", "/run/haproxy/admin.sock"), ("[::1]:9999", Target("::1", 9999))],
)
def test_a_socket_is_a_path_or_a_port(text: str, found: str | Target) -> None:
    assert OPTIONS.validate_python({"socket": text, "backend": "a"}).socket == found


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"socket": "run/s"}, "'run/s' is no socket of HAProxy; write /run/haproxy/admin.sock or 127.0.0.1:9999"),
        ({"socket": []}, "this list is no socket of HAProxy; write /run/haproxy/admin.sock or 127.0.0.1:9999"),
        ({"socket": "/" + "x" * 107}, "is no path of a socket; write one of up to 107 bytes"),
        (
            {"backend": "web;shutdown"},
            "'web;shutdown' is no name of a back end; write it as in the configuration of HA",
        ),
        ({"backend": ""}, "'' is no name of a back end; write it as in the configuration of HAProxy"),
        ({"min_servers": "-1"}, "'-1' is no whole number; write 0..65535"),
    ],
)
def test_mistakes_are_said_in_plain_words(options: dict[str, object], complaint: str) -> None:
    with pytest.raises(ValidationError) as raised:
        OPTIONS.validate_python({"socket": "/run/s", "backend": "web", **options})
    (error,) = raised.value.errors()
    assert complaint in str(error.get("ctx", {}).get("error") or error["msg"])
