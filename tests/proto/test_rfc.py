"""The sentences of the standards, one test each, named by section; where we deviate on purpose the test says so.

RFC 9568 unless another number is given. What only a shell can do (sending to a MAC, joining a group, answering ARP) is
tested with the shell; here is what the core decides.
"""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address

import pytest

from tests.proto.builders import (
    DEFAULT,
    HIGHER,
    LOWER,
    ME,
    MULTICAST,
    MULTICAST6,
    SHARED,
    SHARED6,
    V2,
    advert,
    datagram,
    heard,
    ms,
    router_in,
    summed,
)
from vrrpd.proto.effects import Acquire, Announce, Effect, Release, Role, SendAdvert, Transition
from vrrpd.proto.events import Adjust, Leave, Shutdown, Startup, Tick
from vrrpd.proto.packet import GROUP_V4, GROUP_V6, Dialect, decode, encode, internet_checksum
from vrrpd.proto.router import VirtualRouter
from vrrpd.proto.settings import OWNER, Checksum, Family, Settings
from vrrpd.proto.states import Active, Backup, Initialize, Leaving
from vrrpd.proto.timers import SECOND
from vrrpd.proto.validate import Accepted, Drop, Reason, validate

NOW = 100 * SECOND
BACKUP = Backup(NOW + SECOND, SECOND, HIGHER)
ACTIVE = Active(NOW + SECOND, since=0)
OWNED = replace(DEFAULT, priority=OWNER)


def kinds(effects: list[Effect]) -> list[type[Effect]]:
    return [type(effect) for effect in effects]


def verdict(payload: bytes, settings: Settings = MULTICAST, ttl: int = 255) -> Reason | str:
    judged = validate(datagram(payload, settings=settings, ttl=ttl), settings, (ME,))
    return judged.reason if isinstance(judged, Drop) else "accepted"


def message(settings: Settings = MULTICAST) -> bytearray:
    return bytearray(datagram(settings=settings, dialect=Dialect.MESSAGE).payload)


# ---------------------------------------------------------------- 5.1 the IP header


def test_5_1_1_2_advertisements_go_to_224_0_0_18() -> None:
    assert [to for to, _ in router_in(ACTIVE, MULTICAST).encoder.datagrams(240)] == [GROUP_V4]


def test_5_1_2_2_advertisements_go_to_ff02_12() -> None:
    assert [to for to, _ in router_in(ACTIVE, MULTICAST6).encoder.datagrams(240)] == [GROUP_V6]


@pytest.mark.parametrize("settings", [MULTICAST, MULTICAST6], ids=["5.1.1.3", "5.1.2.3"])
def test_5_1_a_ttl_or_hop_limit_below_255_must_be_discarded(settings: Settings) -> None:
    for ttl in (0, 1, 64, 254):
        judged = validate(datagram(settings=settings, ttl=ttl), settings, (ME,))
        assert isinstance(judged, Drop)
        assert judged.reason is Reason.TTL


def test_deviation_from_5_1_unicast_copies_go_to_every_peer_with_a_checksum_each() -> None:
    copies = router_in(ACTIVE).encoder.datagrams(240)

    assert [to for to, _ in copies] == [LOWER, HIGHER]
    assert copies[0][1] != copies[1][1]


# ---------------------------------------------------------------- 5.2 the fields


@pytest.mark.parametrize("settings", [MULTICAST, V2])
def test_5_2_1_the_version_is_the_configured_one(settings: Settings) -> None:
    ((_, payload), *_) = router_in(ACTIVE, settings).encoder.datagrams(240)

    assert payload[0] >> 4 == settings.version


def test_5_2_2_a_packet_of_unknown_type_must_be_discarded() -> None:
    payload = message()
    payload[0] = 0x32

    assert verdict(summed(payload)) is Reason.TYPE


def test_5_2_4_the_owner_must_say_255() -> None:
    assert router_in(ACTIVE, OWNED).handle(Tick(), NOW + SECOND) == [SendAdvert(255)]


@pytest.mark.parametrize("priority", [1, 100, 254])
def test_5_2_4_a_backup_says_a_priority_from_1_to_254(priority: int) -> None:
    router = router_in(ACTIVE, replace(DEFAULT, priority=priority))

    assert router.handle(Tick(), NOW + SECOND) == [SendAdvert(priority)]
    assert decode(router.encoder.datagrams(priority)[0][1], Family.IPV4).priority == priority


def test_5_2_4_priority_0_says_that_the_active_stops() -> None:
    router = router_in(ACTIVE)

    assert SendAdvert(0) in router.handle(Leave("agent stops"), NOW)
    assert decode(router.encoder.datagrams(0)[0][1], Family.IPV4).priority == 0


