"""Many routers that speak, and hear, together: everything is as if each did so for itself."""

from __future__ import annotations

import errno
from ipaddress import IPv4Address
from itertools import pairwise
from typing import Any

import pytest
import trio

from tests.runtime.agents import NODES, Agent, machine, run_agent, run_cluster, until
from tests.runtime.lan import Lan
from vrrpd.proto.datagram import Datagram
from vrrpd.proto.effects import Role
from vrrpd.proto.packet import Advertisement, Dialect, encode
from vrrpd.proto.timers import MS
from vrrpd.runtime.choir import EARLY
from vrrpd.runtime.routers import Router

MANY = 40
ROUTERS = "".join(f"  r{n}: {{vrid: {n}, addresses: [10.0.1.{n}/32]}}\n" for n in range(1, MANY + 1))
FILE = f"{NODES}defaults: {{hear_first: off, advert_interval: 100ms, lease: off}}\nrouters:\n{ROUTERS}"
NAMES = [f"r{n}" for n in range(1, MANY + 1)]
ACTIVE, BACKUP = IPv4Address("10.0.0.11"), IPv4Address("10.0.0.12")


async def at_rest(lan: Lan) -> tuple[Agent, Agent]:
    """The first is Active for all of them, the other one Backup, and nothing new has happened for a while."""
    lb1, lb2 = await run_cluster(lan, FILE)
    assert [lb1.shown(name)["state"] for name in NAMES] == ["active"] * MANY
    return lb1, lb2


def counted(agent: Agent, name: str) -> dict[str, Any]:
    """The counters of one router."""
    return agent.shown(name)["counters"]


def times_of(lan: Lan, vrid: int) -> list[float]:
    """When each advertisement of a virtual router arrives from now on, filled while the test goes on; milliseconds."""
    times, known = list[float](), lan.lost

    def note(receiver: str, datagram: Datagram) -> bool:
        if datagram.payload[1] == vrid and receiver == "lb2" and datagram.destination == BACKUP:
            times.append(lan.now)
        return known(receiver, datagram)

    lan.lost = note
    return times


async def test_each_counts_what_all_said_and_heard(lan: Lan) -> None:
    lb1, lb2 = await at_rest(lan)
    before = [(counted(lb1, n)["adverts_sent"], counted(lb2, n)["adverts_received"]) for n in NAMES]
    await trio.sleep(3)
    after = [(counted(lb1, n)["adverts_sent"], counted(lb2, n)["adverts_received"]) for n in NAMES]
    grown = {(s - sent, r - received) for (sent, received), (s, r) in zip(before, after, strict=True)}
    assert grown == {(30, 30)}
    buckets = lb1.status()["lateness"]["buckets"]
    assert sum(each["adverts"] for each in buckets) >= 30 * MANY
    assert all(lb2.shown(name)["active_address"] == "10.0.0.11" for name in NAMES)


async def test_one_that_hands_over_is_answered_at_once_and_the_others_do_not_notice(lan: Lan) -> None:
    lb1, lb2 = await at_rest(lan)
    others = times_of(lan, 4)
    await trio.sleep(0.03)  # in the middle between two bursts
    start = lan.now
    lb1.router("r3").drain(force=False)
    await trio.sleep(1)
    (taken, _), *_ = lan.told("lb2", "adds 10.0.1.3", since=start)
    assert taken < 10, "Skew_Time is 6.25 ms, and the next burst far away"
    assert lb2.shown("r3")["state"] == "active"
    assert [lb1.shown(name)["state"] for name in NAMES if name != "r3"] == ["active"] * (MANY - 1)
    assert {round(after - before, 1) for before, after in pairwise(others)} == {100}


async def test_one_that_left_and_is_back_speaks_with_the_others_again(lan: Lan) -> None:
    lb1, _ = await at_rest(lan)
    lb1.router("r3").drain(force=False)
    await trio.sleep(1)
    lb1.router("r3").undrain()
    await trio.sleep(2)
    assert lb1.shown("r3")["state"] == "active"
    calls = await bursts_sent(lb1)
    assert calls == 10, "one in each interval"


