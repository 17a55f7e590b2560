"""Taking the role and giving it away, as the link and its clients see it."""

from __future__ import annotations

import errno

import pytest
import trio

from tests.runtime.agents import FILE, MULTICAST, NODES, VIP, machine, run_agent, run_cluster
from tests.runtime.lan import Lan
from vrrpd.proto.timers import MS
from vrrpd.runtime.choir import EARLY


async def test_the_first_node_becomes_active_and_the_second_watches(lan: Lan) -> None:
    lb1, lb2 = await run_cluster(lan)
    assert (lb1.state, lb2.state) == ("active", "backup")
    assert lb1.host.holds(VIP)
    assert not lb2.host.holds(VIP)
    assert lb2.shown()["active_address"] == "10.0.0.11"


async def test_the_advert_leaves_before_the_address_is_added_and_announcements_follow_it(lan: Lan) -> None:
    await run_cluster(lan)
    start = next(e.at for e in lan.story if e.what.startswith("says"))
    assert [what for _, what in lan.told("lb1", since=start)][:5] == [
        "says 250 to 10.0.0.12",
        "says 250 to 10.0.0.13",
        "adds 10.0.0.100/24",
        "claims 10.0.0.100",
        "replies 10.0.0.100",
    ]


async def test_the_link_is_told_in_both_forms_four_times_and_then_every_minute(lan: Lan) -> None:
    await run_cluster(lan)
    start = next(e.at for e in lan.story if e.what.startswith("adds 10.0.0.100"))
    await trio.sleep(125)
    for form in ("claims", "replies"):
        assert [at for at, _ in lan.told("lb1", form, since=start)] == [0, 50, 100, 300, 60300, 120300]


async def test_announcing_can_be_switched_off(lan: Lan) -> None:
    await run_cluster(lan, FILE + "defaults: {announce: off}\n")
    await trio.sleep(125)
    assert lan.told("lb1", "claims", "replies") == []


async def test_a_planned_stop_leaves_no_moment_without_a_holder_and_ends_soon(lan: Lan) -> None:
    lb1, lb2 = await run_cluster(lan)
    start = lan.now
    await lb1.stop()
    assert lan.now - start < 300
    await trio.sleep(1)
    assert lb2.state == "active"
    assert not lb1.host.holds(VIP)
    assert lan.dark(VIP, since=start) == 0
    assert 0 < lan.doubled(VIP, since=start) < 250
    assert [at for at, _ in lan.told("lb1", "says 0 to 10.0.0.12", since=start)] == [0, 1, 10, 20]


async def test_a_stop_where_nobody_answers_ends_after_an_interval_and_a_little(lan: Lan) -> None:
    lb1, lb2 = await run_cluster(lan)
    await lb2.stop()
    start = lan.now
    await lb1.stop()
    assert lan.now - start == pytest.approx(1050)  # pyright: ignore[reportUnknownMemberType] - pytest's own stub
    assert not lb1.host.holds(VIP)


async def test_a_stop_in_fault_ends_at_once(lan: Lan) -> None:
    lb1, _ = await run_cluster(lan)
    lb1.host.change("eth0", running=False)
    await trio.sleep(1)
    start = lan.now
    await lb1.stop()
    assert lan.now == start


async def test_a_stop_does_not_wait_for_ever_for_a_kernel_that_refuses_the_removal(lan: Lan) -> None:
    lb1, lb2 = await run_cluster(lan)
    lb1.host.refusals["10.0.0.100"] = errno.ENOMEM
    start = lan.now
    await lb1.stop()
    assert lan.now - start < 300
    assert lb2.state == "active"


async def test_while_it_hands_over_it_shows_as_active_and_says_so(lan: Lan) -> None:
    lb1, _ = await run_cluster(lan)
    lan.nursery.start_soon(lb1.stop)
    await trio.sleep(0.05)
    assert lb1.state == "active"
    assert lb1.shown()["reason"].startswith("handing over")


