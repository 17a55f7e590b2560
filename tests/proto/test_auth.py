"""Signed advertisements, to the bit: no Debian has a keepalived that signs, so its published vectors are the peer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from ipaddress import IPv4Address, IPv6Address
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.proto.builders import DEFAULT, DEFAULT6, HIGHER, LOWER, ME, MULTICAST, V2, advert, router_in
from tests.proto.signed import (
    HMAC,
    KEY,
    OTHER,
    PERMISSIVE,
    SIGNED,
    at,
    authenticator,
    judged,
    number,
    signed,
    unsigned,
)
from vrrpd import trailer as wire
from vrrpd.proto.auth import MOST_SIGHTINGS, Authenticator
from vrrpd.proto.clock import Instant
from vrrpd.proto.credentials import AntiReplay, Hmac, Mode, Password, Secret
from vrrpd.proto.datagram import Datagram
from vrrpd.proto.packet import Dialect, checksum_dialect, decode, encode, message_length, unsummed
from vrrpd.proto.settings import Address, Family, Settings
from vrrpd.proto.states import Active
from vrrpd.proto.timers import MS, SECOND
from vrrpd.proto.validate import Accepted, Drop, Reason, validate

SEQUENCE = 0x6800000080000000
THEN = Instant(0, 0x68000000 * SECOND + SECOND // 2)
V4_VECTOR = bytes.fromhex("3133c80100644402c0000264" + "010100006800000080000000" + "1b84bc4e8e43892dc6d98448f8ee2265")
V6_VECTOR = bytes.fromhex(
    "3133c8010064a2e9fe800000000000000000000000000100" + "010100006800000080000000" + "c8c56146ebfd66ee10ec4d8186461b78"
)
V4_SOURCE, V6_SOURCE = IPv4Address("198.51.100.10"), IPv6Address("fe80::10")
V4 = replace(SIGNED, peers=(V4_SOURCE, LOWER), addresses=(IPv4Address("192.0.2.100"),), priority=200)
V6 = replace(
    DEFAULT6, auth=HMAC, peers=(V6_SOURCE, IPv6Address("fe80::20")), addresses=(IPv6Address("fe80::100"),), priority=200
)
ACTIVE = Active(advert_at=0, since=0)
MONOTONIC = replace(HMAC, anti_replay=AntiReplay.MONOTONIC)


def vector(payload: bytes = V4_VECTOR, source: Address = V4_SOURCE) -> Datagram:
    destination: Address = ME if source.version == 4 else IPv6Address("fe80::20")
    return Datagram(payload, source, destination, 255)


def proof(packet: Datagram, settings: Settings = V4, when: Instant = THEN) -> Reason | None:
    """What the authentication alone says."""
    keys = authenticator(settings)
    length = message_length(settings.version, settings.family, packet.payload[3])
    drop = keys.judge(packet, length, when)
    return drop and drop.reason


def changed(payload: bytes, offset: int, by: int = 1) -> bytes:
    copy = bytearray(payload)
    copy[offset] ^= by
    return bytes(copy)


# ---------------------------------------------------------------- the wire


@pytest.mark.parametrize(("settings", "source", "expected"), [(V4, V4_SOURCE, V4_VECTOR), (V6, V6_SOURCE, V6_VECTOR)])
def test_we_send_the_published_bytes(settings: Settings, source: Address, expected: bytes) -> None:
    said = replace(advert(200, settings=settings))
    trailer = wire.seal(unsummed(said), source.packed, 1, KEY, SEQUENCE)

    assert encode(said, source, IPv6Address("fe80::20") if settings is V6 else ME, Dialect.MESSAGE, trailer) == expected


@pytest.mark.parametrize(("settings", "source", "payload"), [(V4, V4_SOURCE, V4_VECTOR), (V6, V6_SOURCE, V6_VECTOR)])
def test_we_accept_the_published_bytes(settings: Settings, source: Address, payload: bytes) -> None:
    packet = vector(payload, source)
    keys = authenticator(settings)

    verdict = validate(packet, settings, (), partial(keys.judge, at=THEN))

    assert isinstance(verdict, Accepted)
    assert verdict.advert == advert(200, settings=settings)


MUTATIONS = {
    "priority": (2, Reason.INVALID_HMAC),
    "interval": (5, Reason.INVALID_HMAC),
    "an address": (11, Reason.INVALID_HMAC),
    "seconds": (19, Reason.INVALID_HMAC),
    "fraction": (20, Reason.INVALID_HMAC),
    "counter": (23, Reason.INVALID_HMAC),
    "first byte of the HMAC": (24, Reason.INVALID_HMAC),
    "last byte of the HMAC": (39, Reason.INVALID_HMAC),
    "vrid": (1, Reason.INVALID_HMAC),
    "extension type": (12, Reason.MALFORMED),
    "reserved, high": (14, Reason.MALFORMED),
    "reserved, low": (15, Reason.MALFORMED),
    "key id": (13, Reason.UNKNOWN_KEY),
    "checksum, high": (6, None),
    "checksum, low": (7, None),
}


@pytest.mark.parametrize("what", MUTATIONS)
def test_a_byte_that_was_changed_on_the_way_shows(what: str) -> None:
    offset, reason = MUTATIONS[what]

    assert proof(vector(changed(V4_VECTOR, offset))) is reason


def test_a_far_second_is_stale_before_anything_is_computed() -> None:
    assert proof(vector(changed(V4_VECTOR, 16))) is Reason.STALE


def test_another_source_shows() -> None:
    assert proof(vector(source=IPv4Address("198.51.100.11"))) is Reason.INVALID_HMAC


def test_the_checksum_of_ipv4_leaves_the_trailer_out_and_that_of_ipv6_takes_it_in() -> None:
    assert checksum_dialect(V4_VECTOR, 12, V4_SOURCE, ME) is Dialect.MESSAGE
    assert checksum_dialect(V6_VECTOR, 24, V6_SOURCE, IPv6Address("fe80::20")) is Dialect.PSEUDO
    assert checksum_dialect(changed(V6_VECTOR, 51), 24, V6_SOURCE, IPv6Address("fe80::20")) is None


@pytest.mark.parametrize("settings", [SIGNED, replace(V2, auth=HMAC), V6, replace(MULTICAST, auth=HMAC)])
def test_what_we_send_a_peer_with_the_same_keys_accepts(settings: Settings) -> None:
    router = router_in(ACTIVE, settings)
    assert router.source is not None
    theirs = replace(settings, peers=(router.source,)) if settings.unicast else settings

    for destination, payload in router.encoder.datagrams(240, at(0)):
        packet = Datagram(payload, router.source, destination, 255)
        keys = authenticator(theirs)
        assert isinstance(validate(packet, theirs, (), partial(keys.judge, at=at(0.1))), Accepted)


def test_version_2_keeps_its_eight_bytes_of_zeros_before_the_trailer() -> None:
    router = router_in(ACTIVE, replace(V2, auth=HMAC))
    ((_, payload), *_) = router.encoder.datagrams(240, at(0))

    assert len(payload) == 8 + 4 + 8 + 28
    assert payload[12:20] == bytes(8)
    assert payload[4] == 0


def test_an_advertisement_is_signed_once_for_all_peers() -> None:
    (_, one), (_, other) = router_in(ACTIVE, SIGNED).encoder.datagrams(240, at(0))

    assert one[-28:] == other[-28:]
    assert one[6:8] != other[6:8]


@given(st.binary(max_size=80))
def test_no_bytes_are_too_odd_and_none_pass(trailer: bytes) -> None:
    packet = vector(V4_VECTOR[:12] + trailer)
    keys = authenticator(V4)

    verdict = validate(packet, V4, (), partial(keys.judge, at=THEN))

    assert isinstance(verdict, Drop)


@given(st.integers(0, 2**64 - 1), st.integers(1, 255), st.binary(min_size=32, max_size=64))
def test_a_trailer_survives_the_wire(sequence: int, key_id: int, key: bytes) -> None:
    trailer = wire.seal(V4_VECTOR[:12], V4_SOURCE.packed, key_id, key, sequence)

    assert wire.parse(trailer)[:4] == (1, key_id, 0, sequence)
    assert wire.head(wire.parse(trailer)) == trailer[:12]


@given(st.integers(0, 2**64 - 1), st.integers(-(2**63) + 1, 2**63 - 1))
def test_sequence_numbers_are_compared_on_a_circle(number: int, ahead: int) -> None:
    assert wire.difference((number + ahead) % 2**64, number) == ahead


def test_a_sequence_number_is_the_time_in_seconds_and_65536ths() -> None:
    assert wire.clock_sequence(THEN.wall) == SEQUENCE
    assert wire.clock_sequence(SECOND - 1) == 0xFFFF << 16
    assert wire.clock_sequence((2**32 + 5) * SECOND) == 5 << 32


# ---------------------------------------------------------------- sending


def sent(keys: Authenticator, when: Instant) -> int:
    return wire.parse(keys.sign(V4_VECTOR[:12], ME, when)).sequence


def test_numbers_follow_the_clock_and_rise_where_it_stands() -> None:
    keys = authenticator()

    assert sent(keys, at(1)) == number(1)
    assert sent(keys, at(1)) == number(1) + 1
    assert sent(keys, at(1)) == number(1) + 2
    assert sent(keys, at(2)) == number(2)


@given(st.integers(-100, 100), st.integers(0, 900))
def test_a_seal_that_is_not_outdated_is_above_all_that_was_sent(step: int, later: int) -> None:
    keys = authenticator()
    seal = keys.delegate(at(1))
    after = at(1 + later / 1000, wrong=step / 1000)

    last = sent(keys, after)

    if not keys.outdated(seal, after):
        number_of_seal = wire.clock_sequence(after.now) + seal.ahead
        assert wire.difference(number_of_seal % 2**64, last) > 0


@given(st.lists(st.tuples(st.integers(0, 60 * SECOND), st.integers(-5000 * MS, 5000 * MS)), max_size=30))
def test_numbers_rise_whatever_the_clock_does_inside_the_window(steps: list[tuple[int, int]]) -> None:
    keys, now, last = authenticator(), 0, None
    for elapsed, error in steps:
        now += elapsed
        following = sent(keys, Instant(now, THEN.wall + now + error // 10))
        assert last is None or wire.difference(following, last) > 0
        last = following


def test_a_clock_that_goes_far_back_is_followed_by_time_and_not_by_number() -> None:
    late, early = Instant(0, THEN.wall), Instant(0, THEN.wall - 100 * SECOND)
    for rules, expected in ((HMAC, wire.clock_sequence(early.wall)), (MONOTONIC, SEQUENCE + 1)):
        keys = authenticator(replace(SIGNED, auth=rules))
        sent(keys, late)
        keys.clock.believe(early.wall, early)
        assert sent(keys, early) == expected


# ---------------------------------------------------------------- modes


@pytest.mark.parametrize(
    ("mode", "signs", "verdict"),
    [
        (Mode.RECEIVE_ONLY, False, "accepted"),
        (Mode.PERMISSIVE, True, "accepted"),
        (Mode.ENFORCE, True, Reason.MISSING),
    ],
)
def test_each_mode_signs_and_demands_what_it_says(mode: Mode, signs: bool, verdict: Reason | str) -> None:
    settings = replace(SIGNED, auth=replace(HMAC, mode=mode))
    ((_, payload), *_) = router_in(ACTIVE, settings).encoder.datagrams(240, at(0))

    assert (len(payload) == 12 + 28) is signs
    assert judged(authenticator(settings), unsigned(), at(0), settings) == verdict
    assert judged(authenticator(settings), signed(number(0)), at(0), settings) == "accepted"
    assert judged(authenticator(settings), signed(number(0), key=OTHER), at(0), settings) is Reason.INVALID_HMAC


def test_every_step_of_the_rollout_is_understood_by_the_step_before_and_after() -> None:
    steps = [DEFAULT, *(replace(SIGNED, auth=replace(HMAC, mode=mode)) for mode in Mode)]
    for one, next_one in pairwise(steps):
        for sender, receiver in ((one, next_one), (next_one, one)):
            router = router_in(ACTIVE, replace(sender, peers=(LOWER, HIGHER)))
            ((destination, payload), *_) = router.encoder.datagrams(240, at(0))
            keys = Authenticator.of(receiver)
            prove = partial(keys.judge, at=at(0)) if keys else None
            packet = Datagram(payload, ME, destination, 255)
            assert isinstance(validate(packet, replace(receiver, peers=(ME,)), (), prove), Accepted)


def test_keys_are_replaced_without_a_moment_in_which_somebody_is_not_understood() -> None:
    old, new = (1, Secret(KEY)), (2, Secret(OTHER))
    stages = [
        Hmac((old,), 1),
        Hmac((old, new), 1),  # everybody learns the new key
        Hmac((old, new), 2),  # everybody signs with it
        Hmac((new,), 2),  # everybody forgets the old one
    ]
    for one, next_one in pairwise(stages):
        for sender, receiver in ((one, next_one), (next_one, one)):
            keys = authenticator(replace(SIGNED, auth=sender))
            message = unsummed(advert(250))
            trailer = keys.sign(message, HIGHER, at(0))
            packet = Datagram(encode(advert(250), HIGHER, ME, Dialect.PSEUDO, trailer), HIGHER, ME, 255)
            assert judged(authenticator(replace(SIGNED, auth=receiver)), packet, at(0)) == "accepted"


def test_a_router_with_keys_is_never_asked_without_them() -> None:
    with pytest.raises(AssertionError, match="unproven"):
        validate(signed(number(0)), SIGNED, (ME,))
    with pytest.raises(AssertionError, match="says when"):
        router_in(ACTIVE, SIGNED).encoder.datagrams(240)


# ---------------------------------------------------------------- the order of the checks


def test_the_cheap_checks_come_first() -> None:
    """Each packet is wrong in everything from one check on; the first reason is told."""
    keys = authenticator()
    judged(keys, signed(number(100)), at(100))
    wrong = signed(number(0), key=OTHER, key_id=9).payload
    malformed = changed(wrong, len(wrong) - 27 + 1)
    assert judged(keys, Datagram(malformed[:-28], HIGHER, ME, 255), at(100)) is Reason.MISSING
    assert judged(keys, Datagram(malformed, HIGHER, ME, 255), at(100)) is Reason.MALFORMED
    assert judged(keys, Datagram(wrong, HIGHER, ME, 255), at(100)) is Reason.STALE
    assert judged(keys, signed(number(99), key=OTHER, key_id=9), at(100)) is Reason.UNKNOWN_KEY
    assert judged(keys, signed(number(99), key=OTHER), at(100)) is Reason.INVALID_HMAC
    assert judged(keys, signed(number(99)), at(100)) is Reason.REPLAY
    assert judged(keys, Datagram(changed(signed(number(101)).payload, 6), HIGHER, ME, 255), at(101)) is Reason.CHECKSUM


def test_a_stranger_is_refused_before_the_signature() -> None:
    assert judged(authenticator(), signed(number(0), source=IPv4Address("10.0.0.66")), at(0)) is Reason.SOURCE


@pytest.mark.parametrize(("off", "verdict"), [(-5, "accepted"), (5, "accepted"), (-6, Reason.STALE), (6, Reason.STALE)])
def test_the_window_counts_whole_seconds(off: int, verdict: Reason | str) -> None:
    assert judged(authenticator(), signed(number(100 + off)), at(100)) == verdict


def test_time_near_the_end_of_32_bits_is_near_its_beginning() -> None:
    after = Instant(0, 2**32 * SECOND + SECOND)

    assert judged(authenticator(), signed(0xFFFFFFFF << 32), after) == "accepted"


# ---------------------------------------------------------------- replay


def test_a_packet_is_accepted_once_and_nothing_before_it_afterwards() -> None:
    keys = authenticator()

    assert judged(keys, signed(number(2)), at(2)) == "accepted"
    assert judged(keys, signed(number(2)), at(2)) is Reason.REPLAY
    assert judged(keys, signed(number(1)), at(2)) is Reason.REPLAY
    assert judged(keys, signed(number(2) + 1), at(2)) == "accepted"


def test_each_peer_has_its_own_mark() -> None:
    keys = authenticator()

    assert judged(keys, signed(number(2)), at(2)) == "accepted"
    assert judged(keys, signed(number(1), source=LOWER), at(2)) == "accepted"


def test_a_mark_outside_the_window_holds_no_sender_up_that_set_its_clock_right() -> None:
    for rules, verdict in ((HMAC, "accepted"), (MONOTONIC, Reason.REPLAY)):
        settings = replace(SIGNED, auth=rules)
        keys = authenticator(settings)
        assert judged(keys, signed(number(4)), at(0), settings) == "accepted"
        keys.clock.believe(at(1, wrong=-3).wall, at(1, wrong=-3))  # now the mark is 6 s ahead
        assert judged(keys, signed(number(1)), at(1, wrong=-3), settings) == verdict


def test_by_number_alone_no_clock_matters() -> None:
    settings = replace(SIGNED, auth=MONOTONIC)
    keys = authenticator(settings)

    assert judged(keys, signed(5), at(100), settings) == "accepted"
    assert judged(keys, signed(5), at(100), settings) is Reason.REPLAY
    assert judged(keys, signed(6), at(0), settings) == "accepted"
    assert keys.ahead(HIGHER) == 0


def test_in_multicast_four_senders_have_marks_and_forgeries_push_none_of_them_out() -> None:
    keys = authenticator(replace(MULTICAST, auth=HMAC))
    everybody = [IPv4Address(f"10.0.0.{i}") for i in range(101, 106)]

    def verdict(source: IPv4Address, key: bytes = KEY) -> Reason | None:
        drop = keys.judge(signed(number(1), source=source, key=key), 12, at(1))
        return drop and drop.reason

    for source in everybody[:4]:
        assert verdict(source) is None
        assert {verdict(IPv4Address(f"10.0.9.{i}"), OTHER) for i in range(9)} == {Reason.INVALID_HMAC}
    assert [verdict(source) for source in everybody[:4]] == [Reason.REPLAY] * 4
    assert verdict(everybody[4]) is None
    assert verdict(everybody[0]) is None, "a fifth sender takes the oldest place"


# ---------------------------------------------------------------- another clock


def stale(keys: Authenticator, times: Sequence[tuple[float, float]], **more: object) -> list[Reason | str]:
    """Packets that say one time and come at another, in seconds."""
    return [judged(keys, signed(number(said), **more), at(come)) for said, come in times]  # type: ignore[arg-type]


def test_a_peer_whose_clock_differs_is_known_by_its_pace() -> None:
    assert stale(authenticator(), [(1000, 1), (1001, 2), (1002.05, 3), (1003, 4)]) == [Reason.STALE] + ["authentic"] * 3


@pytest.mark.parametrize(
    "times",
    [
        [(1000, 1), (1001, 1.3)],  # too fast
        [(1000, 1), (1001, 4)],  # too slow
        [(1000, 1), (1000, 2)],  # the same again
        [(1000, 1), (999, 2)],  # backwards
    ],
)
def test_a_recording_that_is_played_in_another_way_is_no_peer(times: Sequence[tuple[float, float]]) -> None:
    assert stale(authenticator(), times) == [Reason.STALE, Reason.STALE]


def test_small_errors_of_the_pace_do_not_add_up() -> None:
    times = [(1000 + i * 1.05, 1 + i) for i in range(200)]

    assert stale(authenticator(), times)[1:] == ["authentic"] * 199
    slow = [(1000 + i * 0.8, 1 + i) for i in range(10)]
    assert Reason.STALE in stale(authenticator(), slow)[2:]


def test_nothing_older_than_the_mark_is_authentic() -> None:
    keys = authenticator()
    assert judged(keys, signed(number(1000)), at(1000)) == "accepted"

    assert stale(keys, [(100, 1001), (101, 1002), (102, 1003)]) == [Reason.STALE] * 3


@pytest.mark.parametrize("forger", [{"key": OTHER}, {"key_id": 9}])
def test_a_forger_is_never_authentic(forger: dict[str, object]) -> None:
    assert stale(authenticator(), [(1000 + i, 1 + i) for i in range(5)], **forger) == [Reason.STALE] * 5


def test_forgeries_in_the_name_of_one_do_not_hide_the_pace_of_another() -> None:
    keys = authenticator()
    verdicts: list[Reason | str] = []
    for i in range(6):
        for j in range(200):
            forged = signed(number(5000 + i + j / 1000), source=LOWER, key=OTHER)
            judged(keys, forged, at(1 + i + j / 1000))
        verdicts.append(judged(keys, signed(number(1000.2 + i)), at(1.2 + i)))

    assert verdicts == [Reason.STALE] + ["authentic"] * 5


def test_forgeries_in_its_own_name_do_not_hide_a_peer_that_keeps_its_pace() -> None:
    keys = authenticator()
    verdicts = stale(keys, [(1000, 1)])
    for i in range(1, 6):
        for j in range(200):
            judged(keys, signed(number(5000 + i + j / 1000), key=OTHER), at(1 + i + j / 1000))
        verdicts += stale(keys, [(1000.2 + i, 1.2 + i)])

    assert verdicts == [Reason.STALE] + ["authentic"] * 5


def test_strangers_share_one_look(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = replace(MULTICAST, auth=HMAC)
    keys = Authenticator(settings, HMAC, nodes=(HIGHER,))
    looks: list[Address] = []

    def proven(_message: bytes, source: Address, *_: object) -> bool:
        looks.append(source)
        return False

    monkeypatch.setattr("vrrpd.proto.auth._proven", proven)

    for i in range(1000):
        source = IPv4Address(f"10.1.{i // 250}.{i % 250}")
        keys.judge(signed(number(9000), source=source), 12, at(1 + i / 20000))
    keys.judge(signed(number(9000)), 12, at(1.05))

    assert len(looks) == 2
    assert looks[-1] == HIGHER


def test_stale_packets_are_looked_at_a_few_times_an_interval_only() -> None:
    keys = authenticator()
    verdicts = stale(keys, [(1000 + i / 100, 1 + i / 100) for i in range(101)])

    assert verdicts.count("authentic") == 4


def test_a_peer_that_is_accepted_again_begins_its_pace_anew() -> None:
    keys = authenticator()
    stale(keys, [(1000, 1), (1001, 2)])
    assert judged(keys, signed(number(1002)), at(1002)) == "accepted"

    assert stale(keys, [(5000, 1003), (5001, 1004)]) == [Reason.STALE, "authentic"]


def test_how_far_the_clock_of_a_peer_is_ahead_is_known() -> None:
    keys = authenticator()
    assert keys.ahead(HIGHER) == 0
    judged(keys, signed(number(13)), at(10))

    assert abs(keys.ahead(HIGHER) - 3 * SECOND) < MS


# ---------------------------------------------------------------- what was seen


def test_each_way_in_which_a_sender_signs_is_seen_once_with_its_times() -> None:
    settings = replace(SIGNED, auth=replace(PERMISSIVE, ring=((1, Secret(KEY)), (2, Secret(OTHER)))))
    keys = authenticator(settings)
    for packet, when in (
        (unsigned(), 1),
        (signed(number(2)), 2),
        (signed(number(3)), 3),
        (signed(number(4), key=OTHER, key_id=2), 4),
        (signed(number(4), key=OTHER), 5),
    ):
        judged(keys, packet, at(when), settings)

    seen = [(s.key_id, s.refused, s.since // SECOND, s.last // SECOND, s.count) for s in keys.sightings]
    assert seen == [
        (None, None, 1, 1, 1),
        (1, None, 2, 3, 2),
        (2, None, 4, 4, 1),
        (None, Reason.INVALID_HMAC, 5, 5, 1),
    ]


def test_forged_senders_are_bounded_and_push_out_no_signed_one() -> None:
    keys = authenticator(replace(MULTICAST, auth=HMAC))
    keys.judge(signed(number(1)), 12, at(1))
    for i in range(3 * MOST_SIGHTINGS):
        keys.judge(unsigned(source=IPv4Address("10.9.0.0") + i), 12, at(2))

    assert len(keys.sightings) == MOST_SIGHTINGS
    assert keys.sightings[0].key_id == 1


# ---------------------------------------------------------------- secrets and passwords


def test_no_secret_shows() -> None:
    text = "hunter2!"
    password = Password(Secret(text.encode()))
    said = replace(advert(100, settings=V2), auth_data=password.on_the_wire.reveal())

    for value in (Secret(KEY), HMAC, SIGNED, password, replace(V2, auth=password), said):
        assert text not in f"{value!r} {value}"
        assert repr(KEY) not in f"{value!r} {value}"
    assert Secret(KEY) == Secret(KEY) != Secret(OTHER)
    assert Secret(KEY) != KEY
    assert len({Secret(KEY), Secret(KEY)}) == 1


def test_a_password_goes_out_as_rfc_2338_has_it_and_is_asked_for() -> None:
    settings = replace(V2, auth=Password(Secret(b"secret")))
    ((_, payload), *_) = router_in(ACTIVE, settings).encoder.datagrams(240)
    packet = Datagram(payload, HIGHER, ME, 255)

    assert payload[4] == 1
    assert payload[12:] == b"secret\0\0"
    assert decode(payload, Family.IPV4).auth_data == b"secret\0\0"
    assert isinstance(validate(packet, settings, ()), Accepted)
    for wrong in (V2, replace(V2, auth=Password(Secret(b"secre"))), replace(V2, auth=Password(Secret(b"secret!")))):
        verdict = validate(packet, wrong, ())
        assert isinstance(verdict, Drop)
        assert verdict.reason is Reason.AUTH
        assert "secre" not in verdict.detail
    bare = validate(
        Datagram(encode(advert(100, settings=V2), HIGHER, ME, Dialect.MESSAGE), HIGHER, ME, 255), settings, ()
    )
    assert isinstance(bare, Drop)
    assert bare.reason is Reason.AUTH


def test_keys_by_their_ids() -> None:
    assert HMAC.keys == {1: Secret(KEY)}
