"""How a soak looks while it runs, and what it came to: a bar on a terminal, a line a minute in a pipe."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Generator, Mapping
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from netns_lab.expressions import MS, show
from netns_lab.soak.blame import INTERVALS
from netns_lab.soak.run import Sample

_EVERY_S = 60
_STALLS = ("machine_stood_still", "kept_from_core")


@contextlib.contextmanager
def progress(console: Console, duration_s: float) -> Generator[Callable[[Sample], None]]:
    """What is to be told about each sample while the block runs."""
    if not console.is_terminal:
        yield _lines(console)
        return
    columns = (
        BarColumn(),
        TextColumn("{task.percentage:.0f} %"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[now]}"),
    )
    with Progress(*columns, console=console) as bar:
        task = bar.add_task("soak", total=duration_s, now="")
        yield lambda sample: bar.update(task, completed=sample.elapsed_s, now=_text(sample))


def conclude(console: Console, report: Mapping[str, Any]) -> None:
    """Print what a soak came to."""
    late = ", ".join(f"{name} {value:.1f} ms" for name, value in report["lateness_ms"].items())
    still, kept = (max((each["longest_ms"] for each in report[what]), default=0.0) for what in _STALLS)
    console.print(f"adverts: {report['adverts']}, every {report['interval_ms']:g} ms to each peer", soft_wrap=True)
    console.print(f"largest gap: {show(report['largest_gap_ms'] * MS)}", soft_wrap=True)
    console.print(f"lateness: {late or 'nobody advertised'}", soft_wrap=True)
    waited = f"a program of the agents' priority waited {show(kept * MS)} at most"
    console.print(f"the machine stood still for {show(still * MS)} at most, {waited}", soft_wrap=True)
    if rivals := len(report["real_time_rivals"]):
        console.print(f"{rivals} real-time programs of others ran beside it (the result names them)", soft_wrap=True)
    changes, restarts = report["role_changes"], report["restarts"]
    console.print(f"false changes of role: {changes}, other disturbances: {report['disturbances'] - changes}")
    if excused := report["disturbances_of_the_hypervisor"]:
        moved = report["role_changes_of_the_hypervisor"]
        taken = f"while the hypervisor had taken a core away for {INTERVALS} intervals or more"
        console.print(f"{taken}: changes of role: {moved}, other disturbances: {excused - moved}", soft_wrap=True)
    console.print(f"restarts: {restarts}, agents that ended: {', '.join(report['ended']) or 'none'}", soft_wrap=True)
    colour = {"passed": "green", "failed": "bold red"}.get(report["outcome"], "yellow")
    lasted = f"{report['lasted_s']:.0f} s of {report['asked_s']:.0f} s"
    console.print(f"[{colour}]{report['outcome']}[/]: {report['agent']}, {lasted}", soft_wrap=True)


def _lines(console: Console) -> Callable[[Sample], None]:
    said = 0

    def tell(sample: Sample) -> None:
        nonlocal said
        if sample.elapsed_s // _EVERY_S > said:
            said = int(sample.elapsed_s // _EVERY_S)
            console.print(f"{said} min: {_text(sample)}", soft_wrap=True)

    return tell


def _text(sample: Sample) -> str:
    gap = show(sample.largest_gap_ms * MS)
    return f"{sample.adverts} adverts, largest gap {gap}, {sample.disturbances} disturbances"
