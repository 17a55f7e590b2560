"""Two nodes, and what a person at the switch, at the client and at both agents sees of them.

Owns the steps that a cell is made of and the looks between them. Roles are asked of the agents, and held against what
an agent cannot make up: the advertisements on the wire, the addresses in the kernels (never FRR's, which keeps its
address whatever its role), and the machine that answers the client. It judges nothing that takes more than waiting.
"""

from __future__ import annotations

import shutil
import signal
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, cast

from netns_lab.agents.vrrpd import Vrrpd
from netns_lab.errors import CannotRunError, LabError
from netns_lab.history import Event
from netns_lab.lab import Lab
from netns_lab.node import wait_until
from netns_lab.topology import Topology
from tests.interop.cells import MS, OTHER, PREFERRED, Cell

PATIENCE_S = 20.0
"""Seconds that a step may take on a busy machine before it has failed."""

ASKED_FOR_S = 0.1
"""Seconds for which the client asks, each millisecond."""


@dataclass
class Pair:
    """A running cell.

    Attributes:
        cell: what is tried.
        lab: where.
        dead: nodes whose agent was killed and left its address in the kernel; until it is started again, that address
            says nothing about a role, and the kernel may answer for it.
    """

    cell: Cell
    lab: Lab
    dead: set[str] = field(default_factory=set[str])

    # ---------------------------------------------------------------- steps

    def start(self, node: str) -> None:
        """Start the agent of a node, for the first time or again."""
        if node == self.cell.peer_node:
            self._reboot(node)
        self.lab.start_agent(node, self.cell.kind(node), self.cell.service, ready=PATIENCE_S)
        self.dead.discard(node)

    def kill(self, node: str) -> int:
        """SIGKILL the agent of a node; returns the time of its last advertisement, nanoseconds."""
        agent = self.lab.agent(node)
        if agent.process is not None:
            # All of it in one system call: the child of a keepalived that dies leaves in the planned way.
            agent.process.signal(signal.SIGKILL, group=True)
        agent.kill()
        self.dead.add(node)
        return self.adverts(node)[-1].t

    def stop(self, node: str) -> int:
        """Stop the agent of a node in the planned way; returns the time of its first priority 0, nanoseconds."""
        before = self.now()
        agent = self.lab.agent(node)
        agent.stop()
        if node == self.cell.ours and agent.process is not None:
            assert agent.process.exit_status == 0, self.log(node)
        zeros = [event for event in self.adverts(node, since=before) if event["priority"] == 0]
        assert zeros, f"{agent.kind} was stopped and did not say priority 0"
        return zeros[0].t

    def wait_serving(self, node: str) -> None:
        """Wait until `node`, and nobody else, serves: on the wire, in the kernels, and in the agents' own words."""
        wait_until(lambda: self._advertises_alone(node), PATIENCE_S, f"{node} to advertise alone")
        try:
            wait_until(lambda: self._holds_alone(node), PATIENCE_S, f"{node} to hold the address alone")
        except LabError as error:
            raise AssertionError(f"{error}: on the wire it serves, but the address is on {self._holders()}") from None
        for each in (PREFERRED, OTHER):
            if self.runs(each):
                self.lab.wait_role(each, "active" if each == node else "backup", PATIENCE_S)

    # ---------------------------------------------------------------- what is seen

    def now(self) -> int:
        """The clock of the history, nanoseconds."""
        return time.monotonic_ns()

    def runs(self, node: str) -> bool:
        """Whether an agent runs on a node."""
        return node in self.lab.agents and self.lab.agent(node).running

    def adverts(self, node: str | None = None, since: int = 0) -> list[Event]:
        """The advertisements of a node, or of all."""
        return [e for e in self.lab.history.events("advert", since=since) if node in {None, e["node"]}]

    def taken_after(self, node: str, since: int) -> int:
        """Nanoseconds from `since` until `node` advertised as the Active."""
        return next(event.t for event in self.adverts(node, since=since) if event["priority"] > 0) - since

    def both_held(self, since: int) -> int:
        """The longest time for which two kernels had the shared address since then, nanoseconds."""
        holders: set[str] = set()
        longest, began = 0, None
        for event in self.lab.history.events("address"):
            if event["address"] != self.cell.service.address:
                continue
            (holders.add if event["held"] else holders.discard)(event["node"])
            if len(holders) > 1:
                began = event.t if began is None else began
            elif began is not None:
                longest, began = max(longest, event.t - max(began, since)), None
        return longest

    def who_answers(self) -> set[str]:
        """The nodes that answer when the client asks the shared address for a moment.

        The client's kernel decides whom it asks, by a neighbour table that the cell leaves as it is: an address that
        moved without being announced shows.
        """
        since = self.now()
        with self.lab.probing("icmp", self.cell.service):
            time.sleep(ASKED_FOR_S)
        replies = [event for event in self.lab.history.events("reply", since=since) if event["target"] == "shared"]
        who = {str(event["node"]) for event in replies}
        return {self.cell.peer_node if each == self._virtual_mac() else each for each in who}

    def status(self) -> dict[str, Any]:
        """The status of our agent."""
        return cast("Vrrpd", self.lab.agent(self.cell.ours)).status()

    def log(self, node: str) -> list[str]:
        """What the agent of a node has written since its last start."""
        process = self.lab.agent(node).process
        return process.output().splitlines() if process else []

    # ---------------------------------------------------------------- inner

    def _advertises_alone(self, node: str) -> bool:
        """True once every advertisement of the last one and a half intervals is this node's."""
        recent = self.adverts(since=self.now() - 3 * self.cell.interval_ms * MS // 2)
        return bool(recent) and all(event["node"] == node and event["priority"] > 0 for event in recent)

    def _holders(self) -> set[str]:
        return self.lab.history.holders(self.cell.service.address)

    def _holds_alone(self, node: str) -> bool:
        holders = self._holders() - self.dead
        if self.cell.peer == "frr":  # its own address is there in any role
            return (self.cell.ours in holders) == (node == self.cell.ours)
        return holders == {node}

    def _virtual_mac(self) -> str:
        """The MAC address that FRR answers with (RFC 9568 7.3); the others answer with the interface's own."""
        family = "02" if self.cell.family == "ipv6" else "01"
        return f"00:00:5e:00:{family}:{self.cell.service.vrid:02x}"

    def _reboot(self, node: str) -> None:
        """Take away what an ended peer left on its host, as a power cut would.

        FRR leaves its interface, and its vrrpd waits 10 s where it finds zebra's old socket; keepalived does not start
        beside the pid file of a process that nobody has reaped yet. Our own agent cleans up after itself.
        """
        host = self.lab.node(node)
        macvlan = f"vrrp{'6' if self.cell.family == 'ipv6' else '4'}-{self.cell.service.vrid}"
        host.kill_all()
        host.run("ip", "link", "delete", macvlan)
        for pattern in ("*.pid", "frr/*.api"):
            for file in host.directory.glob(pattern):
                file.unlink()


@contextmanager
def pair(cell: Cell) -> Generator[Pair]:
    """A lab with the two nodes of a cell, nothing started yet.

    Raises:
        CannotRunError: not root, or a program is missing; the text says which, and how to get it.
    """
    if not shutil.which("tshark"):
        raise CannotRunError("the packets on the wire are judged by tshark; apt-get install tshark")
    with Lab(Topology(nodes=(PREFERRED, OTHER))) as lab:
        try:
            yield Pair(cell, lab)
        finally:
            for node in lab.nodes.values():
                node.kill_all()
