"""Many routers on one host: nothing is worked out once for each of them where once for all will do."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import IPv4Address

import pytest
import trio

from tests.runtime.agents import NODES, machine, run_agent
from tests.runtime.lan import Lan
from tests.runtime.machine import FakeCommands
from vrrpd.linux.listener import ArpReply
from vrrpd.proto.datagram import Datagram
from vrrpd.runtime.routers import Router

MANY = 17
ROUTERS = "".join(f"  r{n}: {{vrid: {n}, addresses: [10.0.0.{100 + n}/24]}}\n" for n in range(1, MANY + 1))
FILE = f"{NODES}routers:\n{ROUTERS}"

NUMBER = 200
HOST_FULL = "".join(f"  r{n}: {{vrid: {n}, addresses: [10.0.1.{n}/32]}}\n" for n in range(1, NUMBER + 1))
FULL = f"{NODES}defaults: {{hear_first: off}}\nrouters:\n{HOST_FULL}"


async def test_a_flood_in_a_peers_name_pushes_no_advertisement_out_of_a_queue_that_has_an_end(lan: Lan) -> None:
    """17 routers, whose port lets a burst come in before it reads; 40 forgeries each 2 ms, a queue of 1300."""
    for number in (1, 2):
        await run_agent(machine(lan, number), FILE)
    await trio.sleep(8)
    backup = lan.hosts["lb2"]
    socket = backup.adverts[0]
    peer, here = IPv4Address("10.0.0.11"), IPv4Address("10.0.0.12")
    forged = [
        Datagram(bytes([0x31, n, 250, 1, 0, 100, 0, 1, 10, 0, 0, 100 + n]), peer, here, 255) for n in range(1, 18)
    ]
    most = 0
    for turn in range(2000):
        for each in range(40):
            socket.put(forged[(turn + each) % MANY])
        most = max(most, len(socket.waiting))
        await trio.sleep(0.002)
    assert most < 1300
    assert not any(backup.holds(f"10.0.0.{100 + n}/24") for n in range(1, MANY + 1))


async def test_many_routers_ask_their_link_once_whether_it_is_alive(lan: Lan) -> None:
    await run_agent(machine(lan, 1), FILE)
    await trio.sleep(0.05)
    assert [what for _, what in lan.told("lb1", "asks for 10.0.0.12")] == ["asks for 10.0.0.12"]


async def test_other_tasks_have_their_turn_while_many_routers_are_made(lan: Lan) -> None:
    agent = await run_agent(machine(lan, 1), FULL)
    first = list(agent.runtime.routers)
    assert 0 < len(first) < NUMBER / 2
    await agent.runtime.made()
    assert list(agent.runtime.routers) == [f"r{n}" for n in range(1, NUMBER + 1)]
    await agent.stop()
    assert not agent.runtime.routers


async def test_many_routers_are_replaced_by_as_many(lan: Lan) -> None:
    agent = await run_agent(machine(lan, 1), FULL)
    agent.apply(FULL.replace("10.0.1.", "10.0.2."))
    await agent.runtime.made()
    await trio.sleep(5)
    assert len([each for each in agent.status()["routers"] if each["state"] == "active"]) == NUMBER
    assert agent.host.holds("10.0.2.200/32")
    assert not agent.host.holds("10.0.1.200/32")


async def test_the_first_address_of_many_does_not_wait_for_the_last_role(
    lan: Lan, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, _ = [await run_agent(machine(lan, number), FULL) for number in (1, 2)]
    await trio.sleep(8)
    writes, write = list[int](), FakeCommands.apply

    def apply(commands: FakeCommands, changes: Sequence[bytes]) -> list[int]:
        writes.append(len(changes))
        return write(commands, changes)

    monkeypatch.setattr(FakeCommands, "apply", apply)
    one.kill()
    await trio.sleep(5)
    assert lan.hosts["lb2"].holds("10.0.1.200/32")
    assert 0 < writes[0] < NUMBER / 2


async def test_what_happens_to_an_interface_goes_to_the_routers_that_stand_there(
    lan: Lan, monkeypatch: pytest.MonkeyPatch
) -> None:
    agent = await run_agent(machine(lan, 1), FILE)
    await trio.sleep(5)
    looked, look = list[Router](), Router.refresh

    def refresh(router: Router) -> None:
        looked.append(router)
        look(router)

    monkeypatch.setattr(Router, "refresh", refresh)
    agent.host.plug("docker0", "172.17.0.1/16")
    agent.host.change("docker0", running=False)
    agent.host.remove("docker0", "172.17.0.1/16")
    agent.host.unplug("docker0")
    await trio.sleep(0.5)
    assert not looked
    agent.host.change("eth0", running=False)
    await trio.sleep(0.5)
    assert set(looked) == set(agent.runtime.routers.values())
    assert {each["state"] for each in agent.status()["routers"]} == {"fault"}


async def test_routers_with_other_peers_ask_with_the_same_sockets(lan: Lan) -> None:
    peers = "".join(
        f"  r{n}: {{vrid: {n}, addresses: [10.0.1.{n}/32], unicast: {{bind: 10.0.0.11, peers: [10.0.0.{20 + n}]}}}}\n"
        for n in range(1, NUMBER + 1)
    )
    agent = await run_agent(machine(lan, 1), f"routers:\n{peers}")
    await agent.runtime.made()
    await trio.sleep(0.15)
    asked = {what for _, what in lan.told("lb1", "asks for")}
    assert asked == {f"asks for 10.0.0.{20 + n}" for n in range(1, NUMBER + 1)}
    assert len(agent.host.listeners) == 1
    lan.hosts["lb1"].hear("eth0", ArpReply(IPv4Address("10.0.0.77"), bytes(6)))
    await trio.sleep(5)
    assert {each["state"] for each in agent.status()["routers"]} == {"active"}, "any answer shows that frames pass"
