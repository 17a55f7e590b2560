"""The wall clock of a node jumps: a time server was wrong, or somebody set it by hand."""

from __future__ import annotations

from typing import ClassVar

from netns_lab.expressions import SECOND
from netns_lab.lab import Lab

AHEAD_NS = 3600 * SECOND


class ClockJumped:
    """Sets a node's wall clock an hour ahead."""

    kind: ClassVar[str] = "clock-jumped"
    summary: ClassVar[str] = "the node's wall clock jumps an hour ahead, for programs in Python"
    cuts: ClassVar[bool] = False

    def inject(self, lab: Lab, node: str) -> None:
        """Set it ahead."""
        lab.node(node).set_clock(AHEAD_NS)

    def heal(self, lab: Lab, node: str) -> None:
        """Set it right."""
        lab.node(node).set_clock(0)
