"""One received datagram, as the shell hands it to the protocol core.

Owns the shape in which bytes from the network enter the core: the VRRP message and what was around it. Nothing here
has been judged yet; `proto.validate` does that, in its own order, and gives the reasons. Whoever builds a `Datagram`
has removed the IP header and any padding, and has looked at the interface; a header that made no sense is told by an
empty payload, which fails the core's first check (its length), so that every bad packet is counted in one place.
"""

from __future__ import annotations

from dataclasses import dataclass

from vrrpd.proto.settings import Address


@dataclass(frozen=True, slots=True)
class Datagram:
    """One datagram of IP protocol 112 as received on one interface.

    Attributes:
        payload: the VRRP message, IP header and padding removed; empty where the IP header made no sense.
        source: sender's address; an IPv6 address carries no scope id, the interface is its scope.
        destination: address that it was sent to, a multicast group or one of ours; no scope id either.
        ttl: TTL or hop limit as received, 0..255.
    """

    payload: bytes
    source: Address
    destination: Address
    ttl: int
