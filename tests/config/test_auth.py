"""From keys in a file to what the protocol core signs with: files of keys, room in the packet, and silence."""

from __future__ import annotations

import os
from collections.abc import Callable
from ipaddress import ip_interface
from pathlib import Path

import pytest

from vrrpd.config import File, HostAddress, HostFacts, examine, resolve
from vrrpd.config.simulate import failures
from vrrpd.proto.credentials import Auth, Hmac, Password, Secret
from vrrpd.proto.timers import SECOND

FileOf = Callable[[str], File]
HOST = HostFacts(frozenset({"eth0"}), (HostAddress("eth0", ip_interface("10.0.0.11/24")),))
HEAD = "nodes: {lb1: 10.0.0.11, lb2: 10.0.0.12}\nrouters:\n  web:\n    vrid: 51\n    addresses: [10.0.0.100]\n"
PLAIN = "hunter2hunter2hunter2hunter2hunter2"


def auth_of(file: File) -> Auth | None:
    [member] = resolve(file, HOST).routers[0].members
    return member.settings.auth


def hmac_of(file: File) -> Hmac:
    auth = auth_of(file)
    assert isinstance(auth, Hmac)
    return auth


def said(file: File) -> list[str]:
    found = examine(file, HOST)
    return [f"{m.line}:{m.column}: {m.text}" for m in (*found.mistakes, *found.warnings)]


def test_without_the_key_there_is_none(file_of: FileOf) -> None:
    assert auth_of(file_of(HEAD)) is None


def test_a_key_is_text_or_hexadecimal(file_of: FileOf) -> None:
    keys = f'{{1: {PLAIN}, 2: "hex:{bytes(range(32)).hex()}"}}'
    found = hmac_of(file_of(f"{HEAD}    auth: {{hmac: {{keys: {keys}, active_key: 2}}}}\n"))

    assert found.ring == ((1, Secret(PLAIN.encode())), (2, Secret(bytes(range(32)))))
    assert found.active_key == 2


@pytest.mark.parametrize(
    ("interval", "written", "window"),
    [("1s", None, 5), ("4s", None, 12), ("1s", "300s", 300), ("40.95s", None, 122.85)],
)
def test_the_window_follows_from_the_interval(
    interval: str, written: str | None, window: float, file_of: FileOf
) -> None:
    more = f", time_window: {written}" if written else ""
    text = f"{HEAD}    advert_interval: {interval}\n    auth: {{hmac: {{keys: {{7: {PLAIN}}}{more}}}}}\n"
    found = hmac_of(file_of(text))

    assert found.time_window == window * SECOND
    assert found.active_key == 7


def test_the_longest_window_is_five_minutes(file_of: FileOf) -> None:
    text = f"{HEAD}    version: 2\n    advert_interval: 255s\n    auth: {{hmac: {{keys: {{7: {PLAIN}}}}}}}\n"
    assert hmac_of(file_of(text)).time_window == 300 * SECOND


def test_a_password_is_for_version_2(file_of: FileOf) -> None:
    file = file_of(f"{HEAD}    version: 2\n    auth: {{password: old-peer}}\n")

    assert auth_of(file) == Password(Secret(b"old-peer"))
    assert ["protects nothing" in each for each in said(file)] == [True]


# ---------------------------------------------------------------- files


@pytest.mark.parametrize(
    ("content", "key"),
    [
        (PLAIN.encode(), PLAIN.encode()),
        (PLAIN.encode() + b"\n", PLAIN.encode()),
        (PLAIN.encode() + b"\r\n", PLAIN.encode()),
        (b"hex:" + bytes(range(64)).hex().encode() + b"\n", bytes(range(64))),
        (bytes(range(32)), bytes(range(32))),
        (b"\xff" * 31 + b"\n", b"\xff" * 31 + b"\n"),
    ],
    ids=["text", "line", "line of another system", "hexadecimal", "bytes", "bytes with a line end"],
)
def test_a_file_holds_a_key_as_text_or_as_bytes(content: bytes, key: bytes, tmp_path: Path, file_of: FileOf) -> None:
    path = tmp_path / "key"
    path.write_bytes(content)
    path.chmod(0o600)
    file = file_of(f"{HEAD}    auth: {{hmac: {{keys: {{1: file:{path}}}}}}}\n")

    assert said(file) == []
    assert hmac_of(file).ring == ((1, Secret(key)),)