def test_5_2_5_erratum_8299_an_advertisement_without_addresses_must_be_ignored() -> None:
    payload = message()[:8]
    payload[3] = 0

    assert verdict(summed(payload)) is Reason.COUNT


def test_5_2_6_reserved_bits_must_be_zero_when_sent_and_ignored_when_received() -> None:
    payload = message()
    assert payload[4] & 0xF0 == 0

    payload[4] |= 0xF0

    assert verdict(summed(payload)) == "accepted"


def test_5_2_7_erratum_8301_an_interval_of_zero_is_refused() -> None:
    payload = message()
    payload[4:6] = b"\0\0"

    assert verdict(summed(payload)) is Reason.INTERVAL


@pytest.mark.parametrize("interval", [ms(10), ms(990), ms(40950)])
def test_5_2_7_the_interval_on_the_wire_is_in_centiseconds(interval: int) -> None:
    ((_, payload),) = router_in(ACTIVE, replace(MULTICAST, interval=interval)).encoder.datagrams(240)

    assert (payload[4] << 8 | payload[5]) * ms(10) == interval


def test_5_2_8_the_ipv4_checksum_of_the_message_alone_is_accepted_and_can_be_chosen() -> None:
    assert verdict(bytes(message())) == "accepted"

    ((_, payload),) = router_in(ACTIVE, replace(MULTICAST, checksum=Checksum.RFC9568)).encoder.datagrams(240)
    assert internet_checksum(payload) == 0


def test_deviation_from_5_2_8_the_pseudo_header_of_5798_is_sent_until_a_peer_speaks_otherwise() -> None:
    router = router_in(BACKUP)
    spoken = [encode(advert(240), ME, HIGHER, dialect) for dialect in (Dialect.PSEUDO, Dialect.MESSAGE)]
    assert router.encoder.datagrams(240)[1][1] == spoken[0]

    router.handle(heard(250, HIGHER, dialect=Dialect.MESSAGE), NOW)

    assert router.encoder.datagrams(240)[1][1] == spoken[1]
    assert router.encoder.datagrams(240)[0][1] == encode(advert(240), ME, LOWER, Dialect.PSEUDO)


def test_deviation_from_5_2_8_a_group_is_answered_in_the_dialect_that_was_last_heard_on_it() -> None:
    router = router_in(BACKUP, MULTICAST)

    router.handle(heard(250, HIGHER, dialect=Dialect.MESSAGE), NOW)

    assert router.encoder.datagrams(240) == [(GROUP_V4, encode(advert(240), ME, GROUP_V4, Dialect.MESSAGE))]


def test_5798_5_2_8_the_pseudo_header_can_be_chosen_for_good() -> None:
    router = router_in(BACKUP, replace(DEFAULT, checksum=Checksum.RFC5798))
    router.handle(heard(250, HIGHER, dialect=Dialect.MESSAGE), NOW)

    assert router.encoder.datagrams(240)[1][1] == encode(advert(240), ME, HIGHER, Dialect.PSEUDO)


def test_5_2_9_the_addresses_are_sent_in_the_configured_order() -> None:
    addresses = (IPv4Address("10.0.0.101"), SHARED, IPv4Address("10.0.0.7"))
    router = router_in(ACTIVE, replace(DEFAULT, addresses=addresses))

    assert decode(router.encoder.datagrams(240)[0][1], Family.IPV4).addresses == addresses


def test_5_2_9_ipv6_advertises_ipv6_addresses_alone() -> None:
    assert decode(router_in(ACTIVE, MULTICAST6).encoder.datagrams(240)[0][1], Family.IPV6).addresses == (SHARED6,)


# ---------------------------------------------------------------- 6.1 parameters


def test_6_1_the_timers_follow_the_interval_of_the_active() -> None:
    router = router_in(BACKUP)

    router.handle(heard(250, interval=ms(500)), NOW)

    assert router.deadline == NOW + 3 * ms(500) + 16 * ms(500) // 256


def test_6_1_the_owner_preempts_whatever_preempt_mode_says() -> None:
    router = router_in(BACKUP, replace(OWNED, preempt=False))

    router.handle(heard(254), NOW)

    assert router.deadline == BACKUP.down_at


def test_6_1_without_preempt_mode_a_lower_active_is_followed() -> None:
    router = router_in(BACKUP, replace(DEFAULT, preempt=False))

    router.handle(heard(100), NOW)

    assert router.deadline == NOW + ms(3062.5)


# ---------------------------------------------------------------- 6.4.1 Initialize


def test_6_4_1_the_owner_sends_announces_and_becomes_active() -> None:
    router = VirtualRouter(OWNED)

    effects = router.handle(Startup(ME), NOW)

    assert kinds(effects) == [SendAdvert, Acquire, Announce, Transition]
    assert router.state == Active(NOW + SECOND, since=NOW)


