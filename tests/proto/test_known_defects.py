"""Faults that other implementations have or had, each as a test that we do not share it.

Every one was found in the source or the tracker of another VRRP speaker; what we cannot have in the core (ARP, hop
limits that a shell sets) is not here.
"""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address, IPv6Address

import pytest

from tests.proto.builders import (
    DEFAULT,
    FAILED,
    HIGHER,
    HIGHER6,
    LOWER,
    ME,
    ME6,
    MULTICAST,
    SHARED,
    SHARED6,
    V2,
    advert,
    datagram,
    heard,
    ms,
    router_in,
)
from vrrpd.proto.effects import SendAdvert
from vrrpd.proto.events import Startup, Tick
from vrrpd.proto.packet import Advertisement, Dialect, decode, encode, internet_checksum
from vrrpd.proto.router import VirtualRouter
from vrrpd.proto.settings import OWNER, Family, Settings
from vrrpd.proto.states import Active, Backup, Initialize, active_of
from vrrpd.proto.timers import CENTISECOND, SECOND, skew_time
from vrrpd.proto.validate import Accepted, Drop, Reason, validate

NOW = 100 * SECOND
BACKUP = Backup(NOW + SECOND, SECOND, HIGHER)
ACTIVE = Active(NOW + SECOND, since=0)


def refused(payload: bytes, settings: Settings = DEFAULT) -> Reason | None:
    judged = validate(datagram(payload, settings=settings), settings, (ME,))
    return judged.reason if isinstance(judged, Drop) else None


def test_skew_time_is_not_cut_down_to_whole_seconds() -> None:
    assert skew_time(3, 100, SECOND) == ms(609.375)


def test_the_interval_of_version_3_is_not_read_as_seconds() -> None:
    payload = encode(advert(100, interval=CENTISECOND), HIGHER, ME, Dialect.PSEUDO)

    assert decode(payload, Family.IPV4).interval == CENTISECOND


def test_a_version_3_advertisement_with_another_interval_is_not_dropped() -> None:
    assert refused(datagram(said=advert(100, interval=5 * SECOND)).payload) is None


def test_the_authentication_type_of_version_2_is_not_ignored() -> None:
    payload = bytearray(datagram(settings=V2).payload)
    payload[4], payload[6], payload[7] = 2, 0, 0
    payload[6:8] = internet_checksum(bytes(payload)).to_bytes(2)

    assert refused(bytes(payload), V2) is Reason.AUTH


def test_the_type_is_not_ignored() -> None:
    payload = b"\x30" + datagram().payload[1:]

    assert refused(payload) is Reason.TYPE


def test_the_ttl_is_not_ignored() -> None:
    judged = validate(datagram(settings=MULTICAST, ttl=64), MULTICAST, (ME,))

    assert isinstance(judged, Drop)
    assert judged.reason is Reason.TTL


@pytest.mark.parametrize("priority", [0, 1, 255])
def test_an_advertisement_before_the_start_is_no_accident_and_is_remembered(priority: int) -> None:
    router = VirtualRouter(DEFAULT)

    assert router.handle(heard(priority), NOW) == []
    assert router.state == Initialize()
    assert router.heard == {HIGHER: NOW}


def test_more_than_20_addresses_are_read() -> None:
    addresses = tuple(IPv4Address("10.1.0.0") + n for n in range(255))

    judged = validate(datagram(said=replace(advert(100), addresses=addresses)), DEFAULT, (ME,))

    assert isinstance(judged, Accepted)
    assert judged.advert.addresses == addresses


def test_a_losing_active_is_not_left_in_ignorance() -> None:
    assert SendAdvert(240) in router_in(ACTIVE).handle(heard(100), NOW)


def test_skew_time_follows_the_effective_priority_not_the_configured_one() -> None:
    router = router_in(BACKUP, healthy=False)

    router.handle(heard(0), NOW)

    assert router.deadline == NOW + skew_time(3, 1, SECOND)


