"""The keeper of a lab that stays up: `netns-lab up` starts it in the background, the other commands talk to it.

Started as `python -m netns_lab.keeper SCENARIO AGENT KEY=VALUE...`. It builds the lab of the scenario, starts
everything in it, says `ready ID` on standard output, and then does what it is told over a unix socket in the run
directory: one JSON object in, one out, for each connection. It takes everything away when it is told `down`, or on
SIGTERM and SIGINT.

`ask` is the other end, and `running` finds the labs that have a keeper.
"""

from __future__ import annotations

import json
import signal
import socket
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NoReturn, cast

from netns_lab.errors import CannotRunError, LabError
from netns_lab.faults.registry import heal, inject
from netns_lab.lab import Lab
from netns_lab.rundir import BASE
from netns_lab.runner import start_all
from netns_lab.scenario import Scenario, load

_SOCKET = "keeper.sock"
_MOST = 1 << 20
_PATIENCE = 60.0


class Keeper:
    """A lab that does what it is told."""

    def __init__(self, lab: Lab, scenario: Scenario, kind: str) -> None:
        self._lab = lab
        self._scenario = scenario
        self._kind = kind
        self._faults: list[tuple[str, str]] = []
        self._commands: Mapping[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
            "status": self._status,
            "fault": self._fault,
            "heal": self._heal,
        }

    def serve(self, listener: socket.socket) -> None:
        """Do what is asked until somebody asks for `down`."""
        while True:
            connection, _ = listener.accept()
            with connection:
                connection.settimeout(_PATIENCE)
                try:
                    request = cast("dict[str, Any]", json.loads(_receive(connection)))
                except (OSError, ValueError):
                    continue
                down = request.get("command") == "down"
                connection.sendall(json.dumps({} if down else self._answer(request)).encode())
            if down:
                return

    def _answer(self, request: dict[str, Any]) -> dict[str, Any]:
        command = self._commands.get(request.get("command", ""))
        if command is None:
            return {"error": f"unknown command {request.get('command')!r}"}
        try:
            return command(request)
        except (LabError, OSError) as failure:
            return {"error": str(failure)}

    def _status(self, _: dict[str, Any]) -> dict[str, Any]:
        service = self._scenario.service
        holders = self._lab.history.holders(service.address)
        nodes = [
            {
                "name": host.name,
                "address": host.address(service.family),
                "role": self._lab.agent(host.name).role(),
                "holds": host.name in holders,
                "faults": [kind for kind, node in self._faults if node == host.name],
            }
            for host in self._lab.members()
        ]
        others = sorted(set(self._lab.nodes) - {host.name for host in self._lab.members()})
        return {
            "id": self._lab.run_id,
            "scenario": self._scenario.name,
            "agent": self._kind,
            "address": service.address,
            "nodes": nodes,
            "hosts": others,
        }

    def _fault(self, request: dict[str, Any]) -> dict[str, Any]:
        kind, node = str(request["kind"]), str(request["node"])
        if (kind, node) in self._faults:
            raise LabError(f"{kind} is already in force on {node}; netns-lab heal undoes it")
        inject(self._lab, kind, node)
        self._faults.append((kind, node))
        return {"done": [f"{kind} on {node}"]}

    def _heal(self, request: dict[str, Any]) -> dict[str, Any]:
        node = request.get("node")
        done: list[str] = []
        for fault in [fault for fault in self._faults if node in {None, fault[1]}]:
            heal(self._lab, *fault)
            self._faults.remove(fault)
            done.append("{} on {}".format(*fault))
        return {"done": done}


def running() -> list[str]:
    """The ids of the labs that have a keeper."""
    return sorted(path.parent.name for path in BASE.glob(f"[!.]*/{_SOCKET}"))


def ask(run_id: str, **request: object) -> dict[str, Any]:
    """Ask the keeper of a lab.

    Raises:
        LabError: it does not answer, or says that something went wrong.
    """
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(_PATIENCE)
        try:
            connection.connect(str(BASE / run_id / _SOCKET))
            connection.sendall(json.dumps(request).encode())
            connection.shutdown(socket.SHUT_WR)
            answer = cast("dict[str, Any]", json.loads(_receive(connection)))
        except (OSError, ValueError) as failure:
            raise LabError(f"the keeper of the lab {run_id} does not answer: {failure}") from failure
    if "error" in answer:
        raise LabError(str(answer["error"]))
    return answer


def _receive(connection: socket.socket) -> bytes:
    """Read to the end of what the other side sends."""
    data = b""
    while len(data) < _MOST and (more := connection.recv(65536)):
        data += more
    return data


def _leave(*_: object) -> NoReturn:
    sys.exit(0)


def keep(name: str, kind: str, changes: Mapping[str, str]) -> None:
    """Build a lab and keep it until told otherwise."""
    signal.signal(signal.SIGTERM, _leave)
    scenario = load(name, changes)
    with Lab(scenario.settings.topology()) as lab, socket.socket(socket.AF_UNIX) as listener:
        start_all(lab, scenario, kind)
        listener.bind(str(Path(lab.path) / _SOCKET))
        listener.listen()
        sys.stdout.write(f"ready {lab.run_id}\n")
        sys.stdout.flush()
        Keeper(lab, scenario, kind).serve(listener)


if __name__ == "__main__":
    _, given_name, given_kind, *given_changes = sys.argv
    try:
        keep(given_name, given_kind, dict(change.split("=", 1) for change in given_changes))
    except LabError as failure:
        sys.stderr.write(f"{failure}\n")
        sys.exit(2 if isinstance(failure, CannotRunError) else 1)
