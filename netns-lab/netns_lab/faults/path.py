"""A node loses the path to something beyond it, without a sign: what it sends there arrives nowhere.

Done in the node's own neighbour table, with a MAC address that nobody has; everybody else still reaches the target, and
the target is fine.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import ClassVar

from netns_lab import kernel
from netns_lab.errors import LabError
from netns_lab.lab import Lab
from netns_lab.topology import REFERENCE, Host

_NOBODY = "02:88:00:00:00:ff"


class GatewayLost:
    """Takes a node's path to its gateway away."""

    kind: ClassVar[str] = "gateway-lost"
    summary: ClassVar[str] = "the node no longer reaches its gateway"
    cuts: ClassVar[bool] = False

    def inject(self, lab: Lab, node: str) -> None:
        """Take it away."""
        _lose(lab, node, [lab.node(REFERENCE).host])

    def heal(self, lab: Lab, node: str) -> None:
        """Give it back."""
        _find(lab, node, [lab.node(REFERENCE).host])


class WebsLost:
    """Takes a node's path to all web servers away."""

    kind: ClassVar[str] = "webs-lost"
    summary: ClassVar[str] = "the node no longer reaches the web servers"
    cuts: ClassVar[bool] = False

    def inject(self, lab: Lab, node: str) -> None:
        """Take it away.

        Raises:
            LabError: there are none.
        """
        if not lab.webs():
            raise LabError("the lab was made without web servers")
        _lose(lab, node, [web.host for web in lab.webs()])

    def heal(self, lab: Lab, node: str) -> None:
        """Give it back."""
        _find(lab, node, [web.host for web in lab.webs()])


def _lose(lab: Lab, node: str, hosts: Sequence[Host]) -> None:
    lines = (f"neigh replace {address} lladdr {_NOBODY} nud permanent dev eth0" for address in _addresses(hosts))
    kernel.ip_batch(lines, lab.node(node).namespace)


def _find(lab: Lab, node: str, hosts: Sequence[Host]) -> None:
    kernel.ip_batch((f"neigh del {address} dev eth0" for address in _addresses(hosts)), lab.node(node).namespace)


def _addresses(hosts: Sequence[Host]) -> Iterable[str]:
    return (address for host in hosts for address in (host.ipv4, host.ipv6))
