"""Authentication as a person at a shell meets it: who serves, which alarm is up, what `vrrpd auth status` is told."""

from __future__ import annotations

import json
from dataclasses import replace
from ipaddress import ip_address
from typing import Any

import trio

from tests.runtime.agents import VIP, Agent, machine, run_agent
from tests.runtime.lan import Lan
from tests.runtime.strangers import ADVERT, LB1, LB2, multicast, unicast
from vrrpd.proto.packet import Dialect, encode
from vrrpd.proto.timers import SECOND
from vrrpd.runtime.auth_status import auth_status
from vrrpd.runtime.kernel import Cover

KEY, OTHER = "hunter2" * 6, "hunter3" * 6
HEAD = "nodes: {lb1: 10.0.0.11, lb2: 10.0.0.12}\nrouters:\n  web:\n    vrid: 51\n    addresses: [10.0.0.100/24]\n"


def file(key: str = KEY, more: str = "") -> str:
    return f"{HEAD}    auth: {{hmac: {{keys: {{1: {key}}}{more}}}}}\n"


def seen(agent: Agent) -> dict[str, Any]:
    [router] = auth_status(agent.runtime, "")["routers"]
    return router


async def two(lan: Lan, first: str, second: str) -> tuple[Agent, Agent]:
    one = await run_agent(machine(lan, 1), first)
    await trio.sleep(5)
    other = await run_agent(machine(lan, 2), second)
    await trio.sleep(10)
    return one, other


async def test_two_nodes_with_one_key_have_one_active_and_say_so(lan: Lan) -> None:
    lb1, lb2 = await two(lan, file(), file())

    assert (lb1.state, lb2.state) == ("active", "backup")
    assert lb1.alarms() == lb2.alarms() == {}
    found = seen(lb2)
    assert (found["method"], found["mode"], found["keys"], found["active_key"]) == ("hmac", "enforce", [1], 1)
    [sender] = found["senders"]
    assert (sender["address"], sender["node"], sender["standing"], sender["key"]) == ("10.0.0.11", "lb1", "signed", 1)
    assert sender["last_s"] < 1.1
    assert seen(lb1)["senders"] == []


async def test_a_node_with_another_key_stays_backup_and_says_why(lan: Lan) -> None:
    lb1, lb2 = await two(lan, file(), file(OTHER))
    await trio.sleep(60)

    assert (lb1.state, lb2.state) == ("active", "backup")
    assert "with a wrong signature by key 1" in lb2.alarms()["refused_advert"]
    assert [s["reason"] for s in seen(lb2)["senders"]] == ["invalid_hmac"]
    assert lan.doubled(VIP) == 0


async def test_an_unsigned_peer_is_named_where_signatures_are_asked_for(lan: Lan) -> None:
    lb1, lb2 = await two(lan, HEAD, file())

    assert (lb1.state, lb2.state) == ("active", "backup")
    assert "let it sign" in lb2.alarms()["refused_advert"]
    assert seen(lb1) == {"name": "web", "vrid": 51, "family": "ipv4", "method": "none"}


async def test_an_unsigned_peer_is_accepted_and_named_while_keys_are_rolled_out(lan: Lan) -> None:
    _, lb2 = await two(lan, file(more=", mode: receive-only"), file(more=", mode: permissive"))

    assert lb2.alarms() == {}
    assert [(s["standing"], s["key"]) for s in seen(lb2)["senders"]] == [("unsigned", None)]
    assert seen(lb2)["active_key"] == 1


async def test_a_clock_that_jumps_is_told_and_changes_nothing(lan: Lan) -> None:
    lb1, lb2 = await two(lan, file(), file())
    lan.hosts["lb1"].clock_error = 3600 * SECOND
    since = lan.now
    await trio.sleep(30)

    assert (lb1.state, lb2.state) == ("active", "backup")
    assert "jumped 3600.0 s forward" in lb1.alarms()["clock_skew"]
    assert seen(lb1)["clock_step_s"] == 3600
    assert lan.dark(VIP, since) == lan.doubled(VIP, since) == 0


