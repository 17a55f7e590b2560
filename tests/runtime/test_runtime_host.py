"""What the host does to an agent: cables, interfaces that come, go and come again, addresses, events that were lost."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address

import trio

from tests.runtime.agents import FILE, MULTICAST, VIP, machine, run_agent, run_cluster
from tests.runtime.lan import GATEWAY_MAC, Lan
from tests.runtime.machine import Host
from vrrpd.linux.netlink import LinkChanged


async def test_a_pulled_cable_is_a_fault_with_its_reason_and_the_address_goes(lan: Lan) -> None:
    lb1, lb2 = await run_cluster(lan)
    lb1.host.change("eth0", running=False)
    await trio.sleep(0.01)
    assert lb1.state == "fault"
    assert lb1.shown()["reason"] == "interface eth0 has no carrier"
    assert not lb1.host.holds(VIP)
    await trio.sleep(4)
    assert lb2.state == "active"


async def test_a_cable_put_back_does_not_take_the_role_from_a_network_that_is_still_deaf(lan: Lan) -> None:
    """Spanning tree forwards nothing for half a minute after the carrier is there."""
    lb1, lb2 = await run_cluster(lan)
    lb1.host.change("eth0", running=False)
    await trio.sleep(5)
    lb1.host.deaf = True
    lb1.host.change("eth0")
    await trio.sleep(20)
    assert lb1.state == "backup"
    assert not lb1.host.holds(VIP)
    start = lan.now
    lb1.host.deaf = False
    await trio.sleep(5)
    assert (lb1.state, lb2.state) == ("active", "backup")
    assert lan.dark(VIP, since=start) == 0


async def test_a_cable_that_is_out_for_a_moment_costs_no_active_down_interval(lan: Lan) -> None:
    """The others never heard that the node left; where the switch is deaf for a while after, it tells them still."""
    lb1, lb2 = await run_cluster(lan)
    start = lan.now
    lb1.host.change("eth0", running=False)
    await trio.sleep(1)
    lb1.host.deaf = True
    lb1.host.change("eth0")
    await trio.sleep(0.5)
    lb1.host.deaf = False
    await trio.sleep(1)
    assert (lb1.state, lb2.state) == ("backup", "active")
    assert lan.dark(VIP, since=start) < 1500 + 100 + 62.5 + 1, "asking again, and Skew_Time"
    await trio.sleep(5)
    assert lb1.state == "active"
    assert lan.doubled(VIP, since=start) <= 201


async def test_a_cable_put_back_after_another_took_over_disturbs_nobody(lan: Lan) -> None:
    lb1, lb2 = await run_cluster(lan)
    lb1.host.change("eth0", running=False)
    await trio.sleep(3.2)
    assert lb2.state == "active"
    start = lan.now
    lb1.host.change("eth0")
    await trio.sleep(2)
    assert (lb1.state, lb2.state) == ("backup", "active")
    await trio.sleep(3)
    assert (lb1.state, lb2.state) == ("active", "backup")
    assert lan.dark(VIP, since=start) == 0
    assert lan.doubled(VIP, since=start) <= 201


async def test_where_nobody_ever_answers_the_role_is_taken_at_the_limit(lan: Lan) -> None:
    lb1 = await run_agent(machine(lan, 1))
    await trio.sleep(29.9)
    assert lb1.state == "backup"
    await trio.sleep(0.2)
    assert lb1.state == "active"


async def test_an_answer_of_the_gateway_ends_the_wait_to_hear(lan: Lan) -> None:
    host = machine(lan, 1)
    gateway = next(iter(machine(lan, 9).answers_for("eth0")))
    host.gateways = [gateway]
    lb1 = await run_agent(host)
    await trio.sleep(3.1)
    assert lb1.state == "active"
    assert all(socket.closed for socket in host.listeners), "asking is over"


async def test_peers_are_asked_every_100_ms_until_one_answers(lan: Lan) -> None:
    host = machine(lan, 1)
    await run_agent(host)
    await trio.sleep(0.25)
    assert [at for at, _ in lan.told("lb1", "asks for 10.0.0.12")] == [0, 100, 200]
    machine(lan, 2)
    await trio.sleep(1)
    assert len(lan.told("lb1", "asks for 10.0.0.12")) == 4


async def test_in_ipv6_multicast_the_other_nodes_are_asked_too(lan: Lan) -> None:
    text = """
