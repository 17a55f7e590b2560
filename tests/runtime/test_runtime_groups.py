"""Routers of a group move together, over two networks."""

from __future__ import annotations

import trio

from tests.runtime.agents import Agent, run_agent
from tests.runtime.lan import Lan
from tests.runtime.machine import Host

FILE = """
nodes: {lb1: 10.0.0.11, lb2: 10.0.0.12}
checks: {proxy: {tcp: "127.0.0.1:80"}}
routers:
  web: {vrid: 51, addresses: [10.0.0.100/24], track: [proxy]}
  inside:
    vrid: 52
    nodes: {lb1: 10.1.0.11, lb2: 10.1.0.12}
    addresses: [10.1.0.1/24]
groups: {edge: [web, inside]}
"""
OUTSIDE, INSIDE = "10.0.0.100/24", "10.1.0.1/24"


async def edge(lan: Lan) -> list[Agent]:
    agents: list[Agent] = []
    for number in (1, 2):
        host = Host(lan, f"lb{number}")
        host.plug("eth0", f"10.0.0.{10 + number}/24")
        host.plug("eth1", f"10.1.0.{10 + number}/24")
        agents.append(await run_agent(host, FILE))
    for agent in agents:
        agent.check(up=True)
    await trio.sleep(5)
    return agents


def states(agent: Agent) -> list[str]:
    return [agent.shown("web")["state"], agent.shown("inside")["state"]]


async def test_both_routers_are_shown_under_their_own_names(lan: Lan) -> None:
    lb1, lb2 = await edge(lan)
    assert [each["name"] for each in lb1.status()["routers"]] == ["web", "inside"]
    assert (states(lb1), states(lb2)) == (["active", "active"], ["backup", "backup"])
    assert lb1.runtime.find("inside") is lb1.runtime.find("edge") is lb1.router("edge")


async def test_a_check_of_one_moves_both_without_a_gap_and_says_why_on_both(lan: Lan) -> None:
    lb1, lb2 = await edge(lan)
    start = lan.now
    lb1.check(up=False)
    await trio.sleep(1)
    assert (states(lb1), states(lb2)) == (["backup", "backup"], ["active", "active"])
    assert lan.dark(OUTSIDE, since=start) == lan.dark(INSIDE, since=start) == 0
    assert lb1.alarms("web") == lb1.alarms("inside") == {"unhealthy": "check proxy is down: connection refused"}


async def test_a_cable_pulled_in_one_network_moves_both(lan: Lan) -> None:
    lb1, lb2 = await edge(lan)
    lb1.host.change("eth1", running=False)
    await trio.sleep(4)
    assert (states(lb1), states(lb2)) == (["fault", "fault"], ["active", "active"])
    assert not lb1.host.holds(OUTSIDE)
    reasons = {lb1.shown(name)["reason"] for name in ("web", "inside")}
    assert len(reasons) == 1
    assert "eth1" in reasons.pop()
    lb1.host.change("eth1")
    await trio.sleep(8)
    assert (states(lb1), states(lb2)) == (["active", "active"], ["backup", "backup"])


async def test_one_network_cut_silently_takes_nothing_apart(lan: Lan) -> None:
    """Half of a pair that serves elsewhere is worth more than two halves that fight."""
    _, lb2 = await edge(lan)
    lan.dead.add("eth1")
    await trio.sleep(10)
    assert states(lb2) == ["backup", "backup"]
    assert "split_group" in lb2.alarms("web")
    assert "split_group" in lb2.alarms("inside")


async def test_a_drained_group_goes_as_one(lan: Lan) -> None:
    lb1, lb2 = await edge(lan)
    router = lb1.runtime.find("web")
    assert router is not None
    router.drain(force=False)
    assert await router.drained_out()
    await trio.sleep(0.5)
    assert (states(lb1), states(lb2)) == (["backup", "backup"], ["active", "active"])
