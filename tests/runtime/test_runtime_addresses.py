"""The shared addresses: ours is what we added, and a slow or refusing kernel delays no advertisement."""

from __future__ import annotations

import errno
from collections.abc import Sequence
from itertools import pairwise

import pytest
import trio

from tests.runtime.agents import FILE, MULTICAST, NODES, VIP, WEB, machine, run_agent, run_cluster
from tests.runtime.lan import Lan
from tests.runtime.machine import FakeCommands
from vrrpd.linux.netlink import NetlinkError
from vrrpd.proto.settings import Family
from vrrpd.runtime.addresses import Batch
from vrrpd.runtime.placement import Standing


async def test_what_a_dead_agent_left_goes_before_anything_else_happens(lan: Lan) -> None:
    host = machine(lan, 1)
    host.configure("eth0", VIP, ours=True)
    host.configure("eth0", "10.0.0.77/24", ours=True)
    start = len(lan.story)
    await run_agent(host)
    await trio.sleep(0.5)
    assert [e.what for e in lan.story[start:]][:3] == [
        "removes 10.0.0.100/24",
        "removes 10.0.0.77/24",
        "asks for 10.0.0.12",
    ]


async def test_an_address_that_was_there_before_is_used_and_never_removed(lan: Lan) -> None:
    hosts = [machine(lan, 1, VIP), machine(lan, 2)]
    lb1, _ = [await run_agent(host) for host in hosts]
    await trio.sleep(5)
    assert lb1.state == "active"
    assert "10.0.0.100/24 was on eth0 before" in lb1.alarms()["foreign_address"]
    assert lan.told("lb1", "claims 10.0.0.100"), "it serves, so the link is told"
    await lb1.stop()
    assert lb1.host.holds(VIP)


async def test_it_is_foreign_with_another_prefix_length_too_and_replaced_when_it_goes(lan: Lan) -> None:
    hosts = [machine(lan, 1, "10.0.0.100/32"), machine(lan, 2)]
    lb1, _ = [await run_agent(host) for host in hosts]
    await trio.sleep(5)
    assert "foreign_address" in lb1.alarms()
    assert not lb1.host.holds(VIP)
    lb1.host.remove("eth0", "10.0.0.100/32")
    await trio.sleep(0.1)
    assert lb1.host.holds(VIP)
    assert lb1.alarms() == {}


async def test_the_owner_uses_its_own_address_without_an_alarm(lan: Lan) -> None:
    text = NODES + "routers: {web: {vrid: 51, addresses: [10.0.0.11/24], priority: {lb1: 255, lb2: 200, lb3: 100}}}\n"
    lb1, lb2 = await run_cluster(lan, text)
    assert (lb1.state, lb2.state) == ("active", "backup")
    assert lb1.alarms() == {}
    await lb1.stop()
    assert lb1.host.holds("10.0.0.11/24")
    await trio.sleep(0.1)
    assert lb2.state == "active"
    assert lb2.host.holds("10.0.0.11/24")
    lb1 = await run_agent(lb1.host, text)
    await trio.sleep(3)
    assert (lb1.state, lb2.state) == ("active", "backup"), "the owner is heard although its address was ours meanwhile"
    assert lb2.alarms() == {}


async def test_in_multicast_the_owner_sends_from_the_address_that_it_owns(lan: Lan) -> None:
    text = NODES + "routers: {web: {vrid: 51, addresses: [10.0.0.11/24], priority: {lb1: 255, lb2: 200, lb3: 100}}}\n"
    lb1, lb2 = await run_cluster(lan, text + MULTICAST)
    assert (lb1.state, lb2.state) == ("active", "backup")
    assert lb1.alarms() == lb2.alarms() == {}
    lb1.kill()
    await trio.sleep(4)
    assert lb2.host.holds("10.0.0.11/24")
    lb1 = await run_agent(lb1.host, text + MULTICAST)
    await trio.sleep(3)
    assert (lb1.state, lb2.state) == ("active", "backup")
    assert not lb2.host.holds("10.0.0.11/24")


async def test_an_address_whose_tag_somebody_cleared_is_still_ours_after_a_full_reading(lan: Lan) -> None:
    lb1, _ = await run_cluster(lan)
    lb1.host.events.lossy = True
    lb1.host.configure("eth0", VIP)
    lb1.host.events.overrun()
    await trio.sleep(0.1)
    await lb1.stop()
    assert not lb1.host.holds(VIP)


