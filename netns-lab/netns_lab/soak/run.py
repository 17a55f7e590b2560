"""Runs a soak and reports it.

The address is settled on the first node before the load begins; from then on whatever happens is false. What was
measured until then is reported however the soak ends, also by Ctrl-C: hours are expensive.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from netns_lab import helper, kernel, machine
from netns_lab.agents.registry import agent_class
from netns_lab.errors import LabError
from netns_lab.expressions import MS, SECOND
from netns_lab.lab import Lab
from netns_lab.node import Process
from netns_lab.runner import start_all
from netns_lab.scenario import Scenario
from netns_lab.settings import Settings
from netns_lab.soak.blame import Stall, of_the_hypervisor
from netns_lab.soak.tally import Tally
from netns_lab.soak.witness import ABOVE, BESIDE

_LOOK_S = 1.0
_CALM_S = 2.0
"""From the first holder to the beginning: a takeover's announcements are over."""
_BLIND_S = 5.0
_LOG_LINES = 40


@dataclass(frozen=True, slots=True)
class Sample:
    """How far a soak is.

    Attributes:
        elapsed_s: seconds since it began.
        adverts: seen so far.
        largest_gap_ms: the longest time without one.
        disturbances: what happened although nothing should.
    """

    elapsed_s: float
    adverts: int
    largest_gap_ms: float
    disturbances: int


