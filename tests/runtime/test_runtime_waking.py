"""Waking up: what a stopped process or a paused machine does first when it goes on."""

from __future__ import annotations

import trio

from tests.runtime.agents import FILE, VIP, machine, run_agent, run_cluster, until
from tests.runtime.lan import Lan
from vrrpd.runtime.addresses import Batch

FAST = FILE + "defaults: {advert_interval: 100ms}\n"
MEEK = FILE + "defaults: {preempt: false}\n"


async def test_a_frozen_agent_that_wakes_up_drops_everything_before_it_says_anything(lan: Lan) -> None:
    lb1, lb2 = await run_cluster(lan, MEEK.replace("false", "false, lease: off"))
    lb1.host.freeze()
    await trio.sleep(30)
    assert lb1.host.holds(VIP), "no lease and no guardian in this test: the gap alone counts"
    assert lb2.state == "active"
    start = lan.now
    lb1.host.thaw()
    await trio.sleep(2)
    did = lan.told("lb1", "says", "claims", "adds", "removes", since=start)
    assert [what for _, what in did] == [f"removes {VIP}"]
    assert did[0][0] < 5
    assert (lb1.state, lb2.state) == ("backup", "active")
    assert "the agent slept for 30.0 s" in lb1.alarms()["overslept"]


async def test_an_agent_that_finds_the_word_of_its_guardian_drops_everything(lan: Lan) -> None:
    lb1, lb2 = await run_cluster(lan, FAST.replace("100ms", "100ms, preempt: false"))
    lb1.host.freeze()
    await trio.sleep(0.2)  # shorter than an Active_Down_Interval
    lb1.host.guardian.acts()
    start = lan.now
    lb1.host.thaw()
    await trio.sleep(0.15)
    assert lan.told("lb1", "says", "claims", "adds", since=start) == []
    assert not lb1.host.guardian.acted, "the watch goes on"
    assert "the guardian has let go of everything" in lb1.alarms()["overslept"]
    await trio.sleep(2)
    assert (lb1.state, lb2.state).count("active") == 1


async def test_a_renewal_that_was_pending_in_a_frozen_process_does_not_run(lan: Lan) -> None:
    lb1, _ = await run_cluster(lan, MEEK)
    addresses = lb1.runtime._addresses  # pyright: ignore[reportPrivateUsage] - the thread is caught in mid-air
    place = lb1.router().members[0].places[0]
    lb1.host.freeze()
    await trio.sleep(0.3)
    lb1.host.guardian.acts()
    write = addresses._write  # pyright: ignore[reportPrivateUsage]
    removed, added = await trio.to_thread.run_sync(lambda: write(Batch([], [place], [place], [place.renew], [])))
    assert not lb1.host.holds(VIP)
    assert removed == []
    assert "not awake all the time" in added[0].detail
    lb1.host.thaw()


async def test_a_deletion_by_the_guardian_is_not_repaired_and_nobody_is_blamed(lan: Lan) -> None:
    lb1, _ = await run_cluster(lan, MEEK)
    lb1.host.freeze()
    await trio.sleep(1)
    start = lan.now
    lb1.host.guardian.acts()
    lb1.host.thaw()
    await trio.sleep(0.5)
    assert lan.told("lb1", "adds", since=start) == []
    assert "address_stolen" not in lb1.alarms()


async def test_who_wakes_up_listens_as_after_a_start(lan: Lan) -> None:
    """Alone, with nobody to hear: the address comes back when hear_first is over, and not before."""
    lan.stations.clear()
    host = machine(lan, 1)
    lb1 = await run_agent(host)
    await trio.sleep(40)
    assert lb1.state == "active"
    host.freeze()
    await trio.sleep(10)
    start = lan.now
    host.thaw()
    await trio.sleep(29)
    assert lb1.state == "backup"
    assert lan.told("lb1", "asks for 10.0.0.12", since=start), "it asks whether the network carries frames"
    await trio.sleep(2)
    assert lb1.state == "active"
    assert lan.told("lb1", "claims", since=start), "and announces"


async def test_a_machine_that_was_suspended_notices_by_the_boot_clock(lan: Lan) -> None:
    lb1, _ = await run_cluster(lan, MEEK)
    start = lan.now
    lb1.host.suspended_s = 3600
    await trio.sleep(1)
    assert lan.told("lb1", "removes", since=start)
    assert "slept for 36" in lb1.alarms()["overslept"]


