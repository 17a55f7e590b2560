"""Whatever may be believed fits the outline, by the filter that the kernel is given; and a flood of junk does not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from ipaddress import IPv4Address, IPv6Address, ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.linux.bpf import passes
from tests.proto.builders import DEFAULT, DEFAULT6, LOWER, ME, ME6, MULTICAST, MULTICAST6, V2, advert, datagram
from vrrpd.linux.sieve import Hears, sieve
from vrrpd.proto.datagram import Datagram
from vrrpd.proto.outline import MOST_SOURCES, outline
from vrrpd.proto.packet import GROUPS, Dialect, encode
from vrrpd.proto.settings import Settings, family_of
from vrrpd.proto.validate import Accepted, validate

KINDS = [DEFAULT, DEFAULT6, MULTICAST, MULTICAST6, V2, replace(DEFAULT, max_hops=3)]
FOUR = [kind for kind in KINDS if kind.family is DEFAULT.family]
SIX = [kind for kind in KINDS if kind.family is DEFAULT6.family]

routers = st.sampled_from([FOUR, SIX]).flatmap(
    lambda kinds: st.lists(st.sampled_from(kinds), min_size=1, max_size=4).map(
        lambda chosen: [replace(each, vrid=51 + number) for number, each in enumerate(chosen)]
    )
)


def heard(settings: Settings, trailer: int = 0) -> Datagram:
    """What each of the nodes may say: several addresses, from any peer, signed or not."""
    said = replace(advert(200, settings=settings), addresses=settings.addresses * 3)
    plain = datagram(settings=settings, said=said)
    payload = encode(said, plain.source, plain.destination, Dialect.PSEUDO, bytes(trailer))
    return replace(plain, payload=payload, ttl=255 - settings.max_hops)


@given(routers, st.data())
def test_what_is_accepted_passes_whatever_else_the_socket_is_for(chosen: list[Settings], data: st.DataObject) -> None:
    one = heard(data.draw(st.sampled_from(chosen)), data.draw(st.sampled_from([0, 28])))
    if data.draw(st.booleans()):
        at = data.draw(st.integers(0, len(one.payload) - 1))
        one = replace(one, payload=one.payload[:at] + data.draw(st.binary(max_size=2)) + one.payload[at + 1 :])
    one = replace(one, ttl=data.draw(st.sampled_from([255, 254, 252, 251, 64])))
    accepted = any(
        isinstance(validate(one, router, ()), Accepted) and router.vrid == one.payload[1] for router in chosen
    )
    expected = outline(chosen[0].family, chosen)
    options = bytes(4 * data.draw(st.integers(0, 3)))
    assert passes(sieve(expected), one, options) or not accepted
    assert passes(sieve(expected), one, options) != passes(sieve(expected, Hears.STRANGERS), one, options)


@pytest.mark.parametrize("settings", KINDS)
def test_every_kind_of_router_hears_its_peers(settings: Settings) -> None:
    for trailer in (0, 28):
        assert passes(sieve(outline(settings.family, [settings])), heard(settings, trailer))


FORGERIES: dict[str, Callable[[Datagram], Datagram]] = {
    "source": lambda d: replace(d, source=ip_address(int(d.source) + 7)),
    "ttl": lambda d: replace(d, ttl=254),
    "group": lambda d: replace(d, destination=GROUPS[family_of(d.source)]),
    "version": lambda d: replace(d, payload=b"\x21" + d.payload[1:]),
    "type": lambda d: replace(d, payload=b"\x32" + d.payload[1:]),
    "vrid": lambda d: replace(d, payload=d.payload[:1] + b"\x34" + d.payload[2:]),
    "longer": lambda d: replace(d, payload=d.payload + b"\0"),
    "shorter": lambda d: replace(d, payload=d.payload[:-1]),
    "header": lambda d: replace(d, payload=d.payload[:7]),
    "empty": lambda d: replace(d, payload=b""),
}


@pytest.mark.parametrize("settings", [DEFAULT, DEFAULT6])
@pytest.mark.parametrize("what", FORGERIES)
def test_what_no_peer_can_have_sent_goes_to_the_strangers(settings: Settings, what: str) -> None:
    forged = FORGERIES[what](heard(settings))
    expected = outline(settings.family, [settings])
    assert not passes(sieve(expected), forged)
    assert passes(sieve(expected, Hears.STRANGERS), forged)


def test_anybody_may_speak_in_multicast_but_only_to_the_group() -> None:
    expected = outline(MULTICAST.family, [MULTICAST])
    anybody = replace(heard(MULTICAST), source=IPv4Address("10.0.0.77"))
    assert passes(sieve(expected), anybody)
    assert not passes(sieve(expected), replace(anybody, destination=ME))


def test_both_transports_on_one_interface_are_not_told_apart() -> None:
    expected = outline(DEFAULT.family, [DEFAULT, replace(MULTICAST, vrid=52)])
    assert (expected.sources, expected.multicast) == (None, None)
    assert passes(sieve(expected), replace(heard(MULTICAST), source=IPv4Address("10.0.0.77")))


def test_more_peers_than_the_filter_compares_are_not_told_apart_either() -> None:
    many = tuple(IPv4Address(0x0A010000 + number) for number in range(MOST_SOURCES + 1))
    program = sieve(outline(DEFAULT.family, [replace(DEFAULT, peers=many)]))
    assert passes(program, replace(heard(DEFAULT), source=LOWER))


def test_the_longest_filter_is_one_that_the_kernel_takes() -> None:
    peers = tuple(IPv6Address(number + 1) for number in range(MOST_SOURCES))
    every = [replace(DEFAULT6, vrid=vrid, peers=peers) for vrid in range(1, 256)]
    program = sieve(outline(DEFAULT6.family, every))
    assert len(program) <= 4096  # BPF_MAXINSNS
    last = replace(heard(every[-1]), source=peers[-1], destination=ME6)
    assert passes(program, last)
    assert not passes(program, replace(last, source=IPv6Address(MOST_SOURCES + 1)))
