"""A cable is pulled: the switch's port goes down, so the node loses its carrier and no frame passes."""

from __future__ import annotations

from typing import ClassVar

from netns_lab.lab import Lab


class CablePulled:
    """Pulls a node's cable."""

    kind: ClassVar[str] = "cable-pulled"
    summary: ClassVar[str] = "the node's cable is pulled; it sees its carrier go"
    cuts: ClassVar[bool] = True

    def inject(self, lab: Lab, node: str) -> None:
        """Pull it."""
        lab.set_cable(node, plugged=False)

    def heal(self, lab: Lab, node: str) -> None:
        """Plug it in again."""
        lab.set_cable(node, plugged=True)


class SecondCablePulled:
    """Pulls the cable of a node's second network; clients, on the first one, still reach it."""

    kind: ClassVar[str] = "second-cable-pulled"
    summary: ClassVar[str] = "the cable of the node's second network is pulled; it sees its carrier go"
    cuts: ClassVar[bool] = False

    def inject(self, lab: Lab, node: str) -> None:
        """Pull it."""
        lab.set_cable(node, plugged=False, network=2)

    def heal(self, lab: Lab, node: str) -> None:
        """Plug it in again."""
        lab.set_cable(node, plugged=True, network=2)
