"""The command `netns-lab`.

Exit status: 0 passed, 1 failed (or unknown: what is not proved has not passed), 2 could not run, with one line that
says what is missing. However a command ends, also by Ctrl-C or SIGTERM, its lab goes with it; only `up` leaves one
behind.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn, cast

import click
from rich.console import Console
from rich.table import Table

from netns_lab import compare, helper, keeper
from netns_lab.agents.registry import AGENTS, agent_class
from netns_lab.bench.case import Case
from netns_lab.bench.run import ALL_CASES, KEY_CASES, Benchmark
from netns_lab.bench.show import plot
from netns_lab.bench.show import show as show_benchmark
from netns_lab.demo import demonstrate
from netns_lab.errors import CannotRunError, LabError
from netns_lab.expressions import MS, SECOND, parse_duration
from netns_lab.faults.registry import FAULTS
from netns_lab.judges.base import Outcome
from netns_lab.kernel import require_root
from netns_lab.results import advancing, show_results, write_json
from netns_lab.rundir import BASE, PREFIX, sweep
from netns_lab.runner import Result, run_scenario, unable, worst
from netns_lab.scenario import available, load, settings_of
from netns_lab.soak.run import Soak
from netns_lab.soak.show import conclude, progress

_CONSOLE = Console(highlight=False)
_ALONE = tuple(kind for kind in AGENTS if kind != "frr")  # FRR is a peer for tests, and speaks multicast only

_agent = click.option(
    "--agent", "kind", type=click.Choice(_ALONE), default="vrrpd", show_default=True, help="Agent on the nodes."
)
_set = click.option(
    "--set", "changes", multiple=True, metavar="KEY=VALUE", help="Change a setting, as interval=100ms or nodes=5."
)
_BENCH_EXAMPLES = """\b
Examples:
  netns-lab bench                                     1 x 10 ms, 200 x 100 ms, 1000 x 1 s
  netns-lab bench --routers 1 --interval 10ms --loaded
  netns-lab bench --routers 200 --interval 100ms --peers 2 --hmac --runs 3
  netns-lab bench --all --json bench.json --plot bench.svg
"""
_lab = click.option("--lab", "run_id", help="Which lab, where several are up.")


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def group() -> None:
    """Failovers on one desk: nodes in network namespaces, faults on demand, outages in milliseconds."""


@group.command("list")
def list_scenarios() -> None:
    """Show the scenarios, each with the question that it answers."""
    width = max(len(name) for name in available())
    for name in available():
        _CONSOLE.print(f"[bold]{name:<{width}}[/]  {load(name).question}", soft_wrap=True)


@group.command()
@click.argument("names", nargs=-1, metavar="NAME|FILE...")
@click.option("--all", "everything", is_flag=True, help="Run every scenario.")
@_agent
@_set
@click.option("--runs", type=click.IntRange(1, 99), help="Run each so often; times are judged by their medians.")
@click.option("--json", "json_file", type=click.Path(path_type=Path), help="Write the histories as JSON Lines.")
def run(
    names: Sequence[str],
    everything: bool,
    kind: str,
    changes: Sequence[str],
    runs: int | None,
    json_file: Path | None,
) -> None:
    """Run scenarios and judge what happened."""
    require_root()
    chosen = available() if everything else list(names)
    if not chosen:
        raise click.UsageError("name a scenario or a file, or say --all; netns-lab list shows them")
    wanted = _pairs(changes)
    if runs is not None:
        wanted["runs"] = str(runs)
    scenarios = [load(name, wanted) for name in chosen]
    results: list[Result] = []
    # One after another: they measure milliseconds, and two at a time would measure each other.
    for scenario in scenarios:
        if why := unable(scenario, kind):
            _tell(f"{scenario.name}: skipped: {why}")
            continue
        results.append(run_scenario(scenario, kind, _tell))
        if json_file is not None:
            write_json(json_file, results)
    if not results:
        raise CannotRunError("nothing of that can be run")
    show_results(_CONSOLE, results)
    sys.exit(0 if worst(result.outcome for result in results) is Outcome.PASSED else 1)


@group.command("compare")
@click.argument("names", nargs=-1, required=True, metavar="NAME|FILE...")
@click.option("--runs", type=click.IntRange(1, 99), default=5, show_default=True, help="Run each so often with each.")
@_set
@click.option("--json", "json_file", type=click.Path(path_type=Path), help="Write all figures as one JSON object.")
def compare_agents(names: Sequence[str], runs: int, changes: Sequence[str], json_file: Path | None) -> None:
    """Run scenarios with vrrpd and with keepalived in turn, medians side by side; vrrpd's verdict counts."""
    require_root()
    for kind in compare.AGENTS:
        agent_class(kind)
    scenarios = [load(name, {**_pairs(changes), "runs": str(runs)}) for name in names]
    done: list[compare.Comparison] = []
    with advancing(_CONSOLE, len(scenarios) * runs * len(compare.AGENTS)) as (tell, advance):
        for scenario in scenarios:
            done.append(compare.compare(scenario, tell, advance))
            compare.show(_CONSOLE, done[-1])
            if json_file is not None:
                compare.write(json_file, done)
    sys.exit(0 if worst(each.own.outcome for each in done) is Outcome.PASSED else 1)


