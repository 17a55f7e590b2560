"""Forged advertisements: what somebody on the same network can send without being one of the nodes.

Owns the recipes. Each makes a list of whole IP packets, different from one another where that makes them harder to
refuse; `flooder` sends them again and again. Apart from what a recipe is about everything in a packet is right, so that
each looks at one defence and at no other.

Sources: RFC 9568 5.1 (the packet, IPv4 and IPv6), RFC 791 3.1, RFC 8200 3.
"""

from __future__ import annotations

import random
import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from ipaddress import IPv4Address, ip_address
from types import MappingProxyType

from netns_lab.packets import VRRP
from netns_lab.service import Family, lab_address

GROUPS: Mapping[Family, str] = MappingProxyType({"ipv4": "224.0.0.18", "ipv6": "ff02::12"})

VARIETY = 64
"""How many different packets a recipe makes."""
_STRANGERS = range(120, 200)  # last parts of addresses that no host of a lab has


@dataclass(frozen=True, slots=True)
class Forgery:
    """One forged advertisement.

    Attributes:
        source: where it claims to come from.
        destination: where it goes.
        vrid: Virtual Router Identifier.
        interval_cs: Max Advertise Interval, centiseconds.
        addresses: what it advertises.
        priority: what it claims.
        hops: TTL or hop limit.
        spoilt: its checksum is wrong.
        message: bytes in place of the VRRP message.
    """

    source: str
    destination: str
    vrid: int
    interval_cs: int
    addresses: Sequence[str]
    priority: int = 255
    hops: int = 255
    spoilt: bool = False
    message: bytes | None = None


@dataclass(frozen=True, slots=True)
class Target:
    """Whom a flood is aimed at.

    Attributes:
        family: of the adverts.
        address: the node's own.
        peer: that of another node, which the first one believes.
        group: whether the nodes speak multicast.
        vrid: Virtual Router Identifier of the service.
        interval_cs: its advertisement interval.
        addresses: its shared addresses, without lengths.
    """

    family: Family
    address: str
    peer: str
    group: bool
    vrid: int
    interval_cs: int
    addresses: Sequence[str]

    def forged(self, source: str, destination: str | None = None) -> Forgery:
        """An advertisement in which everything is right but its sender."""
        to = destination or (GROUPS[self.family] if self.group else self.address)
        return Forgery(source, to, self.vrid, self.interval_cs, self.addresses)

    def strangers(self) -> list[str]:
        """Addresses on the same network that nobody has."""
        return [lab_address(self.family, 1, number) for number in _STRANGERS]


Recipe = Callable[[Target, random.Random], list[Forgery]]


def _priority(target: Target, _: random.Random) -> list[Forgery]:
    return [target.forged(source, target.address) for source in target.strangers()]


def _hops(target: Target, _: random.Random) -> list[Forgery]:
    return [replace(target.forged(target.peer), hops=hops) for hops in (64, 128, 254, 1)]


def _checksum(target: Target, _: random.Random) -> list[Forgery]:
    return [replace(target.forged(target.peer), spoilt=True, priority=priority) for priority in range(192, 256)]


def _vrid(target: Target, _: random.Random) -> list[Forgery]:
    return [replace(target.forged(target.peer), vrid=vrid) for vrid in range(1, 256) if vrid != target.vrid]


def _own(target: Target, _: random.Random) -> list[Forgery]:
    return [target.forged(target.address)]


def _interval(target: Target, _: random.Random) -> list[Forgery]:
    return [replace(target.forged(target.peer), interval_cs=0)]


def _junk(target: Target, chance: random.Random) -> list[Forgery]:
    lengths = [chance.randrange(60) for _ in range(VARIETY)]
    return [replace(target.forged(target.peer), message=chance.randbytes(length)) for length in lengths]


def _peer(target: Target, chance: random.Random) -> list[Forgery]:
    """What has passed every look but the last: a peer's address, our VRID, a right length."""
    return _checksum(target, chance) + _interval(target, chance) * (VARIETY // 4)


def _group(target: Target, chance: random.Random) -> list[Forgery]:
    bad = [*_checksum(target, chance), *_hops(target, chance), *_vrid(target, chance), *_junk(target, chance)]
    return [replace(each, source=chance.choice(target.strangers()), destination=GROUPS[target.family]) for each in bad]


RECIPES: Mapping[str, Recipe] = MappingProxyType(
    {
        "priority": _priority,
        "hops": _hops,
        "checksum": _checksum,
        "vrid": _vrid,
        "own": _own,
        "interval": _interval,
        "junk": _junk,
        "peer": _peer,
        "group": _group,
    }
)


def packets(recipe: str, target: Target) -> list[tuple[str, bytes]]:
    """The packets of a recipe in the order in which they are sent: destination and bytes; the same every time."""
    return [(each.destination, packet(each)) for each in RECIPES[recipe](target, random.Random(recipe))]  # noqa: S311


def packet(forgery: Forgery) -> bytes:
    """One whole IP packet."""
    source, destination = ip_address(forgery.source), ip_address(forgery.destination)
    message = forgery.message
    if message is None:
        listed = b"".join(ip_address(address).packed for address in forgery.addresses)
        head = struct.pack("!BBBBH", 0x31, forgery.vrid, forgery.priority, len(forgery.addresses), forgery.interval_cs)
        pseudo = source.packed + destination.packed + struct.pack("!HH", VRRP, len(head) + 2 + len(listed))
        checksum = _internet_checksum(pseudo + head + listed) ^ (0x5555 if forgery.spoilt else 0)
        message = head + struct.pack("!H", checksum) + listed
    if isinstance(source, IPv4Address):
        fields = (0x45, 0xC0, 20 + len(message), 0, 0, forgery.hops, VRRP, 0)  # the kernel adds the header's checksum
        return struct.pack("!BBHHHBBH", *fields) + source.packed + destination.packed + message
    return (
        struct.pack("!IHBB", 6 << 28, len(message), VRRP, forgery.hops) + source.packed + destination.packed + message
    )


def _internet_checksum(data: bytes) -> int:
    """RFC 1071."""
    data += b"\0" * (len(data) % 2)
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF
