"""The soak: what it counts, what it calls a disturbance, and that hours are never lost."""

from __future__ import annotations

import io
import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from netns_lab import helper
from netns_lab.history import Event
from netns_lab.soak.blame import Stall, of_the_hypervisor
from netns_lab.soak.run import Sample
from netns_lab.soak.show import conclude, progress
from netns_lab.soak.tally import Tally
from netns_lab.soak.witness import share
from tests.lab.histories import ADDRESS, MS


def advert(at: float, node: str = "n1", priority: int = 250, to: str = "n2") -> Event:
    values = {"node": node, "vrid": 51, "destination": to, "priority": priority, "interval_ms": 10}
    return Event(round(at * MS), "advert", values)


def address(at: float, node: str, *, held: bool = True) -> Event:
    return Event(round(at * MS), "address", {"node": node, "address": ADDRESS, "held": held})


def begun(*events: Event) -> Tally:
    """A tally in which n1 serves, and what came after."""
    tally = Tally(ADDRESS)
    tally.extend([advert(-10), address(-5, "n1")])
    tally.begin("n1")
    tally.extend(events)
    return tally


def test_advertisements_are_counted_and_not_kept() -> None:
    tally = begun(*[advert(10 * n) for n in range(1000)])
    assert tally.adverts == 1000
    assert tally.events("advert") == []
    assert tally.disturbances == 0
    assert tally.last_seen == 9990 * MS


def test_the_largest_gap_is_that_of_one_destination() -> None:
    tally = begun(*[advert(at) for at in (0, 10, 35, 40)], advert(0, to="n3"), advert(24, to="n3"))
    assert tally.largest_gap == 25 * MS


def test_lateness_is_told_by_percentile() -> None:
    tally = begun(*[advert(10 * n + (4 if n == 50 else 0)) for n in range(101)])
    late = tally.lateness()
    assert (late["p50"], late["p99"], late["max"]) == (0, 4, 4)
    assert begun().lateness() == {}


@pytest.mark.parametrize(
    ("event", "what"),
    [
        (address(21, "n2"), "n2 gets the address"),
        (address(21, "n1", held=False), "n1 loses the address"),
        (advert(21, "n2", 145), "n2 advertises priority 145"),
        (advert(21, "n1", 0), "n1 advertises priority 0"),
    ],
)
def test_whatever_happens_is_a_disturbance_with_its_story(event: Event, what: str) -> None:
    tally = begun(advert(0), advert(10), event)
    assert tally.disturbances == 1
    (story,) = tally.stories
    assert (story["t"], story["what"]) == (21 * MS, what)
    assert [each["t"] for each in story["adverts"]][:3] == [-10 * MS, 0, 10 * MS]


def test_what_happened_before_the_beginning_is_none() -> None:
    tally = Tally(ADDRESS)
    tally.extend([advert(0, "n2", 0), address(1, "n2"), address(2, "n2", held=False)])
    tally.begin("n1")
    assert (tally.adverts, tally.disturbances) == (0, 0)


def test_endless_disturbances_do_not_fill_the_memory() -> None:
    tally = begun(*[advert(n, "n2", 0) for n in range(5000)])
    tally.extend(address(n, "n2", held=bool(n % 2)) for n in range(5000))
    assert tally.disturbances > 5000
    assert len(tally.stories) <= 20
    assert len(tally.changes) <= 1000


def test_a_pipe_gets_a_line_a_minute() -> None:
    output = io.StringIO()
    with progress(Console(file=output), 180) as told:
        for second in range(1, 131):
            told(Sample(second, 100 * second, 12.3, 0))
    assert output.getvalue().splitlines() == [
        "1 min: 6000 adverts, largest gap 12.3 ms, 0 disturbances",
        "2 min: 12000 adverts, largest gap 12.3 ms, 0 disturbances",
    ]


def test_a_terminal_gets_a_bar() -> None:
    output = io.StringIO()
    with progress(Console(file=output, force_terminal=True, width=120), 100) as told:
        told(Sample(50, 5000, 12.3, 0))
    assert "50 %" in output.getvalue()


