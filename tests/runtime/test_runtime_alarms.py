"""Alarms: what needs a person is said, once, with its mend, and ends with its cause."""

from __future__ import annotations

import errno
from dataclasses import replace
from ipaddress import IPv4Address, IPv6Address

import pytest
import trio

from tests.runtime.agents import FILE, MULTICAST, WEB, machine, run_agent, run_cluster
from tests.runtime.lan import Lan
from tests.runtime.strangers import ADVERT, LB1, LB2, STRANGER, multicast, spoilt, unicast
from vrrpd.proto.datagram import Datagram
from vrrpd.proto.packet import GROUP_V6, Dialect, encode
from vrrpd.proto.timers import SECOND
from vrrpd.runtime.repeats import SOURCES


async def test_a_healthy_cluster_has_no_alarm(lan: Lan) -> None:
    for agent in await run_cluster(lan):
        assert agent.alarms() == {}


async def test_a_stranger_with_our_vrid_is_named_in_unicast(lan: Lan) -> None:
    lb1, _ = await run_cluster(lan)
    lb1.host.take("eth0", unicast(STRANGER, LB1))
    await trio.sleep(0.01)
    assert lb1.alarms()["unlisted_source"].startswith("10.0.0.99 advertises VRID 51")


async def test_a_multicast_speaker_with_our_vrid_is_seen_by_a_unicast_router(lan: Lan) -> None:
    lb1, _ = await run_cluster(lan)
    lb1.host.take("eth0", multicast(STRANGER))
    await trio.sleep(0.01)
    assert lb1.alarms()["unlisted_source"].startswith("10.0.0.99 advertises VRID 51")


async def test_an_unlisted_multicast_speaker_is_heard_and_named(lan: Lan) -> None:
    _, lb2 = await run_cluster(lan, FILE + MULTICAST)
    lb2.host.take("eth0", multicast(STRANGER, replace(ADVERT, priority=245)))
    await trio.sleep(0.01)
    assert "10.0.0.99" in lb2.alarms()["unlisted_source"]
    assert {"address": "10.0.0.99", "node": None, "last_advert_s": 0.01} in lb2.shown()["peers"]


async def test_where_no_nodes_are_listed_nobody_is_unlisted(lan: Lan) -> None:
    lb1 = await run_agent(machine(lan, 1), WEB + "defaults: {interface: eth0}\n")
    lb1.host.take("eth0", multicast(STRANGER))
    await trio.sleep(0.01)
    assert lb1.alarms() == {}


async def test_a_link_local_speaker_is_no_stranger_where_only_global_addresses_are_listed(lan: Lan) -> None:
    text = """
nodes: {lb1: "fd00::11", lb2: "fd00::12"}
routers: {web: {vrid: 51, addresses: ["fe80::100", "fd00::100/64"], transport: multicast}}
"""
    host = machine(lan, 1, "fe80::11/64", "fd00::11/64")
    lb1 = await run_agent(host, text)
    shared = (IPv6Address("fe80::100"), IPv6Address("fd00::100"))
    source, advert = IPv6Address("fe80::12"), replace(ADVERT, addresses=shared)
    host.take("eth0", Datagram(encode(advert, source, GROUP_V6, Dialect.PSEUDO), source, GROUP_V6, 255))
    await trio.sleep(0.01)
    assert lb1.shown()["counters"]["adverts_received"] == 1
    assert lb1.alarms() == {}


async def test_a_wrong_hop_limit_of_a_peer_names_its_mend(lan: Lan) -> None:
    lb1, _ = await run_cluster(lan)
    lb1.host.take("eth0", unicast(LB2, LB1, ttl=64))
    await trio.sleep(0.01)
    said = lb1.alarms()["refused_advert"]
    assert "TTL 64 from 10.0.0.12" in said
    assert said.endswith("set unicast_ttl 255 there, or max_hops here")


async def test_a_peer_that_sends_multicast_to_a_unicast_router_is_refused_with_a_word(lan: Lan) -> None:
    lb1, _ = await run_cluster(lan)
    lb1.host.take("eth0", multicast(LB2))
    await trio.sleep(0.01)
    assert "multicast packet" in lb1.alarms()["refused_advert"]
    assert "unlisted_source" not in lb1.alarms()