@group.command()
@click.option("--for", "duration", default="1h", show_default=True, help="How long, as 30s, 3m, 1h.")
@click.option("--interval", default="10ms", show_default=True, help="Advertisement interval.")
@_agent
@_set
@click.option(
    "--json", "json_file", type=click.Path(path_type=Path), help="The result; default: a new soak-*.json here."
)
def soak(duration: str, interval: str, kind: str, changes: Sequence[str], json_file: Path | None) -> None:
    """Load every core, and see that nothing happens: no false change of role at a short interval."""
    require_root()
    settings = settings_of({**_pairs(changes), "interval": interval})
    one = Soak(settings, kind, _duration(duration))
    file = json_file or Path(f"soak-{kind}-{time.strftime('%Y%m%d-%H%M%S')}.json")
    try:
        with progress(_CONSOLE, _duration(duration) / SECOND) as told:
            one.run(told)
    finally:
        if "outcome" in one.report:
            file.write_text(json.dumps(one.report, indent=1) + "\n")
            conclude(_CONSOLE, one.report)
            _tell(f"written to {file}")
    sys.exit(0 if one.passed else 1)


@group.command(epilog=_BENCH_EXAMPLES)
@click.option("--all", "everything", is_flag=True, help="Every case; by default three of them.")
@click.option("--routers", type=click.IntRange(1, 4000), help="A case of your own: virtual routers.  [default: 1]")
@click.option("--interval", help="Of your own case: between two adverts, 10ms to 40s.  [default: 1s]")
@click.option("--peers", type=click.IntRange(1, 16), help="Of your own case: destinations in unicast.  [default: 1]")
@click.option("--multicast", is_flag=True, help="Of your own case: multicast.")
@click.option("--hmac", is_flag=True, help="Of your own case: signed adverts.")
@click.option("--loaded", is_flag=True, help="Ordinary programs keep every core busy.")
@click.option("--runs", type=click.IntRange(1, 99), default=5, show_default=True, help="Measure each so often.")
@click.option("--for", "duration", default="10s", show_default=True, help="How long each pass of a measurement lasts.")
@click.option("--json", "json_file", type=click.Path(path_type=Path), help="Write all figures as one JSON object.")
@click.option("--plot", "plot_file", type=click.Path(path_type=Path), help="Draw them; .svg, .png or .pdf.")
def bench(
    *,
    everything: bool,
    loaded: bool,
    runs: int,
    duration: str,
    json_file: Path | None,
    plot_file: Path | None,
    **own: Any,
) -> None:
    """Measure what the agent costs, how late it is and how far it scales, with keepalived beside it.

    Each measurement takes 40 seconds; the default is half an hour, --all three hours. Have no other work on the
    machine. Exit status 1 where vrrpd did not get through a case.
    """
    require_root()
    one = Benchmark(_cases(own, everything=everything, loaded=loaded), runs, _duration(duration) / SECOND)
    try:
        with advancing(_CONSOLE, one.steps) as (tell, advance):
            one.run(tell, advance)
    finally:
        show_benchmark(_CONSOLE, one.report)
        if json_file is not None:
            json_file.write_text(json.dumps(one.report, indent=1) + "\n")
    if plot_file is not None:
        plot(one.report, plot_file)
    sys.exit(0 if one.passed else 1)


def _cases(own: Mapping[str, Any], *, everything: bool, loaded: bool) -> list[Case]:
    """The cases that the options of `bench` ask for."""
    if any(own.values()) and everything:
        raise click.UsageError("say --all, or a case of your own")
    cases = [_own_case(**own)] if any(own.values()) else ALL_CASES if everything else KEY_CASES
    return list(dict.fromkeys(replace(case, loaded=loaded or case.loaded) for case in cases))


def _own_case(*, routers: int | None, interval: str | None, peers: int | None, multicast: bool, hmac: bool) -> Case:
    """The case that is put together by hand."""
    if multicast and peers:
        raise click.UsageError("--multicast reaches every node at once; leave --peers away")
    interval_ms, rest = divmod(_duration(interval or "1s"), MS)
    if rest or interval_ms % 10 or not 10 <= interval_ms <= 40_000:
        raise click.UsageError("--interval: steps of 10ms, up to 40s")  # centiseconds in 12 bits, RFC 9568 5.2.7
    transport = "multicast" if multicast else "unicast"
    return Case(routers or 1, interval_ms, peers or 1, transport, signed=hmac)


@group.command()
@_agent
def demo(kind: str) -> None:
    """Show the main job: the proxy dies, a cable is pulled, all comes back; with the client's outages drawn."""
    demonstrate(kind, _CONSOLE)


