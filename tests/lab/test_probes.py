"""The parts of the probes and of the back end that need no namespace."""

from __future__ import annotations

import struct

from netns_lab.probes.http import is_whole, who
from netns_lab.sockets import parse_changes
from netns_lab.web import answer


def test_who_answered_is_read_from_the_headers() -> None:
    head = b"HTTP/1.1 200 OK\r\nx-backend: w1\r\nX-Node: n2\r\n\r\nX-Node: n9\r\n"
    assert who(head) == "n2/w1"
    assert who(answer("w2")) == "/w2"
    assert who(b"HTTP/1.1 200 OK\r\n\r\n") == "/"


def test_a_back_end_answers_with_a_length_that_is_right() -> None:
    head, _, body = answer("w1").partition(b"\r\n\r\n")
    assert body == b"hello from w1\n"
    assert f"Content-Length: {len(body)}".encode() in head


def test_an_answer_is_whole_with_its_head_and_all_of_its_body() -> None:
    whole = answer("w1")
    assert is_whole(whole)
    assert not any(is_whole(whole[:length]) for length in range(len(whole)))
    assert is_whole(b"HTTP/1.1 204 No Content\r\n\r\n")


def message(kind: int, *attributes: tuple[int, bytes]) -> bytes:
    body = struct.pack("=BBBBI", 2, 24, 0, 0, 2)
    for number, value in attributes:
        body += struct.pack("=HH", 4 + len(value), number) + value + bytes(-len(value) % 4)
    return struct.pack("=IHHII", 16 + len(body), kind, 0, 0, 0) + body


def test_address_events_show_the_local_address_and_skip_everything_else() -> None:
    peer, own, wide = bytes([10, 88, 0, 1]), bytes([10, 88, 0, 100]), bytes.fromhex("fd88" + "00" * 13 + "64")
    data = message(20, (1, peer), (2, own), (3, b"eth0\0")) + message(16) + message(21, (1, wide))
    assert list(parse_changes(data)) == [("address", "10.88.0.100", True), ("address", "fd88::64", False)]


def test_of_the_routes_only_default_routes_of_the_main_table_are_events() -> None:
    def route(kind: int, family: int, length: int = 0, table: int = 254) -> bytes:
        return struct.pack("=IHHII", 28, kind, 0, 0, 0) + struct.pack("=8BI", family, length, 0, 0, table, 3, 0, 1, 0)

    data = route(24, 2) + route(25, 10) + route(25, 2, length=24) + route(25, 2, table=255) + route(24, 7)
    assert list(parse_changes(data)) == [("route", "ipv4", True), ("route", "ipv6", False)]
