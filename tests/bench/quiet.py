"""An agent in memory that does nothing but its regular work, in surroundings that keep nothing.

Hosts, sockets and the clock are those of the tests of the runtime (`tests.runtime`); only what is sent is counted and
goes nowhere, and nobody writes a story. Time is virtual: the same work is done at the same moments in each run.
"""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from ipaddress import IPv4Address
from itertools import cycle
from pathlib import Path
from typing import Any, Protocol

import trio

from tests.runtime.agents import run_agent
from tests.runtime.lan import Lan
from tests.runtime.machine import FakeGuardian, Host
from vrrpd.proto.datagram import Datagram
from vrrpd.proto.packet import Advertisement, Dialect, encode
from vrrpd.proto.timers import MS

ROUTERS = 50
INTERVAL_MS = 100
INTERVAL_S = INTERVAL_MS / 1000
LEASED = 100
_BURSTS = 2
_SETTLED_S = 6
_BETWEEN_BURSTS_S = 0.01
_ACTIVE, _BACKUP = IPv4Address("10.0.0.11"), IPv4Address("10.0.0.12")


class Silence(Lan):
    """A link that keeps nothing.

    Attributes:
        sent: how many advertisements were sent there.
    """

    def __init__(self, directory: Path, nursery: trio.Nursery) -> None:
        super().__init__(directory, nursery)
        self.sent = 0

    def advert(self, sender: Host, interface: str, datagram: Datagram) -> None:
        """Count one datagram."""
        self.sent += 1

    def tell(self, host: Host, what: str) -> None:
        """Nobody reads it."""


class _Guardian(FakeGuardian):
    """A guardian that keeps nothing of what it is told again and again."""

    def stamp(self, now: int) -> None:
        """The loop was seen."""


class QuietHost(Host):
    """A host whose kernel counts what it is asked for.

    Attributes:
        changes: how often an address was added, renewed or removed.
    """

    def __init__(self, lan: Silence, name: str) -> None:
        super().__init__(lan, name)
        self.guardian = _Guardian(self)
        self.changes = 0

    def change_address(self, message: bytes, *, told: bool = True) -> int:
        """Count one change, and make it."""
        self.changes += 1
        return super().change_address(message, told=told)


class Worker(Protocol):
    """An agent at its regular work, the parts of which can be counted."""

    def __init__(self, lan: Silence, host: QuietHost) -> None: ...

    @staticmethod
    def file() -> Mapping[str, Any]:
        """What is in its configuration file beside the nodes."""
        ...

    @property
    def done(self) -> int:
        """How many parts are done so far."""
        ...

    async def work(self) -> None:
        """Work for one interval of the routers."""
        ...


def _routers(interval_ms: int = INTERVAL_MS) -> Mapping[str, Any]:
    # There is no sign of life on this link, so the first role would be taken after half a minute.
    each = {"advert_interval": f"{interval_ms}ms", "hear_first": "off"}
    routers = {f"r{vrid}": {"vrid": vrid, "addresses": [f"{_shared(vrid)}/32"]} for vrid in range(1, ROUTERS + 1)}
    return {"defaults": {**each, "lease": "off"}, "routers": routers}


class Sender:
    """It is Active for all routers, and nobody contradicts."""

    file = staticmethod(_routers)

    def __init__(self, lan: Silence, host: QuietHost) -> None:
        self._lan = lan

    @property
    def done(self) -> int:
        """What has left the host."""
        return self._lan.sent

    async def work(self) -> None:
        """Send the regular advertisement of each router."""
        await trio.sleep(INTERVAL_S)


class Hearer:
    """It is Backup for all routers, and the Active says the same each time."""

    file = staticmethod(_routers)
    priorities = (250,)

    def __init__(self, lan: Silence, host: QuietHost) -> None:
        self._host = host
        self._said = cycle([[_said(vrid, each) for vrid in range(1, ROUTERS + 1)] for each in self.priorities])
        self.done = 0

    async def work(self) -> None:
        """Hear one advertisement of each router, in bursts as they are sent."""
        (socket,) = self._host.adverts
        socket.program = []  # the filter, which costs the kernel something and the agent nothing
        said = next(self._said)
        for first in range(_BURSTS):
            for datagram in said[first::_BURSTS]:
                socket.put(datagram)
                self.done += 1
            await trio.sleep(INTERVAL_S / _BURSTS)


class Judge(Hearer):
    """The same, but the Active says something else each time."""

    priorities = (250, 249)


class Tenant:
    """It holds a hundred addresses, and has nothing to do but to renew their leases."""

    def __init__(self, lan: Silence, host: QuietHost) -> None:
        self._host = host

    @staticmethod
    def file() -> Mapping[str, Any]:
        """One router with all of them."""
        addresses = [f"{_shared(number)}/32" for number in range(1, LEASED + 1)]
        return {"routers": {"web": {"vrid": 1, "addresses": addresses, "hear_first": "off"}}}

    @property
    def done(self) -> int:
        """How often the kernel was told of one."""
        return self._host.changes

    async def work(self) -> None:
        """Renew as many as fall due."""
        await trio.sleep(INTERVAL_S)


@asynccontextmanager
async def at_work(kind: type[Worker], directory: Path) -> AsyncGenerator[Worker]:
    """An agent that has settled down; on the virtual clock. At the end it must have done what was to be done."""
    number, state = (2, "backup") if issubclass(kind, Hearer) else (1, "active")
    async with trio.open_nursery() as nursery:
        lan = Silence(directory, nursery)
        nursery.start_soon(lan.deliver)
        host = QuietHost(lan, f"lb{number}")
        host.plug("eth0", f"10.0.0.{10 + number}/24")
        agent = await run_agent(host, json.dumps({"nodes": {"lb1": str(_ACTIVE), "lb2": str(_BACKUP)}, **kind.file()}))
        worker = kind(lan, host)
        await trio.sleep(_BETWEEN_BURSTS_S)
        for _ in range(round(_SETTLED_S / INTERVAL_S)):
            await worker.work()
        yield worker
        routers = agent.status()["routers"]
        assert {router["state"] for router in routers} == {state}
        if issubclass(kind, Hearer):
            assert sum(router["counters"]["adverts_received"] for router in routers) == worker.done
        nursery.cancel_scope.cancel()


def _shared(number: int) -> IPv4Address:
    return IPv4Address("10.0.1.0") + number


def _said(vrid: int, priority: int) -> Datagram:
    advert = Advertisement(3, vrid, priority, INTERVAL_MS * MS, (_shared(vrid),))
    payload = encode(advert, _ACTIVE, _BACKUP, Dialect.PSEUDO)
    return Datagram(payload, _ACTIVE, _BACKUP, ttl=255)
