"""The bytes of rtnetlink messages, without a kernel: pyroute2, which knows all of them, is the judge."""

# pyroute2 has no type information; what comes from it is taken as Any.
# pyright: reportMissingTypeStubs=false

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_interface, ip_network
from typing import Any

import pytest
from pyroute2.netlink.rtnl.ifaddrmsg import ifaddrmsg
from pyroute2.netlink.rtnl.ifinfmsg import ifinfmsg
from pyroute2.netlink.rtnl.rtmsg import rtmsg

from vrrpd.linux.netlink import TAG, KernelRoute, Link, encode_add, encode_remove, encode_route, encode_route_removal
from vrrpd.linux.netlink.messages import RTM_GETADDR, RTM_GETLINK, decode_link, encode_dump
from vrrpd.linux.netlink.routes import decode_route
from vrrpd.linux.route import Route

CREATE_OR_TELL, CREATE_OR_REPLACE = 0x605, 0x505  # linux/netlink.h
FOREVER = 0xFFFFFFFF


def read(kind: type[Any], data: bytes) -> tuple[Any, dict[str, Any]]:
    """What pyroute2 makes of it."""
    message = kind(data)
    message.decode()
    assert message["header"]["length"] == len(data)
    return message, dict(message["attrs"])


@pytest.mark.parametrize("text", ["10.1.2.3/24", "10.1.2.3/32", "fe80::1/64", "fd00::5/128"])
@pytest.mark.parametrize("renew", [False, True])
def test_an_address_is_added_with_tag_and_lifetime(text: str, renew: bool) -> None:
    address = ip_interface(text)
    message, told = read(ifaddrmsg, encode_add(address, 7, scope=253, lifetime=3, renew=renew))
    assert message["header"]["flags"] == (CREATE_OR_REPLACE if renew else CREATE_OR_TELL)
    assert (message["index"], message["prefixlen"]) == (7, address.network.prefixlen)
    assert message["scope"] == (253 if address.version == 4 else 0)
    assert told["IFA_LOCAL"] == told["IFA_ADDRESS"] == str(address.ip)
    assert told["IFA_PROTO"] == TAG
    lifetime = told["IFA_CACHEINFO"]
    assert (lifetime["ifa_valid"], lifetime["ifa_preferred"]) == (3, 3 if address.version == 4 else 0)
    assert told.get("IFA_FLAGS") == (None if address.version == 4 else 0x202)  # IFA_F_NODAD, IFA_F_NOPREFIXROUTE


def test_a_label_ends_with_a_zero_and_an_address_without_a_lease_stays() -> None:
    data = encode_add(ip_interface("10.1.2.3/32"), 7, label="eth0:a")
    _, told = read(ifaddrmsg, data)
    assert told["IFA_LABEL"] == "eth0:a"
    assert told["IFA_CACHEINFO"]["ifa_valid"] == FOREVER
    assert data.endswith(b"\x0b\x00\x03\x00eth0:a\x00\x00")  # and is filled up to four bytes


def test_a_removal_names_nothing_but_the_address() -> None:
    message, told = read(ifaddrmsg, encode_remove(ip_interface("fd00::5/64"), 9))
    assert (message["index"], message["prefixlen"]) == (9, 64)
    assert told == {"IFA_LOCAL": "fd00::5", "IFA_ADDRESS": "fd00::5"}


def test_a_dump_asks_for_all_families_and_no_statistics() -> None:
    message, told = read(ifinfmsg, encode_dump(RTM_GETLINK))
    assert (message["family"], told) == (0, {"IFLA_EXT_MASK": 8})
    message, told = read(ifaddrmsg, encode_dump(RTM_GETADDR))
    assert (message["family"], told) == (0, {})


def link(**more: Any) -> bytes:
    """The message about an interface, as the kernel would write it."""
    message: Any = ifinfmsg()
    message["header"] = {"type": 16, "flags": 0, "sequence_number": 0, "pid": 0}
    message["family"], message["index"], message["flags"] = more.pop("family", 0), 12, more.pop("flags", 0)
    message["attrs"] = list(more.items())
    message.encode()
    return bytes(message.data)


