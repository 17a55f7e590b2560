"""Who says that an address is his: read from well-formed frames only, let through for watched addresses only."""

from __future__ import annotations

import socket
import subprocess
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack
from ipaddress import IPv4Address, IPv6Address

import pytest
import trio
import trio.testing
from hypothesis import given
from hypothesis import strategies as st
from scapy.layers.inet import IP
from scapy.layers.inet6 import ICMPv6ND_NA, ICMPv6NDOptDstLLAddr, IPv6
from scapy.layers.l2 import ARP, Ether
from scapy.packet import Packet

from vrrpd.errors import VrrpdError
from vrrpd.linux.announce import arp_request, gratuitous_arp, neighbour_solicitation
from vrrpd.linux.claims import Claim, ClaimListener, Form, parse_arp
from vrrpd.linux.sockets import VrrpSocket
from vrrpd.proto.settings import Address, Family

Inside = Callable[[str], AbstractContextManager[None]]
Ip = Callable[..., None]
Listen = Callable[..., ClaimListener]

MAC = "02:00:00:00:00:09"
MAC_BYTES = bytes.fromhex("020000000009")
SHARED, SHARED6 = IPv4Address("10.77.0.100"), IPv6Address("fd77::100")


def arp(sender: Address = SHARED, operation: int = 1, mac: str = MAC) -> Packet:
    return Ether(src=mac, dst="ff:ff:ff:ff:ff:ff") / ARP(op=operation, hwsrc=mac, psrc=str(sender), pdst="10.77.0.1")


def advertisement(target: Address = SHARED6) -> Packet:
    message = ICMPv6ND_NA(S=0, O=1, tgt=str(target)) / ICMPv6NDOptDstLLAddr(lladdr=MAC)
    return Ether(src=MAC, dst="33:33:00:00:00:01") / IPv6(src=str(target), dst="ff02::1", hlim=255) / message


@pytest.mark.parametrize("operation", [1, 2], ids=["request", "reply"])
def test_any_arp_packet_claims_its_sender_address(operation: int) -> None:
    assert parse_arp(bytes(arp(operation=operation)) + bytes(18)) == (SHARED, MAC_BYTES)


def test_our_own_announcements_are_claims() -> None:
    for frame in gratuitous_arp(SHARED, MAC_BYTES):
        assert parse_arp(frame) == (SHARED, MAC_BYTES)


def test_a_probe_claims_nothing() -> None:
    assert parse_arp(arp_request(None, SHARED, MAC_BYTES)) == (IPv4Address(0), MAC_BYTES)


@pytest.mark.parametrize("field", [{"hwtype": 6}, {"ptype": 0x86DD}, {"hwlen": 8}, {"plen": 16}])
def test_what_is_no_arp_of_ethernet_and_ipv4_is_nothing(field: dict[str, int]) -> None:
    frame = bytearray(bytes(arp()))
    at = {"hwtype": 14, "ptype": 16, "hwlen": 18, "plen": 19}[next(iter(field))]
    frame[at] ^= 0xFF
    assert parse_arp(bytes(frame)) is None


@given(st.binary(max_size=80))
def test_no_bytes_raise(frame: bytes) -> None:
    parse_arp(frame)


# -------------------------------------------------------------------- real sockets


@pytest.fixture
def listen(inside: Inside) -> Iterator[Listen]:
    with ExitStack() as stack:

        def make(form: Form, *watched: Address) -> ClaimListener:
            with inside("left"):
                made = ClaimListener(form, "eth0")
            stack.callback(made.close)
            made.watch(watched)
            return made

        yield make


@pytest.fixture
def send(inside: Inside) -> Iterator[Callable[[bytes], int]]:
    """Sends a frame from the other end."""
    with inside("right"):
        wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        wire.bind(("eth0", 0))
    with wire:
        yield wire.send


async def next_claims(listener: ClaimListener) -> list[Claim]:
    with trio.fail_after(5):
        return await listener.receive()


FRAMES = {
    Form.ARP: (SHARED, bytes(arp()), bytes(arp(IPv4Address("10.77.0.101")))),
    Form.NDP: (SHARED6, bytes(advertisement()), bytes(advertisement(IPv6Address("fd77::101")))),
    Form.VRRP: (
        IPv4Address("10.77.0.1"),
        bytes(Ether(src=MAC, dst="01:00:5e:00:00:12") / IP(src="10.77.0.1", dst="224.0.0.18", proto=112) / b"message!"),
        bytes(Ether(src=MAC, dst="01:00:5e:00:00:12") / IP(src="10.77.0.2", dst="224.0.0.18", proto=112) / b"message!"),
    ),
}


@pytest.mark.netns
@pytest.mark.parametrize("form", FRAMES, ids=lambda form: form.name)
async def test_only_claims_of_watched_addresses_are_let_through(
    listen: Listen, send: Callable[[bytes], int], form: Form
) -> None:
    address, mine, other = FRAMES[form]
    listener = listen(form, address)
    for frame in (other, mine, other):
        send(frame)
    assert await next_claims(listener) == [Claim(form, address, MAC_BYTES)]


@pytest.mark.netns
@pytest.mark.parametrize("form", FRAMES, ids=lambda form: form.name)
async def test_what_is_watched_can_be_changed(listen: Listen, send: Callable[[bytes], int], form: Form) -> None:
    address, mine, _ = FRAMES[form]
    listener = listen(form)
    send(mine)
    listener.watch([address])
    send(mine)
    assert len(await next_claims(listener)) == 1


