"""May this datagram be believed? The checks of RFC 9568 section 7.1 and of unicast, in order, one line each.

Owns the reasons, which are also the names of the counters. It judges one datagram against one virtual router and keeps
nothing; a bad packet is a value (`Drop`), never an exception, whatever its bytes. Signatures need a memory and a clock:
the caller hands in who judges those (`proto.auth`), and they are judged before anything trusts the content.

The list of addresses is not compared: a mismatch is worth an alarm, but refusing it makes two Actives
(RFC 9568 7.1 only asks for a log).
"""

from __future__ import annotations

import hmac
from collections.abc import Callable, Container
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias

from vrrpd.proto.credentials import Hmac, Password
from vrrpd.proto.datagram import Datagram
from vrrpd.proto.packet import (
    ADVERTISEMENT,
    GROUPS,
    HEADER_LENGTH,
    PASSWORD,
    TRAILER_LENGTH,
    Advertisement,
    Dialect,
    checksum_dialect,
    decode,
    message_length,
)
from vrrpd.proto.settings import Address, Settings, family_of
from vrrpd.proto.timers import CENTISECOND, SECOND

CARP_FIRST_BYTE = 0x21
CARP_AUTH_LENGTH = 7
CARP_LENGTH = 36


class Reason(StrEnum):
    """Why a datagram was refused; the word is the counter's name."""

    LENGTH = "len"
    OWN = "own"
    MODE = "mode"
    SOURCE = "src"
    TTL = "ttl"
    VERSION = "version"
    TYPE = "type"
    CARP = "carp"
    VRID = "vrid"
    MISSING = "missing"
    MALFORMED = "malformed"
    STALE = "stale"
    UNKNOWN_KEY = "unknown_key"
    INVALID_HMAC = "invalid_hmac"
    REPLAY = "replay"
    CHECKSUM = "checksum"
    AUTH = "auth"
    INTERVAL = "interval"
    COUNT = "count"


@dataclass(frozen=True, slots=True)
class Drop:
    """A refused datagram.

    Attributes:
        reason: whose counter goes up.
        detail: what a person is told.
        authentic: True where it comes from a peer after all: signed well, and stale only because the clocks differ.
    """

    reason: Reason
    detail: str
    authentic: bool = False


@dataclass(frozen=True, slots=True)
class Accepted:
    """A believed advertisement and the dialect of its checksum."""

    advert: Advertisement
    dialect: Dialect


Prove: TypeAlias = Callable[[Datagram, int], Drop | None]
"""Judges the signature of a datagram, given the length of its message; None where it is to be accepted."""


def validate(
    datagram: Datagram, router: Settings | None, own: Container[Address], prove: Prove | None = None
) -> Accepted | Drop:
    """Judge one datagram.

    Args:
        datagram: what came in.
        router: the virtual router that the VRID names on this interface, None if there is none.
        own: addresses of this host. A shared one that we hold is none: its owner advertises from it (RFC 9568 5.2.4).
        prove: judges signatures; needed by a router with keys.
    """
    if len(datagram.payload) < HEADER_LENGTH:
        return Drop(Reason.LENGTH, f"{len(datagram.payload)} bytes, a VRRP header has {HEADER_LENGTH}")
    if datagram.source in own:  # a looped packet must never demote its sender
        return Drop(Reason.OWN, f"{datagram.source} is an address of this node")
    if _is_carp(datagram.payload):  # no advertisement, however it travelled
        return Drop(Reason.CARP, f"{datagram.source} speaks CARP, which shares VRRP's protocol number and group")
    bad = (router and _transport(datagram, router)) or _header(datagram, router)
    if bad:
        return bad
    if router is None:
        return Drop(Reason.VRID, f"router {datagram.payload[1]} is not configured on this interface")
    assert prove or not isinstance(router.auth, Hmac), "a router with keys never goes unproven"
    length = message_length(router.version, router.family, datagram.payload[3])
    return (prove and prove(datagram, length)) or _content(datagram, router, length)


def vrid_of(datagram: Datagram) -> int | None:
    """The VRID that a datagram names, None where it is too short to name one."""
    return datagram.payload[1] if len(datagram.payload) >= HEADER_LENGTH else None


def priority_of(datagram: Datagram) -> int:
    """The priority that a datagram with a whole header names; it need not be true."""
    return datagram.payload[2]


