"""Checks that change a priority, and the election that a lower one starts."""

from __future__ import annotations

import trio

from tests.runtime.agents import FILE, VIP, Agent, run_cluster
from tests.runtime.lan import Lan
from vrrpd.runtime.health import CheckState

WEIGHED = """
checks: {proxy: {tcp: "127.0.0.1:80"}}
defaults: {track: [{check: proxy, weight: -50}]}
"""
TWO = """
checks: {proxy: {tcp: "127.0.0.1:80"}, uplink: {link: eth0}}
defaults: {track: [{check: proxy, weight: -5}, {check: uplink, weight: -6}]}
"""
NUMBERED = """
checks: {proxy: {file: /run/wish}}
defaults: {track: [proxy]}
"""


async def healthy_cluster(lan: Lan, text: str) -> list[Agent]:
    agents = await run_cluster(lan, text, number=3)
    for agent in agents:
        for name in agent.runtime.checks:
            agent.check(up=True, name=name)
    await trio.sleep(5)
    return agents


async def test_a_weight_that_lets_the_next_node_win_moves_the_role_within_its_skew_time(lan: Lan) -> None:
    lb1, lb2, lb3 = await healthy_cluster(lan, FILE + WEIGHED)
    start = lan.now
    lb1.check(up=False)
    await trio.sleep(0.3)
    assert (lb1.state, lb2.state, lb3.state) == ("backup", "active", "backup")
    assert lb1.shown()["effective_priority"] == 200
    assert lb1.alarms() == {"check_down": "check proxy is down (-50): connection refused"}
    assert lan.dark(VIP, since=start) == 0
    lb1.check(up=True)
    await trio.sleep(5)
    assert (lb1.state, lb2.state) == ("active", "backup")
    assert lb1.alarms() == {}
    assert lan.dark(VIP, since=start) == 0


async def test_a_weight_that_still_leaves_this_node_the_best_changes_no_role(lan: Lan) -> None:
    lb1, lb2, _ = await healthy_cluster(lan, FILE + TWO)
    before = lb1.shown()["counters"]["transitions"]
    lb1.check(up=False)
    await trio.sleep(5)
    assert (lb1.state, lb2.state) == ("active", "backup")
    assert lb1.shown()["counters"]["transitions"] == before
    assert lb1.shown()["counters"]["zeros_sent"] == 0
    assert lb1.shown()["effective_priority"] == 245


async def test_where_the_same_check_fails_everywhere_the_best_node_serves_and_nothing_moves_twice(lan: Lan) -> None:
    agents = await healthy_cluster(lan, FILE + WEIGHED)
    start = lan.now
    for agent in agents:
        agent.check(up=False)
    await trio.sleep(60)
    assert [agent.state for agent in agents] == ["active", "backup", "backup"]
    assert lan.dark(VIP, since=start) == 0
    assert all(agent.shown()["counters"]["transitions"] <= 6 for agent in agents)


async def test_the_number_of_a_file_is_added_and_one_that_makes_no_sense_adds_nothing(lan: Lan) -> None:
    lb1, lb2, _ = await healthy_cluster(lan, FILE + NUMBERED)
    lb1.runtime.check_changed("proxy", CheckState(up=True, settled=True, since=1e9, detail="-60", value=-60))
    await trio.sleep(0.3)
    assert (lb1.state, lb2.state) == ("backup", "active")
    assert lb1.shown()["effective_priority"] == 190
    lb1.runtime.check_changed("proxy", CheckState(up=False, settled=True, since=1e9, detail="'x' is no number"))
    await trio.sleep(5)
    assert lb1.state == "active"
    assert lb1.shown()["effective_priority"] == 250


async def test_the_priority_stays_within_its_limits_whatever_the_sum(lan: Lan) -> None:
    lb1, *_ = await healthy_cluster(lan, FILE + NUMBERED)
    lb1.runtime.check_changed("proxy", CheckState(up=True, settled=True, since=1e9, detail="254", value=254))
    assert lb1.shown()["effective_priority"] == 254
    lb1.runtime.check_changed("proxy", CheckState(up=True, settled=True, since=1e9, detail="-254", value=-254))
    assert lb1.shown()["effective_priority"] == 1