def test_6_4_1_anybody_else_waits_a_whole_down_interval_of_its_own() -> None:
    router = VirtualRouter(DEFAULT)

    router.handle(Startup(ME), NOW)

    assert router.role is Role.BACKUP
    assert router.deadline == NOW + ms(3062.5)


# ---------------------------------------------------------------- 6.4.2 Backup


@pytest.mark.parametrize("event", [Tick(), heard(250), heard(100), heard(0), Adjust(100, healthy=True, reason="x")])
def test_6_4_2_a_backup_holds_and_says_nothing(event: Tick | Adjust) -> None:
    router = router_in(BACKUP)

    assert router.handle(event, NOW) == []
    assert not router.holds_addresses


def test_6_4_2_shutdown_is_silent() -> None:
    router = router_in(BACKUP)

    assert kinds(router.handle(Shutdown("agent stops"), NOW)) == [Transition]
    assert router.state == Initialize()


def test_6_4_2_when_the_timer_fires_the_advertisement_comes_first() -> None:
    router = router_in(BACKUP)

    assert kinds(router.handle(Tick(), BACKUP.down_at)) == [SendAdvert, Acquire, Announce, Transition]


def test_6_4_2_a_new_active_uses_its_own_interval_not_the_learnt_one() -> None:
    router = router_in(replace(BACKUP, interval=ms(100)))

    router.handle(Tick(), BACKUP.down_at)

    assert router.deadline == BACKUP.down_at + SECOND


def test_6_4_2_priority_0_sets_the_timer_to_skew_time() -> None:
    router = router_in(BACKUP)

    router.handle(heard(0), NOW)

    assert router.deadline == NOW + ms(62.5)


def test_deviation_from_6_4_2_a_repeated_priority_0_does_not_start_skew_time_again() -> None:
    router = router_in(BACKUP)
    router.handle(heard(0), NOW)

    router.handle(heard(0), NOW + ms(20))

    assert router.deadline == NOW + ms(62.5)


def test_deviation_from_6_4_2_priority_0_from_another_than_the_active_is_only_counted() -> None:
    router = router_in(BACKUP)

    router.handle(heard(0, LOWER), NOW)

    assert router.deadline == BACKUP.down_at
    assert router.counters.stray_zero == 1


@pytest.mark.parametrize("source", [LOWER, HIGHER])
def test_6_4_2_an_equal_priority_is_followed_whatever_its_address(source: IPv4Address) -> None:
    router = router_in(BACKUP)

    router.handle(heard(240, source), NOW)

    assert router.deadline == NOW + ms(3062.5)


def test_6_4_2_a_lower_priority_is_discarded_and_the_timer_runs_on() -> None:
    router = router_in(BACKUP)

    router.handle(heard(239), NOW)

    assert router.deadline == BACKUP.down_at


# ---------------------------------------------------------------- 6.4.3 Active


def test_6_4_3_shutdown_sends_priority_0_before_the_addresses_go() -> None:
    router = router_in(ACTIVE)

    effects = router.handle(Shutdown("interface lost"), NOW)

    assert effects[:2] == [SendAdvert(0), Release()]
    assert router.state == Initialize()


def test_6_4_3_the_bytes_of_the_last_priority_0_can_still_be_had_after_the_shutdown() -> None:
    router = router_in(ACTIVE)
    router.handle(Shutdown("interface lost"), NOW)

    assert [decode(payload, Family.IPV4).priority for _, payload in router.encoder.datagrams(0)] == [0, 0]


def test_6_4_3_the_advert_timer_sends_and_starts_again() -> None:
    router = router_in(ACTIVE)

    assert router.handle(Tick(), NOW + SECOND) == [SendAdvert(240)]
    assert router.deadline == NOW + 2 * SECOND


def test_6_4_3_priority_0_is_answered_and_the_timer_starts_again() -> None:
    router = router_in(ACTIVE)

    assert router.handle(heard(0), NOW + ms(400)) == [SendAdvert(240)]
    assert router.deadline == NOW + ms(1400)


@pytest.mark.parametrize(("priority", "source"), [(241, LOWER), (241, HIGHER), (240, HIGHER)])
def test_6_4_3_a_higher_priority_or_an_equal_one_from_a_higher_address_wins(priority: int, source: IPv4Address) -> None:
    router = router_in(replace(ACTIVE, since=NOW))

    router.handle(heard(priority, source, interval=ms(500)), NOW)

    assert router.role is Role.BACKUP
    assert router.deadline == NOW + 3 * ms(500) + 16 * ms(500) // 256