@pytest.mark.netns
async def test_two_thousand_addresses_in_a_row_are_watched(listen: Listen, send: Callable[[bytes], int]) -> None:
    listener = listen(Form.ARP, *(IPv4Address(0x0A4D0000 + number) for number in range(100, 2100)))
    for sender in ("10.77.0.99", "10.77.0.100", "10.77.8.51", "10.77.8.52"):
        send(bytes(arp(IPv4Address(sender))))
    found = await next_claims(listener)
    assert [str(claim.address) for claim in found] == ["10.77.0.100", "10.77.8.51"]


@pytest.mark.netns
async def test_of_very_many_scattered_addresses_none_is_missed(listen: Listen, send: Callable[[bytes], int]) -> None:
    scattered = [IPv4Address(0x0A000000 + 7 * number * number) for number in range(1, 1001)]
    listener = listen(Form.ARP, *scattered)
    for sender in ("10.0.0.6", *scattered[::50], "11.0.0.0"):
        send(bytes(arp(IPv4Address(sender))))
    assert [claim.address for claim in await next_claims(listener)] == scattered[::50]


@pytest.mark.netns
async def test_a_flood_of_other_arp_wakes_nobody(listen: Listen, send: Callable[[bytes], int]) -> None:
    listener = listen(Form.ARP, SHARED)
    woken = False

    async def wait() -> None:
        nonlocal woken
        await listener.receive()
        woken = True

    frame = bytes(arp(IPv4Address("10.77.0.101")))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(wait)
        for number in range(5000):
            send(frame)
            if number % 100 == 0:
                await trio.lowlevel.checkpoint()
        await trio.sleep(0.05)
        assert not woken
        send(bytes(arp()))
    assert woken


@pytest.mark.netns
async def test_a_silent_second_holder_answers_when_it_is_asked(listen: Listen, ip: Ip) -> None:
    ip("right", "address", "add", f"{SHARED}/24", "dev", "eth0")
    ip("right", "address", "add", f"{SHARED6}/64", "dev", "eth0", "nodad")
    macs = {side: mac_of(side, ip) for side in ("left", "right")}
    listener = listen(Form.ARP, SHARED)
    assert listener.ask(arp_request(None, SHARED, macs["left"])) is None
    assert await next_claims(listener) == [Claim(Form.ARP, SHARED, macs["right"])]
    listener = listen(Form.NDP, SHARED6)
    assert listener.ask(neighbour_solicitation(IPv6Address("fd77::1"), SHARED6, macs["left"])) is None
    assert await next_claims(listener) == [Claim(Form.NDP, SHARED6, macs["right"])]


def neighbour(namespace: str, address: str) -> str:
    argv = ["ip", "-n", namespace, "neigh", "show", address]
    return subprocess.run(argv, check=True, capture_output=True, text=True).stdout


def mac_of(side: str, ip: Ip) -> bytes:
    fixed = {"left": "02:00:00:00:00:21", "right": "02:00:00:00:00:22"}[side]
    ip(side, "link", "set", "eth0", "address", fixed)
    return bytes.fromhex(fixed.replace(":", ""))


@pytest.mark.netns
async def test_an_arp_probe_teaches_nobody_where_the_address_is(
    listen: Listen, ip: Ip, namespaces: dict[str, str]
) -> None:
    ip("right", "address", "add", f"{SHARED}/24", "dev", "eth0")
    listener = listen(Form.ARP, SHARED)
    listener.ask(arp_request(None, SHARED, mac_of("left", ip)))
    await next_claims(listener)
    assert neighbour(namespaces["right"], str(SHARED)) == ""


@pytest.mark.netns
async def test_a_looped_advert_is_seen_here_and_in_ipv4_not_by_the_raw_socket(
    inside: Inside, listen: Listen, ip: Ip
) -> None:
    ip("right", "address", "flush", "dev", "eth0")
    ip("right", "link", "add", "name", "loop0", "type", "bridge", "mcast_snooping", "0")
    ip("right", "link", "set", "dev", "loop0", "up")
    ip("right", "link", "set", "dev", "eth0", "master", "loop0")
    ip("right", "link", "set", "dev", "eth0", "type", "bridge_slave", "hairpin", "on")
    source, group = IPv4Address("10.77.0.1"), IPv4Address("224.0.0.18")
    listener = listen(Form.VRRP, source)
    with inside("left"):
        raw = VrrpSocket(Family.IPV4, "eth0", socket.if_nametoindex("eth0"), multicast=True)
    try:
        assert not raw.send([raw.letter(b"message!", source, group)])
        [claim] = await next_claims(listener)
        assert claim.address == source
        assert raw.receive() == []
    finally:
        raw.close()


@pytest.mark.netns
async def test_closing_ends_the_wait(listen: Listen) -> None:
    listener = listen(Form.ARP, SHARED)

    async def wait() -> None:
        with pytest.raises(trio.ClosedResourceError):
            await listener.receive()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(wait)
        await trio.testing.wait_all_tasks_blocked()
        listener.close()
        listener.close()


@pytest.mark.netns
async def test_an_interface_that_is_gone_ends_nothing(listen: Listen, ip: Ip) -> None:
    listener = listen(Form.ARP, SHARED)
    ip("left", "link", "del", "eth0")
    error = listener.ask(arp_request(None, SHARED, MAC_BYTES))
    assert error is not None
    assert "on eth0" in error.text


@pytest.mark.netns
def test_an_unknown_interface_is_an_error_with_its_name(inside: Inside) -> None:
    with inside("left"), pytest.raises(VrrpdError, match="on eth7: the interface does not exist"):
        ClaimListener(Form.ARP, "eth7")