async def bursts_sent(agent: Agent) -> int:
    """How often the socket is asked to send anything, within a second."""
    (socket,), number = agent.host.adverts, 0
    send = socket.send

    def counting(letters: Any) -> Any:
        nonlocal number
        number += 1
        return send(letters)

    socket.send = counting  # type: ignore[method-assign]
    await trio.sleep(1)
    del socket.send
    return number


async def test_all_are_taken_over_when_their_active_is_gone(lan: Lan) -> None:
    lb1, lb2 = await at_rest(lan)
    start = lan.now
    lb1.kill()
    await trio.sleep(1)
    taken = [at for at, _ in lan.told("lb2", "adds", since=start)]
    assert len(taken) == MANY
    assert 200 < min(taken) <= max(taken) < 320, "three intervals and Skew_Time, of what was heard last"
    assert [lb2.shown(name)["state"] for name in NAMES] == ["active"] * MANY


async def test_one_that_falls_silent_alone_is_taken_over_alone(lan: Lan) -> None:
    _, lb2 = await at_rest(lan)
    lan.lost = lambda name, datagram: name == "lb2" and datagram.payload[1] == 7
    start = lan.now
    await trio.sleep(0.34)
    assert [what for _, what in lan.told("lb2", "adds", since=start)] == ["adds 10.0.1.7/32"]
    assert [lb2.shown(name)["state"] for name in NAMES if name != "r7"] == ["backup"] * (MANY - 1)


async def test_what_cannot_be_sent_together_is_an_alarm_of_each_until_it_can(lan: Lan) -> None:
    lb1, lb2 = await at_rest(lan)
    lb1.host.unsendable[BACKUP] = errno.EPERM
    await trio.sleep(0.15)
    assert all("send_failed" in lb1.alarms(name) for name in NAMES)
    lb1.host.unsendable.clear()
    await trio.sleep(0.35)
    assert not any(lb1.alarms(name) for name in NAMES)
    assert [lb2.shown(name)["state"] for name in NAMES] == ["backup"] * MANY


async def test_a_frozen_active_of_many_says_nothing_when_it_wakes_up(lan: Lan) -> None:
    lb1, lb2 = await at_rest(lan)
    lb1.host.freeze()
    await trio.sleep(2)
    start = lan.now
    lb1.host.thaw()
    await trio.sleep(0.05)
    assert lan.told("lb1", "says", "claims", since=start) == []
    await trio.sleep(2)
    assert [lb1.shown(name)["state"] for name in NAMES] == ["active"] * MANY, "it preempts, as it is to"
    assert [lb2.shown(name)["state"] for name in NAMES] == ["backup"] * MANY


async def test_a_backup_of_many_is_woken_once_for_each_burst(lan: Lan) -> None:
    _, lb2 = await at_rest(lan)
    (socket,), waits = lb2.host.adverts, 0
    wait = socket.wait_readable

    async def counting() -> None:
        nonlocal waits
        waits += 1
        await wait()

    socket.wait_readable = counting  # type: ignore[method-assign]
    await trio.sleep(5)
    assert 1 <= waits <= 10, "of a hundred bursts; now and then, to know when they come"
    assert [lb2.shown(name)["state"] for name in NAMES] == ["backup"] * MANY


FLAPPING = f"""{NODES}defaults: {{hear_first: off, advert_interval: 100ms, lease: off}}
checks: {{proxy: {{tcp: "127.0.0.1:80"}}}}
routers:
  r1: {{vrid: 1, addresses: [10.0.1.1/32], track: [proxy]}}
  web: {{vrid: 51, addresses: [10.0.0.100/24], track: [proxy]}}
"""


async def test_a_role_that_was_held_down_is_taken_back_in_time_beside_others(lan: Lan) -> None:
    lb1, lb2 = [await run_agent(machine(lan, number), FLAPPING) for number in (1, 2)]
    for each in (lb1, lb2):
        each.check(up=True)
    await trio.sleep(5)
    for up in (False, True) * 3:
        lb1.check(up=up)
        await trio.sleep(2)
    assert "held_down" in lb1.alarms()
    await trio.sleep(30)
    assert (lb1.state, lb1.alarms()) == ("active", {})


