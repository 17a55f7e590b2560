"""keepalived, the control: the same scenario with the agent that everybody knows.

Configured as its manual page recommends, with the defaults for everything that a scenario does not ask for. Two
things differ from a plain file. `unicast_ttl 255`, because for IPv6 unicast it would send the kernel's default hop
limit of 64, which other speakers drop. And processes are watched by a script: its process events come through a kernel
socket that does not exist in a network namespace. Scripts run each second at most, which is its shortest interval.

Of the checks it has `exec` and `process` (as scripts), `link` (as a tracked interface) and `file`; for the others one
would write a program, and what it measured would be that program.

Needs no syslog: it logs to its own standard error, and every file of its own lies in the node's directory.
"""

from __future__ import annotations

import json
import math
import shlex
import shutil
import signal
from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import ClassVar

from netns_lab.agents.base import Agent, RoleName
from netns_lab.expressions import SECOND, parse_duration
from netns_lab.node import HERE
from netns_lab.service import Check, Service, Track, VirtualRouter

_PASSWORD = 8  # characters, RFC 2338 5.3.6.1

_KINDS = {"exec": "track_script", "process": "track_script", "link": "track_interface", "file": "track_file"}
"""The checks that it has, and how an instance tracks each."""


class Keepalived(Agent):
    """keepalived from the distribution."""

    kind: ClassVar[str] = "keepalived"

    @classmethod
    def missing(cls) -> str | None:
        """What this machine lacks to run it."""
        return None if shutil.which("keepalived") else "keepalived; apt-get install keepalived"

    @classmethod
    def unable(cls, service: Service, faults: Collection[str]) -> str | None:
        """Why it cannot run a scenario."""
        if "agent-drained" in faults:
            return "keepalived cannot be drained"
        if service.mover:
            return "keepalived moves nothing in a cloud by itself"
        if service.key and service.family == "ipv6":
            return "keepalived authenticates version 2 only, which has no IPv6"
        for check in service.checks:
            if check.kind not in _KINDS:
                return f"keepalived has no {check.kind} check of its own"
        return None

    @classmethod
    def remark(cls, service: Service) -> str | None:
        """How what it runs differs from what is asked."""
        if service.key:
            return "has no HMAC before 2.4.2: version 2 with passwords, at whole seconds; it asks no clock for the time"
        return None

    def configuration(self) -> str:
        """The file of this node."""
        service = self.service
        parts = _block("global_defs", [f"router_id {self.node.name}", "script_user root", "enable_script_security"])
        for check in service.checks:
            parts += _check(check)
        routers = service.virtual_routers()
        if service.group:
            parts += _block("vrrp_sync_group edge", _block("group", [router.name for router in routers]))
        for index, router in enumerate(routers):
            parts += _block(f"vrrp_instance {router.name}", self._instance(router, service.tracked(index)))
        return "\n".join(parts) + "\n"

    def _instance(self, router: VirtualRouter, tracked: Sequence[Track]) -> list[str]:
        """The body of one instance."""
        service = _spoken(self.service)
        body = [
            "state BACKUP",
            f"interface {router.interface}",
            f"virtual_router_id {router.vrid}",
            f"version {service.version}",
            f"priority {self.priority}",
            f"advert_int {service.interval_ms / 1000:g}",
        ]
        if service.key:
            body += _block("authentication", ["auth_type PASS", f"auth_pass {service.key[:_PASSWORD]}"])
        if not service.preempt:
            body.append("nopreempt")
        if service.transport == "unicast":
            own = self.node.host.address(service.family, router.network)
            peers = [host.address(service.family, router.network) for host in self.peers()]
            body += [f"unicast_src_ip {own}", "unicast_ttl 255", *_block("unicast_peer", peers)]
        body += _block("virtual_ipaddress", list(router.addresses))
        checks = {name: check for check in service.checks for name in check.names()}
        for track in tracked:
            check = checks[track.check]
            weight = f" weight {track.weight}" if track.weight is not None else ""
            if check.kind == "file":
                weight = " weight 1"  # it multiplies the number in the file
            name = check.options if check.kind == "link" else track.check
            body += _block(_KINDS[check.kind], [f"{name}{weight}"])
        return body

    def start(self) -> None:
        """Write the file and start keepalived in the foreground."""
        directory = self.node.directory
        file = directory / "keepalived.conf"
        file.write_text(self.configuration())
        # Of one that was killed: where its parent is slow to collect it, the next would take it for alive.
        for stale in ("keepalived.pid", "vrrp.pid"):
            (directory / stale).unlink(missing_ok=True)
        argv = ["keepalived", "--dont-fork", "--log-console", "--no-syslog", "--log-detail", "--vrrp"]
        argv += ["-f", str(file), "-p", str(directory / "keepalived.pid"), "-r", str(directory / "vrrp.pid")]
        self.node.start("agent", argv)

    def wait_ready(self, timeout: float = 10) -> None:
        """Wait until the instance has left its initial state."""
        if self.process is not None:
            self.process.wait_line("STATE", timeout)

    def role(self) -> RoleName:
        """Active exactly where it holds the shared address, as keepalived puts it there only as MASTER."""
        if not self.running:
            return "down"
        listed = json.loads(self.node.run("ip", "-json", "address", "show", "dev", "eth0").stdout)
        held = {entry["local"] for link in listed for entry in link["addr_info"]}
        if self.service.address in held:
            return "active"
        output = self.process.output() if self.process else ""
        return "fault" if output.rfind("FAULT STATE") > output.rfind("BACKUP STATE") else "backup"

    def kill(self) -> None:
        """SIGKILL the parent and its VRRP child in one step; a child that sees its parent die leaves as planned."""
        if self.process is not None:
            self.process.signal(signal.SIGKILL, group=True)
            self.process.wait(5)


def _spoken(service: Service) -> Service:
    """What it can do of a service: with a password it speaks version 2, whose intervals are whole seconds."""
    if not service.key:
        return service
    return replace(service, version=2, interval_ms=math.ceil(service.interval_ms / 1000) * 1000)


def _block(name: str, lines: list[str]) -> list[str]:
    """A block of its configuration language."""
    return [f"{name} {{", *(f"    {line}" for line in lines), "}"]


def _check(check: Check) -> list[str]:
    """What defines a check; nothing for an interface, which needs no definition."""
    lines: list[str] = []
    for name in check.names():
        if check.kind == "file":
            lines += _block(f"track_file {name}", [f"file {check.options}"])
        elif check.kind in {"process", "exec"}:
            body = [f'script "{_script(check)}"', f"interval {_seconds(check, 'interval')}"]
            body += [f"timeout {_seconds(check, 'timeout')}"]
            # A dead process is dead at once for the agent that it is compared with, too.
            default = 1 if check.kind == "process" else 2
            body += [f"{key} {check.timing.get(key, default)}" for key in ("fall", "rise")]
            lines += _block(f"vrrp_script {name}", body)
    return lines


def _script(check: Check) -> str:
    """The command line of a script."""
    if check.kind == "exec":
        return shlex.join(check.options)
    if "pidfile" in check.options:
        return f"/usr/bin/pgrep --pidfile {check.options['pidfile']} ."
    return f"/usr/bin/pgrep --exact {check.options['name']} --pidfile {HERE / 'proxy.pid'}"


def _seconds(check: Check, key: str) -> int:
    """A time of a check in whole seconds, which is how it counts, and at least one."""
    return max(1, math.ceil(parse_duration(check.timing.get(key, "1s")) / SECOND))
