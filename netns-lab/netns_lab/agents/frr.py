"""FRR's VRRP, as a peer on the wire for interoperation tests.

FRR works quite differently: the shared address lies on a macvlan with the virtual MAC address for ever, and the daemon
switches that interface's protodown flag. So the kernel's list of addresses says nothing about its role, and the only
honest source is the daemon itself (`show vrrp`). It speaks multicast only, and both families at once if told so; here
it gets the one family of the service.

Two daemons run: zebra, which tells the other about interfaces, and vrrpd (FRR's daemon of that name).

Source: FRR user guide, chapter VRRP.
"""

from __future__ import annotations

import json
import shutil
import signal
from pathlib import Path
from typing import Any, ClassVar, cast

from netns_lab import kernel
from netns_lab.agents.base import Agent, RoleName
from netns_lab.errors import LabError
from netns_lab.node import wait_until

_DAEMONS = Path("/usr/lib/frr")
_ROLES: dict[str, RoleName] = {"Master": "active", "Backup": "backup", "Initialize": "init"}


class Frr(Agent):
    """FRR's zebra and vrrpd."""

    kind: ClassVar[str] = "frr"

    @classmethod
    def missing(cls) -> str | None:
        """What this machine lacks to run it."""
        return None if (_DAEMONS / "vrrpd").exists() else "FRR; apt-get install frr"

    @property
    def directory(self) -> Path:
        """Where its sockets, pid files and configuration lie; belongs to its user."""
        return self.node.directory / "frr"

    @property
    def _macvlan(self) -> str:
        return f"vrrp{'6' if self.service.family == 'ipv6' else '4'}-{self.service.vrid}"

    def configuration(self) -> str:
        """The file of its vrrpd."""
        service = self.service
        kind = "ipv6" if service.family == "ipv6" else "ip"
        lines = [
            "interface eth0",
            f" vrrp {service.vrid} version {service.version}",
            f" vrrp {service.vrid} priority {self.priority}",
            f" vrrp {service.vrid} advertisement-interval {service.interval_ms}",
            *([] if service.preempt else [f" no vrrp {service.vrid} preempt"]),
            f" vrrp {service.vrid} {kind} {service.address}",
            "!",
        ]
        return "\n".join(lines) + "\n"

    def start(self) -> None:
        """Make the macvlan and start both daemons.

        Raises:
            LabError: the service asks for unicast, which FRR does not speak.
        """
        if self.service.transport == "unicast":
            raise LabError("FRR speaks multicast only")
        self._make_macvlan()
        self.directory.mkdir(exist_ok=True)
        (self.directory / "vrrpd.conf").write_text(self.configuration())
        (self.directory / "zebra.conf").write_text("")
        for path in (self.directory, *self.directory.iterdir()):
            shutil.chown(path, "frr", "frr")
        self.node.start("zebra", self._argv("zebra"))
        wait_until((self.directory / "zserv.api").exists, 5, "zebra's socket")
        self.node.start("agent", self._argv("vrrpd"))

    def wait_ready(self, timeout: float = 10) -> None:
        """Wait until it shows a role other than Initialize."""
        wait_until(lambda: self.role() in {"active", "backup"}, timeout, f"FRR on {self.node.name}")

    def role(self) -> RoleName:
        """The state that `show vrrp` gives for the family of the service."""
        if not self.running:
            return "down"
        status = _routers(self._vtysh("show vrrp json"))
        for router in status:
            if router.get("vrid") == self.service.vrid:
                half = router["v6" if self.service.family == "ipv6" else "v4"]
                return _ROLES.get(str(half["status"]), "init")
        return "init"

    def stop(self, timeout: float = 10) -> None:
        """Stop both daemons, vrrpd first."""
        super().stop(timeout)
        if zebra := self.node.processes.get("zebra"):
            zebra.end(timeout)

    def kill(self) -> None:
        """SIGKILL both daemons."""
        super().kill()
        if zebra := self.node.processes.get("zebra"):
            zebra.signal(signal.SIGKILL)

    def _argv(self, daemon: str) -> list[str]:
        directory = self.directory
        files = ["-f", str(directory / f"{daemon}.conf"), "-i", str(directory / f"{daemon}.pid")]
        sockets = ["-z", str(directory / "zserv.api"), "--vty_socket", str(directory), "-P", "0"]
        return [str(_DAEMONS / daemon), *files, *sockets, "-u", "frr", "-g", "frr", "--log", "stdout"]

    def _make_macvlan(self) -> None:
        service, name = self.service, self._macvlan
        family = "2" if service.family == "ipv6" else "1"
        # Otherwise the parent interface answers for the address of its macvlan, also as Backup.
        kernel.write_sysctls(self.node.namespace, {"ipv4/conf/all/arp_ignore": 1, "ipv4/conf/eth0/arp_ignore": 1})
        nodad = " nodad" if service.family == "ipv6" else ""
        kernel.ip_batch(
            (
                f"link add {name} link eth0 type macvlan mode bridge",
                f"link set {name} addrgenmode random",
                f"link set {name} address 00:00:5e:00:0{family}:{service.vrid:02x}",
                f"addr add {service.prefixed} dev {name}{nodad}",
                f"link set {name} up",
            ),
            self.node.namespace,
        )

    def _vtysh(self, command: str) -> str:
        return self.node.run("vtysh", "--vty_socket", str(self.directory), "-c", command).stdout


def _routers(text: str) -> list[dict[str, Any]]:
    """The routers in the output of `show vrrp json`; none while the daemon does not answer."""
    try:
        return cast("list[dict[str, Any]]", json.loads(text))
    except json.JSONDecodeError:
        return []
