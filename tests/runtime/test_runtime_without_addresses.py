"""A router that moves something in a cloud and shares no address: a role like any other, nothing on the interface."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address

import trio

from tests.runtime.agents import FILE, Agent, run_cluster, wanted
from tests.runtime.lan import Lan
from vrrpd.config import AgentSpec
from vrrpd.config.routers import NO_ADDRESS


def _without_addresses(spec: AgentSpec) -> AgentSpec:
    [router] = spec.routers
    [member] = router.members
    member = replace(member, addresses=(), settings=replace(member.settings, addresses=(NO_ADDRESS,)))
    return replace(spec, routers=(replace(router, members=(member,)),))


async def _cluster(lan: Lan) -> list[Agent]:
    agents = await run_cluster(lan)
    for agent in agents:
        agent.runtime.apply(_without_addresses(wanted(agent.host, FILE)))
    await trio.sleep(5)
    return agents


async def test_the_role_moves_and_nothing_is_put_anywhere(lan: Lan) -> None:
    lb1, lb2 = await _cluster(lan)
    start = lan.now
    assert (lb1.state, lb2.state) == ("active", "backup")
    assert lb1.shown()["addresses"] == []
    await lb1.stop()
    await trio.sleep(5)
    assert lb2.state == "active"
    assert lb2.alarms() == {}
    assert [what for _, what in lan.told("lb2", "adds", "claims", "replies", since=start)] == []
    assert not any(host.holds(f"{NO_ADDRESS}/32") for host in (lb1.host, lb2.host))


async def test_the_node_that_is_back_takes_the_role_back(lan: Lan) -> None:
    lb1, lb2 = await _cluster(lan)
    lb1.host.change("eth0", running=False)
    await trio.sleep(5)
    assert (lb1.state, lb2.state) == ("fault", "active")
    lb1.host.change("eth0", running=True)
    await trio.sleep(5)
    assert (lb1.state, lb2.state) == ("active", "backup")
    assert lb2.shown()["active_address"] == str(ip_address("10.0.0.11"))
