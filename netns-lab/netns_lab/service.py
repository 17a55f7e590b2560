"""What is asked of an agent, in words that belong to none of them.

One `Service` is one shared address with the way it is to be kept: version, transport, family, interval, priorities,
what is checked and what follows from it. Each module of `agents` writes it in the language of its agent, so the same
scenario runs with any of them and with a mixture. Times are integer milliseconds.

A service may be more than one virtual router: the same hundred times (`routers`), or a second one on the nodes' second
network that moves together with the first (`group`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

Family = Literal["ipv4", "ipv6"]
Transport = Literal["unicast", "multicast"]

PROXY = "haproxy"
"""The program of the proxies; its process name."""


@dataclass(frozen=True, slots=True)
class Check:
    """A health check, as data.

    Attributes:
        name: what tracks call it.
        kind: `http`, `process`, `link`, ...
        options: what the kind is told.
        timing: `interval`, `timeout`, `rise`, `fall`, `start`, where they are given.
        times: so many of this kind, called NAME-1, NAME-2, ..., and dealt out to the routers in turn.
    """

    name: str
    kind: str
    options: Any
    timing: Mapping[str, Any] = field(default_factory=dict[str, Any])
    times: int = 1

    def names(self) -> list[str]:
        """The names of all of them."""
        return [self.name] if self.times == 1 else [f"{self.name}-{number}" for number in range(1, self.times + 1)]


@dataclass(frozen=True, slots=True)
class Track:
    """A check that decides about the role.

    Attributes:
        check: the name of the check.
        weight: None: a failed check releases the role; a number changes the priority.
    """

    check: str
    weight: int | None = None


@dataclass(frozen=True, slots=True)
class Mover:
    """Something beyond the network that moves with the role, as data.

    Attributes:
        kind: `ec2-elastic-ip`, ...
        options: what the kind is told.
    """

    kind: str
    options: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class VirtualRouter:
    """One of the virtual routers that a service is made of.

    Attributes:
        name: what it is called in configuration files.
        vrid: Virtual Router Identifier.
        network: 1, or 2 for the nodes' second network.
        address: the shared address, without a length.
        addresses: what is advertised, in order, with lengths.
    """

    name: str
    vrid: int
    network: int
    address: str
    addresses: tuple[str, ...]

    @property
    def interface(self) -> str:
        """Where it lives."""
        return f"eth{self.network - 1}"


@dataclass(frozen=True, slots=True)
class Service:
    """A shared address and how it is kept.

    Attributes:
        vrid: Virtual Router Identifier, 1..255; of the first router.
        family: of the shared address and of the advertisements.
        version: VRRP version, 2 or 3.
        transport: unicast to the other nodes, or multicast.
        interval_ms: advertisement interval; whole seconds in version 2, steps of 10 ms in version 3.
        priorities: node -> priority; None leaves it to the order of the nodes.
        preempt: whether a preferred node takes the role back.
        checks: what is looked at.
        track: what of it decides, in every router.
        routers: so many virtual routers on the first network, at most 100, each with an address of its own.
        group: one more on the second network, and all of them move together.
        mover: what moves with the first router; None for nothing.
        key: what advertisements are authenticated with; empty for not at all.
    """

    vrid: int = 51
    family: Family = "ipv4"
    version: Literal[2, 3] = 3
    transport: Transport = "unicast"
    interval_ms: int = 1000
    priorities: Mapping[str, int] | None = None
    preempt: bool = True
    checks: Sequence[Check] = ()
    track: Sequence[Track] = ()
    routers: int = 1
    group: bool = False
    mover: Mover | None = None
    key: str = ""

    @property
    def address(self) -> str:
        """The shared address, without a length: what a client talks to."""
        return self._address(1, 0)

    @property
    def prefixed(self) -> str:
        """The shared address with the length of its network."""
        return f"{self.address}/{self._length}"

    @property
    def advertised(self) -> tuple[str, ...]:
        """The advertised addresses of the first router in order."""
        return self.virtual_routers()[0].addresses

    def virtual_routers(self) -> list[VirtualRouter]:
        """All that it is made of; the first one is that of `address`."""
        found = [self._router("web" if n == 0 else f"web-{n + 1}", 1, n) for n in range(self.routers)]
        return [*found, self._router("inside", 2, self.routers)] if self.group else found

    def tracked(self, index: int) -> list[Track]:
        """What decides about the router with this index: of a check with `times`, those that fall to it."""
        checks = {check.name: check for check in self.checks}
        found: list[Track] = []
        for track in self.track:
            check = checks[track.check]
            names = check.names() if check.times == 1 else check.names()[index :: self.routers]
            found += [Track(name, track.weight) for name in names]
        return found

    def priority(self, nodes: Sequence[str], node: str) -> int:
        """The priority of a node: from `priorities`, else from the order, the first highest.

        High on purpose, as Skew_Time is ((256 - priority) / 256) x interval; at short intervals further apart, so that
        two Backups do not take over in the same millisecond.
        """
        if self.priorities is not None:
            return self.priorities[node]
        step = 10 if self.interval_ms >= 100 else min(105, 248 // max(1, len(nodes) - 1))
        return 250 - step * list(nodes).index(node)

    @property
    def _length(self) -> int:
        return 64 if self.family == "ipv6" else 24

    def _address(self, network: int, index: int) -> str:
        return lab_address(self.family, network, 100 + index)

    def _router(self, name: str, network: int, index: int) -> VirtualRouter:
        """One virtual router; multicast IPv6 begins with the link-local address of its VRID (RFC 9568 5.2.9, 7.4)."""
        vrid = self.vrid + index
        address = self._address(network, index if network == 1 else 0)
        addresses = [f"{address}/{self._length}"]
        if self.family == "ipv6" and self.transport == "multicast":
            addresses.insert(0, f"fe80::200:5eff:fe00:{0x200 + vrid:x}/64")
        return VirtualRouter(name, vrid, network, address, tuple(addresses))


def lab_address(family: Family, network: int, number: int) -> str:
    """An address of one of the lab's networks."""
    return f"fd{87 + network}::{number}" if family == "ipv6" else f"10.{87 + network}.0.{number}"
