"""The sieve in a real kernel: what may be believed and what cannot arrive at different sockets, each once."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack
from dataclasses import replace
from ipaddress import ip_address

import pytest
import trio

from vrrpd.linux.sieve import Hears
from vrrpd.linux.sockets import VrrpSocket
from vrrpd.proto.datagram import Datagram
from vrrpd.proto.outline import outline
from vrrpd.proto.packet import GROUPS, Advertisement, Dialect, encode
from vrrpd.proto.settings import Address, Family, Settings
from vrrpd.proto.timers import SECOND

pytestmark = pytest.mark.netns

Inside = Callable[[str], AbstractContextManager[None]]
Open = Callable[..., VrrpSocket]

ENDS: dict[Family, tuple[Address, Address]] = {
    Family.IPV4: (ip_address("10.77.0.1"), ip_address("10.77.0.2")),
    Family.IPV6: (ip_address("fd77::1"), ip_address("fd77::2")),
}


@pytest.fixture
def open_socket(inside: Inside) -> Iterator[Open]:
    with ExitStack() as stack:

        def make(side: str, family: Family, *, hears: Hears = Hears.ADVERTS) -> VrrpSocket:
            with inside(side):
                index = socket.if_nametoindex("eth0")
                made = VrrpSocket(family, "eth0", index, multicast=True, hears=hears)
            stack.callback(made.close)
            return made

        yield make


def router(family: Family, *, unicast: bool) -> Settings:
    shared = ip_address("10.77.0.100" if family is Family.IPV4 else "fd77::100")
    peer, _ = ENDS[family]
    peers = (peer,) if unicast else ()
    return Settings(51, family, 3, 200, SECOND, (shared, shared), unicast=unicast, peers=peers)


def said(settings: Settings, destination: Address, vrid: int = 51) -> bytes:
    source, _ = ENDS[settings.family]
    return encode(Advertisement(3, vrid, 100, SECOND, settings.addresses), source, destination, Dialect.PSEUDO)


def link(open_socket: Open, settings: Settings, other: Hears) -> tuple[VrrpSocket, VrrpSocket, VrrpSocket]:
    """Who sends, who hears the advertisements of a router, and who hears something else of them."""
    family = settings.family
    left, right, beside = (
        open_socket("left", family), open_socket("right", family), open_socket("right", family, hears=other)
    )  # fmt: skip
    for each in (beside, right):
        each.expect(outline(family, [settings]))
    return left, right, beside


async def heard(receiver: VrrpSocket, number: int) -> list[bytes]:
    """The next payloads of a socket; more than the number would be seen as well."""
    payloads: list[bytes] = []
    with trio.fail_after(5):
        while len(payloads) < number:
            await receiver.wait_readable()
            payloads += [each.payload for each in receiver.receive()]
    return payloads


@pytest.mark.parametrize("unicast", [True, False], ids=["unicast", "multicast"])
@pytest.mark.parametrize("family", Family)
async def test_good_and_bad_part_ways(open_socket: Open, family: Family, unicast: bool) -> None:
    settings = router(family, unicast=unicast)
    left, right, strangers = link(open_socket, settings, Hears.STRANGERS)
    source, destination = ENDS[family]
    to = destination if unicast else GROUPS[family]
    elsewhere = GROUPS[family] if unicast else destination
    good = said(settings, to)
    bad = [
        b"",
        b"short",
        good[:-4],
        good + b"more",
        said(settings, to, 52),
        b"\x21" + good[1:],
        good[:3] + b"\xff" + good[4:],
    ]
    for payload in [good, *bad, good]:
        assert not left.send([left.letter(payload, source, to)])
    assert not left.send([left.letter(good, source, elsewhere)])
    assert await heard(right, 2) == [good, good]
    assert await heard(strangers, len(bad) + 1) == [*bad, good]
    assert right.receive() == strangers.receive() == []


@pytest.mark.parametrize("family", Family)
async def test_a_sender_that_is_no_peer_is_a_stranger_until_it_is_one(open_socket: Open, family: Family) -> None:
    settings = router(family, unicast=True)
    left, right, strangers = link(open_socket, settings, Hears.STRANGERS)
    source, destination = ENDS[family]
    good = said(settings, destination)
    for peers in ((destination,), (destination, source)):
        for each in (strangers, right):
            each.expect(outline(family, [replace(settings, peers=peers)]))
        left.send([left.letter(good, source, destination)])
        assert await heard(right if source in peers else strangers, 1) == [good]
    assert right.receive() == strangers.receive() == []


async def test_a_flood_of_strangers_takes_no_room_of_what_peers_say(open_socket: Open) -> None:
    settings = router(Family.IPV4, unicast=True)
    left, right, strangers = link(open_socket, settings, Hears.STRANGERS)
    source, destination = ENDS[Family.IPV4]
    for _ in range(10_000):
        left.send([left.letter(b"forged", source, destination)])
    left.send([left.letter(good := said(settings, destination), source, destination)])
    assert await heard(right, 1) == [good]
    assert 0 < len(strangers.receive(10_000)) < 1000


async def test_a_burst_is_known_again_whatever_strangers_send_meanwhile(open_socket: Open) -> None:
    settings = router(Family.IPV4, unicast=True)
    left, right, strangers = link(open_socket, settings, Hears.STRANGERS)
    source, destination = ENDS[Family.IPV4]
    bursts: list[list[Datagram]] = []
    for tail in (b"", b"something longer than it", b"something else"):
        letters = [left.letter(said(settings, destination), source, destination)] * 20
        assert not left.send([left.letter(b"\xff" * 20 + tail, source, destination), *letters])
        await strangers.wait_readable()
        strangers.receive()
        await right.wait_readable()
        bursts.append(right.receive())
    assert len(bursts[0]) == 20
    assert bursts[0] is bursts[1] is bursts[2]


@pytest.mark.parametrize("family", Family)
async def test_priority_0_of_a_peer_is_heard_twice(open_socket: Open, family: Family) -> None:
    settings = router(family, unicast=True)
    left, right, farewells = link(open_socket, settings, Hears.FAREWELLS)
    source, destination = ENDS[family]
    good = said(settings, destination)
    last = encode(Advertisement(3, 51, 0, SECOND, settings.addresses), source, destination, Dialect.PSEUDO)
    left.send([left.letter(each, source, destination) for each in (good, last, last[:-1], good)])
    assert await heard(right, 3) == [good, last, good]
    assert await heard(farewells, 1) == [last]
