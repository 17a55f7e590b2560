"""Keys, signed packets and both clocks for the tests of authentication."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from tests.proto.builders import DEFAULT, HIGHER, ME, advert
from tests.proto.network import EPOCH
from vrrpd import trailer as wire
from vrrpd.proto.auth import Authenticator
from vrrpd.proto.clock import Instant
from vrrpd.proto.credentials import Hmac, Mode, Secret
from vrrpd.proto.datagram import Datagram
from vrrpd.proto.packet import Advertisement, Dialect, encode, unsummed
from vrrpd.proto.settings import Address, Settings
from vrrpd.proto.timers import SECOND
from vrrpd.proto.validate import Drop, Reason, validate

KEY = bytes(range(32))
OTHER = bytes(range(100, 132))
HMAC = Hmac(ring=((1, Secret(KEY)),), active_key=1)
SIGNED = replace(DEFAULT, auth=HMAC)
PERMISSIVE = replace(HMAC, mode=Mode.PERMISSIVE)


def at(seconds: float, *, wrong: float = 0) -> Instant:
    """So many seconds after the beginning; `wrong` is the error of the host's UTC."""
    now = round(seconds * SECOND)
    return Instant(now, EPOCH + now + round(wrong * SECOND))


def number(seconds: float) -> int:
    """The sequence number of a clock that is right."""
    return wire.clock_sequence(at(seconds).wall)


def signed(
    sequence: int,
    *,
    settings: Settings = SIGNED,
    source: Address = HIGHER,
    key: bytes = KEY,
    key_id: int = 1,
    said: Advertisement | None = None,
) -> Datagram:
    """A packet of a peer with this sequence number."""
    said = said or advert(250, settings=settings)
    trailer = wire.seal(unsummed(said), source.packed, key_id, key, sequence)
    return Datagram(encode(said, source, ME, Dialect.PSEUDO, trailer), source, ME, 255)


def unsigned(settings: Settings = SIGNED, source: Address = HIGHER) -> Datagram:
    return Datagram(encode(advert(250, settings=settings), source, ME, Dialect.PSEUDO), source, ME, 255)


def judged(keys: Authenticator, packet: Datagram, when: Instant, settings: Settings = SIGNED) -> Reason | str:
    """The reason of a refusal, `authentic` for one of a peer whose clock differs, or `accepted`."""
    verdict = validate(packet, settings, (ME,), partial(keys.judge, at=when))
    if isinstance(verdict, Drop):
        return "authentic" if verdict.authentic else verdict.reason
    return "accepted"


def authenticator(settings: Settings = SIGNED) -> Authenticator:
    keys = Authenticator.of(settings)
    assert keys is not None
    return keys
