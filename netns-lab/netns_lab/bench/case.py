"""What is measured: so many virtual routers at an interval, between two nodes.

Virtual routers are dealt out to links of 250, since a link has 255 numbers for them. One node is Active for all of them
and the other one is Backup; where an advertisement has more than one destination, the others are hosts without an
agent.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

PER_LINK = 250
SENDER, RECEIVER = "a", "b"
_FIRST_NODE = 11


@dataclass(frozen=True, slots=True)
class Case:
    """One setting of a benchmark, the same for every agent.

    Attributes:
        routers: virtual routers of each node.
        interval_ms: between two advertisements.
        peers: destinations of an advertisement in unicast.
        transport: unicast or multicast.
        signed: each advertisement has a signature (HMAC).
        loaded: ordinary programs keep every core busy.
    """

    routers: int
    interval_ms: int
    peers: int = 1
    transport: Literal["unicast", "multicast"] = "unicast"
    signed: bool = False
    loaded: bool = False

    @property
    def name(self) -> str:
        """In words."""
        interval = f"{self.interval_ms / 1000:g} s" if self.interval_ms >= 1000 else f"{self.interval_ms} ms"
        to = "multicast" if self.transport == "multicast" else f"{self.peers} peer{'s' * (self.peers > 1)}"
        return f"{self.routers} x {interval}, {to}{', HMAC' * self.signed}{', busy cores' * self.loaded}"

    @property
    def destinations(self) -> int:
        """How often each advertisement is sent."""
        return self.peers if self.transport == "unicast" else 1

    @property
    def links(self) -> int:
        """How many links there are."""
        return math.ceil(self.routers / PER_LINK)

    @property
    def nodes(self) -> list[str]:
        """The nodes; those after the first two run no agent."""
        return [SENDER, RECEIVER, *(f"c{number}" for number in range(1, self.destinations))]

    def address(self, node: str, link: int) -> str:
        """The address of a node on a link, the first of which is 0."""
        return f"10.{100 + link}.0.{_FIRST_NODE + self.nodes.index(node)}"

    def shared(self) -> Iterator[tuple[int, int, str]]:
        """Of each virtual router its link, its VRID, and its shared address."""
        for index in range(self.routers):
            link, number = divmod(index, PER_LINK)
            yield link, number + 1, f"10.{100 + link}.1.{number + 1}"
