"""Somebody who is none of the nodes uses what is theirs: the shared address, or the number of the virtual router.

Done on a web server, a host that has no agent of the lab.
"""

from __future__ import annotations

import shutil
from typing import ClassVar

from netns_lab import kernel
from netns_lab.errors import CannotRunError
from netns_lab.lab import Lab
from netns_lab.service import Service, lab_address

_STRANGER = "stranger"


class AddressTaken:
    """Configures the shared address on another host, which says nothing about it."""

    kind: ClassVar[str] = "address-taken"
    summary: ClassVar[str] = "somebody configures the shared address on this host, too"
    cuts: ClassVar[bool] = False

    def inject(self, lab: Lab, node: str) -> None:
        """Configure it."""
        kernel.ip_batch((f"addr add {each}" for each in _shared(lab)), lab.node(node).namespace)

    def heal(self, lab: Lab, node: str) -> None:
        """Remove it."""
        kernel.ip_batch((f"addr del {each}" for each in _shared(lab)), lab.node(node).namespace)


class VridTaken:
    """Starts another virtual router with the same number on another host: a real keepalived, with multicast."""

    kind: ClassVar[str] = "vrid-taken"
    summary: ClassVar[str] = (
        "somebody uses the same VRID for an address of his own on this host (keepalived, multicast)"
    )
    cuts: ClassVar[bool] = False

    def inject(self, lab: Lab, node: str) -> None:
        """Start it.

        Raises:
            CannotRunError: keepalived is not installed.
        """
        if not shutil.which("keepalived"):
            raise CannotRunError("the stranger is a keepalived; apt-get install keepalived")
        host, service = lab.node(node), _service(lab)
        file = host.directory / "stranger.conf"
        file.write_text(_CONFIGURATION.format(vrid=service.vrid, address=lab_address(service.family, 1, 190)))
        argv = ["keepalived", "--dont-fork", "--log-console", "--no-syslog", "--vrrp", "-f", str(file)]
        argv += ["-p", str(host.directory / "stranger.pid"), "-r", str(host.directory / "stranger-vrrp.pid")]
        host.start(_STRANGER, argv)

    def heal(self, lab: Lab, node: str) -> None:
        """Stop it."""
        lab.node(node).processes[_STRANGER].end()


_CONFIGURATION = """vrrp_instance stranger {{
    interface eth0
    virtual_router_id {vrid}
    version 3
    priority 254
    advert_int 1
    virtual_ipaddress {{
        {address}
    }}
}}
"""


def _service(lab: Lab) -> Service:
    """What the agents are asked."""
    return next(iter(lab.agents.values())).service


def _shared(lab: Lab) -> list[str]:
    """The shared addresses, as ip(8) is told of them."""
    return [f"{address} dev eth0{' nodad' if ':' in address else ''}" for address in _service(lab).advertised]
