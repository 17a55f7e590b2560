"""Both agents side by side: whose verdict counts, what a person and a program read."""

from __future__ import annotations

import io
import json
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from netns_lab import helper
from netns_lab.compare import Comparison, show, write
from netns_lab.judges.base import Finding, Outcome
from netns_lab.results import advancing
from netns_lab.runner import Result, Run
from netns_lab.scenario import load
from tests.lab.histories import MS, failover


def result(kind: str, milliseconds: float) -> Result:
    outcome = Outcome.PASSED if milliseconds < 10 else Outcome.FAILED
    finding = Finding("outage", "under 10 ms", f"{milliseconds} ms", outcome, milliseconds * MS, 10 * MS)
    return Result(load("agent-killed"), kind, [Run(failover().history, [finding], 2 * MS, 1)], [finding])


def comparison(**remarks: str) -> Comparison:
    results = {"vrrpd": result("vrrpd", 2), "keepalived": result("keepalived", 3500)}
    return Comparison(load("agent-killed"), {k: r for k, r in results.items() if k not in remarks}, remarks)


def shown(what: Comparison, *, terminal: bool = False) -> str:
    output = io.StringIO()
    show(Console(file=output, width=150, force_terminal=terminal), what)
    return output.getvalue()


def test_a_pipe_gets_a_line_for_each_expectation_with_both_limits_and_verdicts() -> None:
    assert shown(comparison()) == (
        "agent-killed: outage: vrrpd passed, 2 ms (asked: under 10 ms); "
        "keepalived failed, 3500 ms (asked: under 10 ms)\n"
    )


def test_a_terminal_gets_both_in_one_table() -> None:
    text = shown(comparison(), terminal=True)
    assert re.search(r"outage.* 2 ms .*under 10 ms.*passed.*3500 ms.*under 10 ms.*failed", text)


def test_who_was_skipped_is_told_with_the_reason() -> None:
    text = shown(comparison(keepalived="skipped: keepalived cannot be drained"))
    assert text.splitlines()[-1] == "agent-killed: keepalived: skipped: keepalived cannot be drained"
    assert "3500" not in text


def test_the_first_agent_decides() -> None:
    assert comparison().own.outcome is Outcome.PASSED
    assert replace(comparison(), results={"vrrpd": result("vrrpd", 99)}).own.outcome is Outcome.FAILED


def test_the_file_has_the_figures_of_each_run_and_the_machine(tmp_path: Path) -> None:
    file = tmp_path / "compare.json"
    write(file, [comparison()])
    found = json.loads(file.read_text())
    assert found["machine"]["cores"] >= 1
    (scenario,) = found["scenarios"]
    agents = scenario["agents"]
    assert {kind: agents[kind]["runs"][0]["values"] for kind in agents} == {
        "vrrpd": [2 * MS],
        "keepalived": [3500 * MS],
    }
    assert agents["keepalived"]["findings"][0]["limit"] == 10 * MS


def test_a_terminal_gets_a_bar_and_a_pipe_every_line() -> None:
    pipe, terminal = io.StringIO(), io.StringIO()
    for output in (pipe, terminal):
        with advancing(Console(file=output, width=120, force_terminal=output is terminal), 4) as (tell, advance):
            tell("a line")
            advance()
    assert pipe.getvalue() == "a line\n"
    assert "1/4" in terminal.getvalue()


SHORT = """
question: What if the agent of the serving node is killed?
settings: {nodes: 2, interval: 100ms, pace: 8ms}
steps:
  - settle: n1
  - {fault: agent-killed, node: n1, mark: kill}
  - wait: 1s
  - {settle: n1, within: 500ms}
expect:
  - single_holder: {after: kill, node: n2}
"""


@pytest.mark.netns
def test_runs_take_turns_and_an_agent_that_fails_ends_nothing(tmp_path: Path) -> None:
    scenario, file = tmp_path / "short.yaml", tmp_path / "compare.json"
    scenario.write_text(SHORT)
    argv = [sys.executable, "-m", "netns_lab.cli", "compare", str(scenario), "--runs", "2", "--json", str(file)]
    done = subprocess.run(argv, capture_output=True, text=True, env=helper.environment(), check=False)
    turns = re.findall(r"run (\d) of 2 with (\w+)", done.stdout)
    order = list(dict.fromkeys(turns))  # a run that the machine disturbed is repeated
    assert order == [("1", "vrrpd"), ("1", "keepalived"), ("2", "vrrpd"), ("2", "keepalived")]
    assert done.returncode == 1, "the last step waits in vain"
    agents = json.loads(file.read_text())["scenarios"][0]["agents"]
    assert [len(agents[kind]["runs"]) for kind in ("vrrpd", "keepalived")] == [2, 2]
    assert "short: steps: vrrpd failed, waited 0.5 s for n1 to be the only holder" in done.stdout
