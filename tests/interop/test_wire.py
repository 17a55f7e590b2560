"""The judge of the wire is judged: a capture with one wrong packet must not pass for a good one."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from tests.interop.wire import inspect
from vrrpd.proto.packet import internet_checksum

pytestmark = pytest.mark.interop

_ETHERNET = bytes.fromhex("01005e000012 02880000000b 0800")
_SOURCE, _GROUP = bytes((10, 88, 0, 11)), bytes((224, 0, 0, 18))
_BODY = bytes((10, 88, 0, 100)) + bytes(8)  # one address, and version 2's authentication data


def frame(message: bytes) -> bytes:
    """A VRRP message in its IPv4 packet and Ethernet frame."""
    head = struct.pack("!BBHHHBBH4s4s", 0x45, 0xC0, 20 + len(message), 0, 0, 255, 112, 0, _SOURCE, _GROUP)
    head = head[:10] + internet_checksum(head).to_bytes(2, "big") + head[12:]
    return _ETHERNET + head + message


def advert(priority: int) -> bytes:
    """An advertisement of version 2 with the right checksum."""
    message = bytes((0x21, 51, priority, 1, 0, 1, 0, 0)) + _BODY
    return message[:6] + internet_checksum(message).to_bytes(2, "big") + message[8:]


def capture(path: Path, *messages: bytes) -> Path:
    """A pcap file with these messages."""
    frames = [frame(message) for message in messages]
    records = [struct.pack("=IIII", 0, 0, len(each), len(each)) + each for each in frames]
    path.write_bytes(struct.pack("=IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 0x40000, 1) + b"".join(records))
    return path


def test_good_packets_draw_no_complaint(tmp_path: Path) -> None:
    inspection = inspect(capture(tmp_path / "good.pcap", advert(200), advert(0)), version=2)
    assert (inspection.packets, inspection.complaints) == (2, ())


@pytest.mark.parametrize(
    "wrong",
    [
        pytest.param(advert(200)[:2] + b"\xc9" + advert(200)[3:], id="a changed byte"),
        pytest.param(advert(200)[:10], id="cut off"),
        pytest.param(b"\x31" + advert(200)[1:], id="another version"),
    ],
)
def test_one_wrong_packet_among_good_ones_is_named(tmp_path: Path, wrong: bytes) -> None:
    inspection = inspect(capture(tmp_path / "wrong.pcap", advert(200), wrong, advert(200)), version=2)
    assert inspection.packets == 3
    assert [complaint.split()[0] for complaint in inspection.complaints] == ["2"]
