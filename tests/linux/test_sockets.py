"""The raw socket in real network namespaces: what is sent arrives as sent, and what is wrong is told."""

from __future__ import annotations

import errno
import socket
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack
from ipaddress import IPv4Address, IPv6Address, ip_address

import pytest
import trio
import trio.testing
from scapy.layers.inet import IP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import Ether
from scapy.packet import Packet

from vrrpd.errors import VrrpdError
from vrrpd.linux.send_error import SendError
from vrrpd.linux.sockets import VrrpSocket
from vrrpd.proto.datagram import Datagram
from vrrpd.proto.settings import Address, Family

pytestmark = pytest.mark.netns

Inside = Callable[[str], AbstractContextManager[None]]
Ip = Callable[..., None]
Open = Callable[..., VrrpSocket]

UNICAST = [("10.77.0.1", "10.77.0.2"), ("fd77::1", "fd77::2")]
GROUPS = {Family.IPV4: ip_address("224.0.0.18"), Family.IPV6: ip_address("ff02::12")}


@pytest.fixture
def open_socket(inside: Inside) -> Iterator[Open]:
    with ExitStack() as stack:

        def make(side: str, family: Family, *, multicast: bool = False) -> VrrpSocket:
            with inside(side):
                made = VrrpSocket(family, "eth0", socket.if_nametoindex("eth0"), multicast=multicast)
            stack.callback(made.close)
            return made

        yield make


def send(sender: VrrpSocket, payload: bytes, source: Address, destination: Address) -> SendError | None:
    failed = sender.send([sender.letter(payload, source, destination)])
    return failed[0][1] if failed else None


async def next_datagrams(receiver: VrrpSocket) -> list[Datagram]:
    with trio.fail_after(5):
        while True:
            await receiver.wait_readable()
            datagrams = receiver.receive()
            if datagrams:
                return datagrams


def family_of(address: str) -> Family:
    return Family.IPV6 if ":" in address else Family.IPV4


@pytest.mark.parametrize(("source", "destination"), UNICAST)
async def test_unicast_arrives_with_its_source_and_hop_limit(open_socket: Open, source: str, destination: str) -> None:
    family = family_of(source)
    left, right = open_socket("left", family), open_socket("right", family)
    assert send(left, b"message!", ip_address(source), ip_address(destination)) is None
    assert await next_datagrams(right) == [Datagram(b"message!", ip_address(source), ip_address(destination), 255)]
    assert right.receive() == []


@pytest.mark.parametrize(("source", "_"), UNICAST)
async def test_multicast_reaches_members_and_never_the_sender(open_socket: Open, source: str, _: str) -> None:
    family = family_of(source)
    left = open_socket("left", family, multicast=True)
    member = open_socket("right", family, multicast=True)
    assert send(left, b"message!", ip_address(source), GROUPS[family]) is None
    assert await next_datagrams(member) == [Datagram(b"message!", ip_address(source), GROUPS[family], 255)]
    assert left.receive() == []


async def test_an_ipv4_socket_that_is_no_member_hears_no_multicast_of_other_members(
    open_socket: Open,
) -> None:
    left, stranger = open_socket("left", Family.IPV4), open_socket("right", Family.IPV4)
    member = open_socket("right", Family.IPV4, multicast=True)
    send(left, b"message!", IPv4Address("10.77.0.1"), GROUPS[Family.IPV4])
    await next_datagrams(member)
    assert stranger.receive() == []


async def test_a_member_that_left_hears_nothing_and_may_join_again(open_socket: Open) -> None:
    left = open_socket("left", Family.IPV4)
    right, witness = (open_socket("right", Family.IPV4, multicast=True) for _ in range(2))
    right.leave()
    right.leave()
    send(left, b"1", IPv4Address("10.77.0.1"), GROUPS[Family.IPV4])
    assert [d.payload for d in await next_datagrams(witness)] == [b"1"]
    assert right.receive() == []
    right.join()
    right.join()
    send(left, b"2", IPv4Address("10.77.0.1"), GROUPS[Family.IPV4])
    assert [d.payload for d in await next_datagrams(right)] == [b"2"]


async def test_link_local_addresses_need_no_scope(open_socket: Open, ip: Ip) -> None:
    ip("left", "addr", "add", "fe80::a1/64", "dev", "eth0", "nodad")
    ip("right", "addr", "add", "fe80::b2/64", "dev", "eth0", "nodad")
    left, right = open_socket("left", Family.IPV6), open_socket("right", Family.IPV6)
    source, destination = IPv6Address("fe80::a1"), IPv6Address("fe80::b2")
    assert send(left, b"message!", source, destination) is None
    assert await next_datagrams(right) == [Datagram(b"message!", source, destination, 255)]


async def test_the_source_is_the_one_asked_for_and_not_the_kernels_choice(open_socket: Open, ip: Ip) -> None:
    ip("left", "addr", "add", "10.77.0.9/24", "dev", "eth0")
    left, right = open_socket("left", Family.IPV4), open_socket("right", Family.IPV4)
    send(left, b"message!", IPv4Address("10.77.0.9"), IPv4Address("10.77.0.2"))
    [datagram] = await next_datagrams(right)
    assert datagram.source == IPv4Address("10.77.0.9")