nodes: {lb1: "fd00::11", lb2: "fd00::12"}
routers: {web: {vrid: 51, addresses: ["fe80::100", "fd00::100/64"], transport: multicast}}
"""
    lb1 = await run_agent(machine(lan, 1, "fe80::11/64", "fd00::11/64"), text)
    machine(lan, 2, "fe80::12/64", "fd00::12/64")
    await trio.sleep(4)
    assert lb1.state == "active"
    assert lan.told("lb1", "asks for fd00::12")


async def test_hear_first_can_be_switched_off(lan: Lan) -> None:
    lb1 = await run_agent(machine(lan, 1), FILE + "defaults: {hear_first: off}\n")
    await trio.sleep(3.1)
    assert lb1.state == "active"
    assert lan.told("lb1", "asks") == []


async def test_an_interface_made_anew_gets_a_new_socket_and_works(lan: Lan) -> None:
    lb1, lb2 = await run_cluster(lan)
    lb1.host.unplug("eth0")
    await trio.sleep(1)
    assert lb1.state == "fault"
    assert "eth0" in lb1.shown()["reason"]
    await trio.sleep(4)
    assert lb2.state == "active"
    lb1.host.plug("eth0", "10.0.0.11/24")
    start = lan.now
    await trio.sleep(5)
    assert lb1.state == "active"
    assert lb1.host.holds(VIP)
    assert [socket.closed for socket in lb1.host.adverts] == [True, False]
    assert lan.told("lb1", "claims", since=start), "announced by a socket of the new interface"
    assert lan.dark(VIP, since=start) == 0


async def test_a_new_interface_in_the_same_breath_is_noticed(lan: Lan) -> None:
    """Both events are read at once, so the router never saw a moment without the interface."""
    lb1, _ = await run_cluster(lan)
    lb1.host.unplug("eth0")
    lb1.host.plug("eth0", "10.0.0.11/24")
    await trio.sleep(5)
    assert lb1.state == "active"
    assert lb1.host.holds(VIP)
    assert [socket.closed for socket in lb1.host.adverts] == [True, False]


async def test_secondaries_are_kept_on_an_interface_made_anew_too(lan: Lan) -> None:
    lb1, _ = await run_cluster(lan)
    assert list(lb1.host.settings.values()) == [1]
    lb1.host.settings.clear()
    lb1.host.unplug("eth0")
    lb1.host.plug("eth0", "10.0.0.11/24")
    await trio.sleep(5)
    assert list(lb1.host.settings.values()) == [1]


async def test_an_interface_that_appears_later_is_waited_for(lan: Lan) -> None:
    host = Host(lan, "lb1")
    host.plug("lo", "127.0.0.1/8")
    lb1 = await run_agent(host)
    await trio.sleep(1)
    assert lb1.state == "fault"
    assert lb1.shown()["reason"] == "10.0.0.11 is on no interface of this host yet"
    machine(lan, 2)
    host.plug("eth0", "10.0.0.11/24")
    await trio.sleep(5)
    assert lb1.state == "active"


async def test_a_socket_that_cannot_be_opened_is_a_fault_and_tried_again(lan: Lan) -> None:
    hosts = [machine(lan, number) for number in (1, 2)]
    hosts[0].no_sockets = True
    lb1, _ = [await run_agent(host) for host in hosts]
    await trio.sleep(3)
    assert lb1.state == "fault"
    assert lb1.shown()["reason"].startswith("cannot open the ipv4 VRRP socket")
    hosts[0].no_sockets = False
    await trio.sleep(5)
    assert lb1.state == "active"


async def test_a_listener_that_was_opened_in_vain_is_closed(lan: Lan) -> None:
    host = machine(lan, 1)
    lb1 = await run_agent(host)
    host.no_sockets = True
    await trio.sleep(1)
    assert lb1.state == "backup"
    assert [listener.closed for listener in host.listeners] == [True]


async def test_a_missing_own_address_is_a_fault_until_it_is_back(lan: Lan) -> None:
    lb1, lb2 = await run_cluster(lan)
    lb1.host.remove("eth0", "10.0.0.11/24")
    await trio.sleep(4)
    assert (lb1.state, lb2.state) == ("fault", "active")
    assert "10.0.0.11" in lb1.shown()["reason"]
    assert not lb1.host.holds(VIP)
    lb1.host.configure("eth0", "10.0.0.11/24")
    await trio.sleep(5)
    assert (lb1.state, lb2.state) == ("active", "backup")


async def test_a_tentative_address_is_no_source_yet(lan: Lan) -> None:
    text = """
