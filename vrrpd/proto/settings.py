"""What one virtual router is told before it starts: the constants of RFC 9568 section 6.1 and the choices of ours.

A virtual router here is one VRID on one interface in one address family, as in the RFC. A router of the
configuration file with addresses of both families is two of them (section 5.2.9: "independent").
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from ipaddress import IPv4Address, IPv6Address
from typing import TypeAlias

from vrrpd.proto.credentials import Auth
from vrrpd.proto.timers import SECOND, active_down_interval

Address: TypeAlias = IPv4Address | IPv6Address

OWNER = 255
"""The priority of the address owner (RFC 9568 5.2.4)."""

UNHEALTHY = 1
"""The effective priority of a node that is out but serves when nobody else does."""


HELD_DOWN = 2
"""The effective priority of a healthy node that is held down: above any that is unhealthy, below all others."""


class Family(StrEnum):
    """Address family of a virtual router."""

    IPV4 = "ipv4"
    IPV6 = "ipv6"


def family_of(address: Address) -> Family:
    """The family of an address."""
    return Family.IPV4 if isinstance(address, IPv4Address) else Family.IPV6


class Checksum(StrEnum):
    """Which bytes the checksum of a version 3 IPv4 advertisement covers.

    `RFC5798` includes the IPv4 pseudo-header (keepalived, FRR), `RFC9568` the message alone (5.2.8). `AUTO` answers
    each peer in the dialect that it spoke last.
    """

    AUTO = "auto"
    RFC5798 = "rfc5798"
    RFC9568 = "rfc9568"


class OnAllFailed(StrEnum):
    """What a node that is out for a failed check does while nobody else is Active."""

    KEEP = "keep"
    RELEASE = "release"


@dataclass(frozen=True, slots=True)
class Settings:
    """The constants of one virtual router.

    Attributes:
        vrid: Virtual Router Identifier, 1..255.
        family: IPv4 or IPv6.
        version: 3, or 2 (IPv4 only).
        priority: configured priority, 1..255; 255 is the address owner.
        interval: Advertisement_Interval in nanoseconds.
        addresses: the advertised addresses, in configured order, at least one.
        unicast: True where advertisements go to `peers`, False for multicast.
        peers: addresses of the other nodes (unicast), without our own.
        max_hops: how many routers may lie between unicast peers.
        checksum: dialect of the advertisements that we send (version 3, IPv4).
        preempt: Preempt_Mode (RFC 9568 6.1).
        preempt_delay: nanoseconds in health before a preferred node takes the role back.
        hear_first: longest wait, in nanoseconds, for a sign that the network carries frames before the first
            step from Backup to Active; None switches it off.
        on_all_failed: see `OnAllFailed`.
        down_adverts: missed advertisements before takeover.
        highest_other: the highest priority another node of the file can have; None where that is not known.
        auth: keys or password; None where nothing is authenticated.
        phase: where in an interval we advertise, in nanoseconds of the clock, so that the many virtual routers of a
            host speak at the same time, in one go; None: an interval after we began to.
    """

    vrid: int
    family: Family
    version: int
    priority: int
    interval: int
    addresses: tuple[Address, ...]
    unicast: bool = False
    peers: tuple[Address, ...] = ()
    max_hops: int = 0
    checksum: Checksum = Checksum.AUTO
    preempt: bool = True
    preempt_delay: int = 0
    hear_first: int | None = None
    on_all_failed: OnAllFailed = OnAllFailed.KEEP
    down_adverts: int = 3
    highest_other: int | None = None
    auth: Auth | None = None
    phase: int | None = field(default=None, compare=False)  # nothing that a router must be made anew for

    @property
    def max_learned_interval(self) -> int:
        """The longest interval that we learn from an Active, in nanoseconds; a hostile 40 s must not silence us."""
        return max(10 * self.interval, SECOND)

    @property
    def longest_wait(self) -> int:
        """How long anybody waits for an Active that fell silent, in nanoseconds."""
        return active_down_interval(self.version, 1, self.interval, self.down_adverts)

    def hear_until(self, now: int) -> int | None:
        """Until when a node that begins to listen now waits for a sign of life, in nanoseconds; None: it does not."""
        return None if self.hear_first is None else now + self.hear_first
