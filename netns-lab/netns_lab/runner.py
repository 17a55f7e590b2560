"""Runs a scenario: builds its lab, does its steps, has its history judged; several times, if it is to be measured well.

Every run has a lab of its own, so that none inherits anything. A run in which the control stood still for more than
5 ms was disturbed by the machine and is repeated, three times at most; if the last one was disturbed as well, it
counts, but a bound that it missed is then unknown, not failed (a disturbance makes times longer, never shorter).

Over several runs a time is judged by its median against the median of its bounds; everything else has to be right in
every run.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from netns_lab.agents.registry import agent_class
from netns_lab.errors import CannotRunError, LabError
from netns_lab.expressions import MS, SECOND, show
from netns_lab.faults.registry import heal, inject
from netns_lab.history import History
from netns_lab.judges import alarms, kept
from netns_lab.judges.base import Case, Finding, Outcome
from netns_lab.judges.outage import control_gap
from netns_lab.judges.registry import JUDGES, STANDING
from netns_lab.judges.steps import GAVE_UP
from netns_lab.judges.wellformed import inspect
from netns_lab.lab import Lab
from netns_lab.scenario import Scenario, Step
from netns_lab.service import VirtualRouter
from netns_lab.settings import Settings

CONTROL_LIMIT_NS = 5 * MS
_SLACK_NS = 3 * MS
"""How much longer than its pace the control of a slow probe may stand still."""
REPETITIONS = 3
"""How often a disturbed run is done again."""

Tell = Callable[[str], None]
"""Takes one line about what happens."""


@dataclass(frozen=True, slots=True)
class Run:
    """One run that counts.

    Attributes:
        history: what was recorded.
        findings: one for each expectation, in their order, and those of every scenario.
        control_ns: the longest gap of the control in nanoseconds; None where nothing was measured.
        repeated: how many disturbed runs came before it.
    """

    history: History
    findings: Sequence[Finding]
    control_ns: int | None
    repeated: int


@dataclass(frozen=True, slots=True)
class Result:
    """What a scenario came to.

    Attributes:
        scenario: the scenario.
        agent: the kind of agent that it was run with.
        runs: every run that counts.
        findings: one for each expectation, over all runs.
    """

    scenario: Scenario
    agent: str
    runs: Sequence[Run]
    findings: Sequence[Finding]

    @property
    def outcome(self) -> Outcome:
        """Failed if anything did, else unknown if anything is, else passed."""
        return worst(finding.outcome for finding in self.findings)


def run_scenario(scenario: Scenario, kind: str, tell: Tell) -> Result:
    """Run a scenario as often as its settings say.

    Args:
        scenario: what to run.
        kind: the agent on every node.
        tell: takes a line for each thing that happens.

    Raises:
        LabError: a program did not start.
        CannotRunError: something is missing on this machine.
    """
    if why := unable(scenario, kind):
        raise CannotRunError(f"{scenario.name}: {why}")
    runs = [run_once(scenario, kind, tell, number) for number in range(1, scenario.settings.runs + 1)]
    return summary(scenario, kind, runs)


def summary(scenario: Scenario, kind: str, runs: Sequence[Run]) -> Result:
    """What the runs of a scenario with one kind of agent came to."""
    findings = [combine(found) for found in zip(*(run.findings for run in runs), strict=True)]
    return Result(scenario, kind, runs, findings)


def unable(scenario: Scenario, kind: str) -> str | None:
    """Why a scenario cannot be run with a kind of agent, in one line; None where it can.

    Raises:
        CannotRunError: the agent is not there at all.
    """
    return agent_class(kind).unable(scenario.service, scenario.faults())


def combine(findings: Sequence[Finding]) -> Finding:
    """One finding for the same expectation in several runs."""
    first = findings[0]
    values = [finding.value for finding in findings if finding.value is not None]
    limits = [finding.limit for finding in findings if finding.limit is not None]
    if len(findings) == 1 or len(values) < len(findings) or len(limits) < len(findings):
        return max(findings, key=lambda finding: _ORDER[finding.outcome])
    value, limit = statistics.median(values), statistics.median(limits)
    outcome = Outcome.PASSED if value < limit else Outcome.FAILED
    if outcome is Outcome.FAILED and any(finding.outcome is Outcome.UNKNOWN for finding in findings):
        outcome = Outcome.UNKNOWN
    measured = f"{show(value)} (median of {len(values)}, {show(min(values))} to {show(max(values))})"
    return replace(first, measured=measured, outcome=outcome, value=value, limit=limit)


_ORDER = {Outcome.PASSED: 0, Outcome.UNKNOWN: 1, Outcome.FAILED: 2}


def worst(outcomes: Iterable[Outcome]) -> Outcome:
    """The worst of some outcomes; passed for none."""
    return max(outcomes, key=_ORDER.__getitem__, default=Outcome.PASSED)


def run_once(scenario: Scenario, kind: str, tell: Tell, number: int) -> Run:
    """One run that the machine did not disturb, or the last attempt at it; errors as for `run_scenario`.

    Args:
        scenario: what to run.
        kind: the agent on every node.
        tell: takes a line for each thing that happens.
        number: which of all runs it is, from 1.
    """
    repeated = 0
    while True:
        tell(f"{scenario.name}: run {number} of {scenario.settings.runs} with {kind}")
        history = record(scenario, kind, tell)
        gap = control_gap(history)
        disturbed = gap is not None and gap > max(CONTROL_LIMIT_NS, scenario.settings.pace_ns + _SLACK_NS)
        if not disturbed or repeated == REPETITIONS:
            break
        repeated += 1
        tell(f"{scenario.name}: the control stood still for {show(gap or 0)}; once more")
    findings = judge(scenario, history)
    if disturbed:
        findings = [_doubted(finding) for finding in findings]
    return Run(history, findings, gap, repeated)


def judge(scenario: Scenario, history: History) -> list[Finding]:
    """What a history says to the expectations of a scenario, in their order, and to those of every scenario."""
    routers = scenario.service.virtual_routers()
    cases = [
        (one.judge, Case(history, _watched(routers, one.options.get("network", 1)), one.options))
        for one in scenario.expect
    ]
    every = Case(history, scenario.service.address, {})
    return [_judged(name, case) for name, case in cases] + [standing(every) for standing in STANDING]


def _judged(name: str, case: Case) -> Finding:
    """What a judge says, if the scenario got as far."""
    if case.reached:
        return JUDGES[name](case)
    return Finding(f"{name}{case.where()}", str(case.options.get("under", "")), "not reached", Outcome.UNKNOWN)


def _watched(routers: Sequence[VirtualRouter], network: int) -> str:
    """The shared address on a network."""
    return next(router.address for router in routers if router.network == network)


def _doubted(finding: Finding) -> Finding:
    """A time that was too long on a machine that stood still proves nothing."""
    if finding.outcome is Outcome.FAILED and finding.limit is not None:
        return replace(finding, outcome=Outcome.UNKNOWN, measured=f"{finding.measured}; machine disturbed")
    return finding


def record(scenario: Scenario, kind: str, tell: Tell) -> History:
    """Do the steps once in a new lab, and return what was recorded; arguments and errors as for `run_scenario`."""
    settings, service = scenario.settings, scenario.service
    judges = {expectation.judge for expectation in scenario.expect}
    with Lab(settings.topology()) as lab:
        start_all(lab, scenario, kind)
        first, *rest = scenario.steps
        if _done(lab, first, settings, tell):
            with lab.probing(settings.probe, service, settings.pace_ns):
                time.sleep(0.2)
                for step in rest:
                    if step.mark and "alarm" in judges:
                        alarms.inspect(lab.agents.values(), lab.history)
                    if not _done(lab, step, settings, tell):
                        break
                if "alarm" in judges:
                    alarms.inspect(lab.agents.values(), lab.history)
                lab.history.add("step", step="end", mark="end")
        for host in lab.members():
            kept.look(lab.node(host.name), settings.networks, lab.history)
        if settings.cloud:
            lab.cloud.read()
        if "wellformed" in judges:
            inspect(lab.capture, lab.history)
        return lab.history


def _done(lab: Lab, step: Step, settings: Settings, tell: Tell) -> bool:
    """Do a step; False where it waits in vain, which is a fact about the agent, and so a part of the history."""
    try:
        _do(lab, step, settings, tell)
    except CannotRunError:
        raise
    except LabError as failure:
        tell(f"  {failure}")
        lab.history.add("step", step=GAVE_UP, reason=str(failure))
        return False
    return True


def start_all(lab: Lab, scenario: Scenario, kind: str) -> None:
    """Start the proxies, then the agents of all nodes at once, and wait until they are ready."""
    if scenario.settings.webs:
        lab.start_proxies()
    if scenario.settings.cloud:
        lab.cloud.start()
    settings = scenario.settings
    names = [name for name in settings.names() if name != settings.wrong_key]
    agents = [lab.start_agent(name, kind, settings.service(name), ready=None) for name in names]
    for agent in agents:
        agent.wait_ready()
    if odd := settings.wrong_key:
        lab.wait_held(30)
        lab.start_agent(odd, kind, settings.service(odd))


def _do(lab: Lab, step: Step, settings: Settings, tell: Tell) -> None:
    """Do one step."""
    if step.mark and not (step.fault or step.heal):  # those mark the moment themselves
        lab.history.add("step", step="marked", mark=step.mark)
    if step.wait is not None:
        time.sleep((settings.pause if step.wait == "pause" else step.wait) / SECOND)
    elif step.settle is not None:
        lab.wait_holder(step.settle, step.within / SECOND)
        tell(f"  {step.settle} serves")
    elif step.points is not None:
        lab.wait_cloud(step.points, step.within / SECOND)
        tell(f"  the cloud points to {step.points}")
    elif step.advert is not None:
        lab.wait_advert(step.advert, step.within / SECOND)
    elif step.fault is not None and step.node is not None:
        tell(f"  {step.fault} on {step.node}")
        inject(lab, step.fault, step.node, step.mark)
    elif step.heal is not None and step.node is not None:
        tell(f"  {step.heal} on {step.node} is over")
        heal(lab, step.heal, step.node, step.mark)
    for _ in range(step.repeat or 0):
        for repeated in step.steps:
            _do(lab, repeated, settings, tell)
