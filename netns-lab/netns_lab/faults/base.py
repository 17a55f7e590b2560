"""What a fault is: something done to one node, that can be undone."""

from __future__ import annotations

from typing import ClassVar, Protocol

from netns_lab.lab import Lab


class Fault(Protocol):
    """One kind of fault.

    Attributes:
        kind: its name in scenarios and on the command line.
        summary: what it does, in one line.
        cuts: whether the node is off the network while it lasts.
    """

    kind: ClassVar[str]
    summary: ClassVar[str]
    cuts: ClassVar[bool]

    def inject(self, lab: Lab, node: str) -> None:
        """Do it to a node."""
        ...

    def heal(self, lab: Lab, node: str) -> None:
        """Undo it."""
        ...
