"""Agents for tests of the runtime: a host in memory, the real runtime on it, and the same file for all of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import trio

from tests.runtime.lan import Lan
from tests.runtime.machine import Host
from vrrpd.config import AgentSpec, load, resolve
from vrrpd.kinds import kinds
from vrrpd.runtime.health import CheckState
from vrrpd.runtime.links import host_facts
from vrrpd.runtime.routers import Router
from vrrpd.runtime.status import status
from vrrpd.runtime.supervisor import MakeMover, Runtime

VIP = "10.0.0.100/24"

NODES = """
nodes: {lb1: 10.0.0.11, lb2: 10.0.0.12, lb3: 10.0.0.13}
"""

WEB = """
routers:
  web: {vrid: 51, addresses: [10.0.0.100/24]}
"""

FILE = NODES + WEB

CHECKED = """
checks: {proxy: {tcp: "127.0.0.1:80"}}
defaults: {track: [proxy]}
"""

MULTICAST = """
defaults: {transport: multicast}
"""


@dataclass
class Agent:
    """One agent at work.

    Attributes:
        host: its machine.
        runtime: what runs there.
        scope: cancelling it is the end of the process, without a goodbye.
    """

    host: Host
    runtime: Runtime
    scope: trio.CancelScope

    def apply(self, text: str) -> None:
        """The file was changed."""
        self.runtime.apply(self.wanted(text))

    def wanted(self, text: str) -> AgentSpec:
        """What a file asks of this host; given the node's name, as an address may not be there."""
        return wanted(self.host, text)

    def router(self, name: str = "web") -> Router:
        return self.runtime.routers[name]

    def check(self, *, up: bool, name: str = "proxy") -> None:
        """A check has come to a verdict."""
        detail = "connected" if up else "connection refused"
        self.runtime.check_changed(name, CheckState(up, settled=True, since=1e9, detail=detail))

    def status(self) -> dict[str, Any]:
        """What `vrrpd status --json` prints."""
        return status(self.runtime, self.host.name, self.runtime.now())

    def shown(self, name: str = "web") -> dict[str, Any]:
        """One router of the status; the first virtual router where it has two."""
        return next(each for each in self.status()["routers"] if each["name"] == name)

    @property
    def state(self) -> str:
        return self.shown()["state"]

    def alarms(self, name: str = "web") -> dict[str, str]:
        """Code and sentence of each alarm."""
        return {each["code"]: each["detail"] for each in self.shown(name)["alarms"]}

    def kill(self) -> None:
        """The process ends at once; what the kernel has stays."""
        self.scope.cancel()
        for socket in self.host.adverts + self.host.others:
            socket.closed = True

    async def stop(self) -> None:
        """A planned stop, up to the end of the process."""
        await self.runtime.leave("stop of the agent")
        self.kill()


def wanted(host: Host, text: str) -> AgentSpec:
    path = host.lan.directory / f"{abs(hash(text))}.yaml"
    if not path.exists():
        path.write_text(text)
    name = host.name if host.name in text else None
    return resolve(load(str(path), kinds()), host_facts(host.snapshot()), name)


async def run_agent(host: Host, text: str = FILE, mover: MakeMover | None = None) -> Agent:
    """Start an agent on a host."""
    runtime = Runtime(host.kernel(), mover) if mover else Runtime(host.kernel())
    agent = Agent(host, runtime, trio.CancelScope())

    async def run(task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        with agent.scope:
            await runtime.run(task_status)

    await host.lan.nursery.start(run)
    agent.apply(text)
    return agent


def machine(lan: Lan, number: int, *more: str) -> Host:
    """The host lb1, lb2, ... with its address of the file."""
    host = Host(lan, f"lb{number}")
    host.plug("eth0", f"10.0.0.{10 + number}/24", *more)
    return host


async def run_cluster(lan: Lan, text: str = FILE, number: int = 2) -> list[Agent]:
    """Hosts lb1, lb2, ... with an agent each; returns when the first is Active and the link was told three times."""
    agents = [await run_agent(machine(lan, each + 1), text) for each in range(number)]
    await trio.sleep(5)
    return agents


async def until(condition: Callable[[], bool]) -> None:
    """Return within a millisecond after something has come true."""
    while not condition():  # noqa: ASYNC110 - nobody tells of it
        await trio.sleep(0.001)
