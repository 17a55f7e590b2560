"""The benchmark: what its figures are made of, what a person and a program read, and one that is run."""

from __future__ import annotations

import io
import json
import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from netns_lab import helper
from netns_lab.bench import files, run
from netns_lab.bench.case import Case
from netns_lab.bench.cost import cost
from netns_lab.bench.measure import Figures
from netns_lab.bench.run import ALL_CASES, KEY_CASES, Benchmark, summary
from netns_lab.bench.show import FIGURES, plot, show
from netns_lab.bench.witnessed import active_down_ns, judge, lateness, served, takeovers
from netns_lab.errors import LabError
from tests.lab.histories import MS

DOWN_100MS = 300 + 60.9375  # with priority 100, RFC 9568 6.1
CASE = Case(2, 100)
SHARED = ("10.100.1.1", "10.100.1.2")


def figures(value: float = 1.0) -> Figures:
    return Figures(**{each.name: value for each in fields(Figures)})  # pyright: ignore[reportArgumentType]


def adverts(*at: float) -> list[int]:
    return [round(each * MS) for each in at]


def seen(first: float = 410, second: float = 440, **others: Any) -> dict[str, Any]:
    """Two routers that spoke 0 and 50 ms after a beginning, the Active stopped at 60, and when each was taken over."""
    taken = [(round(at * MS), address) for at, address in zip((first, second), SHARED, strict=True)]
    return {
        "adverts": {"a eth0 1": adverts(-200, -100, 0), "a eth0 2": adverts(-150, -50, 50)},
        "addresses": [(t - 2 * MS, "b", address, True) for t, address in taken],
        "announced": [(t, "b", address) for t, address in taken],
        **others,
    }


def test_routers_are_dealt_out_to_links_of_250() -> None:
    found = list(Case(501, 1000).shared())
    assert Case(501, 1000).links == 3
    assert [found[0], found[249], found[250], found[500]] == [
        (0, 1, "10.100.1.1"),
        (0, 250, "10.100.1.250"),
        (1, 1, "10.101.1.1"),
        (2, 1, "10.102.1.1"),
    ]


@pytest.mark.parametrize(
    ("case", "name"),
    [
        (Case(1, 10), "1 x 10 ms, 1 peer"),
        (Case(200, 100, peers=8, signed=True), "200 x 100 ms, 8 peers, HMAC"),
        (Case(1000, 1500, transport="multicast", loaded=True), "1000 x 1.5 s, multicast, busy cores"),
    ],
)
def test_a_case_is_named_in_words(case: Case, name: str) -> None:
    assert case.name == name


def test_all_cases_have_the_key_ones_among_them_and_none_twice() -> None:
    assert set(KEY_CASES) < set(ALL_CASES)
    assert len({case.name for case in ALL_CASES}) == len(ALL_CASES)


def test_both_agents_are_told_the_same() -> None:
    case = Case(251, 100, peers=2)
    ours, theirs = json.loads(files.vrrpd(case)), files.keepalived(case, "a")
    last = ours["routers"]["r251"]
    assert (last["vrid"], last["advert_interval"], last["addresses"]) == (1, "100ms", ["10.101.1.1/32"])
    assert last["nodes"] == {"a": "10.101.0.11", "b": "10.101.0.12", "c1": "10.101.0.13"}
    assert theirs.count("vrrp_instance") == 251
    said = theirs[theirs.index("vrrp_instance r251") :]
    for line in ("virtual_router_id 1", "interface eth1", "priority 200", "advert_int 0.1", "10.101.1.1/32"):
        assert f" {line}\n" in said
    assert re.findall(r"10\.101\.0\.\d+", said) == ["10.101.0.11", "10.101.0.12", "10.101.0.13"]


def test_no_two_nodes_have_the_same_priority() -> None:
    (router,) = json.loads(files.vrrpd(Case(1, 10, peers=16)))["routers"].values()
    assert len(set(router["priority"].values())) == 17


def test_signed_and_multicast_adverts_are_what_the_files_ask_for() -> None:
    (router,) = json.loads(files.vrrpd(Case(1, 10, transport="multicast", signed=True)))["routers"].values()
    assert router["transport"] == "multicast"
    assert router["auth"]["hmac"]["keys"]
    assert "unicast" not in files.keepalived(Case(1, 10, transport="multicast"), "b")