async def test_in_unicast_nobody_but_a_peer_is_heard_not_even_from_the_shared_address(lan: Lan) -> None:
    lb1, _ = await run_cluster(lan)
    lb1.host.take("eth0", unicast(IPv4Address("10.0.0.100"), LB1, replace(ADVERT, priority=255)))
    await trio.sleep(0.01)
    assert lb1.state == "active"
    assert "10.0.0.100 is not a peer" in lb1.alarms()["unlisted_source"]


async def test_in_multicast_an_owner_that_the_file_does_not_list_is_heard(lan: Lan) -> None:
    lb1, _ = await run_cluster(lan, FILE + MULTICAST)
    lb1.host.take("eth0", multicast(IPv4Address("10.0.0.100"), replace(ADVERT, priority=255)))
    await trio.sleep(0.3)
    assert lb1.state == "backup"
    assert "10.0.0.100" in lb1.alarms()["unlisted_source"]
    assert "loop" not in lb1.alarms()


async def test_an_active_that_speaks_far_too_seldom_is_an_alarm(lan: Lan) -> None:
    lb1, _ = await run_cluster(lan, FILE)
    seldom = replace(ADVERT, priority=254, interval=40 * SECOND)
    lb1.host.take("eth0", unicast(LB2, LB1, seldom))
    await trio.sleep(0.01)
    assert "10.0.0.12 advertises every 40 s" in lb1.alarms()["long_interval"]


async def test_an_alarm_about_packets_fades_a_minute_after_the_last_one(lan: Lan) -> None:
    lb1, _ = await run_cluster(lan)
    for _ in range(3):
        lb1.host.take("eth0", unicast(STRANGER, LB1))
        await trio.sleep(40)
        assert "unlisted_source" in lb1.alarms()
    await trio.sleep(22)
    assert lb1.alarms() == {}


async def test_an_alarm_keeps_the_time_of_its_beginning(lan: Lan) -> None:
    lb1, _ = await run_cluster(lan)
    router = lb1.router()
    lb1.host.take("eth0", unicast(STRANGER, LB1))
    await trio.sleep(30)
    began = next(iter(router.alarms)).since
    lb1.host.take("eth0", unicast(LB2, LB1))
    lb1.host.take("eth0", unicast(STRANGER, LB1))
    await trio.sleep(1)
    assert next(iter(router.alarms)).since == began


async def test_a_flood_in_the_name_of_a_peer_makes_two_lines_in_the_log(
    lan: Lan, caplog: pytest.LogCaptureFixture
) -> None:
    lb1, _ = await run_cluster(lan)
    caplog.clear()
    caplog.set_level("INFO")
    for number in range(2000):
        lb1.host.take("eth0", spoilt(unicast(LB2, LB1)))
        if number % 100 == 0:
            await trio.sleep(0.005)
    await trio.sleep(32)
    assert lb1.state == "active"
    first, last = (record.getMessage() for record in caplog.records)
    assert first.startswith("alarm refused_advert")
    assert last == "refused 1999 more from 10.0.0.12 (checksum)"
    assert lb1.shown()["counters"]["dropped"] == {"checksum": 2000}


async def test_a_flood_of_strangers_makes_a_line_for_the_first_few(lan: Lan, caplog: pytest.LogCaptureFixture) -> None:
    lb1, _ = await run_cluster(lan)
    caplog.clear()
    caplog.set_level("INFO")
    for number in range(2000):
        lb1.host.take("eth0", unicast(IPv4Address(0x0A000100 + number), LB1, replace(ADVERT, priority=255)))
    await trio.sleep(29)
    lines = [record.getMessage() for record in caplog.records]
    assert len(lines) == SOURCES + 1, "eight that are told apart, and all others"
    assert lines[0].startswith("alarm unlisted_source: 10.0.1.0")
    caplog.clear()
    await trio.sleep(8)
    assert [record.getMessage() for record in caplog.records] == ["refused 1991 more from other senders (src)"]
    assert "unlisted_source" in lb1.alarms()


