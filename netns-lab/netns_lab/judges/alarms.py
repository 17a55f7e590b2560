"""What an agent complains about: `alarm: {after: MARK, node: NAME, code: CODE}`, or `code: none`.

`inspect` asks every agent and writes the answers into the history, right before each marked moment and at the end;
`judge` reads there what was said last in its window. An agent that has no alarms leaves it unknown.
"""

from __future__ import annotations

from collections.abc import Iterable

from netns_lab.agents.base import Agent
from netns_lab.history import History
from netns_lab.judges.base import Case, Finding, Outcome

NONE = "none"


def inspect(agents: Iterable[Agent], history: History) -> None:
    """Ask agents what they complain about: an event `alarms` for each that can say it."""
    for agent in agents:
        alarms = agent.alarms() if agent.running else None
        if alarms is not None:
            history.add("alarms", node=agent.node.name, alarms=dict(alarms))


def judge(case: Case) -> Finding:
    """Judge `alarm: {after: MARK, node: NAME, code: CODE}`: it is there at the end of the window."""
    node, code = case.options["node"], str(case.options["code"])
    title = f"alarm of {node}{case.where()}"
    start, finish = case.window()
    said = [e["alarms"] for e in case.history.events("alarms", since=start, until=finish) if e["node"] == node]
    if not said:
        return Finding(title, code, "this agent has no alarms", Outcome.UNKNOWN)
    found: dict[str, str] = said[-1]
    good = not found if code == NONE else code in found
    measured = "; ".join(f"{name}: {detail}" for name, detail in found.items() if good is False or name == code) or NONE
    return Finding(title, code, measured, Outcome.PASSED if good else Outcome.FAILED)