def test_6_4_3_addresses_are_compared_as_unsigned_numbers() -> None:
    settings = replace(DEFAULT, peers=(IPv4Address("200.0.0.1"),))
    router = router_in(replace(ACTIVE, since=NOW), settings)

    router.handle(heard(240, IPv4Address("200.0.0.1")), NOW)

    assert router.role is Role.BACKUP


@pytest.mark.parametrize(("priority", "source"), [(239, HIGHER), (240, LOWER), (1, HIGHER)])
def test_6_4_3_a_loser_is_told_at_once_and_the_advert_timer_runs_on(priority: int, source: IPv4Address) -> None:
    router = router_in(ACTIVE)

    assert router.handle(heard(priority, source), NOW) == [SendAdvert(240), Announce()]
    assert router.deadline == ACTIVE.advert_at


def test_deviation_from_6_4_3_losers_are_told_at_most_four_times_in_an_interval() -> None:
    router = router_in(ACTIVE)
    told = [router.handle(heard(100), NOW + at) for at in range(0, SECOND, ms(10))]

    assert sum(SendAdvert(240) in effects for effects in told) == 4
    assert all(Announce() in effects for effects in told)


def test_deviation_from_6_4_3_a_long_serving_active_keeps_the_addresses_while_its_successor_starts() -> None:
    router = router_in(ACTIVE)

    assert Release() not in router.handle(heard(250), NOW)
    assert isinstance(router.state, Leaving)
    assert router.handle(Tick(), NOW + ms(200))[0] == Release()


def test_deviation_from_6_4_3_a_losing_active_says_its_priority_once_more() -> None:
    assert SendAdvert(240) in router_in(ACTIVE).handle(heard(250), NOW)


def test_deviation_from_6_4_3_a_stop_keeps_the_addresses_until_a_successor_was_heard() -> None:
    router = router_in(ACTIVE)

    assert Release() not in router.handle(Leave("agent stops"), NOW)
    assert router.holds_addresses


def test_6_4_3_erratum_8298_of_two_owners_the_higher_address_stays() -> None:
    fresh = replace(ACTIVE, since=NOW)
    loser, winner = router_in(fresh, OWNED), router_in(fresh, OWNED)

    loser.handle(heard(255, HIGHER), NOW)
    winner.handle(heard(255, LOWER), NOW)

    assert (loser.role, winner.role) == (Role.BACKUP, Role.ACTIVE)


# ---------------------------------------------------------------- 7.1 receiving, 7.2 sending


def test_7_1_the_packet_must_be_complete() -> None:
    assert verdict(bytes(message())[:-1]) is Reason.LENGTH


def test_7_1_the_version_must_be_the_configured_one() -> None:
    assert verdict(bytes(message(V2)), MULTICAST) is Reason.VERSION
    assert verdict(bytes(message(MULTICAST)), replace(MULTICAST, version=2)) is Reason.VERSION


def test_7_1_the_checksum_must_be_right() -> None:
    payload = message()
    payload[2] ^= 1

    assert verdict(bytes(payload)) is Reason.CHECKSUM


def test_7_1_the_vrid_must_be_configured_on_the_interface() -> None:
    judged = validate(datagram(settings=MULTICAST), None, (ME,))

    assert isinstance(judged, Drop)
    assert judged.reason is Reason.VRID


def test_7_1_our_own_looped_packets_are_dropped() -> None:
    judged = validate(datagram(settings=MULTICAST, source=ME), MULTICAST, (ME,))

    assert isinstance(judged, Drop)
    assert judged.reason is Reason.OWN


def test_7_1_another_interval_or_list_of_addresses_is_no_reason_to_discard() -> None:
    said = replace(advert(100, interval=ms(70)), addresses=(LOWER,))

    assert isinstance(validate(datagram(said=said), DEFAULT, (ME,)), Accepted)


def test_7_2_the_fields_come_from_the_configuration() -> None:
    router = router_in(ACTIVE)

    said = decode(router.encoder.datagrams(router.effective_priority)[0][1], Family.IPV4)

    assert said == advert(240)


# ---------------------------------------------------------------- 9 security


def test_9_a_foreign_interval_cannot_silence_us_for_longer_than_ten_of_ours() -> None:
    router = router_in(BACKUP)

    router.handle(heard(250, interval=ms(40950)), NOW)

    assert router.deadline == NOW + 3 * 10 * SECOND + 16 * 10 * SECOND // 256


def test_9_forged_sources_cannot_fill_our_memory() -> None:
    router = router_in(BACKUP, MULTICAST)

    for n in range(1000):
        router.handle(heard(100, IPv4Address("10.1.0.0") + n), NOW + n)

    assert list(router.heard) == [IPv4Address("10.1.0.0") + n for n in range(744, 1000)]
