"""The bytes of our advertisements: for each destination in the dialect it understands, encoded once per change.

The checksum of an advertisement covers its addresses in most dialects (`Dialect`), so each peer gets bytes of its own.
With `checksum: auto` a peer is answered in the dialect that it spoke last, and spoken to with the pseudo-header until
it says something.
"""

from __future__ import annotations

from typing import assert_never

from vrrpd.proto.packet import GROUPS, Advertisement, Dialect, encode
from vrrpd.proto.settings import Address, Checksum, Settings


class Encoder:
    """The advertisements of one virtual router."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._destinations = settings.peers if settings.unicast else (GROUPS[settings.family],)
        self._dialects: dict[Address, Dialect] = {}
        self._origin: Address | None = None
        self._encoded: dict[int, list[tuple[Address, bytes]]] = {}  # by priority, for that origin and those dialects

    def learn(self, source: Address, dialect: Dialect) -> None:
        """A peer spoke; in multicast all are spoken to alike."""
        to = source if self._settings.unicast else self._destinations[0]
        if self._dialects.get(to) is not dialect:
            self._dialects[to] = dialect
            self._encoded.clear()

    def datagrams(self, priority: int, origin: Address) -> list[tuple[Address, bytes]]:
        """Destinations and bytes of an advertisement of this priority from this source address."""
        if origin != self._origin:
            self._origin = origin
            self._encoded.clear()
        known = self._encoded.get(priority)
        if known is None:
            known = [(to, self._encode(priority, origin, to)) for to in self._destinations]
            self._encoded[priority] = known
        return known

    def _encode(self, priority: int, origin: Address, destination: Address) -> bytes:
        s = self._settings
        advert = Advertisement(s.version, s.vrid, priority, s.interval, s.addresses)
        return encode(advert, origin, destination, self._dialect_for(destination))

    def _dialect_for(self, destination: Address) -> Dialect:
        match self._settings.checksum:
            case Checksum.RFC5798:
                return Dialect.PSEUDO
            case Checksum.RFC9568:
                return Dialect.MESSAGE
            case Checksum.AUTO:
                return self._dialects.get(destination, Dialect.PSEUDO)
            case _ as unreachable:
                assert_never(unreachable)
