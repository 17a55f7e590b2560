"""Runs a benchmark: every case with each agent in turn, as often as asked, and the medians of that.

Both agents of a run share the machine's mood, so what is compared is their ratio within a run; the median of the ratios
is what counts. What was measured is in the report however the benchmark ends. An agent that does not get through a case
is told, with what it failed at, and is not asked again in this case.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from netns_lab import machine
from netns_lab.agents.registry import agent_class
from netns_lab.bench.case import Case
from netns_lab.bench.measure import Figures, measure, unable
from netns_lab.errors import LabError

AGENTS = ("vrrpd", "keepalived")
"""Whose failure is one of the benchmark, and the control."""

KEY_CASES: Sequence[Case] = (Case(1, 10), Case(200, 100), Case(1000, 1000))
"""Those that the README speaks of."""

ALL_CASES: Sequence[Case] = (
    *(Case(routers, 1000) for routers in (1, 10, 100, 250, 1000, 4000)),
    *(Case(routers, 100) for routers in (1, 10, 100, 200)),
    Case(1, 10),
    Case(1, 10, loaded=True),
    Case(10, 10),
    *(Case(200, 100, peers=peers) for peers in (2, 8)),
    Case(200, 100, transport="multicast"),
    Case(200, 100, signed=True),
)


class Benchmark:
    """One benchmark.

    Attributes:
        report: what it came to; grows while it runs.
    """

    def __init__(self, cases: Sequence[Case], runs: int, seconds: float) -> None:
        """Plan it.

        Args:
            cases: what is measured.
            runs: how often, with each agent.
            seconds: how long each pass of a measurement lasts.

        Raises:
            CannotRunError: an agent is missing on this machine.
        """
        self._cases = cases
        self._runs = runs
        self._seconds = seconds
        self.report: dict[str, Any] = {
            "began_at": datetime.now(UTC).isoformat(timespec="seconds"),
            "machine": machine.describe(),
            "versions": {kind: agent_class(kind).version() for kind in AGENTS},
            "runs": runs,
            "seconds": seconds,
            "cases": [],
        }

    @property
    def steps(self) -> int:
        """How many measurements it takes."""
        return len(self._cases) * len(AGENTS) * self._runs

    @property
    def passed(self) -> bool:
        """Whether the agent of this project got through every case."""
        return not any(AGENTS[0] in case["remarks"] for case in self.report["cases"])

    def run(self, tell: Callable[[str], None], advance: Callable[[], None]) -> None:
        """Run it.

        Args:
            tell: takes a line for each measurement that begins or fails.
            advance: called after each measurement.
        """
        for case in self._cases:
            remarks = {kind: f"not measured: {why}" for kind in AGENTS if (why := unable(case, kind))}
            rounds: list[dict[str, Figures]] = []
            entry: dict[str, Any] = {"name": case.name, **asdict(case), "remarks": remarks}
            self.report["cases"].append(entry)
            for number in range(1, self._runs + 1):
                rounds.append({})
                for kind in AGENTS:
                    if kind not in remarks:
                        tell(f"{case.name}: run {number} of {self._runs} with {kind}")
                        try:
                            rounds[-1][kind] = measure(case, kind, self._seconds)
                        except LabError as failure:
                            remarks[kind] = f"failed: {failure}"
                            tell(f"{case.name}: {kind} {remarks[kind]}")
                    entry |= summary(rounds)
                    advance()


def summary(rounds: Sequence[Mapping[str, Figures]]) -> dict[str, Any]:
    """What runs came to.

    Args:
        rounds: figures by agent, of each run.

    Returns:
        `agents`: the median of each figure by agent; `ratios`: the median of the ratios within a run, without figures
        that are 0 there; `rounds`: all figures.
    """
    plain = [{kind: asdict(figures) for kind, figures in each.items()} for each in rounds]
    agents: dict[str, dict[str, float]] = {}
    for kind in AGENTS:
        if mine := [each[kind] for each in plain if kind in each]:
            agents[kind] = {name: statistics.median(one[name] for one in mine) for name in mine[0]}
    ours, control = AGENTS
    pairs = [(each[ours], each[control]) for each in plain if len(each) == len(AGENTS)]
    ratios: dict[str, float] = {}
    for name in pairs[0][0] if pairs else ():
        if all(theirs[name] for _, theirs in pairs):
            ratios[name] = statistics.median(own[name] / theirs[name] for own, theirs in pairs)
    return {"agents": agents, "ratios": ratios, "rounds": plain}
