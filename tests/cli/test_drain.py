"""`vrrpd drain` and `vrrpd undrain`: what people and programs see, and the exit status."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from tests.cli.fake_agent import FakeAgent
from vrrpd.__main__ import main
from vrrpd.cli import group


@pytest.fixture
def agent(agent: FakeAgent) -> FakeAgent:
    agent.answers = [{"routers": [], "problem": None}]
    return agent


def drained(outcome: str, **more: Any) -> dict[str, Any]:
    router = {"name": "web", "routers": ["web"], "outcome": outcome, "active": None, "until": None}
    return {"routers": [router | more], "problem": None}


def undrained(**more: Any) -> dict[str, Any]:
    return {"routers": [{"name": "web", "routers": ["web"], "was_drained": True} | more], "problem": None}


def run(command: str, agent: FakeAgent, *arguments: str) -> Result:
    return CliRunner().invoke(
        group, [command, "--control", str(agent.path), *arguments], catch_exceptions=False, color=False
    )


class TestDrain:
    @pytest.mark.parametrize(
        ("answer", "line", "code"),
        [
            (
                drained("handed over", active="lb2 (10.0.0.12)"),
                "web: lb2 (10.0.0.12) took over; drained until undrained",
                0,
            ),
            (
                drained("out", until="2026-01-01T02:00:00Z"),
                "web: this node was not active; drained until 2026-01-01T02:00:00Z",
                0,
            ),
            (
                drained("left"),
                "web: nobody took over, and this node left all the same: nobody serves it; drained until undrained",
                0,
            ),
            (
                drained("kept"),
                "web: nobody took over, so the role was kept and nothing is drained; --force leaves all the same",
                1,
            ),
            (
                drained("broken off"),
                "web: the agent ended, or gave this router up, before there was an outcome; nothing is drained",
                1,
            ),
            (
                drained("out", name="edge", routers=["web", "inside"]),
                "edge, the group of web and inside: this node was not active; drained until undrained",
                0,
            ),
        ],
        ids=range(6),
    )
    def test_each_outcome_has_its_line_and_exit_status(
        self, agent: FakeAgent, answer: dict[str, Any], line: str, code: int
    ) -> None:
        agent.answers = [answer]
        result = run("drain", agent)
        assert (result.stdout, result.exit_code) == (line + "\n", code)
        assert result.stderr == ""

    def test_one_router_that_was_kept_makes_the_exit_status_1(self, agent: FakeAgent) -> None:
        both = drained("kept")["routers"] + drained("out", name="api", routers=["api"])["routers"]
        agent.answers = [{"routers": both, "problem": None}]
        result = run("drain", agent)
        assert (result.exit_code, len(result.stdout.splitlines())) == (1, 2)

    @pytest.mark.parametrize(
        ("arguments", "asked"),
        [
            ([], {"router": None, "for_s": None, "force": False}),
            (["web", "--for", "2h", "--force"], {"router": "web", "for_s": 7200, "force": True}),
            (["--for", "90"], {"router": None, "for_s": 90, "force": False}),
        ],
    )
    def test_asks_the_agent_for_what_was_meant(
        self, agent: FakeAgent, arguments: list[str], asked: dict[str, Any]
    ) -> None:
        run("drain", agent, *arguments)
        assert agent.asked == {"command": "drain", **asked}

    @pytest.mark.parametrize("length", ["soon", "2 h", "-1h", ""])
    def test_a_time_that_is_none_is_wrong_usage(self, agent: FakeAgent, length: str) -> None:
        result = run("drain", agent, "--for", length)
        assert result.exit_code == 2
        assert "write one such as 90s, 30m or 2h" in result.stderr

    def test_json_is_the_object_as_the_agent_said_it(self, agent: FakeAgent) -> None:
        agent.answers = [drained("kept")]
        result = run("drain", agent, "--json")
        assert (json.loads(result.stdout), result.exit_code) == (agent.answers[0], 1)

    def test_a_drain_that_would_not_outlive_a_restart_is_told(self, agent: FakeAgent) -> None:
        agent.answers = [{**drained("out"), "problem": "cannot write /x: No space left on device"}]
        result = run("drain", agent)
        assert (result.stderr, result.exit_code) == ("vrrpd: cannot write /x: No space left on device\n", 0)

    def test_a_refusal_is_one_line_and_exit_status_1(
        self, agent: FakeAgent, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        agent.answers = [{"error": "there is no router 'wbe'; name one of web, api, or none for all"}]
        monkeypatch.setattr(sys, "argv", ["vrrpd", "drain", "wbe", "--control", str(agent.path)])
        with pytest.raises(SystemExit) as ended:
            main()
        assert ended.value.code == 1
        assert capsys.readouterr().err == f"vrrpd: the agent at {agent.path} refuses: {agent.answers[0]['error']}\n"


class TestUndrain:
    @pytest.mark.parametrize(
        ("answer", "line"),
        [
            (undrained(), "web: takes part again"),
            (undrained(was_drained=False), "web: was not drained; takes part"),
            (undrained(routers=[]), "web: its drain is forgotten; the configuration names it no longer"),
            (undrained(name="edge", routers=["web", "in"]), "edge, the group of web and in: takes part again"),
        ],
        ids=range(4),
    )
    def test_each_outcome_has_its_line(self, agent: FakeAgent, answer: dict[str, Any], line: str) -> None:
        agent.answers = [answer]
        result = run("undrain", agent, "web")
        assert (result.stdout, result.stderr, result.exit_code) == (line + "\n", "", 0)
        assert agent.asked == {"command": "undrain", "router": "web"}

    def test_json_is_the_object_as_the_agent_said_it(self, agent: FakeAgent) -> None:
        agent.answers = [undrained()]
        assert json.loads(run("undrain", agent, "--json").stdout) == agent.answers[0]


@pytest.mark.parametrize("command", ["drain", "undrain"])
def test_without_an_agent_the_exit_status_is_3(command: str, tmp_path: Path) -> None:
    result = CliRunner().invoke(group, [command, "--control", str(tmp_path / "none")])
    assert (result.exit_code, result.stdout) == (3, "")
    assert result.stderr.startswith(f"vrrpd: no agent runs at {tmp_path}/none; ")
