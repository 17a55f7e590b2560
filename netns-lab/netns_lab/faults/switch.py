"""A switch that forwards nothing while its ports, and so the carriers, stay up: nothing tells the node.

It dies as a whole (its bridge is down), or one port of it is blocked, as a spanning tree does for many seconds after a
host has booted.

A node that hangs on the core switch takes everybody's network with it; a scenario gives the node an access switch of
its own (`access_switches`), which is the interesting case: only this node is cut off, and nothing tells it.
"""

from __future__ import annotations

from typing import ClassVar

from netns_lab.lab import Lab


class SwitchDead:
    """Kills the switch that a node hangs on."""

    kind: ClassVar[str] = "switch-dead"
    summary: ClassVar[str] = "the switch that the node hangs on forwards nothing more; the carrier stays"
    cuts: ClassVar[bool] = True

    def inject(self, lab: Lab, node: str) -> None:
        """Let it forward nothing."""
        lab.set_bridge(node, alive=False)

    def heal(self, lab: Lab, node: str) -> None:
        """Let it forward again."""
        lab.set_bridge(node, alive=True)


class PortBlocked:
    """Blocks the switch's port of a node, in both directions."""

    kind: ClassVar[str] = "port-blocked"
    summary: ClassVar[str] = "the switch's port of the node forwards nothing, as after a boot; the carrier stays"
    cuts: ClassVar[bool] = True

    def inject(self, lab: Lab, node: str) -> None:
        """Block it."""
        lab.set_port(node, blocked=True)

    def heal(self, lab: Lab, node: str) -> None:
        """Let it forward again."""
        lab.set_port(node, blocked=False)
