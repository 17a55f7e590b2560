"""Drain: an operator gives a role away, and takes part again."""

from __future__ import annotations

import trio

from tests.runtime.agents import CHECKED, FILE, VIP, run_cluster
from tests.runtime.lan import Lan


async def test_a_drained_node_gives_the_role_away_without_a_gap_and_stays_out(lan: Lan) -> None:
    lb1, lb2 = await run_cluster(lan)
    start = lan.now
    lb1.router().drain(force=False)
    assert await lb1.router().drained_out()
    assert (lb1.state, lb2.state) == ("backup", "active")
    shown = lb1.shown()
    assert (shown["drained"], shown["effective_priority"], shown["reason"]) == (True, 0, "drained")
    await trio.sleep(60)
    assert (lb1.state, lb2.state) == ("backup", "active")
    assert lan.dark(VIP, since=start) == 0
    assert lan.doubled(VIP, since=start) < 250
    assert lb1.alarms() == lb2.alarms() == {}


async def test_a_drained_backup_does_not_take_the_role_when_the_active_dies(lan: Lan) -> None:
    lb1, lb2 = await run_cluster(lan)
    lb2.router().drain(force=False)
    assert await lb2.router().drained_out(), "the next advertisement of the Active shows that somebody serves"
    lb1.kill()
    await trio.sleep(10)
    assert lb2.state == "backup"
    assert not lb2.host.holds(VIP)


async def test_undrained_a_preferred_node_takes_the_role_back(lan: Lan) -> None:
    lb1, lb2 = await run_cluster(lan)
    lb1.router().drain(force=False)
    await lb1.router().drained_out()
    start = lan.now
    lb1.router().undrain()
    await trio.sleep(5)
    assert (lb1.state, lb2.state) == ("active", "backup")
    assert lb1.shown()["drained"] is False
    assert lan.dark(VIP, since=start) == 0


async def test_where_nobody_else_is_the_role_is_kept_and_the_drain_is_over(lan: Lan) -> None:
    (lb1,) = await run_cluster(lan, number=1)
    await trio.sleep(40)
    start = lan.now
    lb1.router().drain(force=False)
    assert not await lb1.router().drained_out()
    assert lb1.state == "active"
    assert lb1.shown()["drained"] is False
    assert lan.dark(VIP, since=start) == 0


async def test_by_force_the_address_goes_dark_where_nobody_else_is(lan: Lan) -> None:
    (lb1,) = await run_cluster(lan, number=1)
    await trio.sleep(40)
    lb1.router().drain(force=True)
    assert await lb1.router().drained_out()
    assert lb1.state == "backup"
    await trio.sleep(0.1)
    assert not lb1.host.holds(VIP)
    lb1.router().undrain()
    await trio.sleep(4)
    assert lb1.state == "active"


async def test_a_node_that_is_drained_from_its_start_never_serves(lan: Lan) -> None:
    (lb1,) = await run_cluster(lan, number=1)
    lb1.router().drain(force=True)
    await trio.sleep(60)
    assert lb1.state == "backup"
    assert lb1.shown()["counters"]["adverts_sent"] == 0


async def test_a_failed_check_beside_a_drain_changes_nothing(lan: Lan) -> None:
    lb1, lb2 = await run_cluster(lan, FILE + CHECKED)
    for agent in (lb1, lb2):
        agent.check(up=True)
    await trio.sleep(5)
    lb1.router().drain(force=False)
    await lb1.router().drained_out()
    lb1.check(up=False)
    lb1.check(up=True)
    await trio.sleep(10)
    assert (lb1.state, lb2.state) == ("backup", "active")
    assert lb1.shown()["reason"] == "drained"


async def test_the_router_is_found_by_its_name(lan: Lan) -> None:
    lb1, _ = await run_cluster(lan)
    assert lb1.runtime.find("web") is lb1.router()
    assert lb1.runtime.find("nothing") is None


async def test_a_drain_does_not_give_the_role_to_a_node_whose_service_is_bad(lan: Lan) -> None:
    lb1, lb2 = await run_cluster(lan, FILE + CHECKED)
    for agent in (lb1, lb2):
        agent.check(up=True)
    await trio.sleep(5)
    lb2.check(up=False)
    start = lan.now
    lb1.router().drain(force=False)
    assert not await lb1.router().drained_out()
    await trio.sleep(2)
    assert (lb1.state, lb2.state) == ("active", "backup")
    assert lan.dark(VIP, since=start) == 0
    lb1.router().drain(force=True)
    assert await lb1.router().drained_out()
    assert (lb1.state, lb2.state) == ("backup", "active")


async def test_a_backup_that_is_drained_while_nobody_serves_takes_the_role_and_says_so(lan: Lan) -> None:
    lb1, lb2 = await run_cluster(lan)
    lb1.kill()
    lb2.router().drain(force=False)
    assert not await lb2.router().drained_out()
    assert lb2.state == "active"


async def test_force_is_not_taken_back_by_a_second_drain_without_it(lan: Lan) -> None:
    (lb1,) = await run_cluster(lan, number=1)
    await trio.sleep(40)
    lb1.router().drain(force=True)
    lb1.router().drain(force=False)
    assert await lb1.router().drained_out()
    assert lb1.state == "backup"


async def test_preempt_delay_counts_again_after_a_drain(lan: Lan) -> None:
    lb1, lb2 = await run_cluster(lan, FILE + "defaults: {preempt_delay: 6s}\n")
    await trio.sleep(10)
    lb1.router().drain(force=False)
    await lb1.router().drained_out()
    await trio.sleep(10)
    lb1.router().undrain()
    await trio.sleep(5)
    assert (lb1.state, lb2.state) == ("backup", "active")
    await trio.sleep(6)
    assert (lb1.state, lb2.state) == ("active", "backup")
