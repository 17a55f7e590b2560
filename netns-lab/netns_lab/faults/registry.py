"""The faults of the lab: a name and what it does; and the one place that does it and writes it into the history."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from types import MappingProxyType

from netns_lab.errors import CannotRunError
from netns_lab.faults.address import AddressDeleted
from netns_lab.faults.agent import AgentDrained, AgentKilled, AgentStopped
from netns_lab.faults.base import Fault
from netns_lab.faults.cable import CablePulled, SecondCablePulled
from netns_lab.faults.clock import ClockJumped
from netns_lab.faults.cloud import CloudCutOff, CloudLate, CloudRefuses, CloudSlow, CloudStolen, CloudThrottled
from netns_lab.faults.direction import CableDeaf, CableMute
from netns_lab.faults.flood import (
    FloodGroup,
    FloodPeer,
    FloodSigned,
    FloodStranger,
    ForgedChecksum,
    ForgedHops,
    ForgedInterval,
    ForgedJunk,
    ForgedOwn,
    ForgedPriority,
    ForgedVrid,
)
from netns_lab.faults.hang import AgentAndHelpersKilled, AgentFrozen
from netns_lab.faults.health import HealthBad
from netns_lab.faults.intruder import AddressTaken, VridTaken
from netns_lab.faults.loop import SwitchLoops
from netns_lab.faults.path import GatewayLost, WebsLost
from netns_lab.faults.power import PowerCut
from netns_lab.faults.proxy import CertificateWrong, ProxyFrozen, ProxyKilled, ProxyReloaded, ProxyRestarted
from netns_lab.faults.replay import AdvertsReplayed
from netns_lab.faults.switch import PortBlocked, SwitchDead
from netns_lab.faults.web import WebBad, WebKilled
from netns_lab.history import HEALED
from netns_lab.lab import Lab

_CLOUD: Sequence[Fault] = (
    CloudSlow(),
    CloudLate(),
    CloudThrottled(),
    CloudRefuses(),
    CloudCutOff(),
    CloudStolen(),
)
_ALL: Sequence[Fault] = (
    CablePulled(),
    SecondCablePulled(),
    SwitchDead(),
    PortBlocked(),
    CableDeaf(),
    CableMute(),
    SwitchLoops(),
    AddressTaken(),
    VridTaken(),
    GatewayLost(),
    ProxyKilled(),
    ProxyFrozen(),
    ProxyReloaded(),
    ProxyRestarted(),
    CertificateWrong(),
    WebKilled(),
    WebBad(),
    WebsLost(),
    HealthBad(),
    AgentStopped(),
    AgentKilled(),
    AgentFrozen(),
    AgentAndHelpersKilled(),
    AddressDeleted(),
    AdvertsReplayed(),
    ClockJumped(),
    AgentDrained(),
    PowerCut(),
    ForgedPriority(),
    ForgedHops(),
    ForgedChecksum(),
    ForgedVrid(),
    ForgedOwn(),
    ForgedInterval(),
    ForgedJunk(),
    FloodPeer(),
    FloodSigned(),
    FloodGroup(),
    FloodStranger(),
    *_CLOUD,
)

FAULTS: Mapping[str, Fault] = MappingProxyType({fault.kind: fault for fault in _ALL})
CLOUD_FAULTS = frozenset(fault.kind for fault in _CLOUD)
"""Those that need a cloud."""


def inject(lab: Lab, kind: str, node: str, mark: str | None = None) -> None:
    """Do a fault to a node.

    Args:
        lab: the lab.
        kind: a name of `FAULTS`.
        node: the node.
        mark: what expectations call this moment.

    Raises:
        CannotRunError: no fault has that name.
    """
    fault = _fault(kind)
    # The moment is the one before the deed: nothing that the deed causes may come earlier.
    t = time.monotonic_ns()
    fault.inject(lab, node)
    lab.history.add("step", t=t, step=kind, node=node, mark=mark, cut=True if fault.cuts else None)


def heal(lab: Lab, kind: str, node: str, mark: str | None = None) -> None:
    """Undo a fault of a node; arguments and errors as for `inject`."""
    fault = _fault(kind)
    t = time.monotonic_ns()
    lab.history.add("step", t=t, step=kind + HEALED, node=node, mark=mark, cut=False if fault.cuts else None)
    fault.heal(lab, node)


def _fault(kind: str) -> Fault:
    if kind not in FAULTS:
        raise CannotRunError(f"no fault is called {kind!r}; there are {', '.join(FAULTS)}")
    return FAULTS[kind]
