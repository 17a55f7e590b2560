"""A node's power fails: its cable is dead, its processes are gone, its kernel remembers nothing. Healing boots it."""

from __future__ import annotations

import contextlib
import os
import signal
from typing import ClassVar

from netns_lab import kernel
from netns_lab.errors import LabError
from netns_lab.lab import Lab


class PowerCut:
    """Cuts a node's power."""

    kind: ClassVar[str] = "power-cut"
    summary: ClassVar[str] = "the node is dead: no carrier, no process, no address"
    cuts: ClassVar[bool] = True

    def inject(self, lab: Lab, node: str) -> None:
        """Cut it."""
        _plug(lab, node, plugged=False)
        place = lab.node(node)
        # Everything in it, also what its programs started in sessions of their own.
        for pid in kernel.processes_inside([place.namespace]):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        place.kill_all()
        for router in lab.agent(node).service.virtual_routers():
            for address in router.addresses:
                with contextlib.suppress(LabError):  # it had it not
                    kernel.ip_batch([f"addr del {address} dev {router.interface}"], place.namespace)

    def heal(self, lab: Lab, node: str) -> None:
        """Boot it."""
        _plug(lab, node, plugged=True)
        if lab.topology.webs:
            lab.start_proxy(node)
        lab.restart_agent(node)


def _plug(lab: Lab, node: str, *, plugged: bool) -> None:
    """All cables of a node."""
    for network, _ in enumerate(lab.topology.ports(node), start=1):
        lab.set_cable(node, plugged=plugged, network=network)
