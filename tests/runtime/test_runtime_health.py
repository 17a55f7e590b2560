"""What a failed check does to a role, here and everywhere."""

from __future__ import annotations

import trio

from tests.runtime.agents import CHECKED, FILE, VIP, Agent, run_cluster
from tests.runtime.lan import Lan

RELEASE = CHECKED.replace("{track", "{on_all_failed: release, track")


async def healthy_cluster(lan: Lan, text: str = FILE + CHECKED) -> list[Agent]:
    agents = await run_cluster(lan, text)
    for agent in agents:
        agent.check(up=True)
    await trio.sleep(5)
    return agents


async def test_a_check_that_is_up_lets_the_preferred_node_serve_without_an_alarm(lan: Lan) -> None:
    lb1, lb2 = await healthy_cluster(lan)
    assert (lb1.state, lb2.state) == ("active", "backup")
    assert lb1.alarms() == lb2.alarms() == {}
    assert lb1.shown()["effective_priority"] == 250


async def test_a_failed_check_hands_the_role_over_without_a_gap(lan: Lan) -> None:
    lb1, lb2 = await healthy_cluster(lan)
    start = lan.now
    lb1.check(up=False)
    await trio.sleep(1)
    assert (lb1.state, lb2.state) == ("backup", "active")
    assert lan.dark(VIP, since=start) == 0
    assert lan.doubled(VIP, since=start) < 250
    assert lb1.alarms() == {"unhealthy": "check proxy is down: connection refused"}
    assert lb1.shown()["effective_priority"] == 1


async def test_where_the_check_fails_everywhere_the_role_is_kept_and_said_so(lan: Lan) -> None:
    lb1, lb2 = await healthy_cluster(lan)
    start = lan.now
    lb2.check(up=False)
    lb1.check(up=False)
    await trio.sleep(5)
    assert [lb1.host.holds(VIP), lb2.host.holds(VIP)].count(True) == 1
    assert lan.dark(VIP, since=start) == 0
    server = lb1 if lb1.state == "active" else lb2
    assert set(server.alarms()) == {"serving_unhealthy", "unhealthy"}
    assert server.shown()["checks"][0]["state"] == "down"


async def test_a_check_that_fails_on_node_after_node_ends_with_the_last_one_and_stays_there(lan: Lan) -> None:
    lb1, lb2 = await healthy_cluster(lan)
    start = lan.now
    lb1.check(up=False)
    await trio.sleep(5)
    before = [a.shown()["counters"]["transitions"] for a in (lb1, lb2)]
    lb2.check(up=False)
    await trio.sleep(60)
    assert (lb1.state, lb2.state) == ("backup", "active")
    assert [a.shown()["counters"]["transitions"] for a in (lb1, lb2)] == before
    assert lan.dark(VIP, since=start) == 0


async def test_a_flapping_check_is_held_down_and_the_other_node_serves(lan: Lan) -> None:
    lb1, lb2 = await healthy_cluster(lan)
    start = lan.now
    for _ in range(3):
        lb1.check(up=False)
        await trio.sleep(2)
        lb1.check(up=True)
        await trio.sleep(5)
    assert (lb1.state, lb2.state) == ("backup", "active")
    assert lb1.alarms() == {"held_down": "the role moved too often: a last resort only, for 10 s"}
    assert lb1.shown()["effective_priority"] == 2
    assert lb1.shown()["held_down_until"] is not None
    await trio.sleep(10)
    assert (lb1.state, lb2.state) == ("active", "backup")
    assert lb1.alarms() == {}
    assert lb1.shown()["held_down_until"] is None
    assert lan.dark(VIP, since=start) == 0


async def test_an_hour_of_flapping_makes_at_most_twenty_releases(lan: Lan) -> None:
    lb1, lb2 = await healthy_cluster(lan)
    start, before = lan.now, lb1.shown()["counters"]["transitions"]
    for _ in range(600):
        lb1.check(up=False)
        await trio.sleep(1)
        lb1.check(up=True)
        await trio.sleep(5)
    releases = (lb1.shown()["counters"]["transitions"] - before) // 2
    assert 10 < releases <= 20
    assert lan.dark(VIP, since=start) == 0
    await trio.sleep(310)
    assert (lb1.state, lb2.state) == ("active", "backup")


async def test_a_node_that_is_held_down_is_still_the_last_resort(lan: Lan) -> None:
    lb1, lb2 = await healthy_cluster(lan, FILE + RELEASE)
    for _ in range(3):
        lb1.check(up=False)
        await trio.sleep(2)
        lb1.check(up=True)
        await trio.sleep(5)
    assert "held_down" in lb1.alarms()
    lb2.kill()
    await trio.sleep(4.1)
    assert lb1.state == "active"


async def test_a_node_that_is_held_down_serves_before_one_that_is_unhealthy(lan: Lan) -> None:
    lb1, lb2 = await healthy_cluster(lan)
    for _ in range(3):
        lb1.check(up=False)
        await trio.sleep(2)
        lb1.check(up=True)
        await trio.sleep(5)
    assert "held_down" in lb1.alarms()
    start = lan.now
    lb2.check(up=False)
    await trio.sleep(2)
    assert (lb1.state, lb2.state) == ("active", "backup")
    assert "serving_unhealthy" not in lb2.alarms()
    assert lan.dark(VIP, since=start) == 0


async def test_a_check_that_passes_again_takes_the_role_back(lan: Lan) -> None:
    lb1, lb2 = await healthy_cluster(lan)
    lb1.check(up=False)
    await trio.sleep(5)
    start = lan.now
    lb1.check(up=True)
    await trio.sleep(5)
    assert (lb1.state, lb2.state) == ("active", "backup")
    assert lan.dark(VIP, since=start) == 0
    assert lb1.alarms() == {}


async def test_a_healthy_node_takes_over_from_one_that_serves_as_the_last_resort(lan: Lan) -> None:
    text = FILE + CHECKED.replace("{track", "{preempt: false, track")
    lb1, lb2 = await healthy_cluster(lan, text)
    lb2.check(up=False)
    lb1.check(up=False)
    await trio.sleep(5)
    assert (lb1.state, lb2.state) == ("backup", "active")
    lb1.check(up=True)
    await trio.sleep(5)
    assert (lb1.state, lb2.state) == ("active", "backup")


async def test_with_release_the_address_goes_dark_and_the_state_is_fault(lan: Lan) -> None:
    lb1, lb2 = await healthy_cluster(lan, FILE + RELEASE)
    lb2.check(up=False)
    await trio.sleep(0.1)
    assert lb2.state == "fault"
    assert lb2.shown()["reason"] == "check proxy is down: connection refused"
    lb1.check(up=False)
    await trio.sleep(2)
    assert not lb1.host.holds(VIP)
    assert lb1.state == "fault"
    lb1.check(up=True)
    await trio.sleep(35)
    assert lb1.state == "active"


async def test_before_its_first_verdict_a_check_is_no_alarm(lan: Lan) -> None:
    lb1, _ = await run_cluster(lan, FILE + CHECKED)
    assert "unhealthy" not in lb1.alarms()
    assert lb1.shown()["checks"] == [{"name": "proxy", "state": "down", "since": None, "detail": "not checked yet"}]
