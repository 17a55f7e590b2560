"""`vrrpd status`: what people and programs see, and the exit status."""

from __future__ import annotations

import copy
import json
import os
import socket
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from rich.console import Console

from tests.cli.fake_agent import FakeAgent
from vrrpd.__main__ import main
from vrrpd.cli import SUBCOMMANDS, group
from vrrpd.cli.status import changes, exit_status
from vrrpd.cli.status_text import ago, duration, picture

STATUS: dict[str, Any] = {
    "node": "lb1",
    "version": "0.1.0",
    "generated_at": "2026-01-01T00:10:00.000Z",
    "uptime_s": 612.3,
    "alarms": [],
    "routers": [
        {
            "name": "web",
            "vrid": 51,
            "family": "ipv4",
            "interface": "eth0",
            "state": "active",
            "priority": 250,
            "effective_priority": 250,
            "active_address": "10.0.0.11",
            "since": "2026-01-01T00:07:00.000Z",
            "reason": "no advert for 3.02 s",
            "drained": False,
            "drained_until": None,
            "addresses": [{"address": "10.0.0.100/24", "device": "eth0", "held": True}],
            "checks": [
                {"name": "haproxy", "state": "up", "since": "2026-01-01T00:00:00.000Z", "detail": "200 in 1 ms"}
            ],
            "movers": [],
            "peers": [
                {"address": "10.0.0.12", "last_advert_s": 2.25},
                {"address": "10.0.0.13", "last_advert_s": None},
            ],
            "counters": {"adverts_sent": 1, "adverts_received": 0, "dropped": {"ttl": 0}, "transitions": 1},
            "alarms": [],
        }
    ],
}
ALARM = {"code": "unlisted_sender", "since": "2026-01-01T00:09:59.500Z", "detail": "10.0.0.99 sends adverts of ours"}


def changed(**router: Any) -> dict[str, Any]:
    """The status with other values in its router."""
    found = copy.deepcopy(STATUS)
    found["routers"][0].update(router)
    return found


def drawn(found: dict[str, Any]) -> list[str]:
    """What people read, line by line, with single blanks."""
    console = Console(width=200, color_system=None)
    with console.capture() as capture:
        console.print(picture(found))
    return [" ".join(line.split()) for line in capture.get().splitlines() if line.strip()]


@pytest.fixture
def agent(agent: FakeAgent) -> FakeAgent:
    agent.answers = [STATUS]
    return agent


def run(path: Path, *arguments: str) -> Result:
    return CliRunner().invoke(group, ["status", "--control", str(path), *arguments], catch_exceptions=False)