class Soak:
    """One soak.

    Args:
        settings: of the lab; its interval above all.
        kind: the agent on every node.
        duration_ns: how long.

    Attributes:
        report: what it came to; grows while it runs. Times are milliseconds, or seconds since the beginning.
    """

    def __init__(self, settings: Settings, kind: str, duration_ns: int) -> None:
        self._settings = settings
        self._kind = kind
        self._duration_s = duration_ns / SECOND
        self._tally = Tally(settings.service().address)
        self._processes: set[int] = set()
        self._rivals: set[str] = set()
        self._restarts = 0
        self._witnesses: list[dict[str, Any]] = []
        self._began = 0
        self.report: dict[str, Any] = {}

    @property
    def passed(self) -> bool:
        """Whether it ran to its end, and nothing happened."""
        return self.report.get("outcome") == "passed"

    def run(self, progress: Callable[[Sample], None]) -> None:
        """Run it; the report is there however this ends.

        Args:
            progress: told about every second.

        Raises:
            LabError: the lab did not stand, or the address did not settle.
            CannotRunError: something is missing on this machine.
        """
        agent = agent_class(self._kind)
        scenario = Scenario(name="soak", question="", settings=self._settings, steps=(), expect=())
        first = self._settings.names()[0]
        self.report = {
            "agent": self._kind,
            "version": agent.version(),
            "interval_ms": self._settings.interval / MS,
            "nodes": self._settings.nodes,
            "began_at": datetime.now(UTC).isoformat(timespec="seconds"),
            "asked_s": self._duration_s,
            "machine": machine.describe(),
        }
        with Lab(self._settings.topology(), self._tally, captures=False) as lab:
            start_all(lab, scenario, self._kind)
            lab.wait_holder(first, 30)
            time.sleep(_CALM_S)
            with contextlib.ExitStack() as ending:
                ending.callback(self._conclude, lab)
                ending.enter_context(self._loaded(lab.path))
                self._watch(lab, first, progress)

    def _watch(self, lab: Lab, first: str, progress: Callable[[Sample], None]) -> None:
        """Let the time pass."""
        self._processes = _processes(lab)
        self._began = time.monotonic_ns()
        self._tally.begin(first)
        while (elapsed := (time.monotonic_ns() - self._began) / SECOND) < self._duration_s:
            time.sleep(min(_LOOK_S, self._duration_s - elapsed))
            self._rivals |= kernel.real_time_programs(outside=lab.namespaces())
            now = _processes(lab)
            self._restarts += len(now - self._processes)
            self._processes = now
            elapsed = (time.monotonic_ns() - self._began) / SECOND
            tally = self._tally
            progress(Sample(elapsed, tally.adverts, tally.largest_gap / MS, tally.disturbances))

    @contextlib.contextmanager
    def _loaded(self, directory: Path) -> Generator[None]:
        """Load every core and watch every core while the block runs.

        Raises:
            LabError: a load ended early; then nothing was shown.
        """
        cores = sorted(os.sched_getaffinity(0))
        with (directory / "load.log").open("wb") as errors:
            loads = [helper.start(helper.command("soak.load", str(core)), errors) for core in cores]
            watches = [
                helper.start(helper.command("soak.witness", str(core), str(priority)), errors)
                for core in cores
                for priority in (ABOVE, BESIDE)
            ]
        try:
            yield
            if any(process.poll() is not None for process in loads):
                raise LabError(f"a load ended early: {(directory / 'load.log').read_text().strip()}")
        finally:
            for process in (*loads, *watches):
                said, _ = process.communicate()  # closes its standard input, which ends it
                self._witnesses += [json.loads(line) for line in said.splitlines()]

    def _conclude(self, lab: Lab) -> None:
        """Write the report."""
        tally, elapsed = self._tally, (time.monotonic_ns() - self._began) / SECOND if self._began else 0.0
        ended = [node for node, agent in lab.agents.items() if not agent.running]
        stalls = [Stall(*stall) for each in self._witnesses if each["above"] for stall in each["stalls"]]
        excused = of_the_hypervisor(tally.times, stalls, self._settings.interval)
        false = tally.disturbances - len(excused)
        quiet = not (false or self._restarts or ended or tally.events("lost_events"))
        # A recorder that saw nothing of the end proves nothing.
        complete = elapsed >= self._duration_s and tally.last_seen > self._began + (elapsed - _BLIND_S) * SECOND
        self.report |= {
            "outcome": "passed" if quiet and complete else "unknown" if quiet else "failed",
            "lasted_s": round(elapsed, 1),
            "cores_loaded": len(os.sched_getaffinity(0)),
            "adverts": tally.adverts,
            "largest_gap_ms": round(tally.largest_gap / MS, 3),
            "lateness_ms": {name: round(value, 3) for name, value in tally.lateness().items()},
            "role_changes": sum(held and t not in excused for t, _, held in tally.changes),
            "disturbances": false,
            "role_changes_of_the_hypervisor": sum(held and t in excused for t, _, held in tally.changes),
            "disturbances_of_the_hypervisor": len(excused),
            "restarts": self._restarts,
            "ended": ended,
            "machine_stood_still": [self._witness(each) for each in self._witnesses if each["above"]],
            "kept_from_core": [self._witness(each) for each in self._witnesses if not each["above"]],
            "real_time_rivals": sorted(self._rivals),
            "load_at_end": machine.describe()["load"],
            "changes": [{"at_s": self._at(t), "node": node, "held": held} for t, node, held in tally.changes],
            "stories": [self._story(each) for each in tally.stories],
        }
        if tally.disturbances or not quiet:
            self.report["logs"] = {node: _tail(agent.process) for node, agent in lab.agents.items()}

    def _at(self, t: int) -> float:
        return round((t - self._began) / SECOND, 6)

    def _witness(self, said: Mapping[str, Any]) -> dict[str, Any]:
        """What a witness said, in the units of the report."""
        stalls = [
            {"at_s": self._at(t), "ms": round(late / MS, 3), "stolen_ms": round(stolen / MS)}
            for t, late, stolen in said["stalls"]
        ]
        return {"core": said["core"], "longest_ms": round(said["longest_ns"] / MS, 3), "over_5ms": stalls}

    def _story(self, story: Mapping[str, Any]) -> dict[str, Any]:
        """A disturbance, and what was on the wire before."""
        before = [
            f"{self._at(each['t'])} {each['node']} to {each['to']} priority {each['priority']}"
            for each in story["adverts"]
        ]
        return {"at_s": self._at(story["t"]), "what": story["what"], "before": before}


def _processes(lab: Lab) -> set[int]:
    """All processes of all agents."""
    mains = [agent.process.pid for agent in lab.agents.values() if agent.process is not None]
    return {pid for main in mains for pid in kernel.family(main)}


def _tail(process: Process | None) -> list[str]:
    """The last lines of what a program wrote."""
    return process.output().splitlines()[-_LOG_LINES:] if process is not None else []
