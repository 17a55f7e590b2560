"""The check `tcp: HOST:PORT`."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
from typing import Any

import pytest
import trio
from pydantic import ValidationError

from vrrpd.checks import target
from vrrpd.checks.target import Target
from vrrpd.checks.tcp import OPTIONS, TcpCheck


@pytest.mark.parametrize(
    ("text", "target"),
    [
        ("127.0.0.1:80", Target("127.0.0.1", 80)),
        ("[::1]:8404", Target("::1", 8404)),
        ("[fe80::1%eth0]:80", Target("fe80::1%eth0", 80)),
        ("localhost:443", Target("localhost", 443)),
        ("web-1.example.org.:1", Target("web-1.example.org.", 1)),
    ],
)
def test_a_host_and_a_port_are_read(text: str, target: Target) -> None:
    assert OPTIONS.validate_python(text) == target
    assert str(target) == text


@pytest.mark.parametrize(
    ("value", "complaint"),
    [
        ("127.0.0.1", "'127.0.0.1' is not HOST:PORT; write for example 127.0.0.1:80 or [::1]:80"),
        ("::1:80", "'::1:80' is not HOST:PORT; write for example 127.0.0.1:80 or [::1]:80"),
        ("127.0.0.1:http", "'127.0.0.1:http' is not HOST:PORT; write for example 127.0.0.1:80 or [::1]:80"),
        ({"port": 80}, "this mapping is not HOST:PORT; write for example 127.0.0.1:80 or [::1]:80"),
        ("127.0.0.1:0", "port 0 does not exist; ports are 1..65535"),
        ("127.0.0.1:65536", "port 65536 does not exist; ports are 1..65535"),
        ("10.0.0.300:80", "'10.0.0.300' is neither an address nor a name; write for example 127.0.0.1"),
        ("not a host:80", "'not a host' is neither an address nor a name; write for example 127.0.0.1"),
        (":80", "'' is neither an address nor a name; write for example 127.0.0.1"),
        ("[web]:80", "'web' is neither an address nor a name; write for example 127.0.0.1"),
        ("[127.0.0.1]:80", "127.0.0.1 is no IPv6 address; leave the brackets out"),
    ],
)
def test_anything_else_is_a_mistake_in_plain_words(value: object, complaint: str) -> None:
    with pytest.raises(ValidationError) as raised:
        OPTIONS.validate_python(value)
    (error,) = raised.value.errors()
    assert str(error.get("ctx", {})["error"]) == complaint


async def test_a_port_that_accepts_is_healthy(silent_port: int) -> None:
    result = await TcpCheck(Target("127.0.0.1", silent_port)).probe()
    assert result.ok
    assert result.detail.startswith("connected in ")


async def test_a_closed_port_is_refused(closed_port: int) -> None:
    result = await TcpCheck(Target("127.0.0.1", closed_port)).probe()
    assert (result.ok, result.detail) == (False, "connection refused")


async def test_of_a_name_any_address_will_do(silent_port: int) -> None:
    assert (await TcpCheck(Target("localhost", silent_port)).probe()).ok


async def test_an_unknown_name_is_said_to_be_unknown() -> None:
    result = await TcpCheck(Target("no-such-host.invalid", 80)).probe()
    assert not result.ok
    assert result.detail.startswith("the name is not found: ")


async def test_a_name_server_that_hangs_holds_up_nothing_but_names(
    silent_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    lookup, over = socket.getaddrinfo, threading.Event()

    def hang(*given: Any, **more: Any) -> Any:
        if not more.get("flags"):
            over.wait()
        return lookup(*given, **more)

    monkeypatch.setattr(socket, "getaddrinfo", hang)
    monkeypatch.setattr(target, "_LOOKUPS", trio.CapacityLimiter(8))  # one that the other tests do not share
    for _ in range(50):  # more than trio has worker threads
        with trio.move_on_after(0.001):
            await TcpCheck(Target("localhost", silent_port)).probe()
    with trio.fail_after(5):
        assert (await TcpCheck(Target("127.0.0.1", silent_port)).probe()).ok
        await trio.to_thread.run_sync(over.set)
        assert (await TcpCheck(Target("localhost", silent_port)).probe()).ok


SELF_CONNECT = """
import socket, subprocess, trio
from vrrpd.checks.tcp import OPTIONS, TcpCheck
subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
with open("/proc/sys/net/ipv4/ip_local_port_range", "w") as file:
    file.write("40000 40001")
def connects_to_itself():
    with socket.socket() as one:
        return one.connect_ex(("127.0.0.1", 40000)) == 0
async def main():
    check = TcpCheck(OPTIONS.validate_python("127.0.0.1:40000"))
    return [(await check.probe()).ok for _ in range(20)]
print(any(connects_to_itself() for _ in range(20)), any(trio.run(main)))
"""


@pytest.mark.netns
def test_a_port_that_nobody_listens_on_is_not_healthy_for_being_connected_to_itself() -> None:
    shown = subprocess.run(
        ["unshare", "--net", sys.executable, "-c", SELF_CONNECT],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert shown.stdout.split() == ["True", "False"]
