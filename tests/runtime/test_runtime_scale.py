"""Many routers on one host: nothing is worked out once for each of them where once for all will do."""

from __future__ import annotations

from ipaddress import IPv4Address

import trio

from tests.runtime.agents import NODES, machine, run_agent
from tests.runtime.lan import Lan
from vrrpd.proto.datagram import Datagram

MANY = 17
ROUTERS = "".join(f"  r{n}: {{vrid: {n}, addresses: [10.0.0.{100 + n}/24]}}\n" for n in range(1, MANY + 1))
FILE = f"{NODES}routers:\n{ROUTERS}"


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
