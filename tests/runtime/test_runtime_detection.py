"""Others on the link who serve beside us, or do not serve with us: each is noticed, named, and changes no role."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address, IPv6Address

import pytest
import trio

from tests.runtime.agents import FILE, MULTICAST, VIP, machine, run_agent, run_cluster
from tests.runtime.lan import Lan
from tests.runtime.strangers import ADVERT, LB1, LB2, STRANGER, carp, multicast, unicast
from vrrpd.linux.claims import Claim, Form
from vrrpd.proto.timers import SECOND

SHARED = IPv4Address("10.0.0.100")
LB3 = IPv4Address("10.0.0.13")
INTRUDER = bytes.fromhex("02000000aa01")
ARP = Claim(Form.ARP, SHARED, INTRUDER)

DUAL = """
nodes: {lb1: [10.0.0.11, "fd00::11"], lb2: [10.0.0.12, "fd00::12"]}
routers: {web: {vrid: 51, addresses: [10.0.0.100/24, "fd00::100/64"]}}
"""


# -------------------------------------------------------------------- a second holder


async def test_a_second_holder_that_speaks_is_named_with_its_mac_and_takes_nothing(lan: Lan) -> None:
    lb1, lb2 = await run_cluster(lan)
    start = lan.now
    lb1.host.claim("eth0", ARP)
    await trio.sleep(3.5)
    assert "10.0.0.100 is also at 02:00:00:00:aa:01" in lb1.alarms()["second_holder"]
    assert (lb1.state, lb2.state) == ("active", "backup")
    assert lan.told("lb1", "adds", "removes", since=start) == []


async def test_against_a_second_holder_the_address_is_announced_at_most_every_ten_seconds(lan: Lan) -> None:
    lb1, _ = await run_cluster(lan)
    await trio.sleep(5)
    start = lan.now
    for _ in range(80):
        lb1.host.claim("eth0", ARP)
        await trio.sleep(0.1)
    times = [at for at, _ in lan.told("lb1", "claims", since=start)]
    assert times
    assert times[-1] - times[0] < 500


async def test_a_silent_second_holder_is_asked_and_found(lan: Lan) -> None:
    lb1, lb2 = await run_cluster(lan)
    lan.stations[SHARED] = INTRUDER
    await trio.sleep(13)
    assert "10.0.0.100 is also at 02:00:00:00:aa:01" in lb1.alarms()["second_holder"]
    assert lb2.alarms() == {}


async def test_the_same_in_ipv6(lan: Lan) -> None:
    lb1, lb2 = [await run_agent(machine(lan, number, f"fd00::1{number}/64"), DUAL) for number in (1, 2)]
    await trio.sleep(5)
    lan.stations[IPv6Address("fd00::100")] = INTRUDER
    await trio.sleep(13)
    assert "fd00::100 is also at 02:00:00:00:aa:01" in lb1.alarms()["second_holder"]
    assert (lb1.state, lb2.state, lb2.alarms()) == ("active", "backup", {})


async def test_where_nothing_is_announced_nothing_is_asked(lan: Lan) -> None:
    await run_cluster(lan, FILE + "defaults: {announce: off}\n")
    start = lan.now
    await trio.sleep(30)
    assert lan.told("lb1", "asks for 10.0.0.100", since=start) == []


async def test_a_second_holder_that_goes_is_forgotten_after_a_minute(lan: Lan) -> None:
    lb1, _ = await run_cluster(lan)
    lb1.host.claim("eth0", ARP)
    await trio.sleep(4)
    assert "second_holder" in lb1.alarms()
    await trio.sleep(62)
    assert lb1.alarms() == {}


@pytest.mark.parametrize("preempt", ["true", "false"])
async def test_hand_overs_are_no_second_holders(lan: Lan, preempt: str) -> None:
    lb1, lb2 = await run_cluster(lan, FILE + f"defaults: {{preempt: {preempt}}}\n")
    for drained in (lb1, lb2, lb1):
        drained.router().drain(force=False)
        await trio.sleep(3)
        drained.router().undrain()
        await trio.sleep(3)
    assert lb1.alarms() == lb2.alarms() == {}


async def test_a_claim_in_the_second_of_a_hand_over_counts_for_nothing(lan: Lan) -> None:
    lb1, lb2 = await run_cluster(lan)
    lb1.router().drain(force=False)
    await trio.sleep(0.9)
    assert lb2.state == "active"
    lb2.host.claim("eth0", ARP)
    await trio.sleep(5)
    assert lb2.alarms() == {}


async def test_another_card_of_this_host_is_no_second_holder_and_no_loop(lan: Lan) -> None:
    lb1, _ = await run_cluster(lan)
    card = lb1.host.plug("eth1")
    await trio.sleep(1)
    lb1.host.claim("eth0", replace(ARP, mac=card.mac))
    await trio.sleep(4)
    assert lb1.alarms() == {}


async def test_a_backup_does_not_care_who_holds_the_address(lan: Lan) -> None:
    _, lb2 = await run_cluster(lan)
    lb2.host.claim("eth0", ARP)
    await trio.sleep(15)
    assert lb2.alarms() == {}


async def test_an_interface_that_is_made_again_is_listened_on_again(lan: Lan) -> None:
    lb1, _ = await run_cluster(lan)
    lb1.host.unplug("eth0")
    await trio.sleep(1)
    lb1.host.plug("eth0", "10.0.0.11/24")
    await trio.sleep(6)
    lb1.host.claim("eth0", ARP)
    await trio.sleep(4)
    assert lb1.state == "active"
    assert "second_holder" in lb1.alarms()


# -------------------------------------------------------------------- loops


async def test_our_own_packets_that_come_back_are_a_loop_and_demote_nobody(lan: Lan) -> None:
    lb1, lb2 = await run_cluster(lan, FILE + MULTICAST)
    lan.loops = True
    await trio.sleep(3)
    assert lb1.state == "active"
    assert lb1.alarms() == {
        "loop": "our own VRRP packet for 10.0.0.11 came back: look for a loop in the switches",
    }
    assert lb2.alarms() == {}


async def test_in_ipv6_the_raw_socket_sees_the_loop(lan: Lan) -> None:
    text = """
