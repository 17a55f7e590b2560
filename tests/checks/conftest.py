"""Real servers on loopback and real processes, for checks to look at."""

from __future__ import annotations

import socket
import subprocess
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from pathlib import Path

import pytest
import trio

from vrrpd.checks.base import Host
from vrrpd.errands import CannotStartError, Finished

Talk = Callable[[trio.SocketStream], Awaitable[None]]
Serve = Callable[[Talk], AbstractAsyncContextManager[int]]


@asynccontextmanager
async def _serve(talk: Talk) -> AsyncGenerator[int]:
    async def guarded(stream: trio.SocketStream) -> None:
        async with stream:
            await talk(stream)

    async with trio.open_nursery() as nursery:
        listeners = await nursery.start(partial(trio.serve_tcp, guarded, 0, host="127.0.0.1"))
        yield listeners[0].socket.getsockname()[1]
        nursery.cancel_scope.cancel()


@pytest.fixture
def serve() -> Serve:
    """Runs a TCP server on loopback: `async with serve(talk) as port`."""
    return _serve


@pytest.fixture
def silent_port() -> Iterator[int]:
    """A port that accepts, as a frozen service does, and never says a word."""
    with socket.create_server(("127.0.0.1", 0), backlog=8) as listening:
        yield listening.getsockname()[1]


@pytest.fixture
def closed_port() -> int:
    """A port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return listening.getsockname()[1]


class Children:
    """Processes that a test starts, by a name of their own; all end with the test."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._started: list[subprocess.Popen[bytes]] = []

    def start(self, name: str = "", *, argv: tuple[str, ...] = ("60",)) -> subprocess.Popen[bytes]:
        """Start a sleep, under another name where one is given; it runs when this returns."""
        program = "/bin/sleep"
        if name:
            link = self._folder / name
            if not link.exists():
                link.symlink_to(program)
            program = str(link)
        child = subprocess.Popen([program, *argv])
        self._started.append(child)
        comm = Path(f"/proc/{child.pid}/comm")
        while comm.read_text() != f"{Path(program).name[:15]}\n":  # the kernel names it a moment after it runs
            time.sleep(0.0005)
        return child

    def end(self) -> None:
        """Kill and reap everything."""
        for child in self._started:
            child.kill()
            child.wait()


@pytest.fixture
def children(tmp_path: Path) -> Iterator[Children]:
    found = Children(tmp_path)
    yield found
    found.end()


class DirectPrograms:
    """Starts programs itself, with the rights of the tests."""

    async def run(
        self, argv: Sequence[str], *, user: str | None = None, environment: Mapping[str, str] | None = None
    ) -> Finished:
        try:
            done = await trio.run_process(argv, capture_stdout=True, check=False, env={**(environment or {})} or None)
        except OSError as error:
            raise CannotStartError(str(error)) from error
        return Finished(done.returncode, done.stdout)

    async def open(self, path: str) -> int:
        raise NotImplementedError(path)


class Cables:
    """Interfaces that a test plugs and unplugs."""

    def __init__(self) -> None:
        self.trouble: dict[str, str | None] = {}
        self._changed = trio.Event()

    def carrier(self, interface: str) -> str | None:
        return self.trouble.get(interface, "does not exist")

    async def changed(self) -> None:
        await self._changed.wait()

    def set(self, interface: str, trouble: str | None) -> None:
        """Say what is wrong with an interface, None for nothing; whoever waits hears of it."""
        self.trouble[interface] = trouble
        self._changed.set()
        self._changed = trio.Event()


@pytest.fixture
def cables() -> Cables:
    found = Cables()
    found.set("eth0", None)
    return found


@pytest.fixture
def host(cables: Cables) -> Host:
    """What the agent offers to checks; it has one good interface, eth0."""
    return Host(DirectPrograms(), cables)


@pytest.fixture(autouse=True)
def no_descriptor_leaks() -> Iterator[None]:
    """Every probe gives back all that it opened, also when it is cancelled."""
    before = _descriptors()
    yield
    assert _descriptors() <= before


def _descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))
