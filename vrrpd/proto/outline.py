"""What an advertisement that may be believed looks like from outside, for all virtual routers of one socket together.

Owns the few facts that can be told without a memory, a key or a checksum, so that a kernel can sort a flood before it
reaches us. An outline is wider than `validate`: whatever that accepts fits, much of what fits is refused all the same.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from vrrpd.proto.settings import Address, Family, Settings

MOST_SOURCES = 128
"""Longer lists of senders are not told apart here."""


@dataclass(frozen=True, slots=True)
class Outline:
    """The outline of what one socket waits for.

    Attributes:
        family: of the socket.
        vrids: Virtual Router Identifiers.
        versions: of the protocol.
        least_hops: the lowest TTL or hop limit.
        sources: who may send; None where anybody may.
        multicast: True where it goes to the group, False where to one of us, None where both may be.
    """

    family: Family
    vrids: frozenset[int]
    versions: frozenset[int]
    least_hops: int
    sources: frozenset[Address] | None
    multicast: bool | None


def outline(family: Family, routers: Collection[Settings]) -> Outline:
    """The outline for the virtual routers of one interface and family."""
    kinds = {router.unicast for router in routers}
    sources = frozenset(peer for router in routers for peer in router.peers)
    return Outline(
        family,
        frozenset(router.vrid for router in routers),
        frozenset(router.version for router in routers),
        min((255 - router.max_hops if router.unicast else 255 for router in routers), default=255),
        sources if kinds == {True} and len(sources) <= MOST_SOURCES else None,
        None if len(kinds) > 1 else kinds == {False},
    )
