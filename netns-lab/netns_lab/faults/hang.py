"""The agent does not end in order: it is frozen, or killed with everything that would have cleaned up after it."""

from __future__ import annotations

import contextlib
import os
import signal
from typing import ClassVar

from netns_lab import kernel
from netns_lab.errors import LabError
from netns_lab.lab import Lab


class AgentFrozen:
    """Stops a node's agent in its tracks; what it started stays, and so does all that the kernel holds for it."""

    kind: ClassVar[str] = "agent-frozen"
    summary: ClassVar[str] = "the agent hangs (SIGSTOP), and goes on where it was when healed"
    cuts: ClassVar[bool] = False

    def inject(self, lab: Lab, node: str) -> None:
        """Freeze it."""
        _signal(lab, node, signal.SIGSTOP)

    def heal(self, lab: Lab, node: str) -> None:
        """Let it go on."""
        _signal(lab, node, signal.SIGCONT)


class AgentAndHelpersKilled:
    """Kills a node's agent with all its helpers at once: nobody is left who could clean up."""

    kind: ClassVar[str] = "agent-and-helpers-killed"
    summary: ClassVar[str] = "the agent and every process that it started are killed (SIGKILL)"
    cuts: ClassVar[bool] = False

    def inject(self, lab: Lab, node: str) -> None:
        """Freeze all of them first, so that none sees another one die."""
        family = kernel.family(_main(lab, node))
        for number in (signal.SIGSTOP, signal.SIGKILL):
            for pid in family:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, number)
        lab.agent(node).kill()

    def heal(self, lab: Lab, node: str) -> None:
        """Start it again."""
        lab.restart_agent(node)


def _signal(lab: Lab, node: str, number: signal.Signals) -> None:
    """Signal the main process and those that share its group (keepalived's child speaks VRRP)."""
    os.killpg(_main(lab, node), number)


def _main(lab: Lab, node: str) -> int:
    process = lab.agent(node).process
    if process is None:
        raise LabError(f"no agent runs on {node}")
    return process.pid
