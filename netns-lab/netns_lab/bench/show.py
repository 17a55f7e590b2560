"""How a benchmark looks: a table for each case, lines in a pipe, and a picture."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from netns_lab.bench.run import AGENTS

FIGURES: Mapping[str, tuple[str, str]] = {
    "sent_us": ("processor time per advert sent", "{:.1f} us"),
    "received_us": ("processor time per advert received", "{:.1f} us"),
    "sender_core": ("of a core, Active", "{:.2f} %"),
    "receiver_core": ("of a core, Backup", "{:.2f} %"),
    "sent_share": ("adverts sent of those due", "{:.1f} %"),
    "late_p50_ms": ("lateness p50", "{:.2f} ms"),
    "late_p99_ms": ("lateness p99", "{:.2f} ms"),
    "late_max_ms": ("lateness max", "{:.2f} ms"),
    "gap_max_ms": ("longest gap between two adverts", "{:.1f} ms"),
    "takeover_first_ms": ("takeover, first router", "{:.1f} ms"),
    "takeover_p50_ms": ("takeover, median router", "{:.1f} ms"),
    "takeover_last_ms": ("takeover, last router", "{:.1f} ms"),
    "false_takeovers": ("false takeovers", "{:.0f}"),
    "start_s": ("start until ready", "{:.2f} s"),
    "memory_mb": ("memory", "{:.1f} MB"),
    "descriptors": ("file descriptors", "{:.0f}"),
    "wakeups_active": ("wake-ups a second, Active", "{:.0f}"),
    "wakeups_backup": ("wake-ups a second, Backup", "{:.0f}"),
}
"""Figure -> what it is called, and how it is written."""

_DRAWN: Mapping[str, str] = {
    "sent_us": "processor time per advert sent, us",
    "received_us": "per advert received, us",
    "late_p99_ms": "lateness p99, ms",
    "takeover_last_ms": "takeover, last router, ms",
}


def show(console: Console, report: Mapping[str, Any]) -> None:
    """Print all cases: tables on a terminal, a line for each figure in a pipe."""
    for case in report["cases"]:
        if not console.is_terminal:
            for name, (title, _) in FIGURES.items():
                if said := [f"{kind} {text}" for kind, text in _texts(case, name).items()]:
                    console.print(f"{case['name']}: {title}: {', '.join(said)}", soft_wrap=True, markup=False)
        elif case.get("agents"):
            console.print(_table(case))
        for kind, remark in case["remarks"].items():
            console.print(f"{case['name']}: {kind}: {remark}", soft_wrap=True, markup=False)


def _texts(case: Mapping[str, Any], name: str) -> dict[str, str]:
    """A figure of each agent that was measured, and their ratio where there is one."""
    said = {kind: FIGURES[name][1].format(figures[name]) for kind, figures in case.get("agents", {}).items()}
    if ratio := case.get("ratios", {}).get(name):
        said["ratio"] = f"{ratio:.2f}"
    return said


def _table(case: Mapping[str, Any]) -> Table:
    columns = [*AGENTS, "ratio"]
    table = Table(title=case["name"], title_justify="left")
    table.add_column("median of the runs")
    for column in columns:
        table.add_column(column, justify="right")
    for name, (title, _) in FIGURES.items():
        said = _texts(case, name)
        table.add_row(title, *(said.get(column, "-") for column in columns))
    return table


def plot(report: Mapping[str, Any], file: Path) -> None:
    """Draw processor time, lateness and takeovers of every case, both agents side by side.

    Args:
        report: of a benchmark.
        file: a picture of any kind that matplotlib writes: .svg, .png, .pdf.
    """
    from matplotlib.figure import Figure  # noqa: PLC0415 - it takes half a second, and only this needs it

    cases = [case for case in report["cases"] if case.get("agents")]
    figure: Any = Figure(figsize=(16, 2 + 0.5 * len(cases)), layout="constrained")
    axes = figure.subplots(1, len(_DRAWN), sharey=True)
    for drawing, (name, title) in zip(axes, _DRAWN.items(), strict=True):
        for offset, kind in zip((-0.2, 0.2), AGENTS, strict=True):
            points = {
                row + offset: case["agents"][kind][name] for row, case in enumerate(cases) if kind in case["agents"]
            }
            drawing.barh(list(points), list(points.values()), height=0.4, label=kind)
        drawing.set_title(title, fontsize=9)
        drawing.set_yticks(range(len(cases)), [case["name"] for case in cases], fontsize=8)
        drawing.set_xlim(left=0)
    axes[0].invert_yaxis()
    axes[0].legend()
    figure.suptitle(f"{report['machine']['cpu']}, {report['machine']['cores']} cores, medians of {report['runs']} runs")
    figure.savefig(file)