def interval_of(datagram: Datagram) -> int:
    """The interval in nanoseconds that a datagram with a whole header names in its version; it need not be true."""
    payload = datagram.payload
    if payload[0] >> 4 == 2:
        return payload[5] * SECOND  # RFC 3768 5.3.7
    return (int.from_bytes(payload[4:6]) & 0x0FFF) * CENTISECOND  # RFC 9568 5.2.7


def _transport(datagram: Datagram, router: Settings) -> Drop | None:
    """How the datagram travelled: transport, sender, hops."""
    if family_of(datagram.source) is not router.family or family_of(datagram.destination) is not router.family:
        return Drop(Reason.MODE, f"{datagram.source} to {datagram.destination} on an {router.family} router")
    if router.unicast == datagram.destination.is_multicast:
        kind = "multicast" if datagram.destination.is_multicast else "unicast"
        return Drop(Reason.MODE, f"{kind} packet to {datagram.destination}")
    if not router.unicast and datagram.destination != GROUPS[router.family]:
        return Drop(Reason.MODE, f"sent to {datagram.destination}, not to {GROUPS[router.family]}")
    if router.unicast and datagram.source not in router.peers:
        return Drop(Reason.SOURCE, f"{datagram.source} is not a peer")
    least = 255 - router.max_hops if router.unicast else 255  # RFC 9568 5.1.1.3, 5.1.2.3
    if datagram.ttl < least:
        return Drop(Reason.TTL, f"TTL {datagram.ttl} from {datagram.source}, {least} at least")
    return None


def _header(datagram: Datagram, router: Settings | None) -> Drop | None:
    """Version, type and length: what must be right before any field can be read."""
    payload = datagram.payload
    version, kind = payload[0] >> 4, payload[0] & 0x0F
    if version != router.version if router else version not in (2, 3):  # RFC 9568 7.1
        expected = f"this router version {router.version}" if router else "there are 2 and 3"
        return Drop(Reason.VERSION, f"{datagram.source} speaks VRRP version {version}, {expected}")
    if kind != ADVERTISEMENT:  # RFC 9568 5.2.2: an unknown type MUST be discarded
        return Drop(Reason.TYPE, f"type {kind} from {datagram.source}")
    needed = message_length(version, family_of(datagram.source), payload[3])
    if len(payload) not in (needed, needed + TRAILER_LENGTH):  # RFC 9568 7.1: the complete packet
        return Drop(Reason.LENGTH, f"{len(payload)} bytes for {payload[3]} addresses, expected {needed}")
    return None


def _content(datagram: Datagram, router: Settings, length: int) -> Accepted | Drop:
    """The message itself: checksum, then the fields."""
    payload = datagram.payload
    dialect = checksum_dialect(payload, length, datagram.source, datagram.destination)
    if dialect is None:  # RFC 9568 7.1
        return Drop(Reason.CHECKSUM, f"wrong checksum from {datagram.source}")
    advert = decode(payload, router.family)
    wrong = _password(advert, router)
    if wrong:  # RFC 3768 7.1
        return Drop(Reason.AUTH, f"{wrong} from {datagram.source}")
    if advert.interval == 0:  # RFC 9568 erratum 8301
        return Drop(Reason.INTERVAL, f"interval 0 from {datagram.source}")
    if router.version == 2 and advert.interval != router.interval:  # RFC 3768 7.1
        return Drop(Reason.INTERVAL, f"interval {advert.interval // 10**9} s from {datagram.source} differs from ours")
    if not advert.addresses:  # RFC 9568 erratum 8299
        return Drop(Reason.COUNT, f"no address in the advertisement of {datagram.source}")
    return Accepted(advert, dialect)


def _password(advert: Advertisement, router: Settings) -> str | None:
    """What is wrong with the authentication fields of version 2; the type must be the one configured."""
    expected = PASSWORD if isinstance(router.auth, Password) else 0
    if advert.auth_type != expected:
        return f"authentication type {advert.auth_type}, expected {expected},"
    if isinstance(router.auth, Password) and not hmac.compare_digest(
        advert.auth_data, router.auth.on_the_wire.reveal()
    ):
        return "another password"
    return None


def _is_carp(payload: bytes) -> bool:
    """CARP looks like a version 2 advertisement of seven addresses with the wrong length (OpenBSD, UCarp)."""
    return payload[0] == CARP_FIRST_BYTE and payload[3] == CARP_AUTH_LENGTH and len(payload) == CARP_LENGTH
