"""Drain with real agents: the role moves without a gap, the node stays out, also when its agent starts again."""

from __future__ import annotations

import json
import signal
import subprocess
import sys

import pytest

from tests.daemon.conftest import Child, Namespace

pytestmark = pytest.mark.netns

FILE = """
nodes: {lb1: 10.79.0.11, lb2: 10.79.0.12}
defaults: {advert_interval: 100ms, hear_first: off}
routers:
  web: {vrid: 51, addresses: [10.79.0.100/24]}
"""
OWNER = FILE.replace("{vrid", "{priority: {lb1: 255, lb2: 100}, vrid")


def ask(agent: Child, command: str, *arguments: str) -> tuple[int, str]:
    """Run a command of the agent; its exit status and what it printed."""
    line = [sys.executable, "-m", "vrrpd", command, *arguments, "--control", str(agent.control)]
    done = subprocess.run(line, check=False, capture_output=True, text=True)
    return done.returncode, done.stdout + done.stderr


def start(node: Namespace, text: str = FILE) -> Child:
    """Start an agent that takes over the state of the one before."""
    return node.agent(text, "--state", str(node.directory / "kept.json"))


def test_the_role_moves_and_stays_away_until_it_is_undrained(namespaces: tuple[Namespace, Namespace]) -> None:
    left, right = namespaces
    lb1, lb2 = left.agent(FILE), right.agent(FILE)
    lb1.becomes("active")
    lb2.becomes("backup")
    status, said = ask(lb1, "drain", "web")
    assert (status, said) == (0, "web: lb2 (10.79.0.12) took over; drained until undrained\n")
    assert not left.holds("10.79.0.100/24")
    assert right.holds("10.79.0.100/24")
    router = lb1.becomes("backup")
    assert (router["drained"], router["effective_priority"]) == (True, 0)
    assert ask(lb1, "undrain") == (0, "web: takes part again\n")
    assert lb1.becomes("active")["drained"] is False


def test_where_nobody_else_is_the_role_is_kept_unless_it_is_forced(node: Namespace) -> None:
    agent = node.agent(FILE)
    agent.becomes("active")
    status, said = ask(agent, "drain")
    assert status == 1
    assert "nobody took over, so the role was kept" in said
    assert agent.status()["routers"][0]["state"] == "active"
    status, said = ask(agent, "drain", "--force")
    assert status == 0
    assert "nobody took over, and this node left all the same" in said
    assert not node.holds("10.79.0.100/24")


@pytest.mark.parametrize("text", [FILE, OWNER], ids=["shared", "owner"])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_drain_outlives_the_agent(node: Namespace, number: signal.Signals, text: str) -> None:
    first = start(node, text)
    first.becomes("active")
    assert ask(first, "drain", "--force")[0] == 0
    first.signal(number)
    first.ends()
    second = start(node, text)
    second.says("web is drained until undrained and takes no part")
    router = second.becomes("backup")
    assert (router["drained"], router["counters"]["adverts_sent"]) == (True, 0)
    assert ask(second, "undrain")[0] == 0
    second.becomes("active")
    second.signal(number)
    second.ends()
    assert start(node, text).becomes("active")["drained"] is False


def test_an_owner_whose_own_address_is_shared_cannot_be_drained(node: Namespace) -> None:
    agent = start(node, OWNER.replace("10.79.0.100", "10.79.0.11"))
    agent.becomes("active")
    status, said = ask(agent, "drain", "--force")
    assert status == 1
    assert "its address is this node's own, which the agent does not take away" in said
    assert agent.status()["routers"][0]["state"] == "active"


def test_after_its_time_a_node_takes_part_again_by_itself(node: Namespace) -> None:
    agent = node.agent(FILE)
    agent.becomes("active")
    assert ask(agent, "drain", "--force", "--for", "1s")[0] == 0
    assert agent.becomes("backup")["drained_until"] is not None
    agent.says("web takes part again: the time of its drain is over")
    assert agent.becomes("active")["drained_until"] is None
    assert json.loads(agent.control.with_suffix(".state.json").read_text())["drained"] == {}


def test_a_state_that_makes_no_sense_is_a_warning_and_is_kept(node: Namespace) -> None:
    state = node.directory / "0.state.json"
    state.write_text('{"version": 1, "dra')
    agent = node.agent(FILE)
    assert "WARNING" in agent.says(f"{state} makes no sense")
    agent.becomes("active")
    assert state.with_name("0.state.json.bad").read_text() == '{"version": 1, "dra'


def test_a_state_that_cannot_be_written_refuses_the_drain(namespaces: tuple[Namespace, Namespace]) -> None:
    left, right = namespaces
    lb1, lb2 = left.agent(FILE, "--state", "/proc/state.json"), right.agent(FILE)
    lb1.becomes("active")
    lb2.becomes("backup")
    status, said = ask(lb1, "drain")
    assert status == 1
    assert "refuses: cannot write /proc/state.json: No such file or directory" in said
    assert lb1.status()["routers"][0]["state"] == "active"


def test_an_unknown_router_is_one_line_with_the_known_ones(node: Namespace) -> None:
    agent = node.agent(FILE)
    agent.says("ready")
    status, said = ask(agent, "drain", "wbe")
    assert status == 1
    assert said.endswith("refuses: there is no router 'wbe'; name one of web, or none for all\n")