async def test_a_node_that_boots_with_a_wrong_clock_is_told_of_its_peer(lan: Lan) -> None:
    machine(lan, 2).clock_error = -3600 * SECOND
    lb1 = await run_agent(machine(lan, 1), file())
    await trio.sleep(5)
    lb2 = await run_agent(lan.hosts["lb2"], file())
    await trio.sleep(60)

    assert (lb1.state, lb2.state) == ("active", "backup")
    assert "3600 s ahead of our clock: an authentic peer" in lb2.alarms()["clock_skew"]


async def test_a_clock_that_is_still_believed_and_far_off_is_told_in_time(lan: Lan) -> None:
    host = machine(lan, 2)
    host.clock_error = -3 * SECOND
    lb1 = await run_agent(machine(lan, 1), file())
    await trio.sleep(5)
    lb2 = await run_agent(host, file())
    await trio.sleep(10)

    assert (lb1.state, lb2.state) == ("active", "backup")
    assert "is 3.0 s ahead of ours; it is refused from 5 s on" in lb2.alarms()["clock_skew"]
    assert seen(lb2)["senders"][0]["clock_ahead_s"] == 3.0


async def test_a_flood_of_forgeries_moves_nothing(lan: Lan) -> None:
    lb1, lb2 = await two(lan, file(), file())
    genuine = unicast(LB1, LB2)
    since = lan.now
    for i in range(2000):
        lan.hosts["lb2"].take("eth0", replace(genuine, payload=genuine.payload + b"\1\1\0\0" + i.to_bytes(24)))
        lan.hosts["lb2"].take("eth0", genuine)
    await trio.sleep(10)

    assert (lb1.state, lb2.state) == ("active", "backup")
    assert lan.dark(VIP, since) == lan.doubled(VIP, since) == 0
    assert {s["reason"]: s["count"] for s in seen(lb2)["senders"] if s["reason"]} == {"missing": 2000, "stale": 2000}


async def test_no_secret_is_in_what_is_told(lan: Lan) -> None:
    _, lb2 = await two(lan, file(), file(OTHER))

    told = json.dumps([auth_status(lb2.runtime, ""), lb2.status()])
    assert "hunter" not in f"{told} {lb2.router().spec!r}"


async def test_a_password_is_said_to_be_one(lan: Lan) -> None:
    text = f"{HEAD}    version: 2\n    auth: {{password: hunter2}}\n"
    lb1, lb2 = await two(lan, text, text)

    assert (lb1.state, lb2.state) == ("active", "backup")
    assert seen(lb2) == {"name": "web", "vrid": 51, "family": "ipv4", "method": "password"}


async def test_a_node_with_another_key_gives_way_after_a_cut_and_says_why_it_stays_backup(lan: Lan) -> None:
    lb1, lb2 = await two(lan, file(), file(OTHER))
    assert "stays Backup only because 10.0.0.11 advertises" in lb2.alarms()["doubtful"]
    assert "doubtful" not in lb1.alarms()

    lan.cuts = {("lb1", "lb2"), ("lb2", "lb1")}
    await trio.sleep(10)
    assert (lb1.state, lb2.state) == ("active", "active")
    assert "doubtful" not in lb2.alarms()
    lan.cuts = set()
    since = lan.now
    await trio.sleep(5)

    assert (lb1.state, lb2.state) == ("active", "backup")
    assert lan.doubled(VIP, since) < 1100
    assert "doubtful" in lb2.alarms()
    assert "cannot be verified" in lb2.shown()["reason"]


FRESH = HEAD.replace("    vrid", "    transport: multicast\n    vrid") + f"    auth: {{hmac: {{keys: {{1: {KEY}}}}}}}\n"


async def babble(lan: Lan, source: str, *, trailer: bytes = b"") -> None:
    """A speaker of our VRID, whoever it is, is heard four times a second for ten seconds."""
    packet = multicast(ip_address(source))
    for _ in range(40):
        for host in lan.hosts.values():
            host.take("eth0", replace(packet, payload=packet.payload + trailer))
        await trio.sleep(0.25)


