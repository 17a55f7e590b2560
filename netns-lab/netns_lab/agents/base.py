"""What every agent of the lab has in common: it is configured, started, waited for, asked, stopped and killed.

An agent is a program that the lab knows from outside only: its configuration file, its command line, its process, what
it prints. A new agent is one module with a subclass of `Agent` and one line in `registry.py`.
"""

from __future__ import annotations

import signal
import subprocess
from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import ClassVar, Literal

from netns_lab.errors import LabError
from netns_lab.node import Node, Process
from netns_lab.service import Service
from netns_lab.topology import Host

RoleName = Literal["active", "backup", "fault", "init", "down"]


class Agent(ABC):
    """One agent on one node.

    Attributes:
        kind: its name in the registry and on the command line.
        node: where it runs.
        service: what is asked of it.
        members: the nodes that keep the address together, in order of preference, this one among them.
        shared: a directory that all nodes of the lab see, for a file that is the same on every node.
    """

    kind: ClassVar[str]

    def __init__(self, node: Node, service: Service, members: Sequence[Host], shared: Path) -> None:
        self.node = node
        self.service = service
        self.members = tuple(members)
        self.shared = shared

    @classmethod
    @abstractmethod
    def missing(cls) -> str | None:
        """What this machine lacks to run this kind of agent, and how to get it; None where nothing is missing."""

    @classmethod
    def version(cls) -> str:
        """What it says about its version, in one line."""
        done = subprocess.run([cls.program(), "--version"], capture_output=True, text=True, check=False)
        return next(iter((done.stdout or done.stderr).splitlines()), "")

    @classmethod
    def program(cls) -> str:
        """The program that is started."""
        return cls.kind

    @classmethod
    def unable(cls, service: Service, faults: Collection[str]) -> str | None:
        """Why a scenario asks more of this kind of agent than it can, in one line; None where it can.

        Args:
            service: what is asked.
            faults: the kinds of faults that are done.
        """
        return None

    @classmethod
    def remark(cls, service: Service) -> str | None:
        """How what it runs differs from what is asked, in one line; None where it does what is asked."""
        return None

    @abstractmethod
    def configuration(self) -> str:
        """The text of its configuration file."""

    @abstractmethod
    def start(self) -> None:
        """Write the configuration and start the program, without waiting for it."""

    @abstractmethod
    def wait_ready(self, timeout: float = 10) -> None:
        """Wait until it says that it takes part.

        Raises:
            LabError: it ended, or did not get ready in time.
        """

    @abstractmethod
    def role(self) -> RoleName:
        """What role it says that it has; `down` where it does not run."""

    def alarms(self) -> Mapping[str, str] | None:
        """What it complains about, code and sentence; None where it has no such thing."""
        return None

    @property
    def process(self) -> Process | None:
        """Its main process; None before the first start."""
        return self.node.processes.get("agent")

    @property
    def running(self) -> bool:
        """Whether its main process lives."""
        return self.process is not None and self.process.running

    @property
    def priority(self) -> int:
        """The priority that it is given."""
        return self.service.priority([host.name for host in self.members], self.node.name)

    def stop(self, timeout: float = 10) -> None:
        """Stop it in the planned way, SIGTERM, and wait for its end."""
        if self.process is not None:
            self.process.end(timeout)

    def ask_to_stop(self) -> None:
        """Send SIGTERM and return at once."""
        if self.process is not None:
            self.process.signal(signal.SIGTERM)

    def kill(self) -> None:
        """SIGKILL its main process, as the kernel does when memory runs out."""
        if self.process is not None:
            self.process.signal(signal.SIGKILL)
            self.process.wait(5)

    def drain(self) -> None:
        """Ask it to give its role away and to stay out, and wait for the outcome.

        Raises:
            LabError: it refused, or has no such thing.
        """
        raise LabError(f"{self.kind} cannot be drained")

    def undrain(self) -> None:
        """Ask it to take part again; errors as for `drain`."""
        raise LabError(f"{self.kind} cannot be drained")

    def peers(self) -> list[Host]:
        """The other members."""
        return [host for host in self.members if host.name != self.node.name]