def test_a_link_is_read_as_it_was_written() -> None:
    up, running, noarp, loopback = 0x1, 0x40, 0x80, 0x8
    ethernet = link(IFLA_IFNAME="eth0.5", IFLA_MTU=1400, IFLA_ADDRESS="02:00:00:00:00:0a", flags=up | running)
    mac = bytes.fromhex("02000000000a")
    assert decode_link(ethernet) == Link("eth0.5", 12, True, True, False, mac, 1400, loopback=False)
    bare = link(IFLA_IFNAME="tun0", IFLA_MTU=1400, flags=noarp | loopback)
    assert decode_link(bare) == Link("tun0", 12, False, False, True, b"", 1400, loopback=True)


def test_what_is_not_about_a_whole_link_is_left_out() -> None:
    assert decode_link(link(IFLA_IFNAME="eth0", IFLA_MTU=1400, family=7)) is None  # AF_BRIDGE: a port
    assert decode_link(link(IFLA_IFNAME="wlan0")) is None


ROUTES = [
    Route(ip_network("0.0.0.0/0"), IPv4Address("10.0.0.254"), metric=5),
    Route(ip_network("10.2.0.0/16"), table=1000, source=IPv4Address("10.0.0.1")),
    Route(ip_network("::/0"), IPv6Address("fe80::9"), onlink=True),
    Route(ip_network("fd00::/64")),
]


@pytest.mark.parametrize("route", ROUTES, ids=str)
def test_a_route_is_written_and_read(route: Route) -> None:
    data = encode_route(route, 3)
    message, told = read(rtmsg, data)
    assert message["header"]["flags"] == CREATE_OR_TELL
    assert (message["proto"], message["dst_len"]) == (TAG, route.destination.prefixlen)
    assert message["table"] == (route.table if route.table < 256 else 0)
    assert message["scope"] == (0 if route.via or route.destination.version == 6 else 253)
    assert bool(message["flags"] & 4) == route.onlink
    to = str(route.destination.network_address) if route.destination.prefixlen else None
    wanted = (to, str(route.via) if route.via else None, str(route.source) if route.source else None)
    assert tuple(told.get(name) for name in ("RTA_DST", "RTA_GATEWAY", "RTA_PREFSRC")) == wanted
    metric = route.metric or (1024 if route.destination.version == 6 else 0)
    assert (told["RTA_OIF"], told["RTA_TABLE"], told["RTA_PRIORITY"]) == (3, route.table, metric)
    seen = KernelRoute(route.destination, route.table, metric, route.via, 3, route.source, ours=True)
    assert decode_route(data) == seen


def test_the_removal_of_a_route_names_our_tag_and_no_interface() -> None:
    message, told = read(rtmsg, encode_route_removal(ROUTES[0], answered=False))
    assert (message["header"]["flags"], message["proto"], message["scope"]) == (1, TAG, 255)
    assert told == {"RTA_TABLE": 254, "RTA_PRIORITY": 5}


def test_a_route_of_several_gateways_has_none_to_name() -> None:
    message: Any = rtmsg()
    message["header"] = {"type": 24, "flags": 0, "sequence_number": 0, "pid": 0}
    message["family"], message["dst_len"], message["table"], message["proto"] = 2, 8, 254, 3
    hops = [{"hops": 0, "oif": 4, "attrs": [("RTA_GATEWAY", f"10.0.0.{n}")]} for n in (1, 2)]
    message["attrs"] = [("RTA_DST", "10.0.0.0"), ("RTA_MULTIPATH", hops)]
    message.encode()
    seen = decode_route(bytes(message.data))
    assert seen == KernelRoute(ip_network("10.0.0.0/8"), 254, 0, None, 0, None, ours=False)
