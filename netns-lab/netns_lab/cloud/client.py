"""The lab's end of its cloud: starts the fake EC2 in a namespace of its own, tells it what goes wrong, reads its log.

Every node has a cable to the cloud that is cabled to nothing else (`mgmt`, 169.254.0.x), at whose other end is
169.254.169.254: the API as well as the metadata service, which knows each node by its address. So the nodes' network
and their way to the cloud fail apart from each other.

The elastic address of the lab points at nothing real; who it points to, and since when, is what the cloud itself writes
down. `read` takes that into the history.
"""

from __future__ import annotations

import http.client
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from netns_lab import helper, kernel
from netns_lab.cloud import CONTROL
from netns_lab.cloud.world import World
from netns_lab.errors import LabError
from netns_lab.history import Event, History
from netns_lab.node import Node
from netns_lab.topology import CLOUD_ADDRESS, Host, cloud_cable

EVERYBODY = "*"
ELASTIC = "eipalloc-1"
"""The elastic address that moves in a lab."""

_SECOND = 1_000_000_000


class Cloud:
    """The cloud of one lab.

    Args:
        node: the host that it runs on.
        members: the nodes that are its machines.
        history: where what it writes down is taken to.
    """

    def __init__(self, node: Node, members: Sequence[Host], history: History) -> None:
        self._node = node
        self._history = history
        sources = {host.name: cloud_cable(host) for host in members}
        self._world = World.of([host.name for host in members], network="10.88.0", sources=sources)
        self._read = 0

    def start(self) -> None:
        """Start it with nothing moved yet, and wait until it serves."""
        world = self._node.directory / "world.json"
        world.write_text(json.dumps(asdict(self._world)))
        files = ("--world", str(world), "--log", str(self._log))
        argv = helper.command("cloud.ec2", "--listen", f"{CLOUD_ADDRESS}:80", *files)
        self._node.start("cloud", argv, environment=helper.environment()).wait_line("ready", 10)

    def fault(self, kind: str, node: str, **values: Any) -> None:
        """Let the calls of one node go wrong, or those of `EVERYBODY`; see `rules`."""
        key = EVERYBODY if node == EVERYBODY else self._world.machines[node].key
        self._ask("PUT", {"kind": kind, "key": key, **values})

    def heal(self) -> None:
        """Let everything go well again."""
        self._ask("DELETE")

    def set_cable(self, node: str, *, plugged: bool) -> None:
        """Plug the cable of a node to the cloud in or pull it, at the cloud's end."""
        kernel.ip_batch([f"link set dev {node} {'up' if plugged else 'down'}"], self._node.namespace)

    def holder(self) -> str:
        """The name of the machine that the elastic address points to, "" for nobody."""
        self.read()
        moves = [event for event in self._history.events("remap") if event["what"] == ELASTIC]
        return str(moves[-1]["holder"]) if moves else ""

    def read(self) -> None:
        """Take what was written down since the last time into the history."""
        with self._log.open() as log:
            log.seek(self._read)
            for line in iter(log.readline, ""):
                if not line.endswith("\n"):  # it is being written
                    break
                self._read = log.tell()
                said: dict[str, Any] = json.loads(line)
                self._history.extend((Event(round(said.pop("t") * _SECOND), said.pop("kind"), said),))

    @property
    def _log(self) -> Path:
        return self._node.directory / "cloud.jsonl"

    def _ask(self, method: str, said: Mapping[str, Any] | None = None) -> None:
        """Use the control of the cloud.

        Raises:
            LabError: it refuses, or does not answer.
        """

        def ask() -> tuple[int, bytes]:
            connection = http.client.HTTPConnection(CLOUD_ADDRESS, timeout=5)
            connection.request(method, CONTROL, json.dumps(said) if said else None)
            answer = connection.getresponse()
            body = answer.read()
            connection.close()
            return answer.status, body

        try:
            status, body = kernel.inside(self._node.namespace, ask)
        except OSError as error:
            raise LabError(f"the cloud does not answer: {error}") from error
        if status != 200:
            raise LabError(f"the cloud says: {body.decode()}")
