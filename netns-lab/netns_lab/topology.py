"""The topology: what is cabled to what, and the kernel objects that this takes.

                        namespace vlID-sw
      ┌──────────────────────────────────────────────┐
      │  bridge core                                 │     every cable is a veth pair: one end is `eth0` in the
      │   n2   n3   w1   w2   client   ref   to-n1   │     host's namespace, the other is the switch's port, named
      └────┼────┼────┼────┼─────┼──────┼───────┼─────┘     after the host. Pulling a cable is setting the port down:
           │    │    │    │     │      │       │           the host sees its carrier go, as with a real cable.
         eth0 eth0 eth0 eth0  eth0   eth0   bridge sw-n1
                                               │           A node with an access switch of its own can lose the switch
                                             n1 ── eth0    and keep the carrier.

Hosts are of four kinds: nodes run an agent (and a proxy), webs are back ends, `client` probes, `ref` has an address
that never moves, for the control probe, and is everybody's gateway. All addresses are 10.88.0.0/24 and fd88::/64:
namespaces keep parallel labs apart, so every lab uses the same ones. Nodes may have a second cable, `eth1`, to a switch
`inside` with nothing else on it (10.89.0.0/24, fd89::/64; the ports are called n1.2, n2.2, ...).

A lab with a cloud (`cloud.client`) has one more namespace, `vlID-cloud`, which hangs on no switch: every node has
a cable `mgmt` to it, and finds 169.254.169.254 at its other end.

Nodes have addresses of another program as well, one in the same subnet and one in another: whatever an agent does, they
have to stay (`judges.kept`).

Nothing here is switched on that would hide a fault: no promoted secondaries, no proxy ARP, reverse-path filter as
Debian sets it; router advertisements are ignored and duplicate address detection is off, so that addresses are usable
the moment a lab stands.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

from netns_lab import kernel
from netns_lab.service import Family, lab_address

CORE = "core"
INSIDE = "inside"
SWITCH = "sw"
CLIENT = "client"
REFERENCE = "ref"
REFERENCE_NUMBER = 251
CLOUD = "cloud"
CLOUD_ADDRESS = "169.254.169.254"
_CLOUD_NUMBER = 252
_OTHERS, _ELSEWHERE = 30, 9
_LENGTHS: Sequence[tuple[Family, int]] = (("ipv4", 24), ("ipv6", 64))

_SYSCTLS = {
    "ipv6/conf/all/accept_ra": 0,
    "ipv6/conf/default/accept_ra": 0,
    "ipv6/conf/all/accept_dad": 0,
    "ipv6/conf/default/accept_dad": 0,
    "ipv4/conf/all/rp_filter": 0,
    "ipv4/conf/default/rp_filter": 2,
    "ipv4/conf/all/promote_secondaries": 0,
    "ipv4/conf/default/promote_secondaries": 0,
}


class Role(StrEnum):
    """What a host is there for."""

    NODE = "node"
    WEB = "web"
    CLIENT = "client"
    REFERENCE = "ref"
    CLOUD = "cloud"


@dataclass(frozen=True, slots=True)
class Host:
    """One network namespace with a cable, or two.

    Attributes:
        name: at most 12 characters; also the name of its port on the switch.
        role: what it is there for.
        number: the last part of its addresses and of its MAC address, 1..254.
    """

    name: str
    role: Role
    number: int

    @property
    def ipv4(self) -> str:
        """Its own IPv4 address, without a length."""
        return self.address("ipv4")

    @property
    def ipv6(self) -> str:
        """Its own global IPv6 address, without a length."""
        return self.address("ipv6")

    @property
    def mac(self) -> str:
        """The MAC address of its `eth0`; locally administered, and told apart at a glance in a capture."""
        return f"02:88:00:00:00:{self.number:02x}"

    def address(self, family: Family, network: int = 1) -> str:
        """Its own address of a family, in the first network or the second."""
        return lab_address(family, network, self.number)

    def others(self) -> list[str]:
        """The addresses, with lengths, that another program has given a node: one beside its own, one of elsewhere."""
        if self.role is not Role.NODE:
            return []
        numbers = ((1, self.number + _OTHERS), (_ELSEWHERE, self.number))
        return [f"{lab_address(family, *each)}/{length}" for family, length in _LENGTHS for each in numbers]


@dataclass(frozen=True, slots=True)
class Topology:
    """What a lab is made of.

    Attributes:
        nodes: names of the nodes that run an agent, in order of preference.
        webs: how many web servers stand behind the proxies.
        access_switches: nodes that hang on a switch of their own, which is cabled to the core switch.
        networks: 2: every node has a second cable.
        service_time_ms: how long a web server takes for an answer.
        tls: the proxies speak https as well.
        clocks: each node has a wall clock of its own.
        cloud: there is a cloud, with a cable to each node.
    """

    nodes: Sequence[str] = ("n1", "n2", "n3")
    webs: int = 0
    access_switches: Sequence[str] = ()
    networks: int = 1
    service_time_ms: int = 0
    tls: bool = False
    clocks: bool = False
    cloud: bool = False

    def hosts(self) -> Iterator[Host]:
        """Every host, nodes first in their order."""
        for number, name in enumerate(self.nodes, start=11):
            yield Host(name, Role.NODE, number)
        for number in range(1, self.webs + 1):
            yield Host(f"w{number}", Role.WEB, 200 + number)
        yield Host(CLIENT, Role.CLIENT, 250)
        yield Host(REFERENCE, Role.REFERENCE, REFERENCE_NUMBER)

    def cloud_host(self) -> Host | None:
        """The host of the cloud, which hangs on no switch; None where there is none."""
        return Host(CLOUD, Role.CLOUD, _CLOUD_NUMBER) if self.cloud else None

    def bridge(self, host: str) -> str:
        """The bridge that a host's cable is plugged into."""
        return f"sw-{host}" if host in self.access_switches else CORE

    def bridges(self) -> list[str]:
        """Every bridge, the core first."""
        inside = [INSIDE] if self.networks > 1 else []
        return [CORE, *(self.bridge(node) for node in self.access_switches), *inside]

    def ports(self, host: str) -> list[str]:
        """The switches' ports that a host's cables are plugged into, by the number of the network."""
        return [host, f"{host}.2"] if self.networks > 1 and host in self.nodes else [host]


