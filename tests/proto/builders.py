"""Short names for what nearly every test of the core needs: settings, advertisements, and routers in a given state."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address, IPv6Address

from vrrpd.proto.datagram import Datagram
from vrrpd.proto.events import Adjust, Drain, Received, Startup
from vrrpd.proto.packet import GROUPS, Advertisement, Dialect, encode, internet_checksum
from vrrpd.proto.router import VirtualRouter
from vrrpd.proto.settings import Address, Family, Settings, family_of
from vrrpd.proto.states import State
from vrrpd.proto.timers import MS, SECOND

ME = IPv4Address("10.0.0.12")
LOWER = IPv4Address("10.0.0.11")
HIGHER = IPv4Address("10.0.0.13")
SHARED = IPv4Address("10.0.0.100")
ME6 = IPv6Address("fd00::12")
LOWER6 = IPv6Address("fd00::11")
HIGHER6 = IPv6Address("fd00::13")
SHARED6 = IPv6Address("fd00::100")

HEALTHY = Adjust(240, healthy=True, reason="checks passed")
FAILED = Adjust(240, healthy=False, reason="haproxy failed")
DRAINED = Adjust(240, healthy=True, reason="drained", drain=Drain.ASK)
FORCED = Adjust(240, healthy=True, reason="drained", drain=Drain.FORCE)

DEFAULT = Settings(
    vrid=51, family=Family.IPV4, version=3, priority=240, interval=SECOND, addresses=(SHARED,), unicast=True,
    peers=(LOWER, HIGHER),
)  # fmt: skip
DEFAULT6 = replace(DEFAULT, family=Family.IPV6, addresses=(SHARED6,), peers=(LOWER6, HIGHER6))
MULTICAST = replace(DEFAULT, unicast=False, peers=())
MULTICAST6 = replace(DEFAULT6, unicast=False, peers=())
V2 = replace(DEFAULT, version=2)


def ms(number: float) -> int:
    """Milliseconds as the core's nanoseconds."""
    return round(number * MS)


def advert(priority: int, *, interval: int = SECOND, settings: Settings = DEFAULT) -> Advertisement:
    """What a peer of a router with these settings says."""
    return Advertisement(settings.version, settings.vrid, priority, interval, settings.addresses)


def heard(
    priority: int,
    source: Address = HIGHER,
    *,
    interval: int = SECOND,
    dialect: Dialect = Dialect.PSEUDO,
    settings: Settings = DEFAULT,
) -> Received:
    """The event of an advertisement from `source`."""
    return Received(advert(priority, interval=interval, settings=settings), source, dialect)


def router_in(
    state: State, settings: Settings = DEFAULT, *, healthy: bool = True, drain: Drain = Drain.NO
) -> VirtualRouter:
    """A started router that was then put into `state`."""
    router = VirtualRouter(settings)
    if not healthy or drain:
        router.handle(Adjust(settings.priority, healthy, "test", drain), 0)
    router.handle(Startup(ME if settings.family is Family.IPV4 else ME6), 0)
    router.state = state
    return router


def summed(message: bytes | bytearray) -> bytes:
    """The message with the checksum that covers it alone."""
    checksum = internet_checksum(bytes(message[:6]) + b"\0\0" + bytes(message[8:]))
    return bytes(message[:6]) + checksum.to_bytes(2) + bytes(message[8:])


def datagram(
    payload: bytes | None = None,
    *,
    settings: Settings = DEFAULT,
    source: Address | None = None,
    destination: Address | None = None,
    ttl: int = 255,
    said: Advertisement | None = None,
    dialect: Dialect = Dialect.PSEUDO,
) -> Datagram:
    """A datagram that a router with these settings accepts, but for what is given."""
    v4 = settings.family is Family.IPV4
    source = source or (HIGHER if v4 else HIGHER6)
    if destination is None:
        mine = ME if family_of(source) is Family.IPV4 else ME6
        destination = mine if settings.unicast else GROUPS[settings.family]
    if payload is None:
        payload = encode(said or advert(100, settings=settings), source, destination, dialect)
    return Datagram(payload, source, destination, ttl)