def test_the_cost_of_a_program_is_that_of_all_it_started(tmp_path: Path) -> None:
    burn = f"import time; open({str(tmp_path / 'file')!r}, 'w')\nwhile time.process_time() < 0.2: pass\ntime.sleep(60)"
    start_child = f"import subprocess; subprocess.run({[sys.executable, '-c', burn]!r})"
    with subprocess.Popen([sys.executable, "-c", start_child], start_new_session=True) as program:
        try:
            deadline = time.monotonic() + 20
            while (found := cost(program.pid)).processor_ns < 200 * MS and time.monotonic() < deadline:
                time.sleep(0.05)
        finally:
            os.killpg(program.pid, signal.SIGKILL)
    assert 200 * MS <= found.processor_ns < 2000 * MS
    assert 5 < found.memory_mb < 200
    assert found.descriptors >= 6
    assert found.wakeups > 0


def test_lateness_is_told_of_each_router_by_itself() -> None:
    """Two that speak in one go are each on a grid of their own; the Backup's adverts and the last ones do not count."""
    streams = {
        "a eth0 1": adverts(0, 100, 203, 300, 999),
        "a eth0 2": adverts(1, 101, 201, 309, 999),
        "b eth0 1": adverts(0, 190),
    }
    late = lateness(CASE, served({"adverts": streams}, until=900 * MS))
    assert sorted(each / MS for each in late) == [0, 0, 0, 0, 3, 8]


def test_a_takeover_begins_with_the_end_of_the_limit_and_ends_with_the_announcement() -> None:
    took = [each / MS for each in takeovers(CASE, seen(), 60 * MS)]
    assert took == pytest.approx([410 - DOWN_100MS, 440 - 50 - DOWN_100MS])
    assert active_down_ns(CASE) / MS == pytest.approx(DOWN_100MS)


def test_an_announcement_before_its_address_waits_for_the_address() -> None:
    addresses = [(500 * MS, "b", SHARED[0], True), (300 * MS, "b", SHARED[1], True)]
    took = [each / MS for each in takeovers(CASE, seen(addresses=addresses), 60 * MS)]
    assert took == pytest.approx([500 - DOWN_100MS, 440 - 50 - DOWN_100MS])


def test_figures_of_a_run_are_of_all_routers() -> None:
    found = judge(CASE, seen(), 60 * MS)
    assert (found["takeover_first_ms"], found["takeover_last_ms"]) == pytest.approx((29.06, 49.06), abs=0.01)
    assert found["takeover_p50_ms"] == pytest.approx(39.06, abs=0.01)
    assert (found["late_p50_ms"], found["late_max_ms"], found["false_takeovers"]) == (0, 0, 0)
    assert found["gap_max_ms"] == 100


def test_an_address_that_came_while_the_active_was_well_is_a_false_takeover() -> None:
    early = [(10 * MS, "b", SHARED[0], True), (12 * MS, "b", SHARED[0], False), *seen()["addresses"]]
    assert judge(CASE, seen(addresses=early), 60 * MS)["false_takeovers"] == 1


def test_a_router_that_nobody_announced_is_a_failure() -> None:
    with pytest.raises(LabError, match="1 takeovers of 2"):
        judge(CASE, seen(announced=[(410 * MS, "b", SHARED[0])]), 60 * MS)


def test_medians_are_of_the_runs_and_ratios_of_each_run() -> None:
    """A machine that is slow in one run is so for both: 10/100 beside 1/1 and 1/2."""
    rounds = [{"vrrpd": figures(a), "keepalived": figures(b)} for a, b in ((1, 1), (10, 100), (1, 2))]
    found = summary(rounds)
    assert (found["agents"]["vrrpd"]["sent_us"], found["agents"]["keepalived"]["sent_us"]) == (1, 2)
    assert found["ratios"]["sent_us"] == 0.5
    assert len(found["rounds"]) == 3


def test_there_is_no_ratio_to_nothing() -> None:
    none = replace(figures(4), false_takeovers=0)
    found = summary([{"vrrpd": figures(2), "keepalived": none}])
    assert "false_takeovers" not in found["ratios"]
    assert found["ratios"]["start_s"] == 0.5
    assert summary([{"vrrpd": figures(2)}])["ratios"] == {}


def benchmark(monkeypatch: pytest.MonkeyPatch, *cases: Case, failing: str = "", runs: int = 3) -> Benchmark:
    """One with made-up agents, of which one may fail in its second run."""
    asked: list[str] = []

    def measured(case: Case, kind: str, seconds: float) -> Figures:
        asked.append(kind)
        if kind == failing and asked.count(kind) == 2:
            raise LabError("a did not serve")
        return figures(2.0 if kind == "vrrpd" else 4.0)

    monkeypatch.setattr(run, "measure", measured)
    one = Benchmark(cases, runs, 1)
    one.run(lambda _: None, lambda: None)
    return one