async def test_an_address_that_came_while_the_machine_was_paused_goes_again(lan: Lan) -> None:
    """It was on its way there when the pause began, and who looks first afterwards is who wanted to know of it."""
    lb1, lb2 = await run_cluster(lan, FILE + "defaults: {lease: off}\n")
    lb2.host.slow_s = 0.05
    lan.lost = lambda name, _: name == "lb2"
    await until(lambda: lb2.state == "active")
    await trio.sleep(0.03)
    lb2.host.suspended_s += 60
    await trio.sleep(0.05)
    lan.lost = lambda name, _: name == "nobody"
    await trio.sleep(30)
    assert (lb1.state, lb2.state) == ("active", "backup")
    assert not lb2.host.holds(VIP)


async def test_a_short_nap_changes_nothing(lan: Lan) -> None:
    lb1, _ = await run_cluster(lan)
    start = lan.now
    lb1.host.freeze()
    await trio.sleep(2)
    lb1.host.thaw()
    await trio.sleep(1)
    assert lan.told("lb1", "removes", since=start) == []
    assert lb1.state == "active"
    assert lb1.alarms() == {}


async def test_an_agent_that_was_stopping_when_it_froze_goes_on_stopping(lan: Lan) -> None:
    lb1, lb2 = await run_cluster(lan)
    lan.cuts = {("lb2", "lb1")}
    lb1.router().leave("stop of the agent")
    lb1.host.freeze()
    await trio.sleep(30)
    lb1.host.thaw()
    await trio.sleep(1)
    assert not lb1.host.holds(VIP)
    assert lb2.state == "active"
    assert "web" not in lb1.runtime.routers or lb1.state != "active"


async def test_the_guardian_knows_of_an_address_before_the_kernel_does(lan: Lan) -> None:
    lb1, lb2 = await run_cluster(lan)
    guardian = lb2.host.guardian
    assert guardian.addresses == set()
    lb2.host.slow_s = 2
    lb1.kill()
    await trio.sleep(3.07)
    assert lb2.state == "active"
    assert not lb2.host.holds(VIP)
    assert {address for _, address in guardian.addresses} == {VIP}
    assert [destination for _, destination, _ in guardian.covers["web/0"].zeros] == ["10.0.0.11", "10.0.0.13"]


async def test_after_a_planned_stop_there_is_nothing_to_guard(lan: Lan) -> None:
    lb1, _ = await run_cluster(lan)
    assert lb1.host.guardian.addresses
    await lb1.stop()
    assert lb1.host.guardian.covers == {}
    assert lb1.host.guardian.addresses == set()


async def test_the_stamp_is_never_older_than_a_quarter_of_what_the_guardian_allows(lan: Lan) -> None:
    lb1, lb2 = await run_cluster(lan, FAST)
    guardian = lb1.host.guardian
    assert guardian.limit == 100_000_000
    del guardian.stamps[:]
    await trio.sleep(5)
    gaps = [later - earlier for earlier, later in zip(guardian.stamps, guardian.stamps[1:], strict=False)]
    assert max(gaps) <= 26_000_000
    assert len(lb2.host.guardian.stamps) < 400, "nothing is held there, and nobody hurries"


async def test_a_new_dialect_of_a_peer_is_told_to_the_guardian(lan: Lan) -> None:
    lb1, _ = await run_cluster(lan)
    before = lb1.host.guardian.covers["web/0"]
    lb2 = await run_agent(machine(lan, 3), FILE + "defaults: {checksum: rfc9568, preempt: false}\n")
    lan.cuts = {("lb1", "lb3")}
    await trio.sleep(5)
    assert lb2.state == "active"
    zeros = {to: payload for _, to, payload in lb1.host.guardian.covers["web/0"].zeros}
    old = {to: payload for _, to, payload in before.zeros}
    assert zeros["10.0.0.12"] == old["10.0.0.12"]
    assert zeros["10.0.0.13"] != old["10.0.0.13"]


async def test_a_backup_that_slept_for_longer_than_its_patience_listens_first(lan: Lan) -> None:
    lb1, lb2 = await run_cluster(lan, FAST)
    lb2.host.freeze()
    await trio.sleep(0.8)  # Active_Down_Interval is 306 ms
    lb2.host.thaw()
    await trio.sleep(0.1)
    assert "the agent slept for 0.8 s" in lb2.alarms()["overslept"]
    assert (lb1.state, lb2.state) == ("active", "backup")
