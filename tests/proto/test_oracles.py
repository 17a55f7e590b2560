"""Two programs that know VRRP and not us: scapy reads and writes the same bytes, tshark finds nothing to complain of.

Wireshark's IPv4 checksum of version 3 is the one with the pseudo-header; a preference makes it the other. So tshark
runs twice, once for each, over everything that `encode` can say. The old unicast dialect is checked as what it is: the
checksum of the same message sent to the multicast group.
"""

# scapy has no complete types
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportMissingTypeStubs=false

from __future__ import annotations

import shutil
import struct
import subprocess
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path

import pytest
from scapy.config import conf
from scapy.layers.inet import IP
from scapy.layers.inet6 import IPv6
from scapy.layers.vrrp import VRRP, VRRPv3
from scapy.utils import checksum

from vrrpd.proto.packet import GROUP_V4, GROUP_V6, Advertisement, Dialect, decode, encode, internet_checksum
from vrrpd.proto.settings import Address, family_of
from vrrpd.proto.timers import CENTISECOND, SECOND

conf.max_list_count = 255  # addresses in one packet; scapy stops at 100 unless told

NODE = IPv4Address("192.0.2.11")
PEER = IPv4Address("192.0.2.12")
NODE6 = IPv6Address("fe80::11")
PEER6 = IPv6Address("fe80::12")
V4 = tuple(IPv4Address("198.18.0.0") + i for i in range(255))
V6 = tuple(IPv6Address("fe80::100") + i for i in range(255))


@dataclass(frozen=True)
class Packet:
    """One advertisement with the addresses that it travels between."""

    advert: Advertisement
    source: Address
    destination: Address
    dialect: Dialect

    @property
    def message(self) -> bytes:
        return encode(self.advert, self.source, self.destination, self.dialect)


