"""Two agents in the same scenario, side by side: the one of this project, and keepalived as the control.

Their runs take turns, so that a machine that gets slower or quieter does so for both. Each is judged by the same
expectations; limits that are formulas follow from what the agent itself advertised. Only the first one decides the exit
status: the control is there to be read.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from netns_lab import machine
from netns_lab.agents.registry import agent_class
from netns_lab.errors import CannotRunError
from netns_lab.judges.base import Finding
from netns_lab.results import COLOURS
from netns_lab.runner import Result, Run, Tell, run_once, summary, unable
from netns_lab.scenario import Scenario

AGENTS = ("vrrpd", "keepalived")
"""Whose exit status it is, and the control."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """What a scenario came to with each agent.

    Attributes:
        scenario: the scenario.
        results: by kind of agent; without one that cannot do what is asked.
        remarks: by kind of agent, what a reader has to know: why it was skipped, or runs otherwise.
    """

    scenario: Scenario
    results: Mapping[str, Result]
    remarks: Mapping[str, str]

    @property
    def own(self) -> Result:
        """The result that decides."""
        return self.results[AGENTS[0]]

    def rows(self) -> list[tuple[Finding, ...]]:
        """The findings of one expectation, of each agent that was run."""
        return list(zip(*(result.findings for result in self.results.values()), strict=True))


def compare(scenario: Scenario, tell: Tell, advance: Callable[[], None]) -> Comparison:
    """Run a scenario with both agents in turn, each as often as its settings say.

    Args:
        scenario: what to run.
        tell: takes a line for each thing that happens.
        advance: called after each run.

    Raises:
        LabError: a program did not start.
        CannotRunError: something is missing on this machine.
    """
    refused = {kind: why for kind in AGENTS if (why := unable(scenario, kind))}
    if AGENTS[0] in refused:
        raise CannotRunError(f"{scenario.name}: {refused[AGENTS[0]]}")
    runs: dict[str, list[Run]] = {kind: [] for kind in AGENTS if kind not in refused}
    for number in range(1, scenario.settings.runs + 1):
        for kind, done in runs.items():
            done.append(run_once(scenario, kind, tell, number))
            advance()
    own = {kind: remark for kind in runs if (remark := agent_class(kind).remark(scenario.service))}
    results = {kind: summary(scenario, kind, done) for kind, done in runs.items()}
    return Comparison(scenario, results, {**{kind: f"skipped: {why}" for kind, why in refused.items()}, **own})


def show(console: Console, comparison: Comparison) -> None:
    """Print what both came to: a table on a terminal, plain lines in a pipe."""
    name = comparison.scenario.name
    if console.is_terminal:
        console.print(_table(comparison))
    else:
        for findings in comparison.rows():
            said = [
                f"{kind} {found.outcome}, {found.measured} (asked: {found.asked})"
                for kind, found in zip(comparison.results, findings, strict=True)
            ]
            console.print(f"{name}: {findings[0].title}: {'; '.join(said)}", soft_wrap=True, markup=False)
    for kind, remark in comparison.remarks.items():
        console.print(f"{name}: {kind}: {remark}", soft_wrap=True, markup=False)


def _table(comparison: Comparison) -> Table:
    table = Table(title=f"{comparison.scenario.name}: {comparison.scenario.question}", title_justify="left")
    table.add_column("expectation", overflow="fold")
    for kind in comparison.results:
        table.add_column(kind, overflow="fold")
        table.add_column("asked", overflow="fold")
        table.add_column("verdict")
    for findings in comparison.rows():
        cells = [[f.measured, f.asked, f"[{COLOURS[f.outcome]}]{f.outcome}[/]"] for f in findings]
        table.add_row(findings[0].title, *(cell for three in cells for cell in three))
    return table


def write(path: Path, comparisons: Sequence[Comparison]) -> None:
    """Write the figures of all scenarios, and the machine that they are of, as one JSON object."""
    versions = {kind: agent_class(kind).version() for kind in AGENTS}
    found = {
        "written_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": machine.describe(),
        "versions": versions,
        "scenarios": [_figures(each) for each in comparisons],
    }
    path.write_text(json.dumps(found, indent=1) + "\n")


def _figures(comparison: Comparison) -> dict[str, Any]:
    agents: dict[str, Any] = {}
    for kind, result in comparison.results.items():
        agents[kind] = {
            "outcome": result.outcome,
            "findings": [dataclasses.asdict(finding) for finding in result.findings],
            "runs": [
                {
                    "control_ns": run.control_ns,
                    "repeated": run.repeated,
                    "values": [finding.value for finding in run.findings],
                    "outcomes": [finding.outcome for finding in run.findings],
                }
                for run in result.runs
            ],
        }
    scenario = comparison.scenario
    return {
        "scenario": scenario.name,
        "question": scenario.question,
        "runs": scenario.settings.runs,
        "remarks": dict(comparison.remarks),
        "agents": agents,
    }
