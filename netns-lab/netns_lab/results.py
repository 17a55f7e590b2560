"""How results look: a table on a terminal, plain lines in a pipe, JSON Lines in a file."""

from __future__ import annotations

import contextlib
import dataclasses
import json
from collections.abc import Callable, Generator, Iterator, Sequence
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from netns_lab.expressions import show
from netns_lab.judges.base import Outcome
from netns_lab.runner import Result, Tell, worst

COLOURS = {Outcome.PASSED: "green", Outcome.FAILED: "bold red", Outcome.UNKNOWN: "yellow"}


@contextlib.contextmanager
def advancing(console: Console, total: int) -> Generator[tuple[Tell, Callable[[], None]]]:
    """Show how far runs are while the block runs: a bar with the latest line on a terminal, all lines in a pipe.

    Yields:
        What takes a line, and what is called after each run.
    """
    if not console.is_terminal:
        yield (lambda line: console.print(line, soft_wrap=True, markup=False)), (lambda: None)
        return
    columns = (BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), TextColumn("{task.fields[now]}"))
    with Progress(*columns, console=console) as bar:
        task = bar.add_task("runs", total=total, now="")
        yield (lambda line: bar.update(task, now=line.strip())), (lambda: bar.advance(task))


def show_results(console: Console, results: Sequence[Result]) -> None:
    """Print what was asked, what was measured, and the verdicts."""
    for result in results:
        if console.is_terminal:
            console.print(_table(result))
        else:
            for finding in result.findings:
                console.print(
                    f"{finding.outcome}: {result.scenario.name}: {finding.title}: {finding.measured} "
                    f"(asked: {finding.asked})",
                    soft_wrap=True,
                )
    overall = worst(result.outcome for result in results)
    colour = COLOURS[overall]
    good = sum(result.outcome is Outcome.PASSED for result in results)
    console.print(f"[{colour}]{overall}[/]: {good} of {len(results)} scenarios", highlight=False)


def _table(result: Result) -> Table:
    table = Table(title=f"{result.scenario.name} with {result.agent}", title_justify="left")
    for column in ("expectation", "asked", "measured", "verdict"):
        table.add_column(column, overflow="fold")
    for finding in result.findings:
        verdict = f"[{COLOURS[finding.outcome]}]{finding.outcome}[/]"
        table.add_row(finding.title, finding.asked, finding.measured, verdict)
    gaps = [run.control_ns for run in result.runs if run.control_ns is not None]
    if gaps:
        repeated = sum(run.repeated for run in result.runs)
        table.add_row("control", "", f"{show(max(gaps))} at most, {repeated} runs repeated", "")
    return table


def write_json(path: Path, results: Sequence[Result]) -> None:
    """Write every history with its findings as JSON Lines.

    Each run begins with a line of kind `run`; the findings over all runs of a scenario are lines of kind `finding`.
    """
    with path.open("w") as file:
        for result in results:
            for line in _lines(result):
                file.write(line + "\n")


def _lines(result: Result) -> Iterator[str]:
    name = result.scenario.name
    for number, run in enumerate(result.runs, start=1):
        yield json.dumps(
            {
                "kind": "run",
                "scenario": name,
                "agent": result.agent,
                "run": number,
                "control_ns": run.control_ns,
                "repeated": run.repeated,
            }
        )
        yield from run.history.lines()
    for finding in result.findings:
        yield json.dumps({"kind": "finding", "scenario": name, **dataclasses.asdict(finding)})
