"""Announcements and questions on a real link: neighbours learn, and answers are heard."""

from __future__ import annotations

import errno
import subprocess
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack
from ipaddress import IPv4Address, IPv6Address

import pytest
import trio
import trio.testing

from vrrpd.errors import VrrpdError
from vrrpd.linux.announce import (
    PacketSocket,
    arp_request,
    gratuitous_arp,
    neighbour_advertisement,
    neighbour_solicitation,
)
from vrrpd.linux.listener import ArpReply, Listener, NeighbourAdvert
from vrrpd.proto.settings import Family

pytestmark = pytest.mark.netns

Inside = Callable[[str], AbstractContextManager[None]]
Ip = Callable[..., None]

MAC = bytes.fromhex("020000000042")


@pytest.fixture
def sender(inside: Inside) -> Iterator[PacketSocket]:
    with inside("left"):
        made = PacketSocket("eth0")
    yield made
    made.close()


@pytest.fixture
def listen(inside: Inside) -> Iterator[Callable[[Family], Listener]]:
    with ExitStack() as stack:

        def make(family: Family) -> Listener:
            with inside("left"):
                made = Listener(family, "eth0")
            stack.callback(made.close)
            return made

        yield make


def neighbour(namespace: str, address: str) -> str:
    argv = ["ip", "-n", namespace, "neigh", "show", address, "dev", "eth0"]
    return subprocess.run(argv, check=True, capture_output=True, text=True).stdout


@pytest.mark.parametrize("form", [0, 1], ids=["request", "reply"])
def test_each_arp_form_alone_moves_an_address(
    sender: PacketSocket, ip: Ip, namespaces: dict[str, str], form: int
) -> None:
    ip("right", "neigh", "replace", "10.77.0.100", "lladdr", "02:00:00:00:00:01", "dev", "eth0", "nud", "stale")
    assert sender.send(gratuitous_arp(IPv4Address("10.77.0.100"), MAC)[form]) is None
    assert MAC.hex(":") in neighbour(namespaces["right"], "10.77.0.100")


def test_a_neighbour_advertisement_moves_an_address(sender: PacketSocket, ip: Ip, namespaces: dict[str, str]) -> None:
    ip("right", "neigh", "replace", "fd77::100", "lladdr", "02:00:00:00:00:01", "dev", "eth0", "nud", "stale")
    assert sender.send(neighbour_advertisement(IPv6Address("fd77::100"), MAC, router=False)) is None
    assert MAC.hex(":") in neighbour(namespaces["right"], "fd77::100")


async def test_an_arp_probe_is_answered_and_heard(sender: PacketSocket, listen: Callable[[Family], Listener]) -> None:
    listener = listen(Family.IPV4)
    sender.send(arp_request(None, IPv4Address("10.77.0.2"), MAC))
    with trio.fail_after(5):
        [answer] = await listener.receive()
    assert isinstance(answer, ArpReply)
    assert answer.source == IPv4Address("10.77.0.2")
    assert answer.mac != MAC


async def test_a_solicitation_is_answered_and_heard(sender: PacketSocket, listen: Callable[[Family], Listener]) -> None:
    listener = listen(Family.IPV6)
    sender.send(neighbour_solicitation(IPv6Address("fd77::1"), IPv6Address("fd77::2"), MAC))
    with trio.fail_after(5):
        [answer] = await listener.receive()
    assert isinstance(answer, NeighbourAdvert)
    assert answer.target == IPv6Address("fd77::2")


async def test_requests_and_other_traffic_do_not_wake_the_listener(
    inside: Inside, listen: Callable[[Family], Listener]
) -> None:
    listeners = [listen(family) for family in Family]
    with inside("right"):
        peer = PacketSocket("eth0")
    peer.send(arp_request(IPv4Address("10.77.0.2"), IPv4Address("10.77.0.77"), MAC))
    peer.send(neighbour_solicitation(IPv6Address("fd77::2"), IPv6Address("fd77::77"), MAC))
    peer.send(gratuitous_arp(IPv4Address("10.77.0.99"), MAC)[1])
    peer.send(neighbour_advertisement(IPv6Address("fd77::99"), MAC, router=True))
    peer.close()
    with trio.fail_after(5):
        answers = [await listener.receive() for listener in listeners]
    address = IPv6Address("fd77::99")
    assert answers == [[ArpReply(IPv4Address("10.77.0.99"), MAC)], [NeighbourAdvert(address, address, MAC)]]


async def test_the_listener_survives_a_link_that_goes_down_and_up(
    sender: PacketSocket, listen: Callable[[Family], Listener], ip: Ip
) -> None:
    listener = listen(Family.IPV4)
    ip("left", "link", "set", "eth0", "down")
    error = sender.send(arp_request(None, IPv4Address("10.77.0.2"), MAC))
    assert error is not None
    assert error.errno == errno.ENETDOWN
    assert "ip link set dev eth0 up" in error.text
    ip("left", "link", "set", "eth0", "up")
    assert sender.send(arp_request(None, IPv4Address("10.77.0.2"), MAC)) is None
    with trio.fail_after(5):
        assert await listener.receive()


def test_a_frame_for_an_interface_that_is_gone_is_a_value(sender: PacketSocket, ip: Ip) -> None:
    ip("left", "link", "del", "eth0")
    error = sender.send(arp_request(None, IPv4Address("10.77.0.2"), MAC))
    assert error is not None
    assert "the interface does not exist any more" in error.text


def test_an_unknown_interface_is_an_error_with_its_name(inside: Inside) -> None:
    with inside("left"), pytest.raises(VrrpdError, match="on eth7: the interface does not exist"):
        PacketSocket("eth7")
    with inside("left"), pytest.raises(VrrpdError, match="on eth7: the interface does not exist"):
        Listener(Family.IPV6, "eth7")


def test_a_missing_capability_is_an_error_that_names_it(
    inside: Inside, unprivileged: Callable[[], AbstractContextManager[None]]
) -> None:
    with inside("left"), unprivileged(), pytest.raises(VrrpdError, match="CAP_NET_RAW is missing"):
        PacketSocket("eth0")


async def test_closing_ends_the_wait(listen: Callable[[Family], Listener]) -> None:
    listener = listen(Family.IPV4)

    async def wait() -> None:
        with pytest.raises(trio.ClosedResourceError):
            await listener.receive()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(wait)
        await trio.testing.wait_all_tasks_blocked()
        listener.close()
