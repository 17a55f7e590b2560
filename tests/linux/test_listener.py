"""Answers on the link are read from well-formed frames only, and no bytes raise."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.layers.inet6 import ICMPv6ND_NA, ICMPv6NDOptDstLLAddr, ICMPv6NDOptSrcLLAddr, IPv6
from scapy.layers.l2 import ARP, Ether
from scapy.packet import Packet, Padding

from vrrpd.linux.announce import arp_request, gratuitous_arp, neighbour_advertisement, neighbour_solicitation
from vrrpd.linux.listener import ArpReply, NeighbourAdvert, parse_arp_reply, parse_neighbour_advert

MAC, OTHER = "02:00:00:00:00:02", "02:00:00:00:00:09"
MAC_BYTES = bytes.fromhex("020000000002")


def ether(kind: int) -> Packet:
    return Ether(src=MAC, dst="02:00:00:00:00:01", type=kind)


def advertisement(hops: int = 255, code: int = 0, target: str = "fd77::2") -> Packet:
    return IPv6(src="fe80::2", dst="fe80::1", hlim=hops) / ICMPv6ND_NA(S=1, code=code, tgt=target)


def test_an_arp_reply_tells_address_and_mac() -> None:
    frame = bytes(ether(0x0806) / ARP(op=2, hwsrc=MAC, psrc="10.77.0.2", hwdst=OTHER, pdst="10.77.0.1"))
    assert parse_arp_reply(frame + bytes(18)) == ArpReply(IPv4Address("10.77.0.2"), MAC_BYTES)


def test_our_own_announcement_in_reply_form_is_understood() -> None:
    _, reply = gratuitous_arp(IPv4Address("10.77.0.2"), MAC_BYTES)
    assert parse_arp_reply(reply) == ArpReply(IPv4Address("10.77.0.2"), MAC_BYTES)


def test_an_arp_request_is_no_answer() -> None:
    assert parse_arp_reply(arp_request(None, IPv4Address("10.77.0.2"), MAC_BYTES)) is None


def test_an_advertisement_tells_the_address_it_speaks_for() -> None:
    frame = bytes(ether(0x86DD) / advertisement() / ICMPv6NDOptDstLLAddr(lladdr=OTHER))
    expected = NeighbourAdvert(IPv6Address("fe80::2"), IPv6Address("fd77::2"), bytes.fromhex("020000000009"))
    assert parse_neighbour_advert(frame) == expected
    assert parse_neighbour_advert(frame + bytes(8)) == expected


@pytest.mark.parametrize("option", [None, ICMPv6NDOptSrcLLAddr(lladdr=OTHER), Padding(b"\x02\x00aaaaaa")])
def test_without_a_target_link_layer_option_the_frames_own_mac_counts(option: Packet | None) -> None:
    packet = ether(0x86DD) / advertisement()
    frame = bytes(packet if option is None else packet / option)
    assert parse_neighbour_advert(frame) == NeighbourAdvert(IPv6Address("fe80::2"), IPv6Address("fd77::2"), MAC_BYTES)


def test_our_own_neighbour_advertisement_is_understood() -> None:
    frame = neighbour_advertisement(IPv6Address("fd77::2"), MAC_BYTES, router=False)
    address = IPv6Address("fd77::2")
    assert parse_neighbour_advert(frame) == NeighbourAdvert(address, address, MAC_BYTES)


@pytest.mark.parametrize(
    "packet",
    [
        pytest.param(advertisement(hops=254), id="a router has forwarded it"),
        pytest.param(advertisement(code=1), id="unknown code"),
        pytest.param(advertisement(target="ff02::1"), id="speaks for a group"),
        pytest.param(IPv6(hlim=255, nh=58, plen=20) / advertisement().payload, id="cut short"),
        pytest.param(IPv6(hlim=255, nh=58, plen=200) / advertisement().payload, id="longer than the frame"),
    ],
)
def test_an_advertisement_that_the_standard_refuses_is_no_answer(packet: Packet) -> None:
    assert parse_neighbour_advert(bytes(ether(0x86DD) / packet)) is None


def test_a_solicitation_is_no_answer() -> None:
    frame = neighbour_solicitation(IPv6Address("fe80::1"), IPv6Address("fd77::2"), MAC_BYTES)
    assert parse_neighbour_advert(frame) is None


@given(st.binary(max_size=120))
def test_no_bytes_raise(frame: bytes) -> None:
    parse_arp_reply(frame)
    parse_neighbour_advert(frame)


@given(st.binary(max_size=64), st.integers(0, 90))
def test_a_damaged_advertisement_never_raises(tail: bytes, cut: int) -> None:
    frame = bytes(ether(0x86DD) / advertisement() / ICMPv6NDOptDstLLAddr(lladdr=OTHER))
    parse_neighbour_advert(frame[:cut] + tail)