@pytest.mark.parametrize(
    ("content", "wrong"),
    [
        (b"hunter2", "a key of fewer bytes than it may have"),
        (b"hunter2" * 300, "a key of more bytes than it may have"),
        (b"\xff" * 65, "a key of more bytes than it may have"),
        (b"hex:hunter2" + bytes(32).hex().encode(), "'hex:' is not followed by pairs of hexadecimal digits"),
    ],
)
def test_a_file_without_a_key_is_a_mistake_that_shows_nothing_of_it(
    content: bytes, wrong: str, tmp_path: Path, file_of: FileOf
) -> None:
    path = tmp_path / "key"
    path.write_bytes(content)
    file = file_of(f"{HEAD}    auth:\n      hmac:\n        keys:\n          3: file:{path}\n")

    assert file.mistakes == ()
    [mistake] = [each for each in said(file) if "can be read by" not in each]
    assert mistake.startswith(f"9:14: in the key file {path}: {wrong}; write 32..64 bytes")
    assert "hunter2" not in mistake


def test_a_file_that_cannot_be_read_is_a_mistake_where_the_node_runs_and_nowhere_else(file_of: FileOf) -> None:
    file = file_of(f"{HEAD}    auth: {{hmac: {{keys: {{1: file:/nonexistent/key}}}}}}\n")

    assert file.mistakes == ()
    what = "the key file /nonexistent/key cannot be read (No such file or directory)"
    assert said(file) == [f"6:29: {what}; make it readable for this agent"]


@pytest.mark.parametrize("kind", ["directory", "pipe"])
def test_what_is_no_file_is_refused_without_waiting_for_it(kind: str, tmp_path: Path, file_of: FileOf) -> None:
    path = tmp_path / "key"
    path.mkdir() if kind == "directory" else os.mkfifo(path)
    [mistake] = said(file_of(f"{HEAD}    auth: {{hmac: {{keys: {{1: file:{path}}}}}}}\n"))

    assert "is no regular file" in mistake


@pytest.mark.parametrize(("mode", "who"), [(0o640, "its group"), (0o644, "everybody"), (0o604, "everybody")])
def test_a_file_that_others_can_read_is_a_warning(mode: int, who: str, tmp_path: Path, file_of: FileOf) -> None:
    path = tmp_path / "key"
    path.write_text(PLAIN)
    path.chmod(mode)
    file = file_of(f"{HEAD}    auth: {{hmac: {{keys: {{1: file:{path}}}}}}}\n")

    assert said(file) == [f"6:29: the key file {path} can be read by {who}; take that right away: chmod 0600 {path}"]
    assert hmac_of(file).ring == ((1, Secret(PLAIN.encode())),)


# ---------------------------------------------------------------- the rest of the file


def test_a_signature_takes_room_in_the_packet(file_of: FileOf) -> None:
    def mistakes(count: int, auth: str) -> list[str]:
        nodes = 'nodes: {lb1: "fd00::11", lb2: "fd00::12"}\n'
        listed = "".join(f"    - fd00::1:{i + 1:x}\n" for i in range(count))
        text = f"{nodes}routers:\n  web:\n    vrid: 51\n{auth}    addresses:\n{listed}"
        return [each.text for each in file_of(text).mistakes]

    signed = f"    auth: {{hmac: {{keys: {{1: {PLAIN}}}}}}}\n"
    assert mistakes(90, "") == mistakes(89, signed) == []
    [mistake] = mistakes(90, signed)
    assert mistake.startswith("90 IPv6 addresses do not fit into one packet; list up to 89")


def test_nothing_shows_the_secret(file_of: FileOf) -> None:
    file = file_of(f"{HEAD}    auth: {{hmac: {{keys: {{1: {PLAIN}}}}}}}\n")
    old = file_of(f"{HEAD}    version: 2\n    auth: {{password: hunter2}}\n")

    for value in (file, old, resolve(file, HOST), resolve(old, HOST), examine(file, HOST)):
        assert "hunter2" not in f"{value!r} {value}"


def test_what_failures_lead_to_does_not_depend_on_keys(file_of: FileOf) -> None:
    plain = list(failures(file_of(HEAD), lambda _kind, _options: None))
    signed = file_of(f"{HEAD}    auth: {{hmac: {{keys: {{1: {PLAIN}}}}}}}\n")

    assert list(failures(signed, lambda _kind, _options: None)) == plain