def test_the_owner_is_known_as_owner() -> None:
    router = VirtualRouter(replace(DEFAULT, priority=OWNER))

    assert router.handle(Startup(ME), NOW)[0] == SendAdvert(OWNER)


def test_intervals_are_compared_exactly_in_version_2() -> None:
    settings = replace(V2, interval=2 * SECOND)
    said = Advertisement(2, 51, 100, 3 * SECOND, (SHARED,))

    judged = validate(datagram(said=said, settings=settings), settings, (ME,))

    assert isinstance(judged, Drop)
    assert judged.reason is Reason.INTERVAL


def test_the_learnt_interval_is_forgotten_when_the_role_is_taken_and_when_it_is_lost_again() -> None:
    router = router_in(BACKUP)
    router.handle(heard(250, interval=5 * SECOND), NOW)

    router.handle(Tick(), NOW + 16 * SECOND)
    assert router.deadline == NOW + 17 * SECOND

    router.handle(heard(250), NOW + 16 * SECOND + 1)
    assert router.deadline == NOW + 16 * SECOND + 1 + ms(3062.5)


def test_an_interval_of_zero_does_not_make_the_down_timer_zero() -> None:
    assert refused(encode(advert(250, interval=0), HIGHER, ME, Dialect.PSEUDO)) is Reason.INTERVAL


@pytest.mark.parametrize("dialect", Dialect)
def test_no_choice_of_checksum_switches_its_verification_off(dialect: Dialect) -> None:
    payload = bytearray(datagram(dialect=dialect).payload)
    payload[8] ^= 0x40

    assert refused(bytes(payload)) is Reason.CHECKSUM


def test_a_unicast_stranger_is_not_heard() -> None:
    judged = validate(datagram(source=IPv4Address("10.0.0.66")), DEFAULT, (ME,))

    assert isinstance(judged, Drop)
    assert judged.reason is Reason.SOURCE


def test_a_different_list_of_addresses_does_not_make_a_second_active() -> None:
    said = replace(advert(250), addresses=(SHARED, LOWER))

    assert isinstance(validate(datagram(said=said), DEFAULT, (ME,)), Accepted)


def test_a_node_that_is_out_still_knows_who_is_active() -> None:
    router = router_in(BACKUP)
    router.handle(FAILED, NOW)

    router.handle(heard(250, LOWER), NOW + 1)

    assert active_of(router.state, router.source) == LOWER


def test_our_own_packet_from_a_loop_at_equal_priority_does_not_demote_us() -> None:
    router = router_in(ACTIVE)

    assert router.handle(heard(240, ME), NOW) == []
    assert router.state == ACTIVE


def test_a_shared_address_as_source_is_refused_whoever_sends_it() -> None:
    judged = validate(datagram(settings=MULTICAST, source=SHARED), MULTICAST, (ME, SHARED))

    assert isinstance(judged, Drop)
    assert judged.reason is Reason.OWN


def test_an_ipv6_packet_is_summed_with_its_pseudo_header() -> None:
    said = Advertisement(3, 51, 100, SECOND, (SHARED6,))
    settings = replace(DEFAULT, family=Family.IPV6, addresses=(SHARED6,), peers=(HIGHER6,))
    alone = bytearray(encode(said, HIGHER6, ME6, Dialect.PSEUDO))
    alone[6:8] = b"\0\0"
    alone[6:8] = internet_checksum(bytes(alone)).to_bytes(2)

    judged = validate(datagram(bytes(alone), settings=settings, destination=IPv6Address(ME6)), settings, (ME,))

    assert isinstance(judged, Drop)
    assert judged.reason is Reason.CHECKSUM


def test_the_owner_that_restarts_does_not_wait_for_the_timer_of_a_backup() -> None:
    router = VirtualRouter(replace(DEFAULT, priority=OWNER, hear_first=30 * SECOND))

    assert SendAdvert(OWNER) in router.handle(Startup(ME), NOW)
