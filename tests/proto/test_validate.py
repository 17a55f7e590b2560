"""Which datagrams are believed: one test for each reason, their order, then any bytes at all."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address, IPv6Address

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.proto.builders import (
    DEFAULT,
    DEFAULT6,
    HIGHER,
    HIGHER6,
    ME,
    MULTICAST,
    MULTICAST6,
    SHARED,
    V2,
    advert,
    datagram,
    ms,
    summed,
)
from vrrpd.proto.datagram import Datagram
from vrrpd.proto.events import Adjust, Received
from vrrpd.proto.group import Group
from vrrpd.proto.packet import (
    GROUP_V4,
    GROUP_V6,
    Advertisement,
    Dialect,
    encode,
    internet_checksum,
)
from vrrpd.proto.settings import Address, Settings
from vrrpd.proto.timers import SECOND
from vrrpd.proto.validate import Accepted, Drop, Reason, validate, vrid_of

OWN = (ME, SHARED)
STRANGER = IPv4Address("10.0.0.66")


def judge(packet: Datagram, router: Settings | None = DEFAULT) -> Reason | str:
    """The reason of a refusal, or `accepted`."""
    verdict = validate(packet, router, OWN)
    return verdict.reason if isinstance(verdict, Drop) else "accepted"


def with_byte(at: int, value: int, settings: Settings = DEFAULT) -> bytes:
    """A good message in which one byte is another, with a checksum to match."""
    message = bytearray(encode(advert(100, settings=settings), HIGHER, ME, Dialect.MESSAGE))
    message[at] = value
    return summed(bytes(message))


CARP = bytes.fromhex("2133000702010000") + bytes(28)  # 36 bytes: authlen 7, a counter and a digest follow
EMPTY = summed(bytes.fromhex("3133640000640000"))

REFUSED = {
    Reason.LENGTH: (datagram(b"\x31\x33\x64"), DEFAULT),
    Reason.OWN: (datagram(source=SHARED), DEFAULT),
    Reason.MODE: (datagram(destination=GROUP_V4), DEFAULT),
    Reason.SOURCE: (datagram(source=STRANGER), DEFAULT),
    Reason.TTL: (datagram(ttl=254), DEFAULT),
    Reason.CARP: (datagram(CARP), DEFAULT),
    Reason.VERSION: (datagram(settings=V2), DEFAULT),
    Reason.TYPE: (datagram(with_byte(0, 0x32)), DEFAULT),
    Reason.VRID: (datagram(), None),
    Reason.CHECKSUM: (datagram(with_byte(2, 100)[:-1] + b"\0"), DEFAULT),
    Reason.AUTH: (datagram(with_byte(4, 1, V2), settings=V2), V2),
    Reason.INTERVAL: (datagram(with_byte(5, 0)), DEFAULT),
    Reason.COUNT: (datagram(EMPTY), DEFAULT),
}


UNPROVEN = {
    Reason.MISSING, Reason.MALFORMED, Reason.STALE, Reason.UNKNOWN_KEY, Reason.INVALID_HMAC, Reason.REPLAY,
}  # fmt: skip
"""What only a router with keys refuses: see test_auth.py."""


@pytest.mark.parametrize("reason", [reason for reason in Reason if reason not in UNPROVEN])
def test_each_reason_is_the_only_one_of_a_packet_that_is_right_but_for_it(reason: Reason) -> None:
    packet, router = REFUSED[reason]

    verdict = validate(packet, router, OWN)

    assert isinstance(verdict, Drop)
    assert verdict.reason is reason
    assert verdict.detail


def test_a_good_packet_is_accepted_with_its_dialect() -> None:
    verdict = validate(datagram(dialect=Dialect.MESSAGE), DEFAULT, OWN)

    assert verdict == Accepted(advert(100), Dialect.MESSAGE)


@pytest.mark.parametrize("settings", [DEFAULT, DEFAULT6, MULTICAST, MULTICAST6, V2])
def test_a_good_packet_is_accepted_in_every_transport_version_and_family(settings: Settings) -> None:
    assert judge(datagram(settings=settings), settings) == "accepted"


@pytest.mark.parametrize("dialect", Dialect)
def test_every_dialect_is_accepted_and_named(dialect: Dialect) -> None:
    verdict = validate(datagram(dialect=dialect), DEFAULT, OWN)

    assert isinstance(verdict, Accepted)
    assert verdict.dialect is dialect


# ---------------------------------------------------------------- variants of one reason


@pytest.mark.parametrize("size", [0, 1, 7])
def test_a_message_shorter_than_its_header_has_the_wrong_length(size: int) -> None:
    assert judge(datagram(b"\x31\x33\x64\x01\x00\x64\x00\x00"[:size])) is Reason.LENGTH


def test_our_own_address_is_refused_so_that_a_loop_never_demotes_us() -> None:
    assert judge(datagram(source=ME), replace(DEFAULT, peers=(ME,))) is Reason.OWN


def test_a_unicast_packet_on_a_multicast_router_is_refused() -> None:
    assert judge(datagram(destination=ME), MULTICAST) is Reason.MODE


def test_another_multicast_group_is_refused() -> None:
    assert judge(datagram(destination=IPv4Address("224.0.0.1")), MULTICAST) is Reason.MODE


@pytest.mark.parametrize("settings", [DEFAULT6, MULTICAST6])
@pytest.mark.parametrize(
    ("source", "destination"), [(HIGHER, ME), (HIGHER, GROUP_V6), (HIGHER6, GROUP_V4), (HIGHER6, ME)]
)
def test_the_other_family_is_refused(settings: Settings, source: Address, destination: Address) -> None:
    packet = Datagram(encode(advert(100), HIGHER, ME, Dialect.PSEUDO), source, destination, 255)

    assert judge(packet, settings) is Reason.MODE


@pytest.mark.parametrize(("hops", "ttl", "verdict"), [(0, 255, "accepted"), (3, 252, "accepted"), (3, 251, Reason.TTL)])
def test_unicast_peers_may_be_as_many_hops_away_as_configured(hops: int, ttl: int, verdict: Reason | str) -> None:
    assert judge(datagram(ttl=ttl), replace(DEFAULT, max_hops=hops)) == verdict


def test_multicast_never_crosses_a_hop_whatever_is_configured() -> None:
    settings = replace(MULTICAST, max_hops=9)

    assert judge(datagram(settings=settings, ttl=254), settings) is Reason.TTL


def test_any_speaker_is_heard_in_multicast() -> None:
    assert judge(datagram(settings=MULTICAST, source=STRANGER), MULTICAST) == "accepted"


@pytest.mark.parametrize("first", [0x11, 0x41, 0x01, 0xF1])
def test_an_unknown_version_is_refused_with_and_without_a_router(first: int) -> None:
    payload = with_byte(0, first)

    assert judge(datagram(payload)) is Reason.VERSION
    assert judge(datagram(payload), None) is Reason.VERSION


@pytest.mark.parametrize("kind", [0, 2, 15])
def test_every_type_but_advertisement_is_refused(kind: int) -> None:
    assert judge(datagram(with_byte(0, 0x30 | kind))) is Reason.TYPE


@pytest.mark.parametrize("extra", [-4, -1, 1, 4, 27, 29, 34])
def test_a_message_must_be_complete_and_end_where_its_count_says(extra: int) -> None:
    message = encode(advert(100), HIGHER, ME, Dialect.MESSAGE)
    payload = message[:extra] if extra < 0 else message + bytes(extra)

    assert judge(datagram(payload)) is Reason.LENGTH


def test_a_trailer_of_28_bytes_is_accepted_and_left_out_of_the_ipv4_checksum() -> None:
    message = encode(advert(100), HIGHER, ME, Dialect.PSEUDO)

    assert validate(datagram(message + b"\x01" * 28), DEFAULT, OWN) == Accepted(advert(100), Dialect.PSEUDO)


def test_a_trailer_counts_in_the_ipv6_checksum() -> None:
    # keepalived 2.4.2 signs like this; RFC 8200 8.1 covers all of the payload
    message = "3133c8010064a2e9fe800000000000000000000000000100"
    signed = bytes.fromhex(message + "010100006800000080000000c8c56146ebfd66ee10ec4d8186461b78")
    source, destination = IPv6Address("fe80::10"), IPv6Address("fe80::20")
    settings = replace(DEFAULT6, peers=(source,))
    packet = Datagram(signed, source, destination, 255)

    assert judge(packet, settings) == "accepted"
    assert judge(replace(packet, payload=signed[:-1] + b"\0"), settings) is Reason.CHECKSUM
    assert judge(replace(packet, payload=signed[:24]), settings) is Reason.CHECKSUM


def test_a_version_2_message_without_its_authentication_data_is_incomplete() -> None:
    message = encode(advert(100, settings=V2), HIGHER, ME, Dialect.MESSAGE)

    assert judge(datagram(summed(message[:-8])), V2) is Reason.LENGTH


def test_a_checksum_for_another_destination_is_wrong() -> None:
    payload = encode(advert(100), HIGHER, IPv4Address("10.0.0.99"), Dialect.PSEUDO)

    assert judge(datagram(payload)) is Reason.CHECKSUM


def test_version_2_knows_no_pseudo_header() -> None:
    packet = Advertisement(2, 51, 100, SECOND, (SHARED,))
    message = bytearray(encode(packet, HIGHER, ME, Dialect.MESSAGE))
    covered = HIGHER.packed + ME.packed + bytes([0, 112, 0, len(message)]) + message[:6] + b"\0\0" + message[8:]
    message[6:8] = internet_checksum(covered).to_bytes(2)

    assert judge(datagram(bytes(message)), V2) is Reason.CHECKSUM


@pytest.mark.parametrize("seconds", [0, 2, 255])
def test_version_2_refuses_another_interval(seconds: int) -> None:
    assert judge(datagram(with_byte(5, seconds, V2)), V2) is Reason.INTERVAL


@pytest.mark.parametrize("interval", [ms(10), ms(40950)])
def test_version_3_accepts_every_interval_but_zero(interval: int) -> None:
    assert judge(datagram(said=advert(100, interval=interval))) == "accepted"


def test_a_different_list_of_addresses_is_accepted_for_refusing_it_makes_two_actives() -> None:
    said = replace(advert(100), addresses=(IPv4Address("10.9.9.9"), SHARED))

    assert judge(datagram(said=said)) == "accepted"


def test_carp_is_named_and_not_taken_for_an_attack() -> None:
    for router in (DEFAULT, V2, None):
        assert judge(datagram(CARP), router) is Reason.CARP


def test_version_2_with_seven_addresses_is_not_taken_for_carp() -> None:
    said = replace(advert(100, settings=V2), addresses=tuple(SHARED + n for n in range(7)))

    assert judge(datagram(said=said, settings=V2), V2) == "accepted"


@pytest.mark.parametrize("change", [(0, 0x31), (3, 6)])
def test_what_only_resembles_carp_is_judged_as_vrrp(change: tuple[int, int]) -> None:
    at, value = change
    payload = CARP[:at] + bytes([value]) + CARP[at + 1 :]

    assert judge(datagram(payload), None) is not Reason.CARP


def test_a_packet_for_no_router_of_ours_is_counted_whoever_sends_it() -> None:
    assert judge(datagram(source=STRANGER, ttl=1), None) is Reason.VRID


def test_the_vrid_is_read_only_from_a_whole_header() -> None:
    assert vrid_of(datagram()) == 51
    assert vrid_of(datagram(b"\x31\x33")) is None


# ---------------------------------------------------------------- order


def wrong_from(first: Reason) -> Datagram:
    """A packet that is wrong in this way and in every way that is judged later."""
    rank = list(Reason).index(first)
    wrong = {reason: list(Reason).index(reason) >= rank for reason in Reason}
    # interval 0 and count 0, of type 2 in version 1, with a wrong checksum
    head = 0x31
    if wrong[Reason.TYPE]:
        head = head & 0xF0 | 2
    if wrong[Reason.VERSION]:
        head = head & 0x0F | 0x10
    message = bytearray([head, 51, 100, 0 if wrong[Reason.COUNT] else 1, 0, 0 if wrong[Reason.INTERVAL] else 100])
    message += b"\0\0"
    payload = summed(bytes(message))
    if wrong[Reason.CHECKSUM]:
        payload = payload[:6] + bytes([payload[6] ^ 0xFF]) + payload[7:]
    if wrong[Reason.LENGTH]:
        payload = payload[:5]
    return Datagram(
        payload,
        ME if wrong[Reason.OWN] else STRANGER if wrong[Reason.SOURCE] else HIGHER,
        GROUP_V4 if wrong[Reason.MODE] else ME,
        1 if wrong[Reason.TTL] else 255,
    )


@pytest.mark.parametrize("first", [r for r in Reason if r not in UNPROVEN | {Reason.CARP, Reason.VRID, Reason.AUTH}])
def test_a_packet_that_is_wrong_in_many_ways_reports_the_first(first: Reason) -> None:
    assert judge(wrong_from(first)) is first


def test_carp_is_found_however_it_travelled() -> None:
    assert judge(datagram(CARP, ttl=1)) is Reason.CARP
    assert judge(datagram(CARP), DEFAULT) is Reason.CARP
    assert judge(datagram(CARP, destination=GROUP_V4), DEFAULT) is Reason.CARP
    assert judge(datagram(CARP), None) is Reason.CARP


def test_an_unknown_router_is_found_after_the_header_and_before_the_checksum() -> None:
    assert judge(datagram(with_byte(0, 0x32)), None) is Reason.TYPE
    assert judge(datagram(encode(advert(100), HIGHER, ME, Dialect.MESSAGE) + b"\0"), None) is Reason.LENGTH
    assert judge(REFUSED[Reason.CHECKSUM][0], None) is Reason.VRID


def test_authentication_is_judged_after_the_checksum_and_before_the_interval() -> None:
    message = bytearray(with_byte(4, 1, V2))
    message[5] = 9
    assert judge(datagram(bytes(message)), V2) is Reason.CHECKSUM
    assert judge(datagram(summed(bytes(message))), V2) is Reason.AUTH


# ---------------------------------------------------------------- anything at all

routers = st.sampled_from([DEFAULT, DEFAULT6, MULTICAST, MULTICAST6, V2, replace(V2, unicast=False, peers=())])
addresses = st.sampled_from([HIGHER, HIGHER6, ME, STRANGER, GROUP_V4, GROUP_V6]) | st.ip_addresses()


@st.composite
def payloads(draw: st.DrawFn) -> bytes:
    """Bytes that often come close to a message: a right first byte, count or checksum, then anything."""
    payload = draw(st.binary(max_size=80))
    if draw(st.booleans()):
        count = draw(st.integers(0, 3))
        first = draw(st.sampled_from([0x31, 0x21]))
        size = draw(st.sampled_from([4, 16])) * count + (8 if first == 0x21 else 0)
        body = draw(st.binary(min_size=size, max_size=size))
        payload = bytes([first, 51, draw(st.integers(0, 255)), count]) + draw(st.binary(min_size=2, max_size=2))
        payload = summed(payload + b"\0\0" + body)
        payload += draw(st.sampled_from([b"", bytes(28), bytes(3)]))
    return payload


@given(payloads(), routers | st.none(), addresses, addresses, st.integers(0, 255))
@example(encode(advert(100), HIGHER, ME, Dialect.MESSAGE), DEFAULT6, HIGHER, GROUP_V6, 255)
def test_no_bytes_from_anywhere_raise(
    payload: bytes, router: Settings | None, source: Address, destination: Address, ttl: int
) -> None:
    verdict = validate(Datagram(payload, source, destination, ttl), router, OWN)

    assert isinstance(verdict, Accepted | Drop)
    if isinstance(verdict, Accepted):
        assert verdict.advert.interval > 0
        assert verdict.advert.addresses


@given(st.lists(st.tuples(payloads(), addresses, st.integers(0, 4 * 10**9)), max_size=12), routers)
def test_a_group_survives_whatever_is_accepted(packets: list[tuple[bytes, Address, int]], router: Settings) -> None:
    router = replace(router, peers=(HIGHER, STRANGER) if router.unicast else ())
    group = Group([router], {HIGHER: "lb3"})
    group.start([ME], 0)
    now = 0
    for payload, source, later in packets:
        now += later
        packet = Datagram(payload, source, ME if router.unicast else GROUP_V4, 255)
        verdict = validate(packet, router, OWN)
        if isinstance(verdict, Accepted):
            group.received(0, Received(verdict.advert, source, verdict.dialect), now)
        group.tick(now)
        group.adjust(0, Adjust(240, healthy=bool(later % 2), reason="test"), now)
        group.tick(now)
        assert group.deadline is not None
        assert group.deadline > now