nodes: {lb1: "fd00::11", lb2: "fd00::12"}
routers: {web: {vrid: 51, addresses: ["fd00::100/64"]}}
"""
    host = Host(lan, "lb1")
    host.plug("eth0")
    host.configure("eth0", "fd00::11/64", tentative=True)
    lb1 = await run_agent(host, text)
    await trio.sleep(1)
    assert lb1.state == "fault"
    host.configure("eth0", "fd00::11/64")
    await trio.sleep(1)
    assert lb1.state == "backup"


async def test_a_new_mac_starts_the_router_anew(lan: Lan) -> None:
    """Frames prepared with the old one would poison the neighbours."""
    lb1, _ = await run_cluster(lan)
    lb1.host.change("eth0", mac=bytes.fromhex("0200000000aa"))
    await trio.sleep(5)
    assert lb1.state == "active"
    assert lb1.shown()["counters"]["transitions"] == 5
    assert lan.told("lb1", "claims")


async def test_an_answer_in_one_family_ends_the_wait_of_both(lan: Lan) -> None:
    text = """
nodes: {lb1: [10.0.0.11, "fd00::11"], lb2: [10.0.0.12, "fd00::12"]}
routers: {web: {vrid: 51, addresses: [10.0.0.100/24, "fd00::100/64"]}}
"""
    host = machine(lan, 1, "fd00::11/64")
    host.gateways = [IPv4Address("10.0.0.1")]
    lan.stations[IPv4Address("10.0.0.1")] = GATEWAY_MAC
    lb1 = await run_agent(host, text)
    await trio.sleep(4)
    assert lb1.state == "active"


async def test_a_node_that_waits_for_the_network_says_so(lan: Lan) -> None:
    lb1 = await run_agent(machine(lan, 1))
    await trio.sleep(4)
    assert lb1.state == "backup"
    assert lb1.shown()["reason"] == "started; nothing was heard on the network yet"


async def test_events_about_our_own_addresses_do_not_disturb(lan: Lan) -> None:
    lb1, lb2 = await run_cluster(lan)
    before = lb1.shown()["counters"]["transitions"], lb1.shown()["since"]
    await trio.sleep(10)
    assert lb1.shown()["counters"]["transitions"] == before[0]
    assert len(lan.told("lb1", "adds 10.0.0.100")) == 1
    assert lb2.state == "backup"


async def test_after_lost_events_a_full_reading_shows_what_vanished_and_what_appeared(lan: Lan) -> None:
    lb1, lb2 = await run_cluster(lan, FILE + "defaults: {lease: off}\n")
    for agent in (lb1, lb2):
        agent.host.events.lossy = True
    lb1.host.remove("eth0", VIP)
    lb2.host.configure("eth0", VIP, ours=True)
    await trio.sleep(5)
    assert not lb1.host.holds(VIP), "nobody told it yet"
    for agent in (lb1, lb2):
        agent.host.events.overrun()
    await trio.sleep(0.1)
    assert lb1.host.holds(VIP)
    assert not lb2.host.holds(VIP), "a tagged address that nobody wants is an orphan"


async def test_a_lost_link_event_is_caught_up_by_the_full_reading(lan: Lan) -> None:
    lb1, _ = await run_cluster(lan)
    lb1.host.events.lossy = True
    lb1.host.unplug("eth0")
    lb1.host.plug("eth0", "10.0.0.11/24")
    lb1.host.events.overrun()
    start = lan.now
    await trio.sleep(5)
    assert lb1.state == "active"
    assert lb1.host.holds(VIP)
    assert lan.told("lb1", "claims", since=start)


async def test_a_full_reading_that_the_kernel_cannot_give_yet_is_tried_again(lan: Lan) -> None:
    lb1, _ = await run_cluster(lan)
    lb1.host.events.lossy = True
    lb1.host.remove("eth0", VIP)
    lb1.host.busy_dumps = 2
    lb1.host.events.overrun()
    await trio.sleep(3)
    assert lb1.state == "active"
    assert lb1.host.holds(VIP)


async def test_an_interface_that_goes_down_before_its_first_announcement_ends_nothing(lan: Lan) -> None:
    """It is deleted in the same moment in which the role is taken: no packet socket can be opened any more."""
    lb1, _ = await run_cluster(lan, FILE + "defaults: {announce: {at: [5s]}}\n")
    lb1.host.freeze()
    lb1.host.unplug("eth0")
    await trio.sleep(10)
    lb1.host.thaw()
    await trio.sleep(0.1)
    assert lb1.state == "fault"


async def test_a_shared_address_on_another_device_needs_that_device(lan: Lan) -> None:
    text = FILE.replace("[10.0.0.100/24]", "[{address: 192.0.2.1/24, device: eth1}]")
    hosts = [machine(lan, number) for number in (1, 2)]
    for host in hosts:
        host.plug("eth1")
    lb1, lb2 = [await run_agent(host, text) for host in hosts]
    await trio.sleep(5)
    assert lb1.host.holds("192.0.2.1/24")
    lb1.host.change("eth1", running=False)
    await trio.sleep(4)
    assert (lb1.state, lb2.state) == ("fault", "active")
    assert lb1.shown()["reason"] == "interface eth1, for 192.0.2.1/24, has no carrier"
    lb1.host.unplug("eth1")
    await trio.sleep(1)
    assert lb1.shown()["reason"] == "interface eth1, for 192.0.2.1/24, does not exist"


async def test_multicast_sends_from_the_primary_address_and_never_from_a_shared_one(lan: Lan) -> None:
    host = Host(lan, "lb1")
    host.plug("eth0")
    lb1 = await run_agent(host, FILE + MULTICAST.replace("{", "{hear_first: off, interface: eth0, "))
    host.configure("eth0", "10.0.0.100/24")
    await trio.sleep(1)
    assert lb1.shown()["reason"] == "eth0 has no primary IPv4 address to send from"
    host.configure("eth0", "10.0.0.11/24")
    await trio.sleep(5)
    assert lb1.state == "fault", "a secondary address goes with its primary"
    host.remove("eth0", "10.0.0.100/24")
    host.configure("eth0", "10.0.0.11/24")
    host.promote("10.0.0.11/24")
    await trio.sleep(5)
    assert lb1.state == "active"
    assert lb1.shown()["active_address"] == "10.0.0.11"


async def test_an_interface_that_is_renamed_goes_on_being_asked_for_a_sign_of_life(lan: Lan) -> None:
    host = machine(lan, 1)
    host.deaf = True
    host.gateways = [IPv4Address("10.0.0.1")]
    lan.stations[IPv4Address("10.0.0.1")] = GATEWAY_MAC
    await run_agent(host)
    await trio.sleep(1)
    link = host.link("eth0")
    host.links[link.index] = replace(link, name="lan0")
    for key, each in list(host.addresses.items()):
        host.addresses[key] = replace(each, device="lan0")
    host.events.emit(LinkChanged(host.links[link.index]))
    await trio.sleep(0.2)
    host.deaf, start = False, lan.now
    await trio.sleep(10)
    assert lan.told("lb1", "adds 10.0.0.100", since=start)