async def test_packets_carry_the_ip_fields_of_the_standard(open_socket: Open, inside: Inside) -> None:
    with inside("right"):
        tap = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
        tap.bind(("eth0", 3))
    tap.settimeout(5)
    left4, left6 = open_socket("left", Family.IPV4), open_socket("left", Family.IPV6)
    send(left4, b"message!", IPv4Address("10.77.0.1"), GROUPS[Family.IPV4])
    send(left6, b"message!", IPv6Address("fd77::1"), GROUPS[Family.IPV6])
    found: dict[int, Packet] = {}
    with tap:
        while len(found) < 2:
            frame = Ether(tap.recv(2048))
            packet = frame.payload
            if 112 in (packet.fields.get("proto"), packet.fields.get("nh")):
                found[packet.version] = frame
    v4, v6 = found[4][IP], found[6][IPv6]
    assert (v4.ttl, v4.tos, v4.dst) == (255, 0xC0, "224.0.0.18")
    assert found[4].dst == "01:00:5e:00:00:12"
    assert (v6.hlim, v6.tc, v6.dst) == (255, 0xC0, "ff02::12")
    assert found[6].dst == "33:33:00:00:00:12"
    assert bytes(v4.payload) == bytes(v6.payload) == b"message!"  # the kernel writes no checksum into it


@pytest.mark.parametrize(("source", "destination"), UNICAST)
async def test_a_host_without_an_agent_is_a_hint_and_no_error(open_socket: Open, source: str, destination: str) -> None:
    left = open_socket("left", family_of(source))
    send(left, b"message!", ip_address(source), ip_address(destination))
    with trio.fail_after(5):
        await left.wait_readable()
    assert left.receive() == []
    assert left.no_agent == {ip_address(destination): 1}
    assert left.unreachable == {}
    with trio.move_on_after(0.02) as quiet:
        await left.wait_readable()
    assert quiet.cancelled_caught  # the error queue is empty: nothing spins


async def test_an_error_about_one_peer_does_not_cost_another_its_advert(open_socket: Open, ip: Ip) -> None:
    ip("right", "addr", "add", "10.77.0.3/24", "dev", "eth0")
    left = open_socket("left", Family.IPV4)
    send(left, b"message1", IPv4Address("10.77.0.1"), IPv4Address("10.77.0.2"))
    with trio.fail_after(5):
        await left.wait_readable()  # the ICMP error waits to be told by the next call
    right = open_socket("right", Family.IPV4)
    assert send(left, b"message2", IPv4Address("10.77.0.1"), IPv4Address("10.77.0.3")) is None
    assert [d.payload for d in await next_datagrams(right)] == [b"message2"]
    assert left.no_agent == {}  # told by the next round of receiving
    assert left.receive() == []
    assert left.no_agent == {IPv4Address("10.77.0.2"): 1}


async def test_a_flood_is_taken_in_pieces(open_socket: Open) -> None:
    left, right = open_socket("left", Family.IPV4), open_socket("right", Family.IPV4)
    for number in range(100):
        send(left, bytes([number]), IPv4Address("10.77.0.1"), IPv4Address("10.77.0.2"))
    payloads = [[d.payload[0] for d in right.receive(limit=40)] for _ in range(4)]
    assert payloads == [list(range(40)), list(range(40, 80)), list(range(80, 100)), []]


def test_a_local_firewall_is_named(open_socket: Open, nft: Callable[[str, str], None]) -> None:
    nft("left", "add table inet t")
    nft("left", "add chain inet t out { type filter hook output priority 0; }")
    nft("left", "add rule inet t out ip protocol 112 drop")
    left = open_socket("left", Family.IPV4)
    error = send(left, b"message!", IPv4Address("10.77.0.1"), IPv4Address("10.77.0.2"))
    assert error is not None
    assert error.errno == errno.EPERM
    assert "an advert to 10.77.0.2 on eth0" in error.text
    assert "firewall" in error.text


@pytest.mark.parametrize(("source", "destination"), [("10.77.0.9", "10.77.0.2"), ("fd77::9", "fd77::2")])
def test_a_source_that_is_not_on_the_host_is_named(open_socket: Open, source: str, destination: str) -> None:
    left = open_socket("left", family_of(source))
    error = send(left, b"message!", ip_address(source), ip_address(destination))
    assert error is not None
    assert error.errno in (errno.EINVAL, errno.EADDRNOTAVAIL, errno.ENETUNREACH)  # by family and kernel
    assert "the source is not" in error.text