def test_a_soak_that_nothing_was_seen_of_can_be_shown() -> None:
    report: dict[str, Any] = {
        "adverts": 0,
        "interval_ms": 10.0,
        "largest_gap_ms": 0.0,
        "lateness_ms": {},
    }
    report |= {"machine_stood_still": [], "kept_from_core": [], "real_time_rivals": ["other --fast"]}
    report |= {"role_changes": 0, "disturbances": 0, "restarts": 0, "ended": ["n1"]}
    report |= {"role_changes_of_the_hypervisor": 1, "disturbances_of_the_hypervisor": 6}
    report |= {"outcome": "failed", "agent": "vrrpd", "lasted_s": 1.0, "asked_s": 2.0}
    output = io.StringIO()
    conclude(Console(file=output, width=120), report)
    assert "nobody advertised" in output.getvalue()
    assert "agents that ended: n1" in output.getvalue()
    assert "1 real-time programs of others ran beside it" in output.getvalue()
    still = (
        "while the hypervisor had taken a core away for 2 intervals or more: changes of role: 1, other disturbances: 5"
    )
    assert still in output.getvalue()


def test_a_disturbance_is_the_hypervisors_where_it_took_a_core_for_as_long_as_a_dead_node_is_silent() -> None:
    stalls = [Stall(1000 * MS, 29 * MS, 20 * MS), Stall(5000 * MS, 19 * MS, 19 * MS), Stall(9000 * MS, 29 * MS, 0)]
    times = [at * MS for at in (999, 1000, 1035, 1529, 1530, 5020, 9010)]
    assert of_the_hypervisor(times, stalls, 10 * MS) == [1000 * MS, 1035 * MS, 1529 * MS]


def test_stolen_time_is_shared_by_the_stalls_that_it_was_counted_for() -> None:
    stalls = [[0, 30 * MS, 0], [50 * MS, 10 * MS, 0]]
    share(20 * MS, stalls)
    assert [stolen for _, _, stolen in stalls] == [15 * MS, 5 * MS]
    share(20 * MS, [])


def test_each_disturbance_has_its_time() -> None:
    assert begun(advert(0), address(21, "n1", held=False), advert(22, "n2", 145)).times == [21 * MS, 22 * MS]


def soak(file: Path, *options: str) -> subprocess.Popen[str]:
    argv = [sys.executable, "-m", "netns_lab.cli", "soak", "--interval", "200ms", "--json", str(file), *options]
    return subprocess.Popen(argv, stdout=subprocess.PIPE, text=True, env=helper.environment())


def result(file: Path) -> dict[str, Any]:
    return json.loads(file.read_text())


@pytest.mark.netns
def test_a_soak_loads_every_core_and_says_what_it_came_to(tmp_path: Path) -> None:
    file = tmp_path / "soak.json"
    output, _ = soak(file, "--for", "3s").communicate()
    found = result(file)
    assert found["outcome"] == "passed", output
    assert found["adverts"] >= 20
    assert found["lateness_ms"]["p50"] <= found["lateness_ms"]["max"] <= found["largest_gap_ms"]
    assert (
        len(found["machine_stood_still"])
        == len(found["kept_from_core"])
        == found["cores_loaded"]
        == found["machine"]["cores"]
    )
    assert (found["role_changes"], found["restarts"], found["ended"]) == (0, 0, [])
    assert found["version"].startswith("vrrpd ")


@pytest.mark.netns
def test_a_soak_that_is_interrupted_keeps_what_it_measured(tmp_path: Path) -> None:
    file = tmp_path / "soak.json"
    process = soak(file, "--for", "1h")
    deadline = time.monotonic() + 30
    while not busy(process.pid):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    time.sleep(2)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=30)
    found = result(file)
    assert found["outcome"] == "unknown"
    assert 0 < found["lasted_s"] < found["asked_s"]
    assert found["adverts"] > 0


def busy(pid: int) -> bool:
    """Whether the loads of a soak run."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return any("soak.load" in Path(f"/proc/{child}/cmdline").read_text() for child in children)
