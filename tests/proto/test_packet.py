"""The codec against golden vectors, which were summed by another program, and against itself for everything else."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address
from typing import TypeAlias

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.proto.builders import ms
from vrrpd.proto.packet import (
    GROUP_V4,
    GROUP_V6,
    Advertisement,
    Dialect,
    checksum_dialect,
    decode,
    encode,
    internet_checksum,
    message_length,
)
from vrrpd.proto.settings import Address, Family, family_of
from vrrpd.proto.timers import CENTISECOND, SECOND

NODE = IPv4Address("192.0.2.11")
PEER = IPv4Address("192.0.2.12")
NODE6 = IPv6Address("fe80::11")
PEER6 = IPv6Address("fe80::12")
TWO = (IPv4Address("192.0.2.100"), IPv4Address("192.0.2.101"))
TWO6 = (IPv6Address("fe80::100"), IPv6Address("2001:db8::100"))

V3 = Advertisement(3, 51, 250, ms(200), TWO)
V2 = Advertisement(2, 51, 250, SECOND, TWO[:1])
V6 = Advertisement(3, 51, 250, SECOND, TWO6)
LEAVING = Advertisement(3, 1, 0, CENTISECOND, (IPv4Address("198.51.100.1"),))

BODY6 = "fe80000000000000000000000000010020010db8000000000000000000000100"
VECTORS = {
    "v2": (V2, NODE, GROUP_V4, Dialect.MESSAGE, "2133fa0100012265c00002640000000000000000"),
    "v3 message only": (V3, NODE, PEER, Dialect.MESSAGE, "3133fa0200144febc0000264c0000265"),
    "v3 pseudo-header, multicast": (V3, NODE, GROUP_V4, Dialect.PSEUDO, "3133fa020014ad4cc0000264c0000265"),
    "v3 pseudo-header, unicast": (V3, NODE, PEER, Dialect.PSEUDO, "3133fa020014cb52c0000264c0000265"),
    "v3 old unicast": (V3, NODE, PEER, Dialect.OLD_UNICAST, "3133fa020014ad4cc0000264c0000265"),
    "v3 priority 0, one centisecond": (
        LEAVING,
        IPv4Address("198.51.100.9"),
        IPv4Address("198.51.100.10"),
        Dialect.PSEUDO,
        "3101000100014fd0c6336401",
    ),
    "v3 IPv6 multicast": (V6, NODE6, GROUP_V6, Dialect.PSEUDO, "3133fa020064a7ec" + BODY6),
    "v3 IPv6 unicast": (V6, NODE6, PEER6, Dialect.PSEUDO, "3133fa020064a86e" + BODY6),
}
vectors = pytest.mark.parametrize(
    ("advert", "source", "destination", "dialect", "wire"), VECTORS.values(), ids=VECTORS.keys()
)


@vectors
def test_an_advertisement_becomes_these_bytes(
    advert: Advertisement, source: Address, destination: Address, dialect: Dialect, wire: str
) -> None:
    assert encode(advert, source, destination, dialect).hex() == wire


@vectors
def test_these_bytes_become_the_advertisement(
    advert: Advertisement, source: Address, destination: Address, dialect: Dialect, wire: str
) -> None:
    payload = bytes.fromhex(wire)

    assert decode(payload, family_of(source)) == advert
    assert checksum_dialect(payload, len(payload), source, destination) is dialect


def test_the_signed_ipv4_vector_has_a_checksum_that_leaves_the_trailer_out() -> None:
    payload = bytes.fromhex("3133c80100644402c00002640101000068000000800000001b84bc4e8e43892dc6d98448f8ee2265")
    source, destination = IPv4Address("198.51.100.10"), IPv4Address("198.51.100.20")

    assert checksum_dialect(payload, 12, source, destination) is Dialect.MESSAGE
    assert decode(payload, Family.IPV4) == Advertisement(3, 51, 200, SECOND, TWO[:1])


def test_the_signed_ipv6_vector_has_a_checksum_that_covers_the_trailer() -> None:
    message = "3133c8010064a2e9fe800000000000000000000000000100"
    payload = bytes.fromhex(message + "010100006800000080000000c8c56146ebfd66ee10ec4d8186461b78")
    source, destination = IPv6Address("fe80::10"), IPv6Address("fe80::20")

    assert checksum_dialect(payload, 24, source, destination) is Dialect.PSEUDO
    assert checksum_dialect(payload[:24], 24, source, destination) is None


def test_the_reserved_bits_are_zero_when_sent_and_ignored_when_received() -> None:
    payload = bytearray(encode(V3, NODE, PEER, Dialect.MESSAGE))
    assert payload[4] >> 4 == 0

    payload[4] |= 0xF0

    assert decode(bytes(payload), Family.IPV4).interval == V3.interval


def test_the_authentication_type_of_version_2_is_read() -> None:
    payload = bytearray(encode(V2, NODE, PEER, Dialect.MESSAGE))
    payload[4] = 1

    assert decode(bytes(payload), Family.IPV4).auth_type == 1


@pytest.mark.parametrize(
    ("version", "family", "count", "length"),
    [(3, Family.IPV4, 0, 8), (3, Family.IPV4, 2, 16), (3, Family.IPV6, 2, 40), (2, Family.IPV4, 1, 20)],
)
def test_a_message_is_as_long_as_its_count_says(version: int, family: Family, count: int, length: int) -> None:
    assert message_length(version, family, count) == length


def test_a_checksum_of_odd_length_pads_with_zero() -> None:
    assert internet_checksum(b"\x12\x34\x56") == internet_checksum(b"\x12\x34\x56\x00") == 0x97CB


def test_a_checksum_carries_round_twice() -> None:
    assert internet_checksum(b"\xff\xff" * 2000 + b"\x00\x01") == 0xFFFE


Adverts: TypeAlias = st.SearchStrategy[Advertisement]

v4 = st.ip_addresses(v=4)
v6 = st.ip_addresses(v=6)


def v3_adverts_of(addresses: st.SearchStrategy[Address]) -> Adverts:
    return st.builds(
        Advertisement,
        version=st.just(3),
        vrid=st.integers(1, 255),
        priority=st.integers(0, 255),
        interval=st.integers(1, 4095).map(lambda cs: cs * CENTISECOND),
        addresses=st.lists(addresses, min_size=1, max_size=20).map(tuple),
    )


v3_adverts = v3_adverts_of(v4) | v3_adverts_of(v6)
v2_adverts = st.builds(
    Advertisement,
    version=st.just(2),
    vrid=st.integers(1, 255),
    priority=st.integers(0, 255),
    interval=st.integers(1, 255).map(lambda s: s * SECOND),
    addresses=st.lists(v4, min_size=1, max_size=20).map(tuple),
)


@given(v3_adverts | v2_adverts, st.data())
def test_what_is_said_is_what_is_heard(advert: Advertisement, data: st.DataObject) -> None:
    family = family_of(advert.addresses[0])
    addresses = v4 if family is Family.IPV4 else v6
    source, destination = data.draw(addresses), data.draw(addresses)
    dialect = data.draw(st.sampled_from(Dialect))

    payload = encode(advert, source, destination, dialect)

    assert len(payload) == message_length(advert.version, family, len(advert.addresses))
    assert decode(payload, family) == advert
    assert checksum_dialect(payload, len(payload), source, destination) is not None


@given(v3_adverts | v2_adverts, st.data())
def test_one_wrong_bit_is_noticed(advert: Advertisement, data: st.DataObject) -> None:
    source, destination = (NODE, PEER) if family_of(advert.addresses[0]) is Family.IPV4 else (NODE6, PEER6)
    dialect = Dialect.MESSAGE if isinstance(source, IPv4Address) else Dialect.PSEUDO
    payload = bytearray(encode(advert, source, destination, dialect))
    before = checksum_dialect(bytes(payload), len(payload), source, destination)
    bit = data.draw(st.integers(8, 8 * len(payload) - 1))  # the first byte holds the version

    payload[bit // 8] ^= 1 << bit % 8

    assert checksum_dialect(bytes(payload), len(payload), source, destination) is not before