async def test_a_listed_peer_is_named_amid_a_flood_of_strangers(lan: Lan) -> None:
    lb1, _ = await run_cluster(lan, FILE + MULTICAST)
    for number in range(100):
        lb1.host.take("eth0", multicast(IPv4Address(0x0A000100 + number), ttl=64))
    await trio.sleep(0.5)
    lb1.host.take("eth0", multicast(LB2, ttl=64))
    await trio.sleep(0.5)
    assert "TTL 64 from 10.0.0.12" in lb1.alarms()["refused_advert"]


async def test_an_advert_that_lies_behind_a_thousand_forgeries_is_found_before_the_role_is_taken(lan: Lan) -> None:
    _, lb2 = await run_cluster(lan, FILE + "defaults: {advert_interval: 10ms}\n")
    lan.lost = lambda name, _: name == "lb2"
    queue = lb2.host.adverts[0].waiting
    queue += [spoilt(unicast(LB1, LB2))] * 1000 + [unicast(LB1, LB2, replace(ADVERT, priority=250))]
    await trio.sleep(0.04)
    assert lb2.state == "backup"


async def test_a_flood_delays_no_advert(lan: Lan) -> None:
    lb1, _ = await run_cluster(lan, FILE + "defaults: {advert_interval: 10ms}\n")
    for _ in range(1000):
        lb1.host.take("eth0", spoilt(unicast(LB2, LB1)))
    start = lan.now
    await trio.sleep(0.1)
    assert len(lan.told("lb1", "says 250 to 10.0.0.12", since=start)) >= 10


async def test_an_advert_that_cannot_be_sent_is_an_alarm_until_one_can(lan: Lan) -> None:
    lb1, _ = await run_cluster(lan)
    lb1.host.unsendable[LB2] = errno.EPERM
    await trio.sleep(1.1)
    assert lb1.alarms() == {"send_failed": "to 10.0.0.12: cannot send an advert to 10.0.0.12"}
    lb1.host.unsendable.clear()
    await trio.sleep(1.1)
    assert lb1.alarms() == {}


async def test_a_backup_has_no_alarm_about_what_it_could_not_send_as_active(lan: Lan) -> None:
    lb1, lb2 = await run_cluster(lan, FILE + "defaults: {preempt: false}\n")
    lb1.host.remove("eth0", "10.0.0.11/24")  # its last advertisement cannot leave any more
    await trio.sleep(4)
    lb1.host.configure("eth0", "10.0.0.11/24")
    await trio.sleep(5)
    assert (lb1.state, lb2.state) == ("backup", "active")
    assert lb1.alarms() == {}


async def test_a_group_whose_halves_hear_differently_takes_nothing_and_says_so(lan: Lan) -> None:
    text = """
nodes: {lb1: [10.0.0.11, "fd00::11"], lb2: [10.0.0.12, "fd00::12"]}
routers: {web: {vrid: 51, addresses: [10.0.0.100/24, "fd00::100/64"]}}
"""
    hosts = [machine(lan, number, f"fd00::1{number}/64") for number in (1, 2)]
    _, lb2 = [await run_agent(host, text) for host in hosts]
    await trio.sleep(5)
    lan.lost = lambda name, datagram: name == "lb2" and datagram.source.version == 6
    await trio.sleep(5)
    assert lb2.state == "backup"
    assert "split_group" in lb2.alarms()
    lan.lost = lambda _name, _datagram: False
    await trio.sleep(2)
    assert lb2.alarms() == {}


async def test_differences_between_the_nodes_are_logged_once(lan: Lan, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    _, lb2 = await run_cluster(lan)
    other = replace(ADVERT, priority=250, interval=ADVERT.interval * 2, addresses=(IPv4Address("10.0.0.7"),))
    for _ in range(5):
        lb2.host.take("eth0", unicast(LB1, LB2, other))
        await trio.sleep(0.1)
    assert caplog.text.count("advertises every 2 s, we every 1 s") == 1
    assert caplog.text.count("lists 10.0.0.7") == 1
