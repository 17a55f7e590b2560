"""The agents of the lab: a name on the command line and the class behind it."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from netns_lab.agents.base import Agent
from netns_lab.agents.frr import Frr
from netns_lab.agents.keepalived import Keepalived
from netns_lab.agents.vrrpd import Vrrpd
from netns_lab.errors import CannotRunError

AGENTS: Mapping[str, type[Agent]] = MappingProxyType({agent.kind: agent for agent in (Vrrpd, Keepalived, Frr)})


def agent_class(kind: str) -> type[Agent]:
    """The class of an agent that can run on this machine.

    Raises:
        CannotRunError: an unknown kind, or something is missing here.
    """
    if kind not in AGENTS:
        raise CannotRunError(f"no agent is called {kind!r}; there are {', '.join(AGENTS)}")
    if missing := AGENTS[kind].missing():
        raise CannotRunError(f"the agent {kind} needs {missing}")
    return AGENTS[kind]
