"""Several runs of a scenario and the one verdict over them; and what a person sees of it."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from rich.console import Console

from netns_lab.judges.base import Finding, Outcome
from netns_lab.results import show_results, write_json
from netns_lab.runner import Result, Run, combine, worst
from netns_lab.scenario import load
from tests.lab.histories import failover

MS = 1_000_000
PASSED, FAILED, UNKNOWN = Outcome.PASSED, Outcome.FAILED, Outcome.UNKNOWN


def measured(milliseconds: float, limit: float = 10) -> Finding:
    outcome = PASSED if milliseconds < limit else FAILED
    return Finding("outage", f"under {limit} ms", f"{milliseconds} ms", outcome, milliseconds * MS, limit * MS)


def test_a_time_is_judged_by_its_median() -> None:
    finding = combine([measured(2), measured(30), measured(3), measured(4), measured(1)])
    assert (finding.outcome, finding.value) == (PASSED, 3 * MS)
    assert "median of 5, 1.0 ms to 30.0 ms" in finding.measured
    assert combine([measured(30), measured(30), measured(3)]).outcome is FAILED


def test_what_is_no_time_has_to_be_right_in_every_run() -> None:
    right, wrong = Finding("who", "n2", "n2", PASSED), Finding("who", "n2", "n1", FAILED)
    assert combine([right, wrong, right]) == wrong
    assert combine([right, right]) == right


def test_a_median_that_missed_is_unknown_where_the_machine_was_disturbed() -> None:
    doubted = Finding("outage", "", "", UNKNOWN, 30 * MS, 10 * MS)
    assert combine([doubted, measured(20), measured(15)]).outcome is UNKNOWN
    assert combine([doubted, measured(2), measured(1)]).outcome is PASSED


def test_a_time_that_one_run_could_not_tell_is_unknown() -> None:
    assert combine([measured(1), Finding("outage", "", "nobody took over", UNKNOWN)]).outcome is UNKNOWN


@pytest.mark.parametrize(
    ("outcomes", "overall"),
    [([], PASSED), ([PASSED], PASSED), ([PASSED, UNKNOWN], UNKNOWN), ([FAILED, UNKNOWN, PASSED], FAILED)],
)
def test_the_worst_finding_decides(outcomes: list[Outcome], overall: Outcome) -> None:
    assert worst(outcomes) is overall


def result() -> Result:
    finding = measured(2)
    return Result(load("agent-stopped"), "vrrpd", [Run(failover().history, [finding], 2 * MS, 1)], [finding])


def test_a_pipe_gets_plain_lines() -> None:
    output = io.StringIO()
    show_results(Console(file=output, highlight=False), [result()])
    assert output.getvalue().splitlines() == [
        "passed: agent-stopped: outage: 2 ms (asked: under 10 ms)",
        "passed: 1 of 1 scenarios",
    ]


def test_a_terminal_gets_a_table_with_the_control() -> None:
    output = io.StringIO()
    show_results(Console(file=output, force_terminal=True, width=100), [result()])
    assert "agent-stopped with vrrpd" in output.getvalue()
    assert "2.0 ms at most, 1 runs repeated" in output.getvalue()


def test_the_file_has_every_history_and_every_finding(tmp_path: Path) -> None:
    file = tmp_path / "out.jsonl"
    write_json(file, [result()])
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    assert lines[0]["kind"] == "run"
    assert sum(line["kind"] == "reply" for line in lines) == 1940
    assert lines[-1]["outcome"] == "passed"
