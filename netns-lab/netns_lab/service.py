"""What is asked of an agent, in words that belong to none of them.

One `Service` is one shared address with the way it is to be kept: version, transport, family, interval, priorities.
Each module of `agents` writes it in the language of its agent, so the same scenario runs with any of them and with
a mixture. Times are integer milliseconds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

Family = Literal["ipv4", "ipv6"]
Transport = Literal["unicast", "multicast"]

PROXY = "haproxy"
"""The program that `track="proxy"` is about; its process name."""


@dataclass(frozen=True, slots=True)
class Service:
    """A shared address and how it is kept.

    Attributes:
        vrid: Virtual Router Identifier, 1..255.
        family: of the shared address and of the advertisements.
        version: VRRP version, 2 or 3.
        transport: unicast to the other nodes, or multicast.
        interval_ms: advertisement interval; whole seconds in version 2, steps of 10 ms in version 3.
        priorities: node -> priority; None leaves it to the order of the nodes.
        preempt: whether a preferred node takes the role back.
        track: `proxy`: a node whose proxy process is gone does not serve; None: nothing is tracked.
        grace_ms: how long a dead proxy may take to be back before its death counts; None: the agent's default.
    """

    vrid: int = 51
    family: Family = "ipv4"
    version: Literal[2, 3] = 3
    transport: Transport = "unicast"
    interval_ms: int = 1000
    priorities: Mapping[str, int] | None = None
    preempt: bool = True
    track: Literal["proxy"] | None = None
    grace_ms: int | None = None

    @property
    def address(self) -> str:
        """The shared address, without a length: what a client talks to."""
        return "fd88::100" if self.family == "ipv6" else "10.88.0.100"

    @property
    def prefixed(self) -> str:
        """The shared address with the length of its network."""
        return f"{self.address}/{64 if self.family == 'ipv6' else 24}"

    @property
    def link_local(self) -> str:
        """The link-local address of the virtual router, from its virtual MAC address (RFC 9568 7.4)."""
        return f"fe80::200:5eff:fe00:{0x200 + self.vrid:x}"

    @property
    def advertised(self) -> tuple[str, ...]:
        """The advertised addresses in order; multicast IPv6 begins with a link-local one (RFC 9568 5.2.9)."""
        if self.family == "ipv6" and self.transport == "multicast":
            return (f"{self.link_local}/64", self.prefixed)
        return (self.prefixed,)

    def priority(self, nodes: Sequence[str], node: str) -> int:
        """The priority of a node: from `priorities`, else from the order, the first highest.

        High on purpose, as Skew_Time is ((256 - priority) / 256) x interval; at short intervals further apart, so that
        two Backups do not take over in the same millisecond.
        """
        if self.priorities is not None:
            return self.priorities[node]
        step = 10 if self.interval_ms >= 100 else min(105, 248 // max(1, len(nodes) - 1))
        return 250 - step * list(nodes).index(node)
