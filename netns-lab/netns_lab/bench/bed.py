"""The bed of a benchmark: nodes with as many links as it takes, and nothing else that could cost anything.

Two nodes are joined by a cable for each link, without a switch in between. More of them hang on a bridge for each
link, in a namespace of its own; the ones without an agent drop what comes, for an answer of theirs (there is no such
protocol here) would be work for the sender.
"""

from __future__ import annotations

import contextlib
from pathlib import Path
from types import TracebackType
from typing import Self

from netns_lab import kernel
from netns_lab.bench.case import RECEIVER, SENDER, Case
from netns_lab.errors import LabError
from netns_lab.node import Node
from netns_lab.rundir import RunDirectory, sweep
from netns_lab.topology import Host, Role

_SWITCH = "sw"
_QUIET = {
    "ipv6/conf/all/disable_ipv6": 1,
    "ipv6/conf/default/disable_ipv6": 1,
    "ipv4/conf/all/rp_filter": 0,
    "ipv4/conf/default/rp_filter": 0,
}
_END_S = 60
_DROP = "table ip bench { chain in { type filter hook prerouting priority -300; ip protocol 112 drop; }; }"


class Bed:
    """The nodes of a case, for as long as its block lasts.

    Attributes:
        case: what it is for.
        nodes: by name.
    """

    def __init__(self, case: Case) -> None:
        self.case = case
        self.nodes: dict[str, Node] = {}
        self._resources = contextlib.ExitStack()

    def __enter__(self) -> Self:
        kernel.require_root()
        sweep()
        try:
            self._build()
        except BaseException:
            self._resources.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._resources.close()
        except LabError:
            if not isinstance(value, LabError):  # what failed first is told
                raise

    @property
    def path(self) -> Path:
        """Its directory."""
        return self.nodes[SENDER].directory.parent

    def _build(self) -> None:
        directory = RunDirectory.create()
        self._resources.callback(directory.remove)
        case, prefix = self.case, directory.prefix
        switched = len(case.nodes) > 2
        names = [*case.nodes, *([_SWITCH] if switched else [])]
        kernel.ip_batch(f"netns add {prefix}{name}" for name in names)
        for name in names:
            kernel.write_sysctls(prefix + name, _QUIET)
        kernel.ip_batch(self._cables(prefix, switched=switched))
        if switched:
            kernel.ip_batch(self._bridges(), prefix + _SWITCH)
        for number, name in enumerate(case.nodes, start=11):
            lines = ["link set lo up"]
            for link in range(case.links):
                lines += [f"link set eth{link} up", f"addr add {case.address(name, link)}/24 dev eth{link}"]
            kernel.ip_batch(lines, prefix + name)
            node = Node(Host(name, Role.NODE, number), prefix + name, directory.path / name)
            self.nodes[name] = node
            self._resources.callback(node.kill_all, _END_S)
            if name not in {SENDER, RECEIVER}:
                done = node.run("nft", _DROP)
                if done.returncode:
                    raise LabError(f"nft: {done.stderr.strip()}")

    def _cables(self, prefix: str, *, switched: bool) -> list[str]:
        lines: list[str] = []
        for link in range(self.case.links):
            if not switched:
                one, other = prefix + SENDER, prefix + RECEIVER
                lines.append(f"link add name eth{link} netns {one} type veth peer name eth{link} netns {other}")
                continue
            for name in self.case.nodes:
                port = f"link add name {name}{link} netns {prefix}{_SWITCH} type veth"
                lines.append(f"{port} peer name eth{link} netns {prefix}{name}")
        return lines

    def _bridges(self) -> list[str]:
        lines: list[str] = []
        for link in range(self.case.links):
            lines += [f"link add name br{link} type bridge stp_state 0 forward_delay 0 mcast_snooping 0"]
            lines += [f"link set dev br{link} up"]
            lines += [f"link set dev {name}{link} master br{link} up" for name in self.case.nodes]
        return lines
