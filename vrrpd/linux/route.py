"""A route of this host, as whoever wants one writes it down.

Owns the value alone, without the libraries that turn it into bytes (`linux.netlink.routes`).
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network
from typing import TypeAlias

from vrrpd.proto.settings import Address

Network: TypeAlias = IPv4Network | IPv6Network

MAIN = 254
"""The routing table that is asked where no rule says otherwise: rtnetlink(7)."""


@dataclass(frozen=True, slots=True)
class Route:
    """Where packets to a network go.

    Attributes:
        destination: which network; 0.0.0.0/0 or ::/0 for all.
        via: the gateway, of the same family; None where the destination is on the link itself.
        device: name of the interface; "" where the gateway tells.
        table: number of the routing table.
        metric: the lowest of several routes to one destination is used; 0 is the kernel's default (IPv6: 1024).
        source: which of our addresses is preferred as a source; None where the kernel chooses.
        onlink: the gateway is on the link, whatever the addresses of the interface say.
    """

    destination: Network
    via: Address | None = None
    device: str = ""
    table: int = MAIN
    metric: int = 0
    source: Address | None = None
    onlink: bool = False

    def __str__(self) -> str:
        parts = [str(self.destination) if self.destination.prefixlen else "default"]
        parts += [f"via {self.via}"] if self.via else []
        parts += [f"dev {self.device}"] if self.device else []
        parts += [f"table {self.table}"] if self.table != MAIN else []
        return " ".join([*parts, *([f"metric {self.metric}"] if self.metric else [])])
