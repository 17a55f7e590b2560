"""The switch's port of a node sends back what the switch floods, multicast and broadcast, also to who sent it."""

from __future__ import annotations

from typing import ClassVar

from netns_lab import kernel
from netns_lab.lab import Lab


class SwitchLoops:
    """Lets a node hear itself, by a hairpin port."""

    kind: ClassVar[str] = "switch-loops"
    summary: ClassVar[str] = "the switch sends the node's own multicast and broadcast back to it"
    cuts: ClassVar[bool] = False

    def inject(self, lab: Lab, node: str) -> None:
        """Send it back."""
        kernel.ip_batch([f"link set dev {node} type bridge_slave hairpin on"], lab.switch_namespace)

    def heal(self, lab: Lab, node: str) -> None:
        """Keep it from the sender, as a switch does."""
        kernel.ip_batch([f"link set dev {node} type bridge_slave hairpin off"], lab.switch_namespace)
