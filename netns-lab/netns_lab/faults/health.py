"""A node's own word about its health turns bad: the number in its file `health`, for checks that read a file.

The file is there from the beginning, with the number 0, as `/run/netns-lab/node/health` for the node's programs.
"""

from __future__ import annotations

from typing import ClassVar

from netns_lab.lab import Lab

_BAD = -50


class HealthBad:
    """Writes a bad number into a node's file."""

    kind: ClassVar[str] = "health-bad"
    summary: ClassVar[str] = f"the node's file `health` says {_BAD} in place of 0"
    cuts: ClassVar[bool] = False

    def inject(self, lab: Lab, node: str) -> None:
        """Write it."""
        lab.node(node).write_health(_BAD)

    def heal(self, lab: Lab, node: str) -> None:
        """Write 0 again."""
        lab.node(node).write_health(0)