@pytest.mark.parametrize("family", list(Family))
def test_an_interface_that_is_down_is_a_value(open_socket: Open, ip: Ip, family: Family) -> None:
    left = open_socket("left", family, multicast=True)
    ip("left", "link", "set", "eth0", "down")
    source, destination = (ip_address(a) for a in UNICAST[list(Family).index(family)])
    for target in (destination, GROUPS[family]):
        error = send(left, b"message!", source, target)
        assert error is not None
        assert error.errno in (errno.ENETUNREACH, errno.EINVAL, errno.EADDRNOTAVAIL, errno.ENETDOWN)


def test_an_interface_that_is_gone_is_a_value_and_can_be_left(open_socket: Open, ip: Ip) -> None:
    left = open_socket("left", Family.IPV4, multicast=True)
    ip("left", "link", "del", "eth0")
    error = send(left, b"message!", IPv4Address("10.77.0.1"), GROUPS[Family.IPV4])
    assert error is not None
    assert "on eth0" in error.text
    assert left.receive() == []
    left.leave()


def test_a_message_beyond_the_mtu_is_a_value(open_socket: Open) -> None:
    left = open_socket("left", Family.IPV6)
    error = send(left, bytes(70000), IPv6Address("fd77::1"), IPv6Address("fd77::2"))
    assert error is not None
    assert error.errno == errno.EMSGSIZE


def test_an_unknown_interface_is_an_error_with_its_name(inside: Inside) -> None:
    with inside("left"), pytest.raises(VrrpdError, match="on eth7: the interface does not exist"):
        VrrpSocket(Family.IPV4, "eth7", 4242, multicast=False)


@pytest.mark.parametrize("family", list(Family))
def test_a_missing_capability_is_an_error_that_names_it(
    inside: Inside, unprivileged: Callable[[], AbstractContextManager[None]], family: Family
) -> None:
    with inside("left"):
        index = socket.if_nametoindex("eth0")
        with unprivileged(), pytest.raises(VrrpdError, match="CAP_NET_RAW is missing; run as root or grant it"):
            VrrpSocket(family, "eth0", index, multicast=False)


def test_an_interface_without_ipv6_is_an_error_with_its_mend(inside: Inside, ip: Ip) -> None:
    ip("left", "link", "set", "eth0", "mtu", "1200")
    with inside("left"), pytest.raises(VrrpdError, match="MTU is below 1280"):
        VrrpSocket(Family.IPV6, "eth0", socket.if_nametoindex("eth0"), multicast=True)


async def test_closing_ends_the_wait(open_socket: Open) -> None:
    left = open_socket("left", Family.IPV4)

    async def wait() -> None:
        with pytest.raises(trio.ClosedResourceError):
            await left.wait_readable()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(wait)
        await trio.testing.wait_all_tasks_blocked()
        left.close()


@pytest.mark.parametrize(("source", "destination"), UNICAST)
async def test_what_comes_twice_is_one_datagram(open_socket: Open, source: str, destination: str) -> None:
    left, right = (open_socket(side, family_of(source)) for side in ("left", "right"))
    letter = left.letter(b"message!", ip_address(source), ip_address(destination))
    assert left.send([letter, letter]) == []
    first, second = await next_datagrams(right)
    assert first is second
    send(left, b"another!", ip_address(source), ip_address(destination))
    assert (await next_datagrams(right))[0].payload == b"another!"


@pytest.mark.parametrize(("source", "destination"), UNICAST)
async def test_messages_of_any_length_arrive_whole_and_in_their_order(
    open_socket: Open, source: str, destination: str
) -> None:
    sender = open_socket("left", family_of(source))
    receiver = open_socket("right", family_of(source))
    sent = [bytes([number]) * (1 + 37 * number % 1400) for number in range(100)]
    letters = [sender.letter(each, ip_address(source), ip_address(destination)) for each in sent]
    assert sender.send(letters) == []
    heard: list[Datagram] = []
    with trio.fail_after(5):
        while len(heard) < len(sent):
            heard += await next_datagrams(receiver)
    assert [each.payload for each in heard] == sent
    assert {str(each.source) for each in heard} == {source}


async def test_one_letter_that_cannot_be_sent_keeps_no_other_back(open_socket: Open) -> None:
    left, right = open_socket("left", Family.IPV4), open_socket("right", Family.IPV4)
    here, there = IPv4Address("10.77.0.1"), IPv4Address("10.77.0.2")
    good = [left.letter(bytes([number]), here, there) for number in range(3)]
    bad = left.letter(b"x", IPv4Address("10.77.0.9"), there)
    [(letter, error)] = left.send([good[0], bad, *good[1:]])
    assert letter is bad
    assert "10.77.0.2" in error.text
    assert [each.payload for each in await next_datagrams(right)] == [b"\0", b"\1", b"\2"]


async def test_more_letters_than_the_kernel_takes_at_once_all_arrive(open_socket: Open) -> None:
    left, right = open_socket("left", Family.IPV4), open_socket("right", Family.IPV4)
    letter = left.letter(b"message!", IPv4Address("10.77.0.1"), IPv4Address("10.77.0.2"))
    assert left.send([letter] * 1100) == []
    assert len(right.receive(2000)) == 1100