async def test_a_stranger_that_signs_nothing_does_not_keep_a_fresh_cluster_dark(lan: Lan) -> None:
    lb1 = await run_agent(machine(lan, 1), FRESH)
    lb2 = await run_agent(machine(lan, 2), FRESH)

    await babble(lan, "10.0.0.99", trailer=b"\1\1\0\0" + bytes(24))

    assert (lb1.state, lb2.state) == ("active", "backup")
    assert "doubtful" not in lb1.alarms()


async def test_a_listed_node_that_signs_nothing_is_waited_for_in_multicast_too(lan: Lan) -> None:
    lb1 = await run_agent(machine(lan, 1), FRESH)

    await babble(lan, "10.0.0.12")

    assert lb1.state == "backup"
    assert "10.0.0.12" in lb1.alarms()["doubtful"]


ALONE = """routers:
  web:
    vrid: 51
    interface: eth0
    addresses: [10.0.0.100/24]
    transport: multicast
    hear_first: off
    auth: {hmac: {keys: {1: KEY}}}
""".replace("KEY", KEY)


async def test_where_the_file_lists_nobody_only_who_signs_is_waited_for(lan: Lan) -> None:
    for trailer, state in ((b"", "active"), (b"\1\1\0\0" + bytes(24), "backup")):
        host = machine(lan, 1)
        agent = await run_agent(host, ALONE)
        await babble(lan, "10.0.0.99", trailer=trailer)
        assert agent.state == state
        agent.kill()
        del lan.hosts["lb1"]


async def test_what_queued_while_the_agent_was_frozen_raises_no_alarm_about_clocks(lan: Lan) -> None:
    lb1, lb2 = await two(lan, file(), file())
    lb2.host.freeze()
    await trio.sleep(60)
    lb2.host.thaw()
    await trio.sleep(2)

    assert (lb1.state, lb2.state) == ("active", "backup")
    assert lb2.alarms().keys() == {"overslept"}
    assert {s["reason"] for s in seen(lb2)["senders"]} == {None}


async def test_routers_that_did_not_oversleep_hear_what_queued_meanwhile(lan: Lan) -> None:
    slow = """  slow:
    vrid: 52
    addresses: [10.0.0.101/24]
    advert_interval: 2s
"""
    both = file() + slow
    lb1, lb2 = await two(lan, both, both)
    before = lb2.router("slow").group.members[0].counters.adverts_received
    missed = lb2.router("web").group.members[0].counters.adverts_received
    lb2.host.freeze()
    await trio.sleep(5)
    lb2.host.thaw()
    await trio.sleep(0.01)

    assert "overslept" in lb2.alarms("web")
    assert lb2.alarms("slow") == {}
    assert lb2.router("slow").group.members[0].counters.adverts_received >= before + 2
    assert lb2.router("web").group.members[0].counters.adverts_received <= missed + 1
    assert lb1.shown("slow")["state"] == "active"


async def test_the_guardian_is_told_anew_only_of_what_is_new(lan: Lan) -> None:
    """Two Actives that contradict each other while keys are rolled out: each accepts what the other says."""
    permissive = file(more=", mode: permissive") + "    preempt: false\n"
    lb1, lb2 = await two(lan, permissive, permissive)
    told: list[Cover] = []
    cover = lb1.host.guardian.cover

    def listened(who: str, what: Cover) -> None:
        told.append(what)
        cover(who, what)

    lb1.host.guardian.cover = listened  # type: ignore[method-assign]
    packet = unicast(LB2, LB1)
    for _ in range(50):
        lb1.host.take("eth0", packet)
        await trio.sleep(0.01)

    assert lb1.router().group.members[0].counters.contests >= 50
    assert told == []
    other = replace(packet, payload=encode(ADVERT, LB2, LB1, Dialect.MESSAGE))
    lb1.host.take("eth0", other)
    await trio.sleep(0.01)
    assert len(told) == 1
    assert lb2.state == "backup"
