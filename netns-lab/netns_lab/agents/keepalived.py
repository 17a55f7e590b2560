"""keepalived, the control: the same scenario with the agent that everybody knows.

Configured as its manual page recommends, with the defaults for everything that a scenario does not ask for. Two
things differ from a plain file. `unicast_ttl 255`, because for IPv6 unicast it would send the kernel's default hop
limit of 64, which other speakers drop. And the proxy is watched by a script each second: its process events come
through a kernel socket that does not exist in a network namespace.

Needs no syslog: it logs to its own standard error, and every file of its own lies in the node's directory.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
from typing import ClassVar

from netns_lab.agents.base import Agent, RoleName
from netns_lab.service import PROXY


class Keepalived(Agent):
    """keepalived from the distribution."""

    kind: ClassVar[str] = "keepalived"

    @classmethod
    def missing(cls) -> str | None:
        """What this machine lacks to run it."""
        return None if shutil.which("keepalived") else "keepalived; apt-get install keepalived"

    def configuration(self) -> str:
        """The file of this node."""
        service = self.service
        body = [
            "state BACKUP",
            "interface eth0",
            f"virtual_router_id {service.vrid}",
            f"version {service.version}",
            f"priority {self.priority}",
            f"advert_int {service.interval_ms / 1000:g}",
        ]
        if not service.preempt:
            body.append("nopreempt")
        if service.transport == "unicast":
            own = self.node.host.address(service.family)
            peers = [host.address(service.family) for host in self.peers()]
            body += [f"unicast_src_ip {own}", "unicast_ttl 255", *_block("unicast_peer", peers)]
        body += _block("virtual_ipaddress", list(service.advertised))
        if service.track:
            body += _block("track_script", ["proxy"])
        parts = _block("global_defs", [f"router_id {self.node.name}", "script_user root", "enable_script_security"])
        if service.track:
            pidfile = self.node.directory / "proxy.pid"
            script = f'script "/usr/bin/pgrep --pidfile {pidfile} {PROXY}"'
            parts += _block("vrrp_script proxy", [script, "interval 1", "timeout 1", "fall 1", "rise 1"])
        parts += _block("vrrp_instance web", body)
        return "\n".join(parts) + "\n"

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
        """SIGKILL the parent and its VRRP child; when the parent alone dies, the child leaves in the planned way."""
        if self.process is not None:
            child = self.node.directory / "vrrp.pid"
            pid = int(child.read_text()) if child.exists() else None
            self.process.signal(signal.SIGKILL)
            if pid is not None:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            self.process.wait(5)


def _block(name: str, lines: list[str]) -> list[str]:
    """A block of its configuration language."""
    return [f"{name} {{", *(f"    {line}" for line in lines), "}"]
