"""Real agents in network namespaces of their own, as child processes: what a person at a shell would see."""

from __future__ import annotations

import itertools
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

PATIENCE_S = 10
_numbers = itertools.count()


@dataclass
class Child:
    """One `vrrpd run`.

    Attributes:
        process: the process; in its namespace.
        log: what it writes to standard error.
        control: its control socket.
    """

    process: subprocess.Popen[bytes]
    log: Path
    control: Path

    def says(self, text: str) -> str:
        """Wait for a line with this text and return it."""
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            for line in self.log.read_text().splitlines():
                if text in line:
                    return line
            time.sleep(0.01)
        raise AssertionError(f"no line with {text!r}:\n{self.log.read_text()}")

    def status(self) -> dict[str, Any]:
        """What `vrrpd status --json` prints."""
        command = [sys.executable, "-m", "vrrpd", "status", "--json", "--control", str(self.control)]
        return json.loads(subprocess.run(command, check=False, capture_output=True, text=True).stdout)

    def becomes(self, state: str) -> dict[str, Any]:
        """Wait until the first router is in this state and return the router."""
        return self.shows(lambda router: router["state"] == state)

    def shows(self, wanted: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """Wait until the first router of the status is as wanted and return it."""
        self.says("ready")
        deadline = time.monotonic() + PATIENCE_S
        router: dict[str, Any] = {}
        while time.monotonic() < deadline:
            router = self.status()["routers"][0]
            if wanted(router):
                return router
        raise AssertionError(f"not in time: {router}\n{self.log.read_text()}")

    def guardian(self) -> int:
        """The process id of its guardian, once there is one."""
        deadline = time.monotonic() + PATIENCE_S
        while (found := child_of(self.process.pid, "vrrpd-guardian")) is None:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        return found

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def ends(self) -> tuple[int, float]:
        """Wait for the end; its exit status and how long it took, seconds."""
        start = time.monotonic()
        return self.process.wait(PATIENCE_S), time.monotonic() - start


def child_of(pid: int, name: str) -> int | None:
    """A process of this name below another."""
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        names = {int(child): Path(f"/proc/{child}/comm").read_text().strip() for child in children}
    except (FileNotFoundError, ProcessLookupError):  # one has ended meanwhile
        return None
    found = [child for child, called in names.items() if called == name]
    return next(iter([*found, *filter(None, (child_of(child, name) for child in names))]), None)


@dataclass
class Namespace:
    """One network namespace with eth0 at the end of a cable.

    Attributes:
        name: for `ip netns exec`.
        directory: where its files lie.
        children: the agents that were started in it.
        others: other programs that were started in it.
    """

    name: str
    directory: Path
    children: list[Child]
    others: list[subprocess.Popen[bytes]] = field(default_factory=list["subprocess.Popen[bytes]"])

    def run(self, *argv: str) -> str:
        """Run a program in it that must succeed."""
        return subprocess.run(self._in(*argv), check=True, capture_output=True, text=True).stdout

    def holds(self, address: str) -> bool:
        """True while the address is on some interface."""
        return f" {address} " in self.run("ip", "-o", "addr", "show")

    def agent(
        self, text: str, *options: str, wrapper: tuple[str, ...] = (), environment: dict[str, str] | None = None
    ) -> Child:
        """Start an agent with this configuration.

        Args:
            text: the file.
            options: more of the command line.
            wrapper: a program that starts it, such as one that takes capabilities away.
            environment: variables for it.
        """
        number = len(self.children)
        file, log, control = (self.directory / f"{number}{suffix}" for suffix in (".yaml", ".log", ".sock"))
        file.write_text(text)
        run = (sys.executable, "-m", "vrrpd", "run", "-c", str(file), "--control", str(control), *options)
        with log.open("wb") as errors:
            process = subprocess.Popen(
                self._in(*wrapper, *run),
                stdin=subprocess.DEVNULL,
                stdout=errors,
                stderr=errors,
                env=os.environ | (environment or {}),
            )
        child = Child(process, log, control)
        self.children.append(child)
        return child

    def refused(self, text: str, *options: str, wrapper: tuple[str, ...] = ()) -> list[str]:
        """Start an agent that must refuse to run; what it said, line by line."""
        child = self.agent(text, *options, wrapper=wrapper)
        status, _ = child.ends()
        said = child.log.read_text()
        assert status == 1, said
        assert not child.control.exists()
        assert "Traceback" not in said
        return said.splitlines()

    def start(self, *argv: str) -> subprocess.Popen[bytes]:
        """Start a program in it that is ended with the test."""
        self.others.append(subprocess.Popen(self._in(*argv)))
        return self.others[-1]

    def end(self) -> None:
        """End every agent, and every other program, that still runs."""
        for process in (*(child.process for child in self.children), *self.others):
            if process.poll() is None:
                process.kill()
                process.wait()

    def _in(self, *argv: str) -> list[str]:
        return ["ip", "netns", "exec", self.name, *argv]


@pytest.fixture
def namespaces(tmp_path: Path) -> Iterator[tuple[Namespace, Namespace]]:
    """Two namespaces, 10.79.0.11 and 10.79.0.12 on their eth0."""
    if os.geteuid() != 0:
        pytest.skip("network namespaces need root")
    prefix = f"vd{os.getpid()}-{next(_numbers)}"
    left, right = (Namespace(f"{prefix}{side}", tmp_path / side, []) for side in "lr")
    with ExitStack() as cleaning:
        for each in (left, right):
            each.directory.mkdir()
            subprocess.run(["ip", "netns", "add", each.name], check=True)
            cleaning.callback(subprocess.run, ["ip", "netns", "del", each.name], check=False)
            cleaning.callback(each.end)
        cable = ["ip", "-n", left.name, "link", "add", "eth0", "index", "11", "type", "veth", "peer", "name", "eth0"]
        # Two different numbers: a peer of the same number passes for a link to itself.
        subprocess.run([*cable, "index", "12", "netns", right.name], check=True)
        for number, each in ((11, left), (12, right)):
            each.run("ip", "addr", "add", f"10.79.0.{number}/24", "dev", "eth0")
            each.run("ip", "link", "set", "lo", "up")
            each.run("ip", "link", "set", "eth0", "up")
        yield left, right


@pytest.fixture
def node(namespaces: tuple[Namespace, Namespace]) -> Namespace:
    """The first of the two."""
    return namespaces[0]
