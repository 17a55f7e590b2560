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
        self._origin: Address | None = None
        self._encoded: dict[int, list[tuple[Address, bytes]]] = {}  # by priority, for that origin and those dialects

    def learn(self, source: Address, dialect: Dialect) -> None:
        """A peer spoke; in multicast all are spoken to alike."""
        to = source if self._settings.unicast else self._destinations[0]
        if self._dialects.get(to, Dialect.PSEUDO) is not dialect:
            self._dialects[to] = dialect
            self._encoded.clear()

    def speak_from(self, origin: Address) -> None:
        """Our source address from now on; it outlives a stop, for the last priority 0."""
        self._origin = origin
        self._encoded.clear()

    def datagrams(self, priority: int, at: Instant | None = None) -> list[tuple[Address, bytes]]:
        """Destinations and bytes of an advertisement of this priority; a signature says when."""
        if self._keys is None or not self._keys.signs:
            return self.unsigned(priority)
        assert self._origin is not None, "nothing is sent before the first Startup"
        assert at is not None, "a signature says when"
        trailer = self._keys.sign(unsummed(self._advert(priority)), self._origin, at)
        return self._encode(priority, self._origin, trailer)

    def unsigned(self, priority: int) -> list[tuple[Address, bytes]]:
        """The same without a signature, as whoever signs for us begins with."""
        assert self._origin is not None, "nothing is sent before the first Startup"
        known = self._encoded.get(priority)
        if known is None:
            known = self._encoded[priority] = self._encode(priority, self._origin, b"")
        return known

    def _encode(self, priority: int, origin: Address, trailer: bytes) -> list[tuple[Address, bytes]]:
        advert = self._advert(priority)
        return [(to, encode(advert, origin, to, self._dialect_for(to), trailer)) for to in self._destinations]

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
