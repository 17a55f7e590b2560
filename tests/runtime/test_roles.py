"""Taking the role and giving it away, as the link and its clients see it."""

from __future__ import annotations

import trio

from tests.runtime.agents import CHECKED, FILE, VIP, machine, run_agent, run_cluster
from tests.runtime.lan import Lan


async def test_the_first_node_becomes_active_and_the_second_watches(lan: Lan) -> None:
    lb1, lb2 = await run_cluster(lan)
    assert (lb1.state, lb2.state) == ("active", "backup")
    assert lb1.host.holds(VIP)
    assert not lb2.host.holds(VIP)
    assert lb2.shown()["active_address"] == "10.0.0.11"


async def test_the_advert_comes_first_then_the_address_then_the_announcements(lan: Lan) -> None:
    lb1 = await run_agent(machine(lan, 1))
    lan.stations.add(lb1.host.gateways[0]) if lb1.host.gateways else None
    await trio.sleep(100)
    story = lan.told("lb1", "says", "adds 10.0.0.100", "claims", "replies")
    print(story[:20])
