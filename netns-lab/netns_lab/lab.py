"""One lab, from its first namespace to its last: what a scenario, a test or a person drives.

    with Lab(Topology(nodes=("a", "b"))) as lab:
        service = Service(priorities={"a": 200, "b": 100})
        lab.start_agent("a", "vrrpd", service)
        lab.start_agent("b", "keepalived", service)
        lab.wait_holder("a", timeout=10)

Owns the life of everything in it: the run directory, the namespaces, the programs, the recorder that writes the
history. Leaving the block takes all of it away, whatever happened inside; what a killed process could not take
away, the next lab does before it starts.
"""

from __future__ import annotations

import contextlib
import os
import socket
import time
from contextlib import AbstractContextManager
from pathlib import Path
from types import TracebackType
from typing import Self

from netns_lab import kernel, proxies, topology
from netns_lab.agents.base import Agent, RoleName
from netns_lab.agents.registry import agent_class
from netns_lab.cloud.client import Cloud
from netns_lab.errors import LabError
from netns_lab.history import History
from netns_lab.node import Node, wait_until
from netns_lab.probes.client import PACE_NS, Kind, probing
from netns_lab.recording import Recorder
from netns_lab.rundir import RunDirectory, sweep
from netns_lab.service import Service
from netns_lab.topology import CLIENT, REFERENCE, SWITCH, Host, Role, Topology


