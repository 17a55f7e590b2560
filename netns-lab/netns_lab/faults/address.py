"""Another program removes the shared address from the interface of the node that holds it."""

from __future__ import annotations

from typing import ClassVar

from netns_lab.lab import Lab


class AddressDeleted:
    """Removes the shared addresses by hand."""

    kind: ClassVar[str] = "address-deleted"
    summary: ClassVar[str] = "somebody removes the shared address from the node's interface"
    cuts: ClassVar[bool] = False

    def inject(self, lab: Lab, node: str) -> None:
        """Remove them."""
        for address in lab.agent(node).service.advertised:
            lab.node(node).run("ip", "address", "del", address, "dev", "eth0")

    def heal(self, lab: Lab, node: str) -> None:
        """Nothing is left to undo: whoever serves has to put them back."""
