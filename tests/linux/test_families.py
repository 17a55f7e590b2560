"""What is read from a raw socket, and from its error queue, becomes the right value for any bytes."""

from __future__ import annotations

import errno
import socket
import struct
from ipaddress import IPv4Address, IPv6Address

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.layers.inet import IP
from scapy.packet import Raw

from vrrpd.linux.families import STACKS, Ancillary, Unreachable
from vrrpd.linux.letters import Packet, control_messages
from vrrpd.proto.settings import Family

IFINDEX = 7
V4, V6 = STACKS[Family.IPV4], STACKS[Family.IPV6]


def ancillary6(ifindex: int = IFINDEX, hops: int = 255) -> tuple[tuple[int, int, bytes], ...]:
    packet_info = IPv6Address("ff02::12").packed + struct.pack("=i", ifindex)
    return ((41, 50, packet_info), (41, 52, struct.pack("=i", hops)))


def ip_packet(payload: bytes, **fields: object) -> bytes:
    return bytes(IP(src="10.0.0.1", dst="224.0.0.18", proto=112, **{"ttl": 255, **fields}) / Raw(payload))


def arrived4(data: bytes) -> Packet:
    """As the mailbox takes it: without identification and checksum."""
    return data[:4] + data[6:10] + data[12:], b"", b""


def arrived6(data: bytes, ancillary: Ancillary) -> Packet:
    name = struct.pack("=HHI", socket.AF_INET6, 0, 0) + IPv6Address("fe80::1").packed + struct.pack("=I", IFINDEX)
    return data, name, b"".join(control(*each) for each in ancillary)


def control(level: int, kind: int, value: bytes) -> bytes:
    """A `struct cmsghdr`, as cmsg(3) has it."""
    whole = struct.pack("@Nii", socket.CMSG_LEN(len(value)), level, kind) + value
    return whole.ljust(socket.CMSG_SPACE(len(value)), b"\0")


def test_a_packet_is_delivered_with_everything_around_it() -> None:
    datagram = V4.datagram(arrived4(ip_packet(b"message!", ttl=254)), IFINDEX)
    assert datagram is not None
    assert datagram.payload == b"message!"
    assert (datagram.source, datagram.destination) == (IPv4Address("10.0.0.1"), IPv4Address("224.0.0.18"))
    assert datagram.ttl == 254


def test_ip_options_are_no_part_of_the_message() -> None:
    packet = with_options(b"message!", b"\x01" * 8)
    datagram = V4.datagram(arrived4(packet), IFINDEX)
    assert datagram is not None
    assert datagram.payload == b"message!"


def with_options(payload: bytes, options: bytes) -> bytes:
    words = 5 + len(options) // 4
    head = struct.pack("!BBH", 0x40 | words, 0, words * 4 + len(payload))
    return head + bytes(16) + options + payload


def test_padding_of_the_link_layer_is_no_part_of_the_message() -> None:
    datagram = V4.datagram(arrived4(ip_packet(b"message!") + bytes(18)), IFINDEX)
    assert datagram is not None
    assert datagram.payload == b"message!"


@pytest.mark.parametrize(
    "packet",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(ip_packet(b"message!")[:19], id="shorter than a header"),
        pytest.param(ip_packet(b"message!", ihl=4), id="header length below 20"),
        pytest.param(ip_packet(b"message!", ihl=15), id="header length beyond the packet"),
        pytest.param(ip_packet(b"message!", len=29), id="total length beyond the packet"),
        pytest.param(ip_packet(b"message!", len=19), id="total length within the header"),
        pytest.param(b"\x65" + ip_packet(b"message!")[1:], id="another IP version"),
    ],
)
def test_a_header_that_makes_no_sense_is_delivered_without_a_payload(packet: bytes) -> None:
    datagram = V4.datagram(arrived4(packet), IFINDEX)
    assert datagram is not None
    assert datagram.payload == b""


def test_a_packet_of_another_interface_is_nobodys_business() -> None:
    assert V6.datagram(arrived6(b"message!", ancillary6(ifindex=8)), IFINDEX) is None


def test_an_ipv6_message_is_delivered_whole() -> None:
    datagram = V6.datagram(arrived6(b"message!", ancillary6(hops=64)), IFINDEX)
    assert datagram is not None
    assert datagram.payload == b"message!"
    assert (datagram.source, datagram.destination) == (IPv6Address("fe80::1"), IPv6Address("ff02::12"))
    assert datagram.ttl == 64


@given(
    data=st.binary(max_size=64),
    noise=st.lists(st.tuples(st.sampled_from([0, 41, 1]), st.integers(0, 60), st.binary(max_size=24)), max_size=4),
)
def test_no_bytes_raise(data: bytes, noise: list[tuple[int, int, bytes]]) -> None:
    V4.datagram(arrived4(data), IFINDEX)
    for ancillary in (tuple(noise), (*ancillary6(), *noise)):
        V6.datagram(arrived6(data, ancillary), IFINDEX)
    list(control_messages(data))
    V4.unreachable(noise, "10.0.0.2")
    V6.unreachable(noise, "fd00::2")


def icmp_error(family: Family, origin: int, icmp_type: int, code: int) -> list[tuple[int, int, bytes]]:
    level, kind = (0, 11) if family is Family.IPV4 else (41, 25)
    return [(level, kind, struct.pack("=IBBBBII", errno.EPROTO, origin, icmp_type, code, 0, 0, 0))]


def test_protocol_unreachable_means_a_host_without_an_agent() -> None:
    v4, v6 = icmp_error(Family.IPV4, 2, 3, 2), icmp_error(Family.IPV6, 3, 4, 1)
    assert V4.unreachable(v4, "10.0.0.2") == Unreachable(IPv4Address("10.0.0.2"), no_agent=True)
    assert V6.unreachable(v6, "fd00::2") == Unreachable(IPv6Address("fd00::2"), no_agent=True)


def test_other_icmp_errors_mean_no_way_to_the_host() -> None:
    v4, v6 = icmp_error(Family.IPV4, 2, 3, 1), icmp_error(Family.IPV6, 3, 1, 3)
    assert V4.unreachable(v4, "10.0.0.2") == Unreachable(IPv4Address("10.0.0.2"), no_agent=False)
    assert V6.unreachable(v6, "fd00::2") == Unreachable(IPv6Address("fd00::2"), no_agent=False)


def test_errors_that_no_icmp_message_caused_say_nothing_about_the_peer() -> None:
    assert V4.unreachable(icmp_error(Family.IPV4, 1, 0, 0), "10.0.0.2") is None
    assert V6.unreachable(icmp_error(Family.IPV6, 1, 0, 0), "fd00::2") is None


def test_only_addresses_of_one_link_carry_the_interface_as_their_scope() -> None:
    for address, scope in (("fe80::1", IFINDEX), ("fe80::1%eth9", IFINDEX), ("ff02::12", IFINDEX), ("fd00::2", 0)):
        name = V6.name(IPv6Address(address), IFINDEX)
        assert len(name) == 28  # struct sockaddr_in6
        assert (name[8:24], struct.unpack("=I", name[24:])[0]) == (IPv6Address(address).packed, scope)
    assert (V4.domain, V6.domain) == (socket.AF_INET, socket.AF_INET6)