class TestCommand:
    def test_json_is_the_object_as_the_agent_said_it(self, agent: FakeAgent) -> None:
        result = run(agent.path, "--json")
        assert (result.exit_code, json.loads(result.stdout)) == (0, STATUS)

    def test_text_has_no_colour_and_no_broken_lines_in_a_pipe(self, agent: FakeAgent) -> None:
        reason = "a long story " * 20
        agent.answers = [changed(reason=reason)]
        result = run(agent.path)
        assert result.exit_code == 0
        assert "\x1b" not in result.stdout
        assert reason.strip() in result.stdout

    def test_without_an_agent_the_exit_status_is_3(self, tmp_path: Path) -> None:
        result = run(tmp_path / "none")
        assert (result.exit_code, result.stdout) == (3, "")
        assert result.stderr.startswith(f"vrrpd: no agent runs at {tmp_path}/none; ")

    def test_an_alarm_makes_the_exit_status_1(self, agent: FakeAgent) -> None:
        agent.answers = [changed(alarms=[ALARM])]
        assert run(agent.path, "--json").exit_code == 1

    def test_watching_json_prints_one_object_a_line_at_each_change_until_the_agent_ends(
        self, agent: FakeAgent, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("vrrpd.cli.status._PERIOD", 0.001)
        later = {**STATUS, "generated_at": "2026-01-01T00:10:01.000Z", "uptime_s": 613.3}
        agent.answers = [STATUS, later, changed(state="backup"), changed(state="backup")]
        result = run(agent.path, "--json", "--watch")
        states = [json.loads(line)["routers"][0]["state"] for line in result.stdout.splitlines()]
        assert states == ["active", "backup"]
        assert result.exit_code == 3

    def test_watching_text_in_a_pipe_prints_a_block_at_each_change(
        self, agent: FakeAgent, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("vrrpd.cli.status._PERIOD", 0.001)
        agent.answers = [STATUS, STATUS, changed(state="fault")]
        result = run(agent.path, "--watch")
        assert (result.stdout.count("ACTIVE"), result.stdout.count("FAULT")) == (1, 1)


class TestWhatCounts:
    @pytest.mark.parametrize(
        ("found", "code"),
        [
            (STATUS, 0),
            (changed(state="backup"), 0),
            (changed(state="init"), 0),
            (changed(state="fault"), 1),
            (changed(alarms=[ALARM]), 1),
            ({**STATUS, "alarms": [ALARM]}, 1),
            ({}, 0),
        ],
    )
    def test_an_alarm_or_a_fault_needs_a_person(self, found: dict[str, Any], code: int) -> None:
        assert exit_status(found) == code

    @pytest.mark.parametrize(
        ("found", "counts"),
        [
            (changed(state="backup"), True),
            (changed(alarms=[ALARM]), True),
            (changed(effective_priority=0), True),
            (changed(drained=True, drained_until="2026-01-01T02:15:00.000Z"), True),
            (changed(checks=[{**STATUS["routers"][0]["checks"][0], "state": "down"}]), True),
            (changed(checks=[{**STATUS["routers"][0]["checks"][0], "detail": "200 in 2 ms"}]), False),
            (changed(counters={"adverts_sent": 2}), False),
            (changed(peers=[{"address": "10.0.0.12", "last_advert_s": 0.1}, STATUS["routers"][0]["peers"][1]]), False),
            (changed(lateness={"worst_ms": 3.2, "worst_share": 0.32, "late": 1}), False),
            ({**STATUS, "lateness": {"adverts": 9, "max_ms": 3.2}}, False),
            ({**STATUS, "uptime_s": 700, "generated_at": "2026-01-01T00:20:00.000Z"}, False),
        ],
        ids=range(11),
    )
    def test_what_moves_all_the_time_is_no_change(self, found: dict[str, Any], counts: bool) -> None:
        assert list(changes(iter([STATUS, found]))) == ([STATUS, found] if counts else [STATUS])


class TestText:
    def test_shows_who_is_active_since_when_and_why(self) -> None:
        assert drawn(STATUS) == [
            "lb1 vrrpd 0.1.0, running for 10 min",
            "web/ipv4 ACTIVE since 3 min ago: no advert for 3.02 s",
            "router vrid 51 on eth0 priority 250",
            "addresses 10.0.0.100/24 held on eth0",
            "checks haproxy up 200 in 1 ms (since 10 min ago)",
            "peers 10.0.0.12 heard last advert 2.2 s ago",
            "10.0.0.13 silent",
        ]

    def test_a_backup_names_the_active_node(self) -> None:
        assert "active 10.0.0.12" in drawn(changed(state="backup", active_address="10.0.0.12"))

    def test_what_is_not_known_is_said_to_be_unknown(self) -> None:
        assert "active unknown" in drawn(changed(state="backup", active_address=None))

    def test_alarms_have_their_code_detail_and_age(self) -> None:
        line = "alarms unlisted_sender alarm 10.0.0.99 sends adverts of ours (0.5 s ago)"
        assert line in drawn(changed(alarms=[ALARM]))
        assert line in drawn({**STATUS, "alarms": [ALARM]})

    def test_a_priority_that_differs_in_effect_is_shown(self) -> None:
        assert "router vrid 51 on eth0 priority 250, now 1" in drawn(changed(effective_priority=1))

    def test_an_active_says_how_punctual_it_is_and_a_backup_nothing(self) -> None:
        late = changed(lateness={"worst_ms": 3.214, "worst_share": 0.0321, "late": 0})
        late["lateness"] = {"adverts": 5990, "p50_ms": 0.1, "p99_ms": 0.5, "max_ms": 3.214, "buckets": []}
        line = "lateness 99 % of 5990 adverts at most 0.5 ms, the worst 3.2 ms; web/ipv4 by up to 3 % of its interval"
        assert drawn(late)[1] == line
        late["lateness"] = {"adverts": 0, "p50_ms": None, "p99_ms": None, "max_ms": 0.0, "buckets": []}
        assert not any("lateness" in each for each in drawn(late))

    def test_a_drained_router_says_so(self) -> None:
        lines = drawn(changed(drained=True, drained_until=None, state="backup"))
        assert "web/ipv4 DRAINED since 3 min ago: no advert for 3.02 s" in lines
        assert "drained takes no part until undrained" in lines

    def test_a_drained_router_says_how_long_still(self) -> None:
        until = {"drained": True, "drained_until": "2026-01-01T02:15:00.000Z"}
        assert "drained takes part again in 2 h 5 min, at 2026-01-01T02:15:00.000Z" in drawn(changed(**until))

    def test_a_router_that_is_about_to_be_drained_still_shows_its_state(self) -> None:
        assert any("web/ipv4 ACTIVE" in line for line in drawn(changed(drained=True)))
        assert any("web/ipv4 FAULT" in line for line in drawn(changed(drained=True, state="fault")))

    def test_a_mover_of_a_backup_says_who_has_it_and_whether_this_node_could_take_over(self) -> None:
        idle = {"name": "ec2-elastic-ip", "state": "idle", "detail": "watching", "holder": "lb1 (eni-1)"}
        ready = drawn(changed(movers=[{**idle, "ready": True, "why": None}]))
        assert "movers ec2-elastic-ip idle watching; with lb1 (eni-1)" in ready
        assert "ready to take over: yes" in ready
        not_ready = drawn(changed(movers=[{**idle, "ready": False, "why": "unreachable: no route to host"}]))
        assert "ready to take over: no unreachable: no route to host" in not_ready

    def test_a_mover_that_holds_says_how_it_came_here_and_only_a_trouble_beside(self) -> None:
        held = {"name": "hetzner", "state": "held", "detail": "moved in 3 ms", "holder": "this node"}
        well = drawn(changed(movers=[{**held, "ready": True, "why": None}]))
        assert "movers hetzner held moved in 3 ms" in well
        assert not any("ready to take over" in line for line in well)
        ill = drawn(changed(movers=[{**held, "ready": False, "why": "the token is refused"}]))
        assert "ready to take over: no the token is refused" in ill

    def test_an_agent_without_routers_says_so(self) -> None:
        assert drawn({**STATUS, "routers": []})[-1] == "no routers"

    def test_an_answer_without_any_key_is_still_drawn(self) -> None:
        assert drawn({"routers": [{}]})
        assert "ready to take over: no unknown" in drawn({"routers": [{"movers": [{}]}]})

    def test_what_the_network_says_cannot_move_the_cursor(self) -> None:
        assert any("evil?[2J" in line for line in drawn(changed(reason="evil\x1b[2J[bold]x")))
        assert any("[bold]x" in line for line in drawn(changed(reason="evil\x1b[2J[bold]x")))

    @pytest.mark.parametrize(
        ("seconds", "text"),
        [(0.04, "0.0 s"), (9.94, "9.9 s"), (59.4, "59 s"), (61, "1 min"), (7500, "2 h 5 min"), (356400, "4 d 3 h")],
    )
    def test_times_are_short(self, seconds: float, text: str) -> None:
        assert duration(seconds) == text

    def test_a_time_that_cannot_be_read_is_unknown(self) -> None:
        assert (ago("soon", "2026-01-01T00:00:00Z"), ago(None, ""), duration(None)) == ("an unknown time",) * 3

    def test_a_clock_that_was_set_back_gives_no_negative_age(self) -> None:
        assert ago("2026-01-01T00:00:05Z", "2026-01-01T00:00:00Z") == "0.0 s ago"


class TestGroup:
    def test_help_names_every_command_in_one_line(self) -> None:
        shown = CliRunner().invoke(group, ["--help"]).output
        assert all(f"{name} " in shown and command.help in shown for name, command in SUBCOMMANDS.items())
        assert "Examples:" in shown

    @pytest.mark.parametrize("name", list(SUBCOMMANDS))
    def test_every_command_of_the_table_can_be_loaded(self, name: str) -> None:
        assert CliRunner().invoke(group, [name, "--help"], catch_exceptions=False).exit_code == 0

    def test_an_unknown_command_is_wrong_usage(self) -> None:
        assert CliRunner().invoke(group, ["stauts"]).exit_code == 2

    def test_a_mistake_of_the_user_is_one_line_and_no_traceback(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        with socket.socket(socket.AF_UNIX) as ending:
            path = tmp_path / "sock"
            ending.bind(str(path))
            ending.listen()

            def refuse() -> None:
                client, _ = ending.accept()
                client.recv(100)
                client.sendall(b'{"error":"not today"}\n')
                client.close()

            thread = threading.Thread(target=refuse)
            thread.start()
            monkeypatch.setattr(sys, "argv", ["vrrpd", "status", "--control", str(path)])
            with pytest.raises(SystemExit) as ended:
                main()
            thread.join()
        assert ended.value.code == 1
        assert capsys.readouterr().err == f"vrrpd: the agent at {path} refuses: not today\n"

    @pytest.mark.parametrize(
        "arguments",
        [["--help"], ["status", "--help"], ["status", "--control", "/nowhere"], ["drain", "--control", "/nowhere"]],
    )
    def test_asking_does_not_import_the_agent(self, arguments: list[str]) -> None:
        shown = subprocess.run(
            [sys.executable, "-X", "importtime", "-m", "vrrpd", *arguments],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
            capture_output=True,
            text=True,
            check=False,
        )
        imported = {line.rpartition("|")[2].strip() for line in shown.stderr.splitlines() if line.count("|") == 2}
        assert "click" in imported
        assert not imported & {"trio", "pydantic", "yaml", "rich", "asyncio"}