async def test_an_address_that_somebody_deletes_comes_back(lan: Lan) -> None:
    lb1, _ = await run_cluster(lan)
    start = lan.now
    lb1.host.remove("eth0", VIP)
    await trio.sleep(0.1)
    assert lb1.host.holds(VIP)
    assert lan.told("lb1", "claims", since=start)


async def test_a_refused_address_is_an_alarm_and_tried_again_each_second(lan: Lan) -> None:
    text = FILE.replace("10.0.0.100/24", "10.0.0.100/24, 10.0.0.101/24")
    hosts = [machine(lan, number) for number in (1, 2)]
    hosts[0].refusals["10.0.0.101"] = errno.EPERM
    lb1, _ = [await run_agent(host, text) for host in hosts]
    await trio.sleep(10)
    assert lb1.host.holds(VIP)
    assert lb1.alarms() == {
        "address_failed": "10.0.0.101/24: not permitted to change addresses: CAP_NET_ADMIN is missing"
    }
    start = lan.now
    await trio.sleep(10)
    assert lan.told("lb1", "claims", since=start) == [], "what did not change is not announced again"
    hosts[0].refusals.clear()
    await trio.sleep(1.1)
    assert lb1.host.holds("10.0.0.101/24")
    assert lb1.alarms() == {}
    assert lan.told("lb1", "claims 10.0.0.101", since=start)


async def test_a_slow_write_delays_no_advert(lan: Lan) -> None:
    """A lock of the kernel may hold up a write for 82 ms: eight intervals."""
    text = FILE + "defaults: {advert_interval: 10ms}\n"
    hosts = [machine(lan, number) for number in (1, 2)]
    for host in hosts:
        host.slow_s = 0.082
    lb1, _ = [await run_agent(host, text) for host in hosts]
    await trio.sleep(1)
    assert lb1.state == "active"
    start = next(e.at for e in lan.story if e.what.startswith("says"))
    adverts = [at for at, _ in lan.told("lb1", "says 250 to 10.0.0.12", since=start)]
    assert max(later - earlier for earlier, later in pairwise(adverts[:20])) < 10.2
    added = lan.told("lb1", "adds 10.0.0.100", since=start)[0][0]
    assert added == pytest.approx(82, abs=1)  # pyright: ignore[reportUnknownMemberType]
    assert lan.told("lb1", "claims", since=start)[0][0] == added, "announced when it is there, not before"


async def test_a_role_lost_during_a_slow_addition_leaves_nothing_behind(lan: Lan) -> None:
    lb1, lb2 = await run_cluster(lan)
    lb2.host.slow_s = 0.5
    lan.cuts = {("lb1", "lb2")}
    await trio.sleep(3.2)
    lan.cuts.clear()
    assert lb2.state == "active"
    await trio.sleep(3)
    assert (lb1.state, lb2.state) == ("active", "backup")
    assert not lb2.host.holds(VIP)


async def test_news_of_an_old_removal_leaves_no_address_on_a_backup(lan: Lan) -> None:
    """Lost, taken and lost again faster than the kernel's events are read."""
    lb1, _ = await run_cluster(lan)
    places = lb1.router().members[0].places
    old = lb1.host.addresses[places[0].key]
    addresses = lb1.runtime._addresses  # pyright: ignore[reportPrivateUsage] - the race needs its steps in this order
    addresses.drop(places)
    addresses.lost(old)
    await addresses.settled()
    assert not lb1.host.holds(VIP)


async def test_a_removal_that_the_kernel_refuses_is_asked_for_until_it_is_done(
    lan: Lan, caplog: pytest.LogCaptureFixture
) -> None:
    lb1, lb2 = await run_cluster(lan, FILE + "defaults: {lease: off}\n")
    lb1.host.refusals["10.0.0.100"] = errno.ENOMEM
    lb1.host.change("eth0", running=False)
    await trio.sleep(3.5)
    assert lb1.host.holds(VIP)
    assert "10.0.0.100/24 stays on eth0" in caplog.text
    lb1.host.refusals.clear()
    await trio.sleep(1)
    assert not lb1.host.holds(VIP)
    assert lb2.state == "active"


async def test_a_failure_of_the_whole_write_is_tried_again(lan: Lan) -> None:
    hosts = [machine(lan, number) for number in (1, 2)]
    hosts[0].broken_writes = 1
    lb1, _ = [await run_agent(host) for host in hosts]
    await trio.sleep(5)
    assert lb1.host.holds(VIP)
    lb1.host.broken_writes = 1
    lb1.host.change("eth0", running=False)
    await trio.sleep(2)
    assert not lb1.host.holds(VIP)