async def test_a_second_signal_lets_go_at_once(lan: Lan) -> None:
    lb1, lb2 = await run_cluster(lan)
    lan.nursery.start_soon(lb1.runtime.leave, "stop of the agent")
    await trio.sleep(0.005)
    assert lb1.host.holds(VIP)
    start = lan.now
    await lb1.runtime.shutdown("stopped")
    assert lan.now == start
    assert not lb1.host.holds(VIP)
    await trio.sleep(0.1)
    assert lb2.host.holds(VIP)


async def test_shutting_down_waits_for_the_removal_and_not_only_asks_for_it(lan: Lan) -> None:
    lb1, _ = await run_cluster(lan)
    lb1.host.slow_s = 0.082
    await lb1.runtime.shutdown("stopped")
    assert not lb1.host.holds(VIP)


async def test_a_killed_active_is_followed_after_the_down_interval(lan: Lan) -> None:
    lb1, lb2 = await run_cluster(lan)
    await trio.sleep(0.5)
    last = [e.at for e in lan.story if e.what.startswith("says")][-1]
    lb1.kill()
    lb1.host.deaf = True
    await trio.sleep(5)
    assert lb2.state == "active"
    assert lan.told("lb2", "adds 10.0.0.100", since=last)[0][0] == pytest.approx(3062.5, abs=1)  # pyright: ignore[reportUnknownMemberType]


async def test_a_backup_wakes_before_its_timer_fires_and_takes_nothing_before(lan: Lan) -> None:
    lb1, lb2 = await run_cluster(lan)
    await trio.sleep(0.5)
    lb1.kill()
    lb1.host.deaf = True
    due = lb2.router().group.deadline
    assert due is not None
    assert lb2.router().deadline == due - EARLY
    at = lan.now + (due - lb2.host.clock.now()) / MS
    await trio.sleep(5)
    first = next(e.at for e in lan.story if e.host == "lb2" and e.what.startswith("says"))
    assert first == pytest.approx(at, abs=0.02)  # pyright: ignore[reportUnknownMemberType]


async def test_of_five_nodes_the_fourth_serves_after_three_deaths(lan: Lan) -> None:
    nodes = ", ".join(f"lb{i}: 10.0.0.1{i}" for i in range(1, 6))
    text = FILE.replace("lb1: 10.0.0.11, lb2: 10.0.0.12, lb3: 10.0.0.13", nodes)
    agents = await run_cluster(lan, text, number=5)
    for dead in agents[:3]:
        dead.kill()
        dead.host.unplug("eth0")
        await trio.sleep(5)
    assert [agent.state for agent in agents[3:]] == ["active", "backup"]


async def test_a_preferred_node_that_comes_back_takes_the_role_without_a_gap(lan: Lan) -> None:
    lb1, lb2 = await run_cluster(lan)
    await lb1.stop()
    await trio.sleep(5)
    start = lan.now
    lb1 = await run_agent(lb1.host)
    await trio.sleep(5)
    assert (lb1.state, lb2.state) == ("active", "backup")
    assert lan.dark(VIP, since=start) == 0
    assert lan.doubled(VIP, since=start) < 250


async def test_a_preferred_node_waits_out_its_preempt_delay(lan: Lan) -> None:
    text = FILE + "defaults: {preempt_delay: 60s}\n"
    lb1, lb2 = await run_cluster(lan, text)
    await lb1.stop()
    await trio.sleep(5)
    lb1 = await run_agent(lb1.host, text)
    await trio.sleep(50)
    assert lb2.state == "active"
    await trio.sleep(20)
    assert lb1.state == "active"


