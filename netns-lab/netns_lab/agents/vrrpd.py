"""vrrpd, known by its command line and its file only.

All nodes get the very same file, as in production; each finds itself in it by its own address. The file says no more
than it must, so that what a scenario measures is what the defaults give. State and control socket lie in the node's
directory.
"""

from __future__ import annotations

import copy
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, ClassVar, cast

import yaml

from netns_lab.agents.base import Agent, RoleName
from netns_lab.errors import LabError
from netns_lab.service import Check, Track, VirtualRouter


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

    @classmethod
    def program(cls) -> str:
        """The program that is started."""
        return cls.executable() or cls.kind

    @property
    def file(self) -> Path:
        """The configuration file, the same one for all nodes; with a key each has its own, as keys may differ."""
        return (self.node.directory if self.service.key else self.shared) / "vrrpd.yaml"

    @property
    def control(self) -> Path:
        """Its control socket."""
        return self.node.directory / "control.sock"

    def configuration(self) -> str:
        """The file for all nodes."""
        service = self.service
        file: dict[str, Any] = {"nodes": {host.name: host.address(service.family) for host in self.members}}
        if service.checks:
            file["checks"] = {name: _check(check) for check in service.checks for name in check.names()}
        routers = service.virtual_routers()
        file["routers"] = {router.name: self._router(router, index) for index, router in enumerate(routers)}
        if service.group:
            file["groups"] = {"edge": [router.name for router in routers]}
        return yaml.safe_dump(file, sort_keys=False, default_flow_style=None, width=120)

    def start(self) -> None:
        """Write the file and start the agent."""
        text = self.configuration()
        if not self.file.exists() or self.file.read_text() != text:
            self.file.write_text(text)
        # As root, also where a user vrrpd exists: a lab's files are root's, and a lab is the same on every machine.
        run = [self.program(), "run", "-c", str(self.file), "--control", str(self.control), "--user", "root"]
        self.node.start("agent", run)

    def wait_ready(self, timeout: float = 10) -> None:
        """Wait for the line with the word `ready`."""
        if self.process is not None:
            self.process.wait_line("ready", timeout)

    def status(self) -> dict[str, Any]:
        """What `vrrpd status --json` prints; empty where no agent answers."""
        done = self._ask("status", "--json")
        return cast("dict[str, Any]", json.loads(done.stdout)) if done.returncode in {0, 1} and done.stdout else {}

    def role(self) -> RoleName:
        """The state of its first router."""
        routers = self.status().get("routers", [])
        return cast("RoleName", routers[0]["state"]) if routers else "down"

    def alarms(self) -> dict[str, str]:
        """The alarms of its status."""
        status = self.status()
        alarms = [*status.get("alarms", []), *(a for router in status.get("routers", []) for a in router["alarms"])]
        return {alarm["code"]: alarm["detail"] for alarm in alarms}

    def drain(self) -> None:
        """Drain every router, and wait until another node has taken over."""
        self._order("drain")

    def undrain(self) -> None:
        """Let every router take part again."""
        self._order("undrain")

    def _order(self, command: str) -> None:
        done = self._ask(command)
        if done.returncode:
            output = (done.stdout + done.stderr).strip()
            raise LabError(f"vrrpd {command} on {self.node.name} ended with status {done.returncode}: {output}")

    def _ask(self, command: str, *options: str) -> subprocess.CompletedProcess[str]:
        """Run a command against the agent."""
        return self.node.run(self.program(), command, "--control", str(self.control), *options, timeout=30)

    def _router(self, router: VirtualRouter, index: int) -> dict[str, Any]:
        """What the file says about a router; no more than it must."""
        service = self.service
        said: dict[str, Any] = {
            "vrid": router.vrid,
            "addresses": ["auto" if address.startswith("fe80:") else address for address in router.addresses],
            "advert_interval": _duration(service.interval_ms),
        }
        if router.network > 1:
            said["nodes"] = {host.name: host.address(service.family, router.network) for host in self.members}
        if service.version == 2:
            said["version"] = 2
        if service.transport == "multicast":
            said["transport"] = "multicast"
        if service.priorities is not None:
            said["priority"] = dict(service.priorities)
        if not service.preempt:
            said["preempt"] = False
        if service.key:
            said["auth"] = {"hmac": {"keys": {1: service.key}}}
        if tracked := service.tracked(index):
            said["track"] = [_track(track) for track in tracked]
        if service.mover and index == 0:
            said["movers"] = [{service.mover.kind: dict(service.mover.options)}]
        return said


def _check(check: Check) -> dict[str, Any]:
    return {check.kind: copy.deepcopy(check.options), **check.timing}  # one object twice would be written as an alias


def _track(track: Track) -> str | dict[str, Any]:
    return track.check if track.weight is None else {"check": track.check, "weight": track.weight}


def _duration(milliseconds: int) -> str:
    """A duration the way a person writes it."""
    return f"{milliseconds // 1000}s" if milliseconds % 1000 == 0 else f"{milliseconds}ms"
