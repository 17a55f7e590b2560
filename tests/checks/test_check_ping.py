"""The check `ping: HOST`."""

from __future__ import annotations

import socket

import pytest
import trio
from pydantic import ValidationError

from vrrpd.checks import ping
from vrrpd.checks.base import Result
from vrrpd.checks.ping import OPTIONS, PingCheck, inspect

Found = list[tuple[socket.AddressFamily, tuple[object, ...]]]


async def probe(check: PingCheck) -> Result:
    with trio.fail_after(5):
        return await check.probe()


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost"])
async def test_a_host_that_answers_is_healthy(host: str) -> None:
    result = await probe(PingCheck(OPTIONS.validate_python(host)))
    assert result.ok
    assert float(result.detail.removesuffix(" ms")) < 1000


async def test_a_name_that_nobody_knows_has_failed() -> None:
    result = await probe(PingCheck("no-such-host.invalid"))
    assert not result.ok
    assert result.detail.startswith("the name is not found: ")


class NameServer:
    """Stands in for the name server; says what a test wants, and counts."""

    def __init__(self) -> None:
        self.answer: str | None = "127.0.0.1"
        self.asked = 0

    async def resolve(self, host: str) -> Found:
        self.asked += 1
        if self.answer is None:
            raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
        return [(socket.AF_INET, (self.answer, 0))]


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> NameServer:
    found = NameServer()
    monkeypatch.setattr(ping, "resolve", found.resolve)
    return found


async def test_a_name_is_not_looked_up_while_its_address_answers(names: NameServer) -> None:
    check = PingCheck("gateway")
    assert (await probe(check)).ok
    names.answer = None
    assert (await probe(check)).ok
    assert names.asked == 1


@pytest.mark.parametrize("end", ["refused", "hung"])
async def test_a_name_is_looked_up_again_after_a_failure(
    names: NameServer, end: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(*_: object) -> OSError:
        if end == "hung":
            await trio.sleep_forever()
        return ConnectionRefusedError(111, "Connection refused")

    check = PingCheck("gateway")
    assert (await probe(check)).ok
    with monkeypatch.context() as meanwhile, trio.move_on_after(0.02):
        meanwhile.setattr(ping, "ping", fail)
        assert not (await check.probe()).ok
    assert (await probe(check)).ok
    assert names.asked == 2


@pytest.fixture
def forbidden(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(family: socket.AddressFamily) -> socket.socket:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(ping, "open_socket", refuse)


def test_a_host_that_lets_us_ping_nobody_is_told_how_to(forbidden: None) -> None:
    assert inspect("127.0.0.1") == (
        "no permission to ping; give the agent CAP_NET_RAW, or its group a place in net.ipv4.ping_group_range"
    )


@pytest.mark.parametrize("host", ["192.0.2.1", "fd00::1", "fe80::1%eth0", "gw.example.org"])
def test_addresses_and_names_are_read(host: str) -> None:
    assert OPTIONS.validate_python(host) == host


@pytest.mark.parametrize(
    ("value", "complaint"),
    [
        ("10.0.0.300", "'10.0.0.300' is neither an address nor a name; write for example 127.0.0.1"),
        ("10.0.0.1:80", "'10.0.0.1:80' is neither an address nor a name; write for example 127.0.0.1"),
        ("", "'' is neither an address nor a name; write for example 127.0.0.1"),
        ("224.0.0.18", "224.0.0.18 is not the address of one host; write for example 192.0.2.1"),
        ("::", ":: is not the address of one host; write for example 192.0.2.1"),
        ("255.255.255.255", "255.255.255.255 is not the address of one host; write for example 192.0.2.1"),
        (["10.0.0.1"], "this list is no host; write for example 192.0.2.1"),
    ],
)
def test_mistakes_are_said_in_plain_words(value: object, complaint: str) -> None:
    with pytest.raises(ValidationError) as raised:
        OPTIONS.validate_python(value)
    (error,) = raised.value.errors()
    assert str(error.get("ctx", {})["error"]) == complaint
