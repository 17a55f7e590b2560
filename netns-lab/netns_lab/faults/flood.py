"""A stranger on the network sends forged advertisements, 20 000 a second; a fault of these lasts until all are sent.

The stranger sits where the gateway is; nothing it sends is written into the history, which tells what was sent and how
much processor time each agent took meanwhile (`flooded`).
"""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
from pathlib import Path
from typing import ClassVar

from netns_lab import helper
from netns_lab.errors import LabError
from netns_lab.forgeries import Target
from netns_lab.lab import Lab
from netns_lab.topology import REFERENCE

RATE = 20_000
"""Packets a second."""


class _Forged:
    """Sends the packets of a recipe to a node.

    Attributes:
        recipe: a name of `forgeries.RECIPES`.
        seconds: how long.
    """

    cuts: ClassVar[bool] = False
    recipe: ClassVar[str]
    seconds: ClassVar[int] = 1

    def inject(self, lab: Lab, node: str) -> None:
        """Send them, and return after the last one.

        Raises:
            LabError: the flooder failed.
        """
        before = {name: _processor_seconds(lab, name) for name in lab.agents}
        arguments = (self.recipe, str(RATE), str(self.seconds), json.dumps(dataclasses.asdict(_target(lab, node))))
        done = subprocess.run(
            lab.node(REFERENCE).command(helper.command("flooder", *arguments)),
            capture_output=True,
            text=True,
            env=helper.environment(),
            timeout=10 + 10 * self.seconds,
            check=False,
        )
        if done.returncode:
            raise LabError(f"the flooder failed: {done.stderr.strip()}")
        said = json.loads(done.stdout)
        used = {name: round(_processor_seconds(lab, name) - at, 2) for name, at in before.items()}
        lab.history.add("flooded", recipe=self.recipe, sent=said["sent"], seconds=said["seconds"], processor_s=used)

    def heal(self, lab: Lab, node: str) -> None:
        """Nothing is left to undo."""


class ForgedPriority(_Forged):
    """A stranger claims to be the best."""

    kind: ClassVar[str] = "forged-priority"
    summary: ClassVar[str] = "strangers claim priority 255"
    recipe: ClassVar[str] = "priority"


class ForgedHops(_Forged):
    """From beyond a router."""

    kind: ClassVar[str] = "forged-hops"
    summary: ClassVar[str] = "advertisements in a peer's name come with a TTL of 64, 128, 254, 1"
    recipe: ClassVar[str] = "hops"


class ForgedChecksum(_Forged):
    """Broken on the way, or made by somebody careless."""

    kind: ClassVar[str] = "forged-checksum"
    summary: ClassVar[str] = "advertisements in a peer's name have a wrong checksum"
    recipe: ClassVar[str] = "checksum"


class ForgedVrid(_Forged):
    """Of every other virtual router."""

    kind: ClassVar[str] = "forged-vrid"
    summary: ClassVar[str] = "advertisements in a peer's name are about other virtual routers"
    recipe: ClassVar[str] = "vrid"


class ForgedOwn(_Forged):
    """In the node's own name."""

    kind: ClassVar[str] = "forged-own"
    summary: ClassVar[str] = "advertisements claim to come from the node itself"
    recipe: ClassVar[str] = "own"


class ForgedInterval(_Forged):
    """An interval of zero would make every Backup an Active at once."""

    kind: ClassVar[str] = "forged-interval"
    summary: ClassVar[str] = "advertisements in a peer's name promise one every 0 s"
    recipe: ClassVar[str] = "interval"


class ForgedJunk(_Forged):
    """Anything."""

    kind: ClassVar[str] = "forged-junk"
    summary: ClassVar[str] = "random bytes come in a peer's name"
    recipe: ClassVar[str] = "junk"


class FloodPeer(_Forged):
    """For long, in a peer's name."""

    kind: ClassVar[str] = "flood-peer"
    summary: ClassVar[str] = "bad advertisements in a peer's name, 20 000 a second for 10 s"
    recipe: ClassVar[str] = "peer"
    seconds: ClassVar[int] = 10


class FloodGroup(_Forged):
    """For long, to everybody."""

    kind: ClassVar[str] = "flood-group"
    summary: ClassVar[str] = "bad advertisements of strangers to the multicast group, 20 000 a second for 10 s"
    recipe: ClassVar[str] = "group"
    seconds: ClassVar[int] = 10


class FloodStranger(_Forged):
    """For long, by strangers."""

    kind: ClassVar[str] = "flood-stranger"
    summary: ClassVar[str] = "strangers claim priority 255, 20 000 times a second for 10 s"
    recipe: ClassVar[str] = "priority"
    seconds: ClassVar[int] = 10


def _target(lab: Lab, node: str) -> Target:
    agent = lab.agent(node)
    service = agent.service
    return Target(
        family=service.family,
        address=agent.node.host.address(service.family),
        peer=agent.peers()[0].address(service.family),
        group=service.transport == "multicast",
        vrid=service.vrid,
        interval_cs=service.interval_ms // 10,
        addresses=[address.partition("/")[0] for address in service.advertised],
    )


def _processor_seconds(lab: Lab, node: str) -> float:
    """What an agent's processes have used so far: the main one, and those in its group (keepalived's child)."""
    process = lab.agent(node).process
    if process is None:
        return 0
    ticks = 0
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:  # it ended meanwhile
                continue
            if int(fields[2]) == process.pid:  # proc(5): pgrp, utime, stime
                ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")
