"""The proxy is killed (SIGKILL): connections are reset, new ones refused, while node and agent live on."""

from __future__ import annotations

import signal
from typing import ClassVar

from netns_lab.errors import LabError
from netns_lab.lab import Lab


class ProxyKilled:
    """Kills a node's proxy."""

    kind: ClassVar[str] = "proxy-killed"
    summary: ClassVar[str] = "the node's proxy is killed (SIGKILL)"
    cuts: ClassVar[bool] = False

    def inject(self, lab: Lab, node: str) -> None:
        """Kill it.

        Raises:
            LabError: the lab runs no proxies.
        """
        process = lab.node(node).processes.get("proxy")
        if process is None:
            raise LabError(f"{node} runs no proxy; the lab was made without web servers")
        process.signal(signal.SIGKILL, group=True)
        process.wait(5)

    def heal(self, lab: Lab, node: str) -> None:
        """Start it again."""
        lab.start_proxy(node)
