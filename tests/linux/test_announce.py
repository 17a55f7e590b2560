"""Announcements and questions are, byte for byte, what scapy makes of the same fields."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address

from hypothesis import given
from hypothesis import strategies as st
from scapy.layers.inet6 import (
    ICMPv6ND_NA,
    ICMPv6ND_NS,
    ICMPv6NDOptDstLLAddr,
    ICMPv6NDOptSrcLLAddr,
    IPv6,
)
from scapy.layers.l2 import ARP, Ether

from vrrpd.linux.announce import arp_request, gratuitous_arp, neighbour_advertisement, neighbour_solicitation

BROADCAST = "ff:ff:ff:ff:ff:ff"
macs = st.binary(min_size=6, max_size=6)
v4 = st.ip_addresses(v=4)
v6 = st.ip_addresses(v=6).filter(lambda address: not address.is_unspecified)


def text(mac: bytes) -> str:
    return mac.hex(":")


@given(v4, macs)
def test_gratuitous_arp_comes_as_request_and_as_reply(address: IPv4Address, mac: bytes) -> None:
    ip, hardware = str(address), text(mac)
    ether = Ether(dst=BROADCAST, src=hardware, type=0x0806)
    request = ether / ARP(op=1, hwsrc=hardware, psrc=ip, hwdst=BROADCAST, pdst=ip)
    reply = ether / ARP(op=2, hwsrc=hardware, psrc=ip, hwdst=hardware, pdst=ip)
    assert gratuitous_arp(address, mac) == (bytes(request), bytes(reply))


@given(st.none() | v4, v4, macs)
def test_an_arp_request_asks_everybody(source: IPv4Address | None, target: IPv4Address, mac: bytes) -> None:
    sender = "0.0.0.0" if source is None else str(source)
    ether = Ether(dst=BROADCAST, src=text(mac), type=0x0806)
    arp = ARP(op=1, hwsrc=text(mac), psrc=sender, hwdst="00:00:00:00:00:00", pdst=str(target))
    assert arp_request(source, target, mac) == bytes(ether / arp)


@given(v6, macs, st.booleans())
def test_a_neighbour_advertisement_overrides_and_is_not_solicited(
    address: IPv6Address, mac: bytes, router: bool
) -> None:
    expected = (
        Ether(dst="33:33:00:00:00:01", src=text(mac), type=0x86DD)
        / IPv6(src=str(address), dst="ff02::1", hlim=255)
        / ICMPv6ND_NA(R=int(router), S=0, O=1, tgt=str(address))
        / ICMPv6NDOptDstLLAddr(lladdr=text(mac))
    )
    assert neighbour_advertisement(address, mac, router=router) == bytes(expected)


def solicited_node(target: IPv6Address) -> tuple[str, str]:
    tail = target.packed[13:]
    return str(IPv6Address(IPv6Address("ff02::1:ff00:0").packed[:13] + tail)), "33:33:ff:" + tail.hex(":")


@given(v6, v6, macs)
def test_a_neighbour_solicitation_asks_the_solicited_node_group(
    source: IPv6Address, target: IPv6Address, mac: bytes
) -> None:
    group, hardware = solicited_node(target)
    expected = (
        Ether(dst=hardware, src=text(mac), type=0x86DD)
        / IPv6(src=str(source), dst=group, hlim=255)
        / ICMPv6ND_NS(tgt=str(target))
        / ICMPv6NDOptSrcLLAddr(lladdr=text(mac))
    )
    assert neighbour_solicitation(source, target, mac) == bytes(expected)


def test_a_solicitation_from_nowhere_tells_no_mac() -> None:
    target = IPv6Address("fd77::2")
    group, hardware = solicited_node(target)
    expected = (
        Ether(dst=hardware, src="02:00:00:00:00:01", type=0x86DD)
        / IPv6(src="::", dst=group, hlim=255)
        / ICMPv6ND_NS(tgt=str(target))
    )
    mac = bytes.fromhex("020000000001")
    assert neighbour_solicitation(IPv6Address("::"), target, mac) == bytes(expected)
