"""The bytes of our advertisements: for each destination in the dialect it understands, encoded once per change.

The checksum of an advertisement covers its addresses in most dialects (`Dialect`), so each peer gets bytes of its own.
With `checksum: auto` a peer is answered in the dialect that it spoke last, and spoken to with the pseudo-header until
it says something.

A signed one is new each time, for its number rises; it is signed once, and all peers get the same trailer.
"""

from __future__ import annotations

from dataclasses import replace
from typing import assert_never

from vrrpd.proto.auth import Authenticator
from vrrpd.proto.clock import Instant
from vrrpd.proto.credentials import Password
from vrrpd.proto.packet import GROUPS, PASSWORD, Advertisement, Dialect, encode, unsummed
from vrrpd.proto.settings import Address, Checksum, Settings


class Encoder:
    """The advertisements of one virtual router."""

    def __init__(self, settings: Settings, keys: Authenticator | None) -> None:
        self._settings = settings
        self._keys = keys
        self._destinations = settings.peers if settings.unicast else (GROUPS[settings.family],)
        self._dialects: dict[Address, Dialect] = {}
        self._encoded: dict[tuple[int, Address, Address], tuple[Dialect, bytes]] = {}

    def learn(self, source: Address, dialect: Dialect) -> None:
        """A peer spoke; in multicast all are spoken to alike."""
        to = source if self._settings.unicast else self._destinations[0]
        self._dialects[to] = dialect

    def datagrams(self, priority: int, origin: Address, at: Instant | None) -> list[tuple[Address, bytes]]:
        """Destinations and bytes of an advertisement of this priority from this source address, at this moment."""
        if self._keys is None or not self._keys.signs:
            return [(to, self._encode(priority, origin, to)) for to in self._destinations]
        assert at is not None, "a signature says when"
        advert = self._advert(priority)
        trailer = self._keys.sign(unsummed(advert), origin, at)
        return [(to, encode(advert, origin, to, self._dialect_for(to), trailer)) for to in self._destinations]

    def _encode(self, priority: int, origin: Address, destination: Address) -> bytes:
        dialect = self._dialect_for(destination)
        known = self._encoded.get((priority, origin, destination))
        if known is not None and known[0] is dialect:
            return known[1]
        payload = encode(self._advert(priority), origin, destination, dialect)
        self._encoded[priority, origin, destination] = dialect, payload
        return payload

    def _advert(self, priority: int) -> Advertisement:
        s = self._settings
        advert = Advertisement(s.version, s.vrid, priority, s.interval, s.addresses)
        if isinstance(s.auth, Password):
            return replace(advert, auth_type=PASSWORD, auth_data=s.auth.on_the_wire.reveal())
        return advert

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