async def test_who_holds_an_existing_address_is_asked_again_when_the_tables_kept_changing(lan: Lan) -> None:
    hosts = [machine(lan, number) for number in (1, 2)]
    lb1, _ = [await run_agent(host) for host in hosts]
    lb1.host.events.lossy = True  # the agent finds the address by the kernel's refusal alone
    lb1.host.configure("eth0", VIP)
    lb1.host.busy_dumps = 1
    await trio.sleep(3.1)
    assert "EBUSY" in lb1.alarms()["address_failed"]
    await trio.sleep(2)
    assert list(lb1.alarms()) == ["foreign_address"]


async def test_a_setting_that_cannot_be_written_is_told(lan: Lan, caplog: pytest.LogCaptureFixture) -> None:
    hosts = [machine(lan, number) for number in (1, 2)]
    hosts[0].read_only = True
    lb1, _ = [await run_agent(host) for host in hosts]
    await trio.sleep(5)
    assert lb1.host.holds(VIP)
    assert caplog.text.count("cannot set eth0/promote_secondaries") == 1


async def test_a_backup_has_made_its_interface_ready_before_it_takes_over(lan: Lan) -> None:
    _, lb2 = await run_cluster(lan)
    assert lb2.state == "backup"
    assert lb2.host.settings[Family.IPV4, "eth0", "promote_secondaries"] == 1
    lb2.host.settings.clear()
    lan.hosts["lb1"].freeze()
    await trio.sleep(5)
    assert lb2.host.holds(VIP)
    assert not lb2.host.settings, "it costs a takeover half a millisecond"


async def test_two_hundred_addresses_are_announced_in_small_pieces_between_the_adverts(lan: Lan) -> None:
    many = ", ".join(f"10.0.1.{i}/32" for i in range(1, 201))
    text = FILE.replace("10.0.0.100/24", many) + "defaults: {advert_interval: 10ms}\n"
    await run_cluster(lan, text)
    start = next(e.at for e in lan.story if e.what.startswith("says"))
    frames = [at for at, _ in lan.told("lb1", "claims", "replies", since=start) if at < 40]
    assert len(frames) == 400
    assert max(frames.count(at) for at in frames) <= 32
    assert max(frames) > 10
    adverts = [at for at, _ in lan.told("lb1", "says 250 to 10.0.0.12", since=start)]
    assert max(later - earlier for earlier, later in pairwise(adverts[:5])) < 10.2


async def test_two_hundred_routers_that_move_together_are_paced_together(lan: Lan) -> None:
    routers = "".join(f"  r{i}: {{vrid: {i}, addresses: [10.0.1.{i}/32]}}\n" for i in range(1, 201))
    await run_cluster(lan, NODES + "routers:\n" + routers)
    frames = [e.at for e in lan.story if e.host == "lb1" and e.what.startswith(("claims", "replies"))]
    assert max(frames.count(at) for at in set(frames)) <= 32


async def test_a_loser_says_no_more_about_addresses_that_it_let_go(lan: Lan) -> None:
    many = ", ".join(f"10.0.1.{i}/32" for i in range(1, 201))
    lb1, _ = await run_cluster(lan, FILE.replace("10.0.0.100/24", many))
    lb1.host.remove("eth0", "10.0.1.1/32")
    await trio.sleep(0.003)
    start = lan.now
    lb1.host.change("eth0", running=False)
    await trio.sleep(0.0005)
    assert lb1.state == "fault"
    await trio.sleep(1)
    assert lan.told("lb1", "claims", since=start + 0.5) == []


async def test_a_renewal_that_fails_takes_nothing_from_what_is_added_in_one_go_with_it(
    lan: Lan, monkeypatch: pytest.MonkeyPatch
) -> None:
    agent = await run_agent(machine(lan, 1), NODES + "defaults: {hear_first: off}" + WEB)
    addresses = agent.runtime._addresses  # pyright: ignore[reportPrivateUsage] - the two seldom come together
    place = agent.router().members[0].places[0]

    def renew(_: FakeCommands, _renewals: Sequence[bytes]) -> None:
        raise NetlinkError(errno.ENOBUFS, "no memory")

    monkeypatch.setattr(FakeCommands, "renew", renew)
    write = addresses._write  # pyright: ignore[reportPrivateUsage]
    _, [outcome] = await trio.to_thread.run_sync(lambda: write(Batch([], [place], [], [place.renew], [])))
    assert outcome.standing is Standing.HELD
    assert agent.host.holds(VIP)