@group.command()
@click.argument("name")
@_agent
@_set
def up(name: str, kind: str, changes: Sequence[str]) -> None:
    """Bring up the lab of a scenario and leave it running, to play in by hand."""
    require_root()
    agent_class(kind)
    load(name, _pairs(changes))
    # It must outlive this command and its terminal, and yet say whether it stands: a session of its own, and a pipe.
    process = subprocess.Popen(
        helper.command("keeper", name, kind, *changes),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=helper.environment(),
        start_new_session=True,
        text=True,
    )
    if process.stdout is None or process.stderr is None:
        raise AssertionError("started with pipes")
    ready = process.stdout.readline()
    if not ready:
        raise LabError(process.stderr.read().strip())
    _show_status(keeper.ask(ready.split()[1], command="status"))


@group.command()
@_lab
def status(run_id: str | None) -> None:
    """Show the labs that are up: who holds the address, which faults are in force."""
    for one in [run_id] if run_id else keeper.running():
        _show_status(keeper.ask(one, command="status"))


@group.command()
@click.argument("node")
@click.argument("kind", type=click.Choice(sorted(FAULTS)))
@_lab
def fault(node: str, kind: str, run_id: str | None) -> None:
    """Do a fault to a node of the lab that is up."""
    _say(keeper.ask(_only(run_id), command="fault", node=node, kind=kind))


@group.command()
@click.argument("node", required=False)
@_lab
def heal(node: str | None, run_id: str | None) -> None:
    """Undo every fault, or those of one node."""
    _say(keeper.ask(_only(run_id), command="heal", node=node))


@group.command(context_settings={"ignore_unknown_options": True})
@click.argument("node")
@click.argument("command", nargs=-1, type=click.UNPROCESSED)
@_lab
def shell(node: str, command: Sequence[str], run_id: str | None) -> NoReturn:
    """Run a shell, or a command after --, inside a node."""
    namespace = f"{PREFIX}{_only(run_id)}-{node}"
    inside = [*command] or [os.environ.get("SHELL", "/bin/sh")]
    os.execvp("ip", ["ip", "netns", "exec", namespace, *inside])  # noqa: S606  replaced by it, terminal and all


@group.command()
@_lab
def down(run_id: str | None) -> None:
    """Take the labs down that are up, and sweep what dead ones left behind."""
    require_root()
    for one in [run_id] if run_id else keeper.running():
        try:
            keeper.ask(one, command="down")
        except LabError:  # its keeper is dead; the sweep takes it
            continue
        _wait_gone(one)
        _CONSOLE.print(f"{one} is down")
    for one in sweep():
        _CONSOLE.print(f"{one} was left behind by a lab that died; swept")


def main() -> None:
    """Run the command and map what went wrong to an exit status."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _leave)
    try:
        group.main(standalone_mode=False)
    except click.ClickException as failure:
        failure.show()
        sys.exit(failure.exit_code)
    except (KeyboardInterrupt, click.Abort):
        sys.exit(130)
    except LabError as failure:
        Console(stderr=True, highlight=False).print(f"netns-lab: {failure}", markup=False, soft_wrap=True)
        sys.exit(2 if isinstance(failure, CannotRunError) else 1)


def _leave(number: int, _: object) -> NoReturn:
    sys.exit(128 + number)


def _tell(line: str) -> None:
    _CONSOLE.print(f"[dim]{line}[/]", soft_wrap=True)


def _say(answer: dict[str, Any]) -> None:
    for line in cast("list[str]", answer["done"]) or ["nothing to do"]:
        _CONSOLE.print(line)


def _pairs(changes: Sequence[str]) -> dict[str, str]:
    """The changes of `--set` as a mapping."""
    pairs: dict[str, str] = {}
    for change in changes:
        key, equals, value = change.partition("=")
        if not equals:
            raise click.UsageError(f"--set {change}: write KEY=VALUE")
        pairs[key] = value
    return pairs


def _duration(text: str) -> int:
    """The duration of an option, in nanoseconds."""
    try:
        return parse_duration(text)
    except ValueError as mistake:
        raise click.UsageError(str(mistake)) from None


def _only(run_id: str | None) -> str:
    """The lab that is meant: the named one, or the only one."""
    labs = keeper.running()
    if run_id is not None and run_id in labs:
        return run_id
    if run_id is not None or len(labs) != 1:
        found = f"up are {', '.join(labs)}; say which with --lab" if labs else "none is up; netns-lab up NAME"
        raise CannotRunError(found)
    return labs[0]


def _wait_gone(run_id: str, timeout: float = 30) -> None:
    """Wait until a lab's run directory is gone."""
    deadline = time.monotonic() + timeout
    while (BASE / run_id).exists() and time.monotonic() < deadline:
        time.sleep(0.02)


def _show_status(answer: dict[str, Any]) -> None:
    title = f"lab {answer['id']} ({answer['scenario']}, {answer['agent']}), address {answer['address']}"
    _CONSOLE.print(title, soft_wrap=True)
    table = Table()
    for column in ("node", "address", "role", "holds", "faults"):
        table.add_column(column)
    for node in answer["nodes"]:
        holds = "yes" if node["holds"] else ""
        table.add_row(node["name"], node["address"], node["role"], holds, ", ".join(node["faults"]))
    _CONSOLE.print(table)
    _CONSOLE.print(f"also there: {', '.join(answer['hosts'])}; netns-lab shell NODE goes inside")


if __name__ == "__main__":
    main()
