"""Forged packets: each is wrong in one way and right in all others, by scapy, which reads them."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest
from scapy.layers.inet import IP
from scapy.layers.inet6 import IPv6
from scapy.layers.vrrp import VRRPv3

from netns_lab.forgeries import RECIPES, Target, packet, packets

TARGET = Target("ipv4", "10.88.0.11", "10.88.0.12", group=False, vrid=51, interval_cs=10, addresses=("10.88.0.100",))


def good(message: VRRPv3, source: str, destination: str) -> bool:
    """Whether scapy computes the same checksum."""
    written = message.chksum
    message.chksum = None
    return VRRPv3(bytes(IP(src=source, dst=destination, proto=112) / message)[20:]).chksum == written


def test_a_forgery_with_nothing_wrong_is_an_advertisement() -> None:
    read = IP(packet(TARGET.forged(TARGET.peer)))
    assert (read.src, read.dst, read.ttl, read.proto) == (TARGET.peer, TARGET.address, 255, 112)
    message = read[VRRPv3]
    assert (message.version, message.type, message.vrid, message.priority, message.adv) == (3, 1, 51, 255, 10)
    assert message.addrlist == ["10.88.0.100"]
    assert good(message, TARGET.peer, TARGET.address)


def test_over_ipv6_the_checksum_is_that_of_a_transport() -> None:
    six = Target("ipv6", "fd88::11", "fd88::12", group=True, vrid=51, interval_cs=10, addresses=("fd88::100",))
    read = IPv6(packet(six.forged(six.peer)))
    assert (read.src, read.dst, read.hlim, read.nh) == ("fd88::12", "ff02::12", 255, 112)
    written = bytes(read.payload)[6:8]
    read[VRRPv3].chksum = None
    assert bytes(read.payload)[6:8] == written


WRONG: dict[str, Callable[[Any], bool]] = {
    "priority": lambda p: p.src not in {TARGET.peer, TARGET.address} and p[VRRPv3].priority == 255,
    "hops": lambda p: p.src == TARGET.peer and p.ttl < 255,
    "checksum": lambda p: p.src == TARGET.peer and not good(p[VRRPv3], p.src, p.dst),
    "vrid": lambda p: p.src == TARGET.peer and p[VRRPv3].vrid != 51,
    "own": lambda p: p.src == TARGET.address == p.dst,
    "interval": lambda p: p.src == TARGET.peer and p[VRRPv3].adv == 0,
    "signed": lambda p: p.src == TARGET.peer and len(bytes(p)) == 20 + 12 + 28 and bytes(p)[32:34] == b"\x01\x01",
    "junk": lambda p: p.src == TARGET.peer,
    "group": lambda p: p.dst == "224.0.0.18" and p.src != TARGET.peer,
}


@pytest.mark.parametrize("recipe", WRONG)
def test_a_recipe_is_wrong_in_what_it_is_about(recipe: str) -> None:
    made = packets(recipe, TARGET)
    assert made
    assert all(WRONG[recipe](IP(bytes_)) and IP(bytes_).dst == to for to, bytes_ in made)


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_recipe_makes_the_same_every_time(recipe: str) -> None:
    state = random.getstate()
    assert packets(recipe, TARGET) == packets(recipe, TARGET)
    assert random.getstate() == state