class Lab:
    """A lab of namespaces, alone in its own corner of the kernel.

    Attributes:
        topology: what it is made of.
        nodes: every host by name (nodes that run agents, web servers, `client`, `ref`).
        agents: the agents that were started, by node.
        history: what was seen on the wires and in the kernels, and what was done.
    """

    def __init__(self, plan: Topology | None = None, history: History | None = None, *, captures: bool = True) -> None:
        """Plan a lab; it is built when its block is entered.

        Args:
            plan: what it is made of.
            history: where to write what is seen; None for a new one.
            captures: whether every VRRP packet is kept.
        """
        self.topology = plan or Topology()
        self.nodes: dict[str, Node] = {}
        self.agents: dict[str, Agent] = {}
        self.history = history or History()
        self._captures = captures
        self._resources = contextlib.ExitStack()
        self._directory: RunDirectory | None = None
        self._switch: socket.socket | None = None
        self._recorder: Recorder | None = None
        self._cloud: Cloud | None = None

    def __enter__(self) -> Self:
        try:
            self._build()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def run_id(self) -> str:
        """The id of this lab, as in the names of its namespaces."""
        return self._owned().run_id

    @property
    def path(self) -> Path:
        """The run directory."""
        return self._owned().path

    @property
    def switch_namespace(self) -> str:
        """The namespace that the switches are in; a host's port there is named after it."""
        return self._owned().prefix + SWITCH

    @property
    def capture(self) -> Path:
        """The capture of every VRRP packet that entered the switch, readable by tshark."""
        return self.path / "vrrp.pcap"

    def node(self, name: str) -> Node:
        """A host by name.

        Raises:
            LabError: no such host.
        """
        if name not in self.nodes:
            raise LabError(f"no host is called {name!r}; there are {', '.join(self.nodes)}")
        return self.nodes[name]

    def namespaces(self) -> list[str]:
        """The names of all its network namespaces."""
        return kernel.namespace_names(self._owned().prefix)

    def members(self) -> list[Host]:
        """The nodes that run an agent, in order of preference."""
        return [node.host for node in self._of_role(Role.NODE)]

    def start_agent(self, node: str, kind: str, service: Service, *, ready: float | None = 10) -> Agent:
        """Configure and start an agent on a node.

        Args:
            node: its name.
            kind: `vrrpd`, `keepalived` or `frr`.
            service: what is asked of it; may differ from node to node.
            ready: seconds to wait until it is ready; None does not wait.

        Raises:
            LabError: it did not get ready.
        """
        agent = agent_class(kind)(self.node(node), service, self.members(), self.path)
        self.agents[node] = agent
        self.history.add("step", step="agent-started", node=node, agent=kind)
        agent.start()
        if ready is not None:
            agent.wait_ready(ready)
        return agent

    def agent(self, node: str) -> Agent:
        """The agent that was started on a node.

        Raises:
            LabError: none was.
        """
        if node not in self.agents:
            raise LabError(f"no agent was started on {node}")
        return self.agents[node]

    def restart_agent(self, node: str) -> Agent:
        """Start a node's agent again, as it was configured."""
        agent = self.agent(node)
        return self.start_agent(node, agent.kind, agent.service)

    def wait_holder(self, node: str, timeout: float = 10) -> None:
        """Wait until `node`, and no other node that is not cut off, holds the shared address of its service.

        Judged from the recorded address events, never asked of an agent. Of no use with FRR, whose address never leaves
        its interface.
        """
        address = self.agent(node).service.address
        wait_until(
            lambda: self.history.holders(address) - self.history.cut_off() == {node},
            timeout,
            lambda: f"{node} to be the only holder of {address} (now: {sorted(self.history.holders(address))})",
        )

    def wait_held(self, timeout: float = 10) -> None:
        """Wait until any node holds the shared address."""
        address = next(iter(self.agents.values())).service.address
        wait_until(lambda: bool(self.history.holders(address)), timeout, f"anybody to hold {address}")

    def wait_advert(self, node: str, timeout: float = 10) -> None:
        """Wait until the next advertisement of `node` enters the switch."""
        since = time.monotonic_ns()

        def heard() -> bool:
            return any(event["node"] == node for event in self.history.events("advert", since=since))

        wait_until(heard, timeout, lambda: f"an advertisement of {node}")

    def wait_role(self, node: str, role: RoleName, timeout: float = 10) -> None:
        """Wait until the agent of `node` says that it has `role`."""
        agent = self.agent(node)
        wait_until(lambda: agent.role() == role, timeout, lambda: f"{node} to be {role} (now: {agent.role()})")

    @property
    def cloud(self) -> Cloud:
        """The cloud.

        Raises:
            LabError: the lab was made without one.
        """
        if self._cloud is None:
            raise LabError("the lab was made without a cloud; set cloud to ec2")
        return self._cloud

    def wait_cloud(self, node: str, timeout: float = 10) -> None:
        """Wait until the elastic address points to `node`, as the cloud has it."""
        wait_until(lambda: self.cloud.holder() == node, timeout, lambda: f"the cloud to point to {node}")

    def start_proxies(self) -> None:
        """Start the web servers, and a proxy on every node."""
        proxies.require(tls=self.topology.tls)
        for node in self.webs():
            self.start_web(node.name)
        for node in self._of_role(Role.NODE):
            self.start_proxy(node.name)

    def start_proxy(self, node: str) -> None:
        """Start the proxy of one node."""
        proxies.start_proxy(self.node(node), self.webs(), tls=self.topology.tls)

    def start_web(self, web: str) -> None:
        """Start one web server."""
        proxies.start_web(self.node(web), self.topology.service_time_ms)

    def webs(self) -> list[Node]:
        """The hosts of the web servers."""
        return self._of_role(Role.WEB)

    def probing(self, kind: Kind, service: Service, pace_ns: int | None = None) -> AbstractContextManager[None]:
        """Probe the shared address from the client while the block runs; the answers are in the history afterwards.

        Args:
            kind: which probe.
            service: what is probed.
            pace_ns: nanoseconds between two probes; None for that of the kind.
        """
        control = self.node(REFERENCE if kind == "icmp" else "w1").host.address(service.family)
        hosts = [node.host for node in self.nodes.values()]
        targets = (service.address, control)
        return probing(kind, pace_ns or PACE_NS[kind], self.node(CLIENT), targets, hosts, self.history)

    def set_cable(self, host: str, *, plugged: bool, network: int = 1) -> None:
        """Plug a host's cable in or pull it, at the switch's end: the host's carrier comes or goes.

        Raises:
            LabError: the host has no such cable.
        """
        ports = self.topology.ports(host)
        if network > len(ports):
            raise LabError(f"{host} has no second cable; the lab was made with one network")
        self._set_switch_link(ports[network - 1], up=plugged)

    def set_port(self, host: str, *, blocked: bool) -> None:
        """Let the switch's port of a host forward nothing, in neither direction, or all; the host's carrier stays."""
        state = "nomaster" if blocked else f"master {self.topology.bridge(host)}"
        kernel.ip_batch([f"link set dev {host} {state}"], self._owned().prefix + SWITCH)

    def set_bridge(self, host: str, *, alive: bool) -> None:
        """Let the switch that a host hangs on forward frames, or not; the host's carrier stays."""
        self._set_switch_link(self.topology.bridge(host), up=alive)

    def close(self) -> None:
        """Take everything away; may be called again."""
        self._resources.close()

    def _build(self) -> None:
        kernel.require_root()
        sweep()
        directory = RunDirectory.create()
        self._directory = directory
        self._resources.callback(directory.remove)
        topology.build(self.topology, directory.prefix)
        for host in self.topology.hosts():
            namespace = directory.prefix + host.name
            clock = self.topology.clocks and host.role is Role.NODE
            self.nodes[host.name] = Node(host, namespace, directory.path / host.name, clock=clock)
            self._resources.callback(self.nodes[host.name].kill_all)
        if host := self.topology.cloud_host():
            node = Node(host, directory.prefix + host.name, directory.path / host.name)
            self._resources.callback(node.kill_all)
            self._cloud = Cloud(node, self.members(), self.history)
        switch = self._resources.enter_context(kernel.control_socket(directory.prefix + SWITCH))
        self._switch = switch
        nodes = [host.name for host in self.members()]
        ports = [port for name in self.nodes for port in self.topology.ports(name)]
        capture = self.capture if self._captures else Path(os.devnull)
        self._recorder = Recorder(directory.prefix, nodes, ports, directory.path, capture)
        self._resources.enter_context(self._recorder.run(self.history))

    def _of_role(self, role: Role) -> list[Node]:
        return [node for node in self.nodes.values() if node.host.role is role]

    def _set_switch_link(self, interface: str, *, up: bool) -> None:
        if self._switch is None:
            raise LabError("the lab is not up")
        kernel.set_link(self._switch, interface, up=up)

    def _owned(self) -> RunDirectory:
        if self._directory is None:
            raise LabError("the lab is not up")
        return self._directory