nodes: {lb1: "fd00::11", lb2: "fd00::12"}
routers: {web: {vrid: 51, addresses: ["fe80::100", "fd00::100/64"], transport: multicast}}
"""
    lb1, _ = [await run_agent(machine(lan, n, f"fe80::1{n}/64", f"fd00::1{n}/64"), text) for n in (1, 2)]
    await trio.sleep(5)
    lan.loops = True
    await trio.sleep(3)
    assert lb1.state == "active"
    assert "fe80::11 is an address of this node" in lb1.alarms()["loop"]
    assert lb1.shown()["counters"]["dropped"]["own"] >= 2


async def test_a_unicast_router_sees_a_loop_by_its_announcements(lan: Lan) -> None:
    lb1, _ = await run_cluster(lan)
    lan.loops = True
    await trio.sleep(61)
    assert "our own ARP packet for 10.0.0.100 came back" in lb1.alarms()["loop"]
    assert "second_holder" not in lb1.alarms()


async def test_a_copied_machine_with_our_own_address_is_named(lan: Lan) -> None:
    lb1, _ = await run_cluster(lan, FILE + MULTICAST)
    lb1.host.claim("eth0", Claim(Form.VRRP, LB1, INTRUDER))
    await trio.sleep(1)
    assert "comes from 02:00:00:00:aa:01: used twice" in lb1.alarms()["loop"]


# -------------------------------------------------------------------- two Actives, one of them deaf


async def test_a_lower_active_that_goes_on_does_not_hear_us(lan: Lan) -> None:
    lb1, lb2 = await run_cluster(lan, FILE + MULTICAST)
    lan.cuts.add(("lb1", "lb2"))
    await trio.sleep(12)
    assert (lb1.state, lb2.state) == ("active", "active")
    said = lb1.alarms()
    assert said.keys() == {"one_way", "two_active"}
    assert said["one_way"].startswith("lb2, 10.0.0.12, (priority 240) goes on advertising although we contradict it")
    assert "lb2, 10.0.0.12, (priority 240) and this node, lb1, 10.0.0.11, (priority 250)" in said["two_active"]
    lan.cuts.clear()
    await trio.sleep(64)
    assert (lb2.state, lb1.alarms(), lb2.alarms()) == ("backup", {}, {})


async def test_a_third_node_that_hears_two_actives_says_so(lan: Lan) -> None:
    _, _, lb3 = await run_cluster(lan, FILE + MULTICAST, 3)
    lan.cuts |= {("lb1", "lb2"), ("lb2", "lb1")}
    await trio.sleep(12)
    assert lb3.state == "backup"
    assert "lb1, 10.0.0.11," in lb3.alarms()["two_active"]
    assert "lb2, 10.0.0.12," in lb3.alarms()["two_active"]
    assert "one_way" not in lb3.alarms()


async def test_a_healed_partition_is_a_contest_and_no_alarm(lan: Lan) -> None:
    agents = await run_cluster(lan, FILE + MULTICAST, 3)
    lan.cuts |= {("lb1", "lb2"), ("lb2", "lb1"), ("lb1", "lb3"), ("lb3", "lb1")}
    await trio.sleep(10)
    lan.cuts.clear()
    await trio.sleep(10)
    assert [agent.state for agent in agents] == ["active", "backup", "backup"]
    assert [agent.alarms() for agent in agents] == [{}, {}, {}]


async def test_a_few_losses_are_no_second_active(lan: Lan) -> None:
    agents = await run_cluster(lan, FILE + MULTICAST, 3)
    for _ in range(2):
        lan.lost = lambda _name, _datagram: True
        await trio.sleep(3.2)
        lan.lost = lambda _name, _datagram: False
        await trio.sleep(10)
        assert [agent.alarms() for agent in agents] == [{}, {}, {}]


async def test_one_that_takes_the_role_from_us_again_and_again_is_named(lan: Lan) -> None:
    _, lb2 = await run_cluster(lan, FILE + MULTICAST)
    for times in range(3):
        assert lb2.alarms() == {}, times
        lan.cuts.add(("lb1", "lb2"))
        await trio.sleep(4.5)
        lan.cuts.clear()
        await trio.sleep(2)
    assert "took the role from this node 3 times within a minute" in lb2.alarms()["two_active"]


async def test_a_preferred_node_that_is_restarted_often_is_no_rival(lan: Lan) -> None:
    lb1, lb2 = await run_cluster(lan)
    for _ in range(5):
        lb1.router().drain(force=False)
        await trio.sleep(3)
        lb1.router().undrain()
        await trio.sleep(6)
    assert lb1.alarms() == lb2.alarms() == {}


async def test_an_active_that_we_refuse_is_a_second_active_all_the_same(lan: Lan) -> None:
    lb1, _ = await run_cluster(lan)
    for _ in range(5):
        lb1.host.take("eth0", unicast(LB2, LB1, replace(ADVERT, priority=240), ttl=64))
        await trio.sleep(1)
    assert lb1.alarms().keys() == {"refused_advert", "two_active"}


@pytest.mark.parametrize("version", [2, 3])
async def test_a_refused_active_that_is_slower_than_we_is_a_second_active(lan: Lan, version: int) -> None:
    lb1, _ = await run_cluster(lan, FILE + "defaults: {advert_interval: 200ms}\n")
    slow = replace(ADVERT, version=version, interval=2 * SECOND)
    for _ in range(5):
        lb1.host.take("eth0", unicast(LB2, LB1, slow, ttl=64))
        await trio.sleep(2)
    assert lb1.alarms().keys() == {"refused_advert", "two_active"}


@pytest.mark.parametrize("said", [0, 40])
async def test_a_refused_interval_is_not_simply_believed(lan: Lan, said: int) -> None:
    lb1, _ = await run_cluster(lan, FILE + "defaults: {advert_interval: 200ms}\n")
    for _ in range(150):
        lb1.host.take("eth0", unicast(LB2, LB1, replace(ADVERT, interval=said * SECOND), ttl=64))
        await trio.sleep(1)
    assert lb1.alarms().keys() == {"refused_advert", "two_active"}


async def test_what_a_refused_speaker_says_does_not_hide_a_second_holder(lan: Lan) -> None:
    lb1, _ = await run_cluster(lan)
    for _ in range(4):
        for source in (LB2, LB3):
            lb1.host.take("eth0", unicast(source, LB1, replace(ADVERT, interval=SECOND // 100), ttl=64))
        lb1.host.claim("eth0", ARP)
        await trio.sleep(1)
    assert "second_holder" in lb1.alarms()


async def test_a_believed_speaker_that_comes_and_goes_does_not_hide_a_second_holder(lan: Lan) -> None:
    lb1, _ = await run_cluster(lan, FILE + MULTICAST)
    for _ in range(12):
        lb1.host.take("eth0", multicast(LB2, replace(ADVERT, interval=SECOND // 100)))
        lb1.host.claim("eth0", ARP)
        await trio.sleep(1)
    assert "second_holder" in lb1.alarms()


async def test_what_a_stranger_says_with_our_vrid_is_no_second_active(lan: Lan) -> None:
    lb1, _ = await run_cluster(lan)
    for _ in range(5):
        lb1.host.take("eth0", unicast(STRANGER, LB1))
        await trio.sleep(1)
    assert lb1.alarms().keys() == {"unlisted_source"}


# -------------------------------------------------------------------- other protocols, other versions


@pytest.mark.parametrize("transport", ["unicast", "multicast"])
async def test_a_carp_speaker_with_our_number_is_named_for_what_it_is(lan: Lan, transport: str) -> None:
    lb1, _ = await run_cluster(lan, FILE + f"defaults: {{transport: {transport}}}\n")
    lb1.host.take("eth0", carp(STRANGER))
    await trio.sleep(0.01)
    said = lb1.alarms()
    assert said.keys() == {"carp"}
    assert said["carp"].startswith("10.0.0.99 speaks CARP")
    assert said["carp"].endswith("give one of the two another number")


async def test_a_carp_speaker_is_logged_once_for_each_source(lan: Lan, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    lb1, _ = await run_cluster(lan)
    for _ in range(20):
        for source in ("10.0.0.98", "10.0.0.99"):
            lb1.host.take("eth0", carp(IPv4Address(source)))
        await trio.sleep(0.1)
    for source in ("10.0.0.98", "10.0.0.99"):
        assert 1 <= caplog.text.count(f"{source} speaks CARP") <= 2  # the alarm, and the source


async def test_a_number_that_we_do_not_have_is_nobodys_business(lan: Lan) -> None:
    lb1, _ = await run_cluster(lan)
    lb1.host.take("eth0", multicast(STRANGER, replace(ADVERT, vrid=52)))
    lb1.host.take("eth0", carp(STRANGER, 52))
    await trio.sleep(0.01)
    assert lb1.alarms() == {}


@pytest.mark.parametrize(("ours", "theirs"), [(3, 2), (2, 3)])
async def test_a_speaker_of_another_version_is_named_with_both_versions(lan: Lan, ours: int, theirs: int) -> None:
    lb1, _ = await run_cluster(lan, FILE + f"defaults: {{version: {ours}}}\n")
    lb1.host.take("eth0", unicast(LB2, LB1, replace(ADVERT, version=theirs)))
    await trio.sleep(0.01)
    said = lb1.alarms()["refused_advert"]
    assert f"10.0.0.12 speaks VRRP version {theirs}, this router version {ours}" in said
    assert said.endswith("set the same version on both")


# -------------------------------------------------------------------- a peer without an agent


async def test_a_peer_whose_host_answers_without_an_agent_is_named_until_it_speaks(lan: Lan) -> None:
    lb1, lb2 = await run_cluster(lan, FILE)
    for seconds in range(15):
        lb1.host.no_agent[LB2] = seconds
        await trio.sleep(1)
    assert lb1.alarms() == {
        "no_agent": "the host of lb2, 10.0.0.12, answers, but nothing there speaks VRRP: start its agent",
    }
    assert lb1.state == "active"
    lb1.host.take("eth0", unicast(LB2, LB1))
    await trio.sleep(1.5)
    assert lb1.alarms() == {}
    assert VIP in [each["address"] for each in lb1.shown()["addresses"]]
    assert lb2.alarms() == {}


async def test_when_the_answers_stop_the_alarm_ends(lan: Lan) -> None:
    lb1, _ = await run_cluster(lan)
    for seconds in range(15):
        lb1.host.no_agent[LB2] = seconds
        await trio.sleep(1)
    assert "no_agent" in lb1.alarms()
    await trio.sleep(6)
    assert lb1.alarms() == {}


async def test_an_agent_that_is_being_restarted_is_not_absent(lan: Lan) -> None:
    lb1, _ = await run_cluster(lan)
    for seconds in range(9):
        lb1.host.no_agent[LB2] = seconds
        await trio.sleep(1)
        assert lb1.alarms() == {}
    for _ in range(20):
        await trio.sleep(1)
        assert lb1.alarms() == {}


async def test_a_peer_is_missed_only_by_the_router_that_talks_to_it(lan: Lan) -> None:
    text = """
nodes: {lb1: 10.0.0.11, lb2: 10.0.0.12, lb3: 10.0.0.13}
routers:
  web: {vrid: 51, addresses: [10.0.0.100/24]}
  group: {vrid: 52, addresses: [10.0.0.101/24], transport: multicast}
"""
    lb1, lb2 = await run_cluster(lan, text)
    for seconds in range(15):
        for agent in (lb1, lb2):  # all virtual routers of an interface share a socket
            agent.host.no_agent[LB2 if agent is lb1 else LB1] = seconds
        await trio.sleep(1)
    assert lb1.alarms("web").keys() == {"no_agent"}
    assert lb1.alarms("group") == {}
    assert (lb2.state, lb2.alarms("web"), lb2.alarms("group")) == ("backup", {}, {})


async def test_with_the_role_ends_what_is_known_of_the_peers(lan: Lan) -> None:
    lb1, lb2 = await run_cluster(lan)
    for seconds in range(30):
        lb1.host.no_agent[LB3] = seconds
        if seconds == 15:
            assert "no_agent" in lb1.alarms()
            lb1.router().drain(force=False)
        await trio.sleep(1)
    assert (lb2.state, lb1.alarms()) == ("active", {})
