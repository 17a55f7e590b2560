"""A new wanted state: what is equal keeps everything, what differs hands over first."""

from __future__ import annotations

import trio

from tests.runtime.agents import CHECKED, FILE, NODES, VIP, run_cluster
from tests.runtime.lan import Lan
from tests.runtime.strangers import LB1, LB2, unicast

TWO = FILE + "  mail: {vrid: 52, addresses: [10.0.0.101/24]}\n"


async def test_an_equal_router_keeps_its_object_its_socket_and_its_role(lan: Lan) -> None:
    lb1, _ = await run_cluster(lan, TWO)
    router, start = lb1.router(), lan.now
    lb1.apply(TWO)
    lb1.apply(FILE)
    await trio.sleep(3)
    assert lb1.router() is router
    assert len(lb1.host.adverts) == 1
    assert lan.told("lb1", "removes 10.0.0.100", since=start) == []
    assert lan.told("lb1", "claims 10.0.0.100", since=start) == []


async def test_a_removed_router_hands_over_and_goes(lan: Lan) -> None:
    lb1, lb2 = await run_cluster(lan, TWO)
    lb1.apply(FILE)
    await trio.sleep(1)
    assert list(lb1.runtime.routers) == ["web"]
    assert not lb1.host.holds("10.0.0.101/24")
    assert lb2.shown("mail")["state"] == "active"


async def test_removed_backups_go_at_once(lan: Lan) -> None:
    _, lb2 = await run_cluster(lan, TWO)
    lb2.apply(NODES + "routers: {other: {vrid: 60, addresses: [10.0.0.160/24]}}\n")
    assert list(lb2.runtime.routers) == ["other"]
    lb2.apply(TWO)
    assert sorted(lb2.runtime.routers) == ["mail", "web"]


async def test_a_changed_router_hands_over_and_comes_back_changed(lan: Lan) -> None:
    lb1, lb2 = await run_cluster(lan)
    start = lan.now
    changed = FILE + "defaults: {advert_interval: 2s}\n"
    lb1.apply(changed)
    await trio.sleep(0.5)
    assert lb2.state == "active"
    assert lb1.router().spec.members[0].settings.interval == 2 * 10**9
    await trio.sleep(10)
    assert lb1.state == "active"
    assert lan.dark(VIP, since=start) == 0


async def test_a_new_router_is_started(lan: Lan) -> None:
    agents = await run_cluster(lan)
    for agent in agents:
        agent.apply(TWO)
    await trio.sleep(5)
    assert agents[0].host.holds("10.0.0.101/24")
    assert len(agents[0].host.adverts) == 1, "on the same socket"


async def test_a_renamed_router_waits_for_the_old_name_to_hand_over(lan: Lan) -> None:
    """Both have one VRID and one address: the end of the old one must not deafen or strip the new one."""
    lb1, lb2 = await run_cluster(lan)
    for agent in (lb1, lb2):
        agent.apply(FILE.replace("web:", "www:"))
    await trio.sleep(40)
    assert [agent.shown("www")["state"] for agent in (lb1, lb2)] == ["active", "backup"]
    assert lb1.host.holds(VIP)
    assert not lb2.host.holds(VIP)
    assert lb2.shown("www")["active_address"] == "10.0.0.11"


async def test_an_address_that_moves_to_another_router_is_there_in_the_end(lan: Lan) -> None:
    agents = await run_cluster(lan, TWO)
    swapped = TWO.replace("10.0.0.101", "X").replace("10.0.0.100", "10.0.0.101").replace("X", "10.0.0.100")
    for agent in agents:
        agent.apply(swapped)
    await trio.sleep(40)
    assert agents[0].host.holds(VIP)
    assert agents[0].host.holds("10.0.0.101/24")


async def test_a_check_that_is_gone_harms_no_router_that_still_hands_over(lan: Lan) -> None:
    text = FILE + CHECKED.replace("checks: {", 'checks: {other: {tcp: "127.0.0.1:81"}, ').replace(
        "[proxy]", "[proxy, other]"
    )
    lb1, _ = await run_cluster(lan, text)
    lb1.check(up=True)
    lb1.check(up=True, name="other")
    await trio.sleep(5)
    lb1.apply(FILE + CHECKED)
    assert lb1.router().leaving
    lb1.check(up=False)
    assert [each["name"] for each in lb1.shown()["checks"]] == ["proxy", "other"]
    await trio.sleep(3)
    assert [each["name"] for each in lb1.shown()["checks"]] == ["proxy"]


async def test_the_last_datagram_in_the_moment_of_the_end_disturbs_nobody(lan: Lan) -> None:
    """The socket is closed after it became readable and before it is read."""
    lb1, _ = await run_cluster(lan)
    lb1.host.take("eth0", unicast(LB2, LB1))
    await lb1.runtime.shutdown("stopped")
    await trio.sleep(0.1)
    assert lb1.host.adverts[0].closed
    assert not lb1.host.holds(VIP)
