"""vrrpd, known by its command line and its file only.

All nodes get the very same file, as in production; each finds itself in it by its own address. The file says no more
than it must, so that what a scenario measures is what the defaults give. State and control socket lie in the node's
directory.
"""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any, ClassVar, cast

from netns_lab.agents.base import Agent, RoleName
from netns_lab.service import PROXY


class Vrrpd(Agent):
    """An agent of this project."""

    kind: ClassVar[str] = "vrrpd"

    @classmethod
    def executable(cls) -> str | None:
        """The command: beside the interpreter that runs the lab, else on the path."""
        beside = Path(sys.executable).with_name("vrrpd")
        return str(beside) if beside.exists() else shutil.which("vrrpd")

    @classmethod
    def missing(cls) -> str | None:
        """What this machine lacks to run it."""
        return None if cls.executable() else "the command vrrpd; install this package with pip"

    @property
    def file(self) -> Path:
        """The configuration file, the same one for all nodes."""
        return self.shared / "vrrpd.yaml"

    @property
    def control(self) -> Path:
        """Its control socket."""
        return self.node.directory / "control.sock"

    def configuration(self) -> str:
        """The file for all nodes."""
        service = self.service
        lines = ["nodes:"]
        lines += [f"  {host.name}: {_scalar(host.address(service.family))}" for host in self.members]
        if service.track:
            grace = f", grace: {service.grace_ms}ms" if service.grace_ms is not None else ""
            lines += ["checks:", "  proxy:", f"    process: {{name: {PROXY}{grace}}}"]
        addresses = ["auto" if a.startswith("fe80:") else _scalar(a) for a in service.advertised]
        lines += ["routers:", "  web:", f"    vrid: {service.vrid}", f"    addresses: [{', '.join(addresses)}]"]
        lines += [f"    advert_interval: {_duration(service.interval_ms)}"]
        if service.version == 2:
            lines.append("    version: 2")
        if service.transport == "multicast":
            lines.append("    transport: multicast")
        if service.priorities is not None:
            given = ", ".join(f"{name}: {number}" for name, number in service.priorities.items())
            lines.append(f"    priority: {{{given}}}")
        if not service.preempt:
            lines.append("    preempt: false")
        if service.track:
            lines.append("    track: [proxy]")
        return "\n".join(lines) + "\n"

    def start(self) -> None:
        """Write the file and start the agent."""
        text = self.configuration()
        if not self.file.exists() or self.file.read_text() != text:
            self.file.write_text(text)
        executable = self.executable() or "vrrpd"
        self.node.start("agent", [executable, "run", "-c", str(self.file), "--control", str(self.control)])

    def wait_ready(self, timeout: float = 10) -> None:
        """Wait for the line with the word `ready`."""
        if self.process is not None:
            self.process.wait_line("ready", timeout)

    def status(self) -> dict[str, Any]:
        """What `vrrpd status --json` prints; empty where no agent answers."""
        executable = self.executable() or "vrrpd"
        done = self.node.run(executable, "status", "--control", str(self.control), "--json")
        if done.returncode not in {0, 1} or not done.stdout.strip():
            return {}
        return cast("dict[str, Any]", json.loads(done.stdout))

    def role(self) -> RoleName:
        """The state of its only router."""
        routers = self.status().get("routers", [])
        return cast("RoleName", routers[0]["state"]) if routers else "down"


def _scalar(text: str) -> str:
    """An address as YAML: one with colons is quoted inside a flow list."""
    return f'"{text}"' if ":" in text else text


def _duration(milliseconds: int) -> str:
    """A duration the way a person writes it."""
    return f"{milliseconds // 1000}s" if milliseconds % 1000 == 0 else f"{milliseconds}ms"
