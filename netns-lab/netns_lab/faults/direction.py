"""A cable, or a switch's port, works in one direction only, while the carrier stays: nothing tells anybody.

Done with nftables where frames come in (netdev ingress), so that ARP is lost like everything else: in the node for what
it would hear, at the switch's port for what it says.
"""

from __future__ import annotations

import subprocess
from typing import ClassVar

from netns_lab.errors import LabError
from netns_lab.lab import Lab

_TABLE = "lab_direction"


class CableDeaf:
    """The node hears nobody, and is heard by all."""

    kind: ClassVar[str] = "cable-deaf"
    summary: ClassVar[str] = "what is sent to the node is lost, what it sends arrives; the carrier stays"
    cuts: ClassVar[bool] = True

    def inject(self, lab: Lab, node: str) -> None:
        """Lose what is sent to it."""
        _lose(lab.node(node).namespace, "eth0")

    def heal(self, lab: Lab, node: str) -> None:
        """Lose nothing any more."""
        _find(lab.node(node).namespace)


class CableMute:
    """The node hears everybody, and is heard by nobody."""

    kind: ClassVar[str] = "cable-mute"
    summary: ClassVar[str] = "what the node sends is lost, what is sent to it arrives; the carrier stays"
    cuts: ClassVar[bool] = True

    def inject(self, lab: Lab, node: str) -> None:
        """Lose what it sends."""
        _lose(lab.switch_namespace, node)

    def heal(self, lab: Lab, node: str) -> None:
        """Lose nothing any more."""
        _find(lab.switch_namespace)


def _lose(namespace: str, interface: str) -> None:
    hook = f"{{ type filter hook ingress device {interface} priority 0; policy drop; }}"
    _nft(namespace, f"add table netdev {_TABLE}\nadd chain netdev {_TABLE} lost {hook}\n")


def _find(namespace: str) -> None:
    _nft(namespace, f"delete table netdev {_TABLE}\n")


def _nft(namespace: str, rules: str) -> None:
    argv = ["ip", "netns", "exec", namespace, "nft", "-f", "-"]
    done = subprocess.run(argv, input=rules, capture_output=True, text=True, check=False)
    if done.returncode:
        raise LabError(f"nft: {done.stderr.strip()}")