async def test_priority_0_that_comes_while_the_last_router_leaves_ends_nothing(lan: Lan) -> None:
    lb1, lb2 = await at_rest(lan)
    payload = encode(Advertisement(3, 3, 0, 100 * MS, ()), ACTIVE, BACKUP, Dialect.PSEUDO)
    farewell = Datagram(payload, ACTIVE, BACKUP, 255)
    lb2.host.take("eth0", farewell)
    await lb2.runtime.shutdown("stop of the agent")
    await trio.sleep(1)
    assert [lb1.shown(name)["state"] for name in NAMES] == ["active"] * MANY


@pytest.mark.parametrize("how", ["it leaves", "it falls silent"])
async def test_a_second_active_is_heard_at_once_where_another_was_to_be_expected(lan: Lan, how: str) -> None:
    """Two Backups take the role of one Active, as one of them did not hear the other, and both must know soon."""
    lb1, lb2, lb3 = await run_cluster(lan, FILE.replace("100ms", "10s"), 3)
    await trio.sleep(120)
    bursts = times_of(lan, 3)
    await until(lambda: bool(bursts))
    await trio.sleep(0.2)

    def lost(name: str, datagram: Datagram) -> bool:
        about = datagram.payload[1] == 3
        silent = how == "it falls silent" and datagram.source == ACTIVE
        return about and (silent or (name == "lb3" and datagram.source == BACKUP and role(lb3) is not Role.ACTIVE))

    lan.lost = lost
    if how == "it leaves":
        lb1.router("r3").drain(force=False)
    await until(lambda: role(lb2) is Role.ACTIVE)
    both = 0
    for _ in range(6000):
        both += role(lb2) is role(lb3) is Role.ACTIVE
        await trio.sleep(0.001)
    assert 0 < both < 100


def role(agent: Agent) -> Role:
    """Of one router among the many."""
    return agent.router("r3").role


@pytest.mark.parametrize("phase_s", [0.05, 0.25, 0.33, 0.6])
async def test_bursts_come_as_often_as_their_active_says(lan: Lan, phase_s: float) -> None:
    """It advertises ten times as often as this node would: who read by our interval would take over late."""
    lb1 = await run_agent(machine(lan, 1), FILE)
    lb2 = await run_agent(machine(lan, 2), FILE.replace("100ms", "1s"))
    await trio.sleep(20 + phase_s)
    lb1.kill()
    start = lan.now
    await until(lambda: lb2.shown("r3")["state"] == "active")
    assert lan.now - start < 320


async def test_who_speaks_alone_for_ever_costs_the_others_nothing(lan: Lan, monkeypatch: pytest.MonkeyPatch) -> None:
    more = "  y1: {vrid: 98, addresses: [10.0.9.2/32]}\n  y2: {vrid: 99, addresses: [10.0.9.1/32]}\n"
    await run_cluster(lan, f"{FILE}{more}groups: {{y: [y1, y2]}}\n")
    await trio.sleep(5)
    asked, speak = list[str](), Router.speak

    def counting(self: Router, now: int) -> bool:
        asked.append(self.spec.name)
        return speak(self, now)

    monkeypatch.setattr(Router, "speak", counting)
    await trio.sleep(1)
    assert set(asked) == {"y"}


async def test_those_that_hear_together_look_together_before_they_take_the_role(lan: Lan) -> None:
    lb1, lb2 = await at_rest(lan)
    (socket,), looks = lb2.host.adverts, list[float]()
    receive = socket.receive

    def noting(limit: int = 64) -> list[Datagram]:
        looks.append(lan.now)
        return receive(limit)

    lb1.kill()
    start = lan.now
    await trio.sleep(0.15)
    socket.receive = noting  # type: ignore[method-assign]
    await trio.sleep(0.3)
    (first, _), *_ = lan.told("lb2", "adds", since=start)
    assert any(round(start + first - each, 1) == EARLY / MS for each in looks)
