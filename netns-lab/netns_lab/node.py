"""A node: one namespace and the programs that the lab started in it.

Owns the start and the end of programs inside a namespace. Each gets a session of its own and is ended by its process
id or its group's, never by name. What a program writes goes to a file in the node's directory, which is where a person
looks when a run failed, and where the lab waits for the line that says a program is ready.

Programs are started through ip-netns(8), which replaces itself by them (the process id stays) and gives them a
`/sys` that shows the namespace's interfaces. They see the node's directory as `/run/netns-lab/node` as well: one
configuration file for all nodes can then name a socket or a file that each node has of its own.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from netns_lab.errors import LabError
from netns_lab.rundir import BASE
from netns_lab.topology import Host

HERE = BASE / "node"
"""Where the programs of a node find its directory."""

_CLOCK = Path(__file__).parent / "clock"

_INSIDE = f'mount --bind "$0" {HERE} && exec "$@"'

POLL = 0.005
"""Seconds between two looks at a condition that cannot wake us."""


def wait_until(condition: Callable[[], bool], timeout: float, what: str | Callable[[], str]) -> None:
    """Wait for a condition.

    Args:
        condition: looked at every few milliseconds.
        timeout: seconds.
        what: completes "waited N s for ..." in the error; may be asked for when it is needed.

    Raises:
        LabError: it did not come true in time.
    """
    deadline = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > deadline:
            raise LabError(f"waited {timeout:g} s for {what if isinstance(what, str) else what()}")
        time.sleep(POLL)


class Process:
    """A program that runs inside a node.

    Attributes:
        name: what the lab calls it: `agent`, `proxy`, ...
        log: the file that holds what it writes to standard output and standard error.
    """

    def __init__(self, name: str, popen: subprocess.Popen[bytes], log: Path) -> None:
        self.name = name
        self.log = log
        self._popen = popen

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._popen.pid

    @property
    def running(self) -> bool:
        """Whether it has not ended."""
        return self._popen.poll() is None

    @property
    def exit_status(self) -> int | None:
        """Its exit status (negative: the signal that ended it), None while it runs."""
        return self._popen.poll()

    def output(self) -> str:
        """All it has written so far."""
        return self.log.read_text(errors="replace")

    def wait_line(self, text: str, timeout: float) -> None:
        """Wait until it has written `text`.

        Raises:
            LabError: it ended first, or did not write it within `timeout` seconds; with the end of its output.
        """
        deadline = time.monotonic() + timeout
        while text not in self.output():
            if not self.running:
                raise LabError(f"{self.name} ended with status {self.exit_status}: {self._tail()}")
            if time.monotonic() > deadline:
                raise LabError(f"{self.name} did not say {text!r} within {timeout:g} s: {self._tail()}")
            time.sleep(POLL)

    def signal(self, number: signal.Signals, *, group: bool = False) -> None:
        """Send a signal to it, or to its whole process group; nothing happens where it has ended."""
        if self.running:
            if group:
                os.killpg(self.pid, number)
            else:
                os.kill(self.pid, number)

    def wait(self, timeout: float) -> int:
        """Wait for its end and return its exit status.

        Raises:
            LabError: it still runs after `timeout` seconds.
        """
        try:
            return self._popen.wait(timeout)
        except subprocess.TimeoutExpired:
            raise LabError(f"{self.name} (pid {self.pid}) did not end within {timeout:g} s") from None

    def end(self, timeout: float = 5) -> None:
        """End it: SIGTERM, and after `timeout` seconds SIGKILL to its group."""
        self.signal(signal.SIGTERM)
        try:
            self._popen.wait(timeout)
        except subprocess.TimeoutExpired:
            self.signal(signal.SIGKILL, group=True)
            self._popen.wait()

    def _tail(self) -> str:
        lines = self.output().strip().splitlines()
        return " | ".join(lines[-5:]) or "no output"


class Node:
    """One host of a lab: its namespace, its directory, its programs.

    Attributes:
        host: its name, role and addresses.
        namespace: the name of its network namespace.
        directory: where its programs keep their files.
        processes: the programs that run in it, by name.
        clock: whether it has a wall clock of its own (`clock.sitecustomize`).
    """

    def __init__(self, host: Host, namespace: str, directory: Path, *, clock: bool = False) -> None:
        self.host = host
        self.clock = clock
        self.namespace = namespace
        self.directory = directory
        self.processes: dict[str, Process] = {}
        self._started: list[Process] = []
        directory.mkdir(parents=True, exist_ok=True)
        HERE.mkdir(parents=True, exist_ok=True)
        self.write_health(0)
        if clock:
            self.set_clock(0)

    @property
    def name(self) -> str:
        """The host's name."""
        return self.host.name

    def command(self, argv: Sequence[str]) -> list[str]:
        """The command line that runs `argv` inside this namespace."""
        return ["ip", "netns", "exec", self.namespace, "sh", "-c", _INSIDE, str(self.directory), *argv]

    def run(self, *argv: str, timeout: float = 10) -> subprocess.CompletedProcess[str]:
        """Run a program to its end inside the namespace and return its output; a bad exit status is no error."""
        return subprocess.run(self.command(argv), capture_output=True, text=True, timeout=timeout, check=False)

    def start(self, name: str, argv: Sequence[str], *, environment: Mapping[str, str] | None = None) -> Process:
        """Start a program that goes on running, and keep it under `name`.

        Args:
            name: what the lab calls it; its output goes to `NAME.log`.
            argv: program and arguments.
            environment: all of its environment; None for that of the lab.
        """
        log = self.directory / f"{name}.log"
        with log.open("wb") as output:
            popen = subprocess.Popen(
                self.command(argv),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                env=environment or self._environment(),
            )
        process = Process(name, popen, log)
        self.processes[name] = process
        self._started.append(process)
        return process

    def write_health(self, number: int) -> None:
        """Write a number into the file `health`, for checks that read a file, in one step."""
        new = self.directory / "health.new"
        new.write_text(f"{number}\n")
        new.rename(self.directory / "health")

    def set_clock(self, ahead_ns: int) -> None:
        """Let the wall clock of the programs in it be so many nanoseconds ahead of the machine's, from now on.

        Raises:
            LabError: the lab was made without clocks, and programs were started that do not look.
        """
        if not self.clock:
            raise LabError("the lab was made without clocks of its nodes; set clocks to true")
        new = self.directory / "clock.new"
        new.write_text(f"{ahead_ns}\n")
        new.rename(self.directory / "clock")

    def _environment(self) -> Mapping[str, str] | None:
        """What programs are told about the clock."""
        if not self.clock:
            return None
        return {**os.environ, "PYTHONPATH": str(_CLOCK), "NETNS_LAB_CLOCK": str(self.directory / "clock")}

    def kill_all(self, timeout: float = 5) -> None:
        """End everything that the lab started here at once, as a power cut does.

        Args:
            timeout: seconds; the kernel takes its time to close thousands of sockets.

        Raises:
            LabError: one has not ended by then.
        """
        for process in self._started:
            process.signal(signal.SIGKILL, group=True)
        for process in self._started:
            process.wait(timeout)
        self._started.clear()
        self.processes.clear()
