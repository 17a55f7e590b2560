"""An address that somebody else removes is put back, a bounded number of times, and whoever does it is named."""

from __future__ import annotations

from dataclasses import replace

import pytest
import trio

from tests.runtime.agents import FILE, VIP, machine, run_agent, run_cluster
from tests.runtime.lan import Lan


async def test_it_is_back_at_once_announced_and_an_alarm_names_the_program(lan: Lan) -> None:
    lb1, _ = await run_cluster(lan)
    start = lan.now
    lb1.host.remove("eth0", VIP)
    await trio.sleep(0.05)
    assert lb1.host.holds(VIP)
    assert lan.told("lb1", "claims", since=start)
    assert lb1.alarms()["address_stolen"] == (
        "10.0.0.100/24 was removed from eth0 by meddler (pid 4242): make it leave the address alone"
    )
    await trio.sleep(62)
    assert lb1.alarms() == {}


async def test_at_the_sixth_time_within_a_minute_the_role_is_given_up_for_a_minute(lan: Lan) -> None:
    lb1, lb2 = await run_cluster(lan)
    for number in range(6):
        assert lb1.state == "active", number
        lb1.host.remove("eth0", VIP)
        await trio.sleep(0.5)
    assert lb1.state == "fault"
    assert "by meddler (pid 4242), more than 5 times within a minute" in lb1.shown()["reason"]
    assert not lb1.host.holds(VIP)
    assert lb2.state == "active"
    await trio.sleep(70)
    assert lb1.state == "active"


async def test_five_times_a_minute_are_repaired_for_ever(lan: Lan) -> None:
    lb1, _ = await run_cluster(lan)
    for _ in range(20):
        lb1.host.remove("eth0", VIP)
        await trio.sleep(13)
        assert lb1.state == "active"
        assert lb1.host.holds(VIP)


async def test_what_duplicate_address_detection_has_refused_is_tried_again(lan: Lan) -> None:
    text = "nodes: {lb1: 'fd00::11', lb2: 'fd00::12'}\nrouters: {web: {vrid: 51, addresses: ['fd00::100/64']}}\n"
    host = machine(lan, 1, "fd00::11/64")
    agent = await run_agent(host, text)
    await trio.sleep(40.5)
    assert agent.state == "active"
    start = lan.now
    key = next(key for key in host.addresses if key[1] == "fd00::100/64")
    host.fail(key)
    await trio.sleep(0.1)
    assert [what for _, what in lan.told("lb1", "adds", "removes", since=start)] == [
        "removes fd00::100/64",
        "adds fd00::100/64",
    ]
    assert not replace(host.addresses[key]).failed
    assert agent.host.guardian.addresses == {key}


async def test_a_flush_of_many_addresses_is_one_theft(lan: Lan) -> None:
    shared = [f"10.0.0.{number}/24" for number in range(100, 108)]
    lb1, _ = await run_cluster(lan, FILE.replace(f"[{VIP}]", f"[{', '.join(shared)}]"))
    for _ in range(3):  # it looks again whether anything is left
        for each in shared:
            lb1.host.remove("eth0", each)
        await trio.sleep(0.02)
    await trio.sleep(0.05)
    assert lb1.state == "active"
    assert all(lb1.host.holds(each) for each in shared)


@pytest.mark.parametrize("lease", ["3s", "off"])
async def test_an_address_that_somebody_makes_his_own_is_ours_again_at_once(lan: Lan, lease: str) -> None:
    lb1, _ = await run_cluster(lan, FILE + f"defaults: {{lease: {lease}}}\n")
    lb1.host.configure("eth0", VIP)  # as `ip address replace` does: no tag, no lifetime
    await trio.sleep(0.05)
    assert lb1.host.addresses[lb1.host.link("eth0").index, VIP].ours
    assert "was changed on eth0 by meddler (pid 4242)" in lb1.alarms()["address_stolen"]
    for _ in range(5):
        await trio.sleep(0.5)
        assert lb1.state == "active"
        lb1.host.configure("eth0", VIP)
    await trio.sleep(0.5)
    assert lb1.state == "fault"
    assert not lb1.host.holds(VIP)


async def test_whoever_takes_it_and_removes_it_then_is_counted(lan: Lan) -> None:
    lb1, _ = await run_cluster(lan)
    for _ in range(6):
        lb1.host.configure("eth0", VIP)
        lb1.host.remove("eth0", VIP)
        await trio.sleep(0.5)
    assert lb1.state == "fault"
