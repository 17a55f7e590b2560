"""`vrrpd auth status`: what people and programs see, and the exit status."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from tests.cli.fake_agent import FakeAgent
from vrrpd.cli import group

NOW, BEFORE = "2026-01-01T00:03:00.000Z", "2026-01-01T00:00:00.000Z"
SENDER: dict[str, Any] = {
    "address": "10.0.0.12",
    "node": "lb2",
    "standing": "signed",
    "key": 1,
    "reason": None,
    "since": BEFORE,
    "last_s": 0.4,
    "count": 180,
    "clock_ahead_s": 0.0,
}
UNSIGNED = SENDER | {"standing": "unsigned", "key": None}
BAD = SENDER | {"address": "10.0.0.66", "node": None, "standing": "bad", "key": None, "reason": "invalid_hmac"}
ROUTER: dict[str, Any] = {
    "name": "web",
    "vrid": 51,
    "family": "ipv4",
    "method": "hmac",
    "mode": "permissive",
    "keys": [1, 2],
    "active_key": 1,
    "anti_replay": "time",
    "time_window_s": 5.0,
    "clock_step_s": 0.0,
    "senders": [SENDER],
}


def found(*routers: dict[str, Any]) -> dict[str, Any]:
    return {"node": "lb1", "generated_at": NOW, "routers": list(routers)}


@pytest.fixture
def agent(agent: FakeAgent) -> FakeAgent:
    agent.answers = [found(ROUTER)]
    return agent


def ask(agent: FakeAgent, *arguments: str) -> Result:
    return CliRunner().invoke(group, ["auth", "status", "--control", str(agent.path), *arguments])


def test_it_shows_the_own_rules_and_who_signs_with_which_key(agent: FakeAgent) -> None:
    result = ask(agent)

    assert agent.asked == {"command": "auth"}
    assert result.exit_code == 0
    assert result.output.splitlines() == [
        "web/ipv4  hmac permissive, signs with key 1, knows 1, 2; against replay: time, within 5 s",
        "  10.0.0.12 (lb2)              signed with key 1      since 3 min ago, last 0.4 s ago, 180 in all",
    ]


@pytest.mark.parametrize(("sender", "words"), [(UNSIGNED, "unsigned"), (BAD, "refused: invalid_hmac")])
def test_a_sender_that_does_not_sign_is_a_reason_to_wait(sender: dict[str, Any], words: str, agent: FakeAgent) -> None:
    agent.answers = [found(ROUTER | {"senders": [SENDER, sender]})]
    result = ask(agent)

    assert words in result.output
    assert result.exit_code == 1


def test_what_was_heard_long_ago_is_none(agent: FakeAgent) -> None:
    agent.answers = [found(ROUTER | {"senders": [UNSIGNED | {"last_s": 61}]})]

    assert ask(agent).exit_code == 0


@pytest.mark.parametrize(
    ("router", "line"),
    [
        ({"method": "none"}, "web/ipv4  no authentication"),
        ({"method": "password"}, "web/ipv4  a password in clear text, which protects nothing"),
        (
            {"mode": "receive-only", "active_key": None, "time_window_s": None, "keys": [7]},
            "web/ipv4  hmac receive-only, signs nothing, knows 7; against replay: a rising number\n  nobody was heard",
        ),
    ],
)
def test_every_kind_of_router_has_its_line(router: dict[str, Any], line: str, agent: FakeAgent) -> None:
    agent.answers = [found({**ROUTER, "senders": [], **router})]

    assert ask(agent).output == line + "\n"


def test_an_agent_without_routers_says_so(agent: FakeAgent) -> None:
    agent.answers = [found()]

    assert ask(agent).output == "no routers\n"


def test_programs_get_the_object(agent: FakeAgent) -> None:
    assert json.loads(ask(agent, "--json").output) == found(ROUTER)


def test_colour_is_for_terminals(agent: FakeAgent, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    coloured = CliRunner().invoke(group, ["auth", "status", "--control", str(agent.path)], color=True)

    assert "\x1b[32msigned with key 1" in coloured.output


def test_a_name_cannot_move_the_cursor(agent: FakeAgent) -> None:
    agent.answers = [found(ROUTER | {"name": "\x1b[2J"})]

    assert "?[2J/ipv4" in ask(agent).output


def test_without_an_agent_the_status_is_3(tmp_path: Path) -> None:
    result = CliRunner().invoke(group, ["auth", "status", "--control", str(tmp_path / "none")])

    assert result.exit_code == 3
    assert "no agent runs" in result.stderr


def test_json_needs_no_text_module(agent: FakeAgent, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "vrrpd.cli.auth_text", None)

    assert ask(agent, "--json").exit_code == 0


def test_a_clock_that_jumped_is_told(agent: FakeAgent) -> None:
    agent.answers = [found(ROUTER | {"clock_step_s": -3600.0})]

    assert "within 5 s; the own clock jumped by -3600 s" in ask(agent).output