def variants(version: int, addresses: tuple[Address, ...], unit: int, longest: int) -> list[Advertisement]:
    """Every priority, the ends of the range of intervals, one to 255 addresses, the ends of the VRIDs."""
    base = addresses[:1]
    return [
        *[Advertisement(version, 51, priority, unit, base) for priority in range(256)],
        *[Advertisement(version, 51, 250, unit * n, base) for n in (1, 2, longest // 2, longest - 1, longest)],
        *[Advertisement(version, 51, 250, unit, addresses[:n]) for n in (1, 2, 3, 20, 254, 255)],
        *[Advertisement(version, vrid, 250, unit, base) for vrid in (1, 2, 255)],
    ]


VERSION_2 = [Packet(a, NODE, GROUP_V4, Dialect.MESSAGE) for a in variants(2, V4, SECOND, 255)]
PSEUDO = [Packet(a, NODE, to, Dialect.PSEUDO) for a in variants(3, V4, CENTISECOND, 4095) for to in (GROUP_V4, PEER)]
MESSAGE_ONLY = [
    Packet(a, NODE, to, Dialect.MESSAGE) for a in variants(3, V4, CENTISECOND, 4095) for to in (GROUP_V4, PEER)
]
OLD_UNICAST = [Packet(a, NODE, PEER, Dialect.OLD_UNICAST) for a in variants(3, V4, CENTISECOND, 4095)]
VERSION_6 = [
    Packet(a, NODE6, to, Dialect.PSEUDO) for a in variants(3, V6, CENTISECOND, 4095) for to in (GROUP_V6, PEER6)
]


# ---------------------------------------------------------------- scapy


def by_scapy(packet: Packet, destination: Address | None = None) -> bytes:
    """The same message, built and summed by scapy."""
    advert, to = packet.advert, str(destination or packet.destination)
    addresses = [str(address) for address in advert.addresses]
    same = {"vrid": advert.vrid, "priority": advert.priority, "addrlist": addresses, "ipcount": len(addresses)}
    if advert.version == 2:
        return bytes(VRRP(adv=advert.interval // SECOND, **same))
    source = str(packet.source)
    v6 = isinstance(packet.source, IPv6Address)
    under = IPv6(src=source, dst=to, nh=112) if v6 else IP(src=source, dst=to, proto=112)
    whole = under / VRRPv3(adv=advert.interval // CENTISECOND, **same)
    return bytes(whole)[len(under) :]


@pytest.mark.parametrize("packets", [VERSION_2, PSEUDO, VERSION_6], ids=["version 2", "version 3", "version 3 IPv6"])
def test_scapy_writes_the_same_bytes(packets: list[Packet]) -> None:
    for packet in packets:
        assert packet.message == by_scapy(packet)


def test_scapy_writes_the_old_unicast_checksum_as_that_of_multicast() -> None:
    for packet in OLD_UNICAST:
        assert packet.message == by_scapy(packet, GROUP_V4)


def test_the_message_only_checksum_is_what_scapy_computes_without_a_pseudo_header() -> None:
    for packet in MESSAGE_ONLY:
        zeroed = packet.message[:6] + b"\0\0" + packet.message[8:]
        assert int.from_bytes(packet.message[6:8]) == checksum(zeroed)


@pytest.mark.parametrize("packets", [VERSION_2, PSEUDO, VERSION_6], ids=["version 2", "version 3", "version 3 IPv6"])
def test_we_read_what_scapy_writes(packets: list[Packet]) -> None:
    for packet in packets:
        assert decode(by_scapy(packet), family_of(packet.source)) == packet.advert


@pytest.mark.parametrize(
    "packets", [PSEUDO + MESSAGE_ONLY + OLD_UNICAST, VERSION_6], ids=["version 3", "version 3 IPv6"]
)
def test_scapy_reads_what_we_write(packets: list[Packet]) -> None:
    for packet in packets:
        under = IP() if isinstance(packet.source, IPv4Address) else IPv6()
        read = VRRPv3(packet.message, _underlayer=under)
        advert = packet.advert
        assert (read.version, read.type, read.vrid, read.priority) == (3, 1, advert.vrid, advert.priority)
        assert (read.res, read.adv * CENTISECOND, read.ipcount) == (0, advert.interval, len(advert.addresses))
        assert read.addrlist == [str(address) for address in advert.addresses]


def test_scapy_reads_what_we_write_in_version_2() -> None:
    for packet in VERSION_2:
        read, advert = VRRP(packet.message), packet.advert
        assert (read.version, read.type, read.vrid, read.priority) == (2, 1, advert.vrid, advert.priority)
        assert (read.authtype, read.adv * SECOND, read.auth1, read.auth2) == (0, advert.interval, 0, 0)
        assert read.addrlist == [str(address) for address in advert.addresses]


# ---------------------------------------------------------------- tshark

COLUMNS = (
    "vrrp.version",
    "vrrp.type",
    "vrrp.virt_rtr_id",
    "vrrp.prio",
    "vrrp.addr_count",
    "vrrp.checksum.status",
    "vrrp.adver_int",
    "vrrp.short_adver_int",
    "vrrp.ip_addr",
    "vrrp.ipv6_addr",
    "_ws.malformed",
    "_ws.expert.message",
)
GOOD = "1"


def framed(packet: Packet, destination: Address) -> bytes:
    """The message behind an IP header."""
    message = packet.message
    if isinstance(packet.source, IPv6Address):
        head = struct.pack("!IHBB", 0x6C000000, len(message), 112, 255)
        return head + packet.source.packed + destination.packed + message
    head = struct.pack("!BBHIBBH", 0x45, 0xC0, 20 + len(message), 0, 255, 112, 0)
    head += packet.source.packed + destination.packed
    return head[:10] + internet_checksum(head).to_bytes(2) + head[12:] + message


def capture_file(path: Path, frames: list[bytes]) -> Path:
    """A capture of raw IP packets (https://www.tcpdump.org/linktypes.html: 101)."""
    head = struct.pack("=IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 101)
    records = [struct.pack("=IIII", 0, n, len(f), len(f)) + f for n, f in enumerate(frames)]
    path.write_bytes(head + b"".join(records))
    return path


def tshark(capture: Path, *options: str) -> list[list[str]]:
    """What tshark reads in each packet, one list of columns a packet."""
    program = shutil.which("tshark")
    if program is None:
        pytest.fail("tshark is missing: install it (Debian, Ubuntu: apt-get install tshark)")
    wanted = [word for column in COLUMNS for word in ("-e", column)]
    command = [program, "-n", "-r", str(capture), *options, "-T", "fields", "-E", "occurrence=a", *wanted]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    return [line.split("\t") for line in done.stdout.splitlines()]


@pytest.fixture(scope="session")
def dissected(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[Packet, list[str]]]:
    """Every packet and what tshark says about it."""
    folder = tmp_path_factory.mktemp("capture")
    usual = VERSION_2 + PSEUDO + VERSION_6 + OLD_UNICAST
    frames = [framed(p, GROUP_V4 if p.dialect is Dialect.OLD_UNICAST else p.destination) for p in usual]
    rows = tshark(capture_file(folder / "usual.pcap", frames))
    alone = [framed(p, p.destination) for p in MESSAGE_ONLY]
    rows += tshark(capture_file(folder / "alone.pcap", alone), "-o", "vrrp.v3_checksum_as_in_v2:TRUE")
    return list(zip(usual + MESSAGE_ONLY, rows, strict=True))


def test_tshark_finds_every_checksum_good(dissected: list[tuple[Packet, list[str]]]) -> None:
    assert [packet for packet, row in dissected if row[5] != GOOD] == []


def test_tshark_finds_nothing_malformed_and_no_fault(dissected: list[tuple[Packet, list[str]]]) -> None:
    assert [(packet, row[10:]) for packet, row in dissected if any(row[10:])] == []


def test_tshark_reads_what_was_said(dissected: list[tuple[Packet, list[str]]]) -> None:
    for packet, row in dissected:
        a = packet.advert
        assert row[:5] == [str(n) for n in (a.version, 1, a.vrid, a.priority, len(a.addresses))]
        seconds, centiseconds, v4, v6 = row[6:10]
        if a.version == 2:
            assert int(seconds) * SECOND == a.interval
        else:
            assert int(centiseconds) * CENTISECOND == a.interval
        assert (v4 or v6) == ",".join(str(address) for address in a.addresses)
