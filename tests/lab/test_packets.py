"""The lab's decoder against scapy, which builds the frames."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.layers.inet import IP
from scapy.layers.inet6 import ICMPv6ND_NA, ICMPv6NDOptDstLLAddr, IPv6
from scapy.layers.l2 import ARP, Ether
from scapy.layers.vrrp import VRRP, VRRPv3

from netns_lab.packets import decode, is_vrrp

MAC = "02:88:00:00:00:0b"


def test_an_advertisement_of_version_3_shows_what_it_says() -> None:
    frame = bytes(
        Ether()
        / IP(src="10.88.0.11", dst="10.88.0.12", ttl=255)
        / VRRPv3(vrid=51, priority=200, adv=20, addrlist=["10.88.0.100", "10.88.0.101"])
    )
    assert is_vrrp(frame)
    assert decode(frame) == (
        "advert",
        {
            "vrid": 51,
            "version": 3,
            "priority": 200,
            "interval_ms": 200,
            "addresses": ["10.88.0.100", "10.88.0.101"],
            "source": "10.88.0.11",
            "destination": "10.88.0.12",
            "hop_limit": 255,
        },
    )


def test_an_advertisement_of_version_2_counts_in_seconds() -> None:
    frame = bytes(Ether() / IP(ttl=255) / VRRP(vrid=7, priority=0, adv=3, addrlist=["10.88.0.100"]))
    decoded = decode(frame)
    assert decoded is not None
    assert (decoded[1]["version"], decoded[1]["priority"], decoded[1]["interval_ms"]) == (2, 0, 3000)


def test_an_ipv6_advertisement_shows_its_addresses() -> None:
    frame = bytes(
        Ether()
        / IPv6(src="fe80::11", dst="ff02::12", hlim=255, nh=112)
        / VRRPv3(vrid=51, ipcount=2, addrlist=["fe80::100", "fd88::100"])
    )
    decoded = decode(frame)
    assert is_vrrp(frame)
    assert decoded is not None
    assert decoded[1]["destination"] == "ff02::12"
    assert decoded[1]["addresses"] == ["fe80::100", "fd88::100"]


@pytest.mark.parametrize(("operation", "form"), [(1, "arp-request"), (2, "arp-reply")])
def test_a_gratuitous_arp_is_an_announcement(operation: int, form: str) -> None:
    frame = bytes(Ether() / ARP(op=operation, hwsrc=MAC, psrc="10.88.0.100", pdst="10.88.0.100"))
    assert decode(frame) == ("announcement", {"address": "10.88.0.100", "mac": MAC, "form": form})


def test_an_ordinary_arp_request_announces_nothing() -> None:
    assert decode(bytes(Ether() / ARP(op=1, hwsrc=MAC, psrc="10.88.0.11", pdst="10.88.0.100"))) is None


@pytest.mark.parametrize(("solicited", "announces"), [(0, True), (1, False)])
def test_only_an_unsolicited_neighbour_advertisement_announces(solicited: int, announces: bool) -> None:
    frame = bytes(
        Ether()
        / IPv6(src="fd88::100", dst="ff02::1", hlim=255)
        / ICMPv6ND_NA(tgt="fd88::100", S=solicited, O=1)
        / ICMPv6NDOptDstLLAddr(lladdr=MAC)
    )
    wanted = ("announcement", {"address": "fd88::100", "mac": MAC, "form": "na"})
    assert decode(frame) == (wanted if announces else None)


@given(st.sampled_from([b"\x08\x00", b"\x86\xdd", b"\x08\x06", b"\x88\xcc"]), st.binary(max_size=120))
def test_no_bytes_break_the_decoder(kind: bytes, rest: bytes) -> None:
    decode(bytes(12) + kind + rest)
