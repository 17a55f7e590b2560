"""Announcements by themselves: the first few without waiting for anybody, many of them in pieces."""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import IPv4Address
from itertools import count

import trio

from tests.runtime.agents import machine
from tests.runtime.lan import Lan
from vrrpd.config.spec import Announce
from vrrpd.proto.timers import SECOND
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


async def test_a_pause_that_is_over_between_two_looks_at_the_clock_is_no_pause(lan: Lan) -> None:
    host, time = machine(lan, 1), host_clock(lan)
    announcer = Announcer(host.kernel(), time, lambda: None)
    lan.nursery.start_soon(announcer.run)
    addresses = [IPv4Address("10.0.1.0") + number for number in range(200)]
    announcer.begin("web", [(each, host.link("eth0")) for each in addresses], ONCE)
    await trio.sleep(1)
    assert len(lan.told("lb1", "claims", "replies")) == 400


def host_clock(lan: Lan) -> Callable[[], int]:
    """A clock that goes on by 60 us each time that it is read, so that the millisecond ends between two looks."""
    readings = count()
    return lambda: round(lan.now * SECOND) + next(readings) * 60_000
