"""Announcements by themselves: the first few without waiting for anybody, many of them in pieces."""

from __future__ import annotations

from ipaddress import IPv4Address

import trio

from tests.runtime.agents import machine
from tests.runtime.lan import Lan
from vrrpd.config.spec import Announce
from vrrpd.runtime.announcer import PIECE, Announcer

ONCE = Announce(times=(0,), every=None)


async def test_one_address_is_told_in_the_call_and_not_told_again(lan: Lan) -> None:
    host = machine(lan, 1)
    announcer = Announcer(host.kernel(), host.clock.now, lambda: None)
    lan.nursery.start_soon(announcer.run)
    announcer.begin("web", [(IPv4Address("10.0.0.100"), host.link("eth0"))], ONCE)
    said = lan.told("lb1", "claims 10.0.0.100", "replies 10.0.0.100")
    assert len(said) == 2
    await trio.sleep(1)
    assert len(lan.told("lb1", "claims", "replies")) == 2


async def test_of_many_routers_that_take_over_together_the_first_piece_is_told_at_once(lan: Lan) -> None:
    host = machine(lan, 1)
    announcer = Announcer(host.kernel(), host.clock.now, lambda: None)
    lan.nursery.start_soon(announcer.run)
    for number in range(100):
        announcer.begin(number, [(IPv4Address(f"10.0.0.{100 + number}"), host.link("eth0"))], ONCE)
    assert len(lan.told("lb1", "claims", "replies")) == PIECE
    await trio.sleep(1)
    assert len({what for _, what in lan.told("lb1", "claims", "replies")}) == 200
    assert len(lan.told("lb1", "claims", "replies")) == 200