@pytest.mark.parametrize("transport", ["", MULTICAST])
async def test_the_loser_of_a_contest_removes_first_and_the_winner_announces_again(lan: Lan, transport: str) -> None:
    lb1, lb2 = await run_cluster(lan, FILE + transport)
    lan.cuts = {("lb1", "lb2"), ("lb2", "lb1")}
    await trio.sleep(3.5)
    assert (lb1.state, lb2.state) == ("active", "active")
    lan.cuts.clear()
    start = lan.now
    await trio.sleep(1)
    assert (lb1.state, lb2.state) == ("active", "backup")
    heard = next(e.at for e in lan.story if e.host == "lb1" and e.at >= start and e.what.startswith("says")) + 0.1
    assert lan.told("lb2", "removes", since=heard) == [(0, "removes 10.0.0.100/24")]
    last_word = next(e.at for e in reversed(lan.story) if e.host == "lb2" and e.what.startswith("says"))
    again = [at for at, _ in lan.told("lb1", "claims", since=last_word)]
    assert again[0] < 1
    assert 100 <= again[2] < 101


async def test_a_role_lost_after_long_service_lingers(lan: Lan) -> None:
    """Not a contest: clients still talk to the one that has served alone for minutes."""
    lb1, lb2 = await run_cluster(lan)
    lan.cuts = {("lb1", "lb2"), ("lb2", "lb1")}
    await trio.sleep(60)
    lan.cuts.clear()
    start = lan.now
    await trio.sleep(2)
    assert (lb1.state, lb2.state) == ("active", "backup")
    assert lan.dark(VIP, since=start) == 0


async def test_a_frozen_backup_hears_what_waits_before_it_takes_the_role(lan: Lan) -> None:
    _, lb2 = await run_cluster(lan)
    lb2.host.freeze()
    await trio.sleep(30)
    lb2.host.thaw()
    await trio.sleep(10)
    assert lb2.state == "backup"
    assert lan.told("lb2", "says") == []


async def test_a_frozen_active_lets_go_when_it_wakes_up_and_another_serves(lan: Lan) -> None:
    """What waits in the socket is read before an advertisement that is long overdue is sent."""
    text = FILE.replace("nodes: {lb1: 10.0.0.11, lb2", "nodes: {lb2").replace("lb3: 10.0.0.13", "lb1: 10.0.0.11")
    lb1, lb2 = await run_cluster(lan, text)
    await lb2.stop()
    await trio.sleep(1)
    assert lb1.state == "active"
    lb1.host.freeze()
    lb2 = await run_agent(lb2.host, text)
    await trio.sleep(30)
    assert lb2.state == "active"
    start = lan.now
    lb1.host.thaw()
    await trio.sleep(0.5)
    assert lb1.state == "backup"
    assert not lb1.host.holds(VIP)
    assert len(lan.told("lb1", "says 240 to 10.0.0.12", since=start)) <= 1  # its last word, which loses


async def test_both_families_of_a_router_move_together(lan: Lan) -> None:
    text = FILE.replace("10.0.0.11", '[10.0.0.11, "fd00::11"]').replace("10.0.0.12", '[10.0.0.12, "fd00::12"]')
    text = text.replace(", lb3: 10.0.0.13", "").replace("10.0.0.100/24", '10.0.0.100/24, "fd00::100/64"')
    hosts = [machine(lan, number, f"fd00::1{number}/64") for number in (1, 2)]
    lb1, lb2 = [await run_agent(host, text) for host in hosts]
    await trio.sleep(5)
    assert [each["state"] for each in lb1.status()["routers"]] == ["active", "active"]
    assert [each["family"] for each in lb1.status()["routers"]] == ["ipv4", "ipv6"]
    assert lan.told("lb1", "advertises fd00::100")
    start = lan.now
    await lb1.stop()
    await trio.sleep(1)
    assert lb2.host.holds(VIP)
    assert lb2.host.holds("fd00::100/64")
    assert lan.dark("fd00::100/64", since=start) == 0


async def test_many_routers_share_one_socket_on_an_interface(lan: Lan) -> None:
    routers = "".join(f"  r{i}: {{vrid: {i}, addresses: [10.0.1.{i}/32]}}\n" for i in range(1, 201))
    agents = await run_cluster(lan, NODES + "routers:\n" + routers)
    assert [len(agent.host.adverts) for agent in agents] == [1, 1]
    assert {each["state"] for each in agents[0].status()["routers"]} == {"active"}
    assert {each["state"] for each in agents[1].status()["routers"]} == {"backup"}