def shown(report: dict[str, Any], *, terminal: bool = False) -> str:
    output = io.StringIO()
    show(Console(file=output, width=100, force_terminal=terminal), report)
    return output.getvalue()


def test_a_pipe_gets_a_line_for_each_figure(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = shown(benchmark(monkeypatch, Case(1, 10)).report).splitlines()
    assert lines[0] == "1 x 10 ms, 1 peer: processor time per advert sent: vrrpd 2.0 us, keepalived 4.0 us, ratio 0.50"
    assert len(lines) == len(FIGURES) == len(fields(Figures))


def test_a_terminal_gets_a_table_for_each_case(monkeypatch: pytest.MonkeyPatch) -> None:
    text = shown(benchmark(monkeypatch, Case(1, 10), Case(200, 100)).report, terminal=True)
    assert re.search(
        r"200 x 100 ms, 1 peer.*vrrpd.*keepalived.*ratio.*lateness p99.*2\.00 ms.*4\.00 ms.*0\.50", text, re.DOTALL
    )


def test_what_keepalived_cannot_do_is_told_and_no_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    one = benchmark(monkeypatch, Case(1, 10, signed=True))
    assert one.passed
    assert shown(one.report).splitlines()[-1] == (
        "1 x 10 ms, 1 peer, HMAC: keepalived: not measured: has no HMAC before 2.4.2"
    )


@pytest.mark.parametrize(("failing", "passed"), [("vrrpd", False), ("keepalived", True)])
def test_an_agent_that_fails_is_told_and_ends_nothing(
    monkeypatch: pytest.MonkeyPatch, failing: str, passed: bool
) -> None:
    one = benchmark(monkeypatch, Case(200, 100), failing=failing)
    assert one.passed is passed
    (case,) = one.report["cases"]
    assert case["remarks"] == {failing: "failed: a did not serve"}
    assert [sorted(each) for each in case["rounds"]][1:] == [sorted({"vrrpd", "keepalived"} - {failing})] * 2
    assert f"200 x 100 ms, 1 peer: {failing}: failed: a did not serve" in shown(one.report)


def test_a_picture_has_every_case_also_where_one_agent_was_measured(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    one = benchmark(monkeypatch, Case(1, 10), Case(10, 10, signed=True))
    plot(one.report, tmp_path / "bench.svg")
    assert (tmp_path / "bench.svg").read_text().count("<path") > 20


@pytest.mark.parametrize(
    ("options", "why"),
    [
        (("--all", "--routers", "3"), "a case of your own"),
        (("--interval", "15ms"), "steps of 10ms"),
        (("--interval", "soon"), "no duration"),
        (("--multicast", "--peers", "2"), "reaches every node"),
        (("--routers", "4001"), "1<=x<=4000"),
    ],
)
@pytest.mark.netns
def test_a_case_that_makes_no_sense_is_refused_in_words(options: tuple[str, ...], why: str) -> None:
    done = ask(*options)
    assert done.returncode == 2
    assert why in done.stderr


def ask(*options: str) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-m", "netns_lab.cli", "bench", *options]
    return subprocess.run(argv, capture_output=True, text=True, env=helper.environment(), check=False)


@pytest.mark.netns
def test_a_small_one_measures_both_agents(tmp_path: Path) -> None:
    file, picture = tmp_path / "bench.json", tmp_path / "bench.png"
    options = ("--routers", "2", "--interval", "100ms", "--peers", "2", "--runs", "1", "--for", "1s")
    done = ask(*options, "--json", str(file), "--plot", str(picture))
    assert done.returncode == 0, done.stdout + done.stderr
    assert picture.read_bytes().startswith(b"\x89PNG")
    report = json.loads(file.read_text())
    assert report["machine"]["cores"] >= 1
    assert "Keepalived" in report["versions"]["keepalived"]
    (case,) = report["cases"]
    for figure in case["agents"].values():
        assert 80 < figure["sent_share"] < 120
        assert 0 < figure["received_us"] < 20_000
        assert 0 <= figure["late_p50_ms"] <= figure["late_p99_ms"] <= figure["late_max_ms"] < 100
        assert -10 < figure["takeover_first_ms"] <= figure["takeover_last_ms"] < 1000
        assert figure["descriptors"] > 5
        assert 1 < figure["memory_mb"] < 500
        assert figure["false_takeovers"] == 0
    assert "2 x 100 ms, 2 peers: lateness p99: vrrpd" in done.stdout
