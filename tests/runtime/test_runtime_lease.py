"""The lease: only a live, healthy loop that has the role keeps an address in the kernel."""

from __future__ import annotations

import pytest
import trio

from tests.runtime.agents import FILE, VIP, machine, run_agent, run_cluster
from tests.runtime.lan import Lan
from tests.runtime.machine import KERNEL
from vrrpd.linux.netlink import AddressAdded


async def test_an_address_is_never_missing_while_its_agent_is_well(lan: Lan) -> None:
    await run_cluster(lan)
    start = lan.now
    await trio.sleep(20)
    assert lan.told("lb1", "removes", "adds", since=start) == []
    assert lan.told("lb1", "claims", since=start) == [], "a renewal is no news for the link"


async def test_it_goes_with_its_lease_when_agent_and_guardian_are_gone(lan: Lan) -> None:
    lb1, lb2 = await run_cluster(lan)
    start = lan.now
    lb1.kill()
    await trio.sleep(5)
    (gone,) = [at for at, _ in lan.told("lb1", "removes", since=start)]
    assert 1900 < gone <= 3000
    assert lb2.host.holds(VIP)


async def test_without_a_lease_it_stays_for_ever(lan: Lan) -> None:
    lb1, _ = await run_cluster(lan, FILE + "defaults: {lease: off}\n")
    lb1.kill()
    await trio.sleep(100)
    assert lb1.host.holds(VIP)


async def test_what_is_foreign_gets_no_lifetime(lan: Lan) -> None:
    hosts = [machine(lan, 1, VIP), machine(lan, 2)]
    lb1, _ = [await run_agent(host) for host in hosts]
    await trio.sleep(5)
    assert lb1.state == "active"
    lb1.kill()
    await trio.sleep(100)
    assert lb1.host.holds(VIP)


async def test_a_kernel_that_hangs_too_long_costs_the_role_and_no_second_holder(lan: Lan) -> None:
    """The lease runs out under a healthy loop: the address is not put back by an Active that is in such a state."""
    lb1, lb2 = await run_cluster(lan)
    lb1.host.slow_s = 4
    start = lan.now
    await trio.sleep(9)
    assert "lease of 10.0.0.100/24 ran out" in lb1.alarms()["overslept"]
    assert lan.doubled(VIP, since=start) < 250
    assert (lb1.host.holds(VIP), lb2.host.holds(VIP)) != (True, True)


async def test_many_addresses_are_renewed_in_small_pieces(lan: Lan) -> None:
    more = ", ".join(f'{{address: "fd00:1::{n:x}", advertise: false}}' for n in range(300))
    text = "nodes: {lb1: 'fd00::11', lb2: 'fd00::12'}\ndefaults: {hear_first: off}\n"
    text += f"routers: {{web: {{vrid: 51, addresses: ['fd00::100', {more}]}}}}\n"
    host = machine(lan, 1, "fd00::11/64")
    sizes: list[int] = []
    agent = await run_agent(host, text)
    commands = agent.runtime._kernel.commands  # pyright: ignore[reportPrivateUsage] - to count what is in a write
    renew = commands.renew

    def counted(renewals: list[bytes]) -> None:
        sizes.append(len(renewals))
        renew(renewals)

    await trio.sleep(5)
    assert agent.state == "active"
    commands.renew = counted  # pyright: ignore[reportAttributeAccessIssue]
    await trio.sleep(10)
    assert sizes
    assert max(sizes) <= 64


@pytest.mark.parametrize("lease", ["3s", "off"])
async def test_every_message_of_a_renewal_is_no_event_for_a_router(lan: Lan, lease: str) -> None:
    lb1, _ = await run_cluster(lan, FILE + f"defaults: {{lease: {lease}}}\n")
    before = lb1.shown()
    key = next(iter(lb1.router().members[0].outcomes))
    for _ in range(10):
        lb1.host.events.emit(AddressAdded(lb1.host.addresses[key], KERNEL))
    await trio.sleep(0.01)
    after = lb1.shown()
    assert before["counters"] == after["counters"]
    assert before["since"][:18] == after["since"][:18]


async def test_a_removal_of_the_same_address_with_another_length_does_not_put_the_renewal_off(lan: Lan) -> None:
    lb1, _ = await run_cluster(lan)
    start = lan.now
    for _ in range(30):
        lb1.host.configure("eth0", "10.0.0.100/32")
        lb1.host.remove("eth0", "10.0.0.100/32")
        await trio.sleep(0.3)
    assert lan.told("lb1", f"removes {VIP}", since=start) == []
    assert lb1.host.holds(VIP)


async def test_the_guardian_forgets_an_address_that_never_was_ours(lan: Lan) -> None:
    lb1, lb2 = await run_cluster(lan)
    lb2.host.configure("eth0", "10.0.0.100/32")
    lb1.host.change("eth0", running=False)
    await trio.sleep(5)
    assert lb2.state == "active"
    lb2.host.change("eth0", running=False)
    await trio.sleep(1)
    assert lb2.host.guardian.addresses == set()


async def test_the_guardian_forgets_what_went_with_its_interface(lan: Lan) -> None:
    lb1, _ = await run_cluster(lan)
    lb1.host.unplug("eth0")
    await trio.sleep(1)
    assert lb1.host.guardian.addresses == set()
