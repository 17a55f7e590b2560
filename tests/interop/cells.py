"""The cells: which peer, which packets on the wire, who is preferred.

A cell is one conversation between an agent of this project and one of somebody else, on two nodes. The times that a
cell is held against are computed here from the RFCs and not taken from the agent.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from netns_lab.service import Family, Service, Transport

Peer = Literal["keepalived", "frr"]

PREFERRED, OTHER = "first", "second"
"""The nodes; the name says the preference."""

PRIORITIES = {PREFERRED: 200, OTHER: 100}

MS = 1_000_000
"""Nanoseconds in a millisecond: histories are in nanoseconds."""


@dataclass(frozen=True, slots=True)
class Cell:
    """One combination.

    Attributes:
        peer: what runs on the node that is not ours.
        family: of the shared address.
        version: VRRP version.
        transport: how advertisements travel.
        ours: the node that runs the agent of this project.
    """

    peer: Peer
    family: Family
    version: Literal[2, 3]
    transport: Transport
    ours: Literal["first", "second"]

    def __str__(self) -> str:
        return f"{self.peer}-{self.family}-v{self.version}-{self.transport}-{self.kind(PREFERRED)}-preferred"

    @property
    def peer_node(self) -> str:
        """The node that runs somebody else's agent."""
        return OTHER if self.ours == PREFERRED else PREFERRED

    @property
    def interval_ms(self) -> int:
        """Short where the version allows it; version 2 counts in whole seconds (RFC 3768 5.3.7)."""
        return 1000 if self.version == 2 else 200

    @property
    def service(self) -> Service:
        """What both agents are asked to do."""
        return Service(
            family=self.family,
            version=self.version,
            transport=self.transport,
            interval_ms=self.interval_ms,
            priorities=PRIORITIES,
        )

    def kind(self, node: str) -> str:
        """The agent that runs on a node."""
        return "vrrpd" if node == self.ours else self.peer

    def skew_ns(self, node: str) -> int:
        """Skew_Time of a node (RFC 9568 6.1; in version 2 a part of a second whatever the interval, RFC 3768 6.1)."""
        unit = 1000 if self.version == 2 else self.interval_ms
        return (256 - PRIORITIES[node]) * unit * MS // 256

    def down_ns(self, node: str) -> int:
        """Active_Down_Interval of a node (RFC 9568 6.1)."""
        return 3 * self.interval_ms * MS + self.skew_ns(node)


def _cells() -> list[Cell]:
    wires: list[tuple[Peer, Family, Literal[2, 3], Transport]] = [
        ("keepalived", "ipv4", 2, "unicast"),
        ("keepalived", "ipv4", 2, "multicast"),
        ("keepalived", "ipv4", 3, "unicast"),
        ("keepalived", "ipv4", 3, "multicast"),
        ("keepalived", "ipv6", 3, "unicast"),
        ("keepalived", "ipv6", 3, "multicast"),
        ("frr", "ipv4", 3, "multicast"),
        ("frr", "ipv6", 3, "multicast"),
    ]
    return [Cell(*wire, ours=ours) for wire in wires for ours in (PREFERRED, OTHER)]


CELLS = _cells()
