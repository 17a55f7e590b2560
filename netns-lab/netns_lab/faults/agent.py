"""The agent ends, asked to (SIGTERM, the planned stop) or not (SIGKILL), or is asked to give its role away."""

from __future__ import annotations

from typing import ClassVar

from netns_lab.lab import Lab


class AgentStopped:
    """Stops a node's agent in the planned way."""

    kind: ClassVar[str] = "agent-stopped"
    summary: ClassVar[str] = "the agent is stopped as a service manager does (SIGTERM)"
    cuts: ClassVar[bool] = False

    def inject(self, lab: Lab, node: str) -> None:
        """Ask it to stop, and do not wait: the hand-over is what is looked at."""
        lab.agent(node).ask_to_stop()

    def heal(self, lab: Lab, node: str) -> None:
        """Start it again, once the old one has ended."""
        lab.agent(node).stop()
        lab.restart_agent(node)


class AgentKilled:
    """Kills a node's agent."""

    kind: ClassVar[str] = "agent-killed"
    summary: ClassVar[str] = "the agent is killed (SIGKILL)"
    cuts: ClassVar[bool] = False

    def inject(self, lab: Lab, node: str) -> None:
        """Kill it."""
        lab.agent(node).kill()

    def heal(self, lab: Lab, node: str) -> None:
        """Start it again."""
        lab.restart_agent(node)


class AgentDrained:
    """Asks a node's agent to give its role away and to stay out."""

    kind: ClassVar[str] = "agent-drained"
    summary: ClassVar[str] = "the agent is asked to give its role away and to stay out (drain)"
    cuts: ClassVar[bool] = False

    def inject(self, lab: Lab, node: str) -> None:
        """Ask it, and wait for the outcome."""
        lab.agent(node).drain()

    def heal(self, lab: Lab, node: str) -> None:
        """Let it take part again."""
        lab.agent(node).undrain()