def build(topology: Topology, prefix: str) -> None:
    """Make the namespaces, switches, cables and addresses of a topology.

    Args:
        topology: what to build.
        prefix: what the names of its namespaces begin with.

    Raises:
        LabError: the kernel refused a line.
    """
    hosts = list(topology.hosts())
    switch = prefix + SWITCH
    kernel.ip_batch(f"netns add {prefix}{name}" for name in [SWITCH, *(host.name for host in hosts)])
    for host in hosts:
        kernel.write_sysctls(prefix + host.name, _SYSCTLS)
    # The switch itself speaks no IPv6: it would only add noise to every capture.
    kernel.write_sysctls(switch, {"ipv6/conf/default/disable_ipv6": 1})
    kernel.ip_batch(
        f"link add name {port} netns {switch} type veth "
        f"peer name eth{index} address {host.mac} netns {prefix}{host.name}"
        for host in hosts
        for index, port in enumerate(topology.ports(host.name))
    )
    kernel.ip_batch(_switch_lines(topology, hosts), switch)
    for host in hosts:
        kernel.ip_batch(_host_lines(topology, host), prefix + host.name)
    if topology.cloud:
        _build_cloud([host for host in hosts if host.role is Role.NODE], prefix)


def cloud_cable(node: Host) -> str:
    """The address of a node on its cable to the cloud, without a length."""
    return f"169.254.0.{node.number}"


def _build_cloud(nodes: Sequence[Host], prefix: str) -> None:
    """Make the namespace of the cloud, and a cable from each node to it."""
    cloud = prefix + CLOUD
    kernel.ip_batch([f"netns add {cloud}"])
    kernel.write_sysctls(cloud, _SYSCTLS)
    kernel.ip_batch(
        f"link add name {node.name} netns {cloud} type veth peer name mgmt netns {prefix}{node.name}" for node in nodes
    )
    lines = ["link set lo up"]
    for node in nodes:
        # A pair of addresses is a route that comes and goes with the cable.
        lines += [f"link set {node.name} up", f"addr add {CLOUD_ADDRESS} peer {cloud_cable(node)} dev {node.name}"]
        theirs = ["link set mgmt up", f"addr add {cloud_cable(node)} peer {CLOUD_ADDRESS} dev mgmt"]
        kernel.ip_batch(theirs, prefix + node.name)
    kernel.ip_batch(lines, cloud)


def _host_lines(topology: Topology, host: Host) -> Iterator[str]:
    """What gives a host its addresses, as lines of ip(8) for its namespace."""
    yield "link set lo up"
    for network, _ in enumerate(topology.ports(host.name), start=1):
        interface = f"eth{network - 1}"
        yield f"link set {interface} up"
        yield f"addr add {host.address('ipv4', network)}/24 brd + dev {interface}"
        yield f"addr add {host.address('ipv6', network)}/64 dev {interface} nodad"
    for address in host.others():
        yield f"addr add {address} dev eth0{' nodad' if ':' in address else ''}"
    if host.role is not Role.REFERENCE:
        yield f"route add default via {lab_address('ipv4', 1, REFERENCE_NUMBER)}"
        yield f"route add ::/0 via {lab_address('ipv6', 1, REFERENCE_NUMBER)}"


def _switch_lines(topology: Topology, hosts: Sequence[Host]) -> Iterator[str]:
    """What makes the switches, as lines of ip(8) for their namespace."""
    for bridge in topology.bridges():
        # A plain switch: no spanning tree that would hold frames back, no multicast snooping without a querier.
        yield f"link add name {bridge} type bridge stp_state 0 forward_delay 0 mcast_snooping 0"
        yield f"link set dev {bridge} up"
    for host in hosts:
        yield f"link set dev {host.name} master {topology.bridge(host.name)} up"
        for port in topology.ports(host.name)[1:]:
            yield f"link set dev {port} master {INSIDE} up"
    for node in topology.access_switches:
        yield f"link add name to-{node} type veth peer name up-{node}"
        yield f"link set dev to-{node} master {CORE} up"
        yield f"link set dev up-{node} master {topology.bridge(node)} up"
