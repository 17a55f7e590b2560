"""The agent and the programs that it has started: what they are allowed, and what becomes of them."""

from __future__ import annotations

import signal
import time
from pathlib import Path

import pytest

from tests.daemon.conftest import PATIENCE_S, Child, Namespace

pytestmark = pytest.mark.netns

FILE = """
nodes: {lb1: 10.79.0.11, lb2: 10.79.0.12}
defaults: {advert_interval: 100ms}
checks:
  proxy: {exec: %s, interval: %s, rise: 1, fall: 1}
routers:
  web: {vrid: 51, addresses: [10.79.0.100/24], track: [proxy]}
"""
HANGS = ["/bin/sh", "-c", "sleep 60 & sleep 60"]


def launcher_of(agent: Child) -> int:
    """The process id of its launcher."""
    pid = agent.process.pid
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return next(int(child) for child in children if Path(f"/proc/{child}/comm").read_text() == "vrrpd-launcher\n")


def family(pid: int) -> list[int]:
    """A process and all that descend from it."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid, *(each for child in children for each in family(int(child)))]


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def hanging(launcher: int) -> list[int]:
    """Wait until the hanging program is there with its two children; the launcher and all of it."""
    deadline = time.monotonic() + PATIENCE_S
    while len(pids := family(launcher)) < 4:
        assert time.monotonic() < deadline, pids
        time.sleep(0.01)
    return pids


def gone(pids: list[int]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while living := [pid for pid in pids if alive(pid)]:
        assert time.monotonic() < deadline, living
        time.sleep(0.01)


def test_a_check_runs_as_nobody_and_its_words_are_shown(node: Namespace) -> None:
    agent = node.agent(FILE % (["/usr/bin/id", "-un"], "200ms"))
    router = agent.becomes("active")
    assert router["checks"][0]["detail"] == "exit 0: nobody"


def test_the_launcher_is_a_small_process_of_its_own(node: Namespace) -> None:
    agent = node.agent(FILE % (["/bin/true"], "200ms"))
    agent.becomes("active")
    launcher = launcher_of(agent)
    maps = Path(f"/proc/{launcher}/maps").read_text()
    assert "pydantic" not in maps
    private = sum(
        int(line.split()[1])
        for line in Path(f"/proc/{launcher}/smaps_rollup").read_text().splitlines()
        if line.startswith("Private_Dirty:")
    )
    assert private < 8 * 1024, "kB of memory of its own"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_nothing_survives_the_agent(node: Namespace, number: signal.Signals) -> None:
    agent = node.agent(FILE % (HANGS, "30s"))
    agent.says("ready")
    pids = hanging(launcher_of(agent))
    agent.signal(number)
    agent.ends()
    gone(pids)


def test_a_launcher_that_dies_is_an_alarm_and_says_nothing_about_the_service(node: Namespace) -> None:
    agent = node.agent(FILE % (["/bin/true"], "200ms"))
    agent.becomes("active")
    launcher = launcher_of(agent)
    node.run("kill", "-KILL", str(launcher))
    assert "ERROR" in agent.says(f"the launcher (pid {launcher}) has ended")
    [alarm] = agent.status()["alarms"]
    said = f"the launcher (pid {launcher}) has ended; restart the agent"
    assert (alarm["code"], alarm["detail"]) == ("launcher_gone", said)
    time.sleep(1)  # several intervals of the check
    router = agent.status()["routers"][0]
    assert (router["state"], router["checks"][0]["state"]) == ("active", "up")


def test_a_command_that_others_may_change_starts_no_agent(node: Namespace, tmp_path: Path) -> None:
    program = tmp_path / "web"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o777)
    (line,) = node.refused(FILE % (f"{{command: [{program}], user: root}}", "1s"))
    assert ":5:11: " in line
    assert f"{program}, which belongs to root:root with mode 0777, can be changed by everybody; chmod go-w" in line
