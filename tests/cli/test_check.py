"""`vrrpd check` as the person at the terminal and the program behind a pipe see it."""

import json
import re
from ipaddress import ip_interface
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from vrrpd.cli import check as module
from vrrpd.cli.check import check
from vrrpd.config import HostAddress, HostFacts
from vrrpd.linux.netlink import Snapshot

_FILE = """\
nodes: {lb1: 10.0.0.11, lb2: 10.0.0.12}
checks: {proxy: {tcp: "127.0.0.1:80"}}
routers:
  web: {vrid: 51, addresses: [10.0.0.100/24], track: [proxy]}
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tmp_path / "vrrpd.yaml"
    file.write_text(_FILE)
    return file


@pytest.fixture
def at_home(monkeypatch: pytest.MonkeyPatch) -> None:
    """This host is lb2."""
    facts = HostFacts(frozenset({"lo", "eth0"}), (HostAddress("eth0", ip_interface("10.0.0.12/24")),))

    def told(_: Snapshot) -> HostFacts:
        return facts

    monkeypatch.setattr(module, "host_facts", told)


def _run(*arguments: str) -> Result:
    return CliRunner().invoke(check, arguments)


@pytest.mark.usefixtures("at_home")
def test_a_right_file_shows_who_this_is_and_who_would_be_active(path: Path) -> None:
    result = _run("-c", str(path))
    assert result.exit_code == 0
    assert result.output.splitlines() == [
        f"{path} is good",
        "this host is lb2, number 2 of 2 nodes",
        "router web on eth0: VRID 51, version 3, unicast, an advertisement every 1s",
        "  addresses  10.0.0.100/24",
        "  active     lb1 (250), else lb2 (240)",
        "  tracks     proxy",
    ]


def test_on_a_desk_it_says_in_one_line_what_it_left_out(path: Path) -> None:
    result = _run("-c", str(path))
    assert result.exit_code == 0
    assert result.output.splitlines()[1] == (
        "this host is none of its nodes (lb1, lb2), so it was checked for each; "
        "skipped, because it needs the host: interfaces, own addresses, networks of the shared addresses"
    )


@pytest.mark.usefixtures("at_home")
def test_all_mistakes_are_listed_and_the_exit_status_is_1(path: Path) -> None:
    path.write_text(_FILE.replace("51", "0").replace("track: [proxy]", "interface: eth7"))
    result = _run("-c", str(path))
    assert result.exit_code == 1
    assert result.output.splitlines() == [
        (
            f"{path}:2:10: no router tracks the check 'proxy', so it could never cause a failover; "
            "add 'track: [proxy]' to a router, or remove the check"
        ),
        f"{path}:4:15: 0 is out of range; write 1..255",
        (
            f"{path}:4:57: this host has no interface 'eth7' (it has eth0 and lo); "
            "correct it, or name the node (--node, 'node') to wait for it"
        ),
        "3 mistakes found; no agent would start with this file",
    ]


@pytest.mark.usefixtures("at_home")
def test_a_warning_is_shown_and_does_not_fail(path: Path) -> None:
    path.write_text(_FILE.replace("10.0.0.100/24", "10.0.9.100/24"))
    result = _run("-c", str(path))
    assert result.exit_code == 0
    assert result.output.splitlines()[:2] == [
        (
            f"{path}:4:31: warning: 10.0.9.100/24 fits no network of eth0, which has 10.0.0.0/24; "
            "write 10.0.9.100, which is always right"
        ),
        f"{path} is good, with warnings",
    ]


@pytest.mark.usefixtures("at_home")
def test_a_program_reads_one_object(path: Path) -> None:
    result = _run("-c", str(path), "--json")
    assert json.loads(result.output) == {
        "file": str(path),
        "ok": True,
        "node": "lb2",
        "mistakes": [],
        "warnings": [],
        "skipped": None,
        "routers": [
            {
                "name": "web",
                "vrid": 51,
                "transport": "unicast",
                "addresses": ["10.0.0.100/24"],
                "interfaces": ["eth0"],
                "order": [{"node": "lb1", "priority": 250}, {"node": "lb2", "priority": 240}],
                "movers": [],
            }
        ],
        "groups": {},
        "failures": None,
        "ready": None,
    }


def test_a_program_reads_mistakes_with_their_places(path: Path) -> None:
    path.write_text(_FILE.replace("51", "x"))
    result = _run("-c", str(path), "--json")
    assert result.exit_code == 1
    found = json.loads(result.output)
    assert found["ok"] is False
    assert found["mistakes"] == [{"line": 4, "column": 15, "text": "'x' is no whole number; write 1..255"}]


def test_a_program_is_told_what_was_skipped(path: Path) -> None:
    found = json.loads(_run("-c", str(path), "--json").output)
    assert found["skipped"].startswith("skipped, because it needs the host")
    assert found["routers"][0]["interfaces"] == []


@pytest.mark.usefixtures("at_home")
def test_a_file_for_one_host_shows_its_priority(path: Path) -> None:
    path.write_text("routers:\n  web: {vrid: 51, interface: eth0, addresses: [10.0.0.100]}\n")
    lines = _run("-c", str(path)).output.splitlines()
    assert lines[1] == "the file names no nodes; it is for this host alone"
    assert lines[4] == "  priority   100"


@pytest.mark.usefixtures("at_home")
def test_a_file_for_another_host_is_checked_without_it(path: Path) -> None:
    path.write_text(
        "routers:\n  web: {vrid: 51, addresses: [10.0.0.100], unicast: {bind: 10.0.0.9, peers: [10.0.0.8]}}\n"
    )
    result = _run("-c", str(path))
    assert result.exit_code == 0
    assert result.output.splitlines()[1].startswith("this host is not the one it is for; skipped")


def test_a_node_can_be_named(path: Path) -> None:
    assert "this host is lb1, number 1 of 2 nodes" in _run("-c", str(path), "--node", "lb1").output
    result = _run("-c", str(path), "--node", "lb7")
    assert result.exit_code == 1
    assert "'lb7' (--node) is not one of the nodes" in result.output


def test_a_missing_file_is_one_line_and_status_1() -> None:
    result = _run("-c", "/nonexistent.yaml")
    assert result.exit_code == 1
    assert "/nonexistent.yaml:1:1: the file cannot be read" in result.output


def test_the_schema_is_printed_for_an_editor() -> None:
    result = _run("--schema")
    assert result.exit_code == 0
    assert json.loads(result.output)["title"] == "vrrpd.yaml"


def test_wrong_usage_is_status_2() -> None:
    assert _run("--explode").exit_code == 2


def test_colours_appear_where_they_are_wanted_and_nowhere_else(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert "\x1b[" in CliRunner().invoke(check, ["-c", str(path)], color=True).output
    assert "\x1b[" not in _run("-c", str(path)).output
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b[" not in CliRunner().invoke(check, ["-c", str(path)], color=True).output


_GROUP = """\
nodes: {lb1: 10.0.0.11, lb2: 10.0.0.12}
checks:
  proxy: {process: {name: haproxy, grace: 20ms}}
  page: {tcp: "127.0.0.1:80", interval: 500ms, timeout: 300ms}
  cable: {link: eth1}
groups: {edge: [web, lan]}
routers:
  web: {vrid: 51, addresses: [10.0.0.100/24], track: [proxy, {check: page, weight: -20}, cable]}
  lan: {vrid: 52, addresses: [10.0.0.101/24]}
  dmz: {vrid: 53, addresses: [10.0.0.102/24], unicast: {peers: [10.0.0.11, 10.0.0.12, 10.0.0.99]}}
"""


def test_weights_and_groups_are_shown(path: Path) -> None:
    path.write_text(_GROUP)
    lines = _run("-c", str(path)).output.splitlines()
    assert "  tracks     proxy, page (-20), cable" in lines
    assert "group edge: web and lan move together" in lines
    assert json.loads(_run("-c", str(path), "--json").output)["groups"] == {"edge": ["web", "lan"]}


@pytest.mark.usefixtures("at_home")
def test_the_interfaces_of_a_router_in_a_group_are_its_own(path: Path) -> None:
    path.write_text(_GROUP)
    found = json.loads(_run("-c", str(path), "--json").output)
    assert [router["interfaces"] for router in found["routers"]] == [["eth0"], ["eth0"], ["eth0"]]


def test_explained_every_single_failure_is_a_row_with_its_times(path: Path) -> None:
    path.write_text(_GROUP)
    result = _run("-c", str(path), "--explain")
    assert result.exit_code == 0
    lines = result.output.splitlines()
    table = [" | ".join(cell for cell in re.split("  +", line.strip()) if cell) for line in lines]
    start = table.index("group edge, every single failure: while all is well lb1 is Active")
    assert table[start + 1 :] == [
        "what fails | on | then | noticed within | taken over after | down for at most",
        "check proxy | lb1 | lb2 takes over | 20ms | 62.5ms | 82.5ms",
        "check cable | lb1 | lb2 takes over | at once | 62.5ms | 62.5ms",
        "check page | lb1 | lb2 takes over | 1.3s | 62.5ms | 1.3625s",
        "the node | lb1 | lb2 takes over | 3.0625s | 3.0625s",
        "check proxy | lb2 | lb1 stays | 20ms",
        "check cable | lb2 | lb1 stays | at once",
        "check page | lb2 | lb1 stays | 1.3s",
        "the node | lb2 | lb1 stays",
        "",
        "router dmz: the file does not name all nodes, so who takes over cannot be said",
    ]


def test_explained_it_says_where_nobody_takes_over(path: Path) -> None:
    path.write_text(
        "nodes: {lb1: 10.0.0.11}\nchecks: {a: {tcp: 'h:1'}}\ndefaults: {transport: multicast}\nrouters:\n"
        "  web: {vrid: 51, addresses: [10.0.0.100], on_all_failed: release, track: [a]}\n"
    )
    assert _run("-c", str(path), "--explain").output.count("nobody serves") == 2
    weights = "{check: proxy, weight: -6}, {check: b, weight: -6}"
    path.write_text(_FILE.replace("}}\n", "}, b: {tcp: 'h:2'}}\n", 1).replace("[proxy]", f"[{weights}]"))
    assert "lb1 stays, there is nobody better" in _run("-c", str(path), "--explain").output


def test_a_program_reads_what_every_single_failure_leads_to(path: Path) -> None:
    rows = json.loads(_run("-c", str(path), "--explain", "--json").output)["failures"]
    assert [(row["check"], row["node"], row["active_after"]) for row in rows] == [
        ("proxy", "lb1", "lb2"),
        (None, "lb1", "lb2"),
        ("proxy", "lb2", "lb1"),
        (None, "lb2", "lb1"),
    ]
    assert rows[0] == {
        "moves": "web",
        "check": "proxy",
        "node": "lb1",
        "active_before": "lb1",
        "active_after": "lb2",
        "noticed_s": 3.0,
        "takeover_s": 0.0625,
        "down_s": 3.0625,
    }
    assert rows[2]["down_s"] is None


def test_nothing_is_tried_with_a_file_that_is_wrong(path: Path) -> None:
    path.write_text(_FILE.replace("51", "0"))
    result = _run("-c", str(path), "--explain")
    assert result.exit_code == 1
    assert "every single failure" not in result.output
    assert json.loads(_run("-c", str(path), "--explain", "--json").output)["failures"] is None


def test_on_a_terminal_the_table_has_colours(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "140")
    assert "\x1b[32mlb2 takes over" in _run("-c", str(path), "--explain").output


@pytest.mark.usefixtures("at_home")
def test_a_check_that_this_host_cannot_run_is_a_mistake_at_its_place(path: Path) -> None:
    path.write_text(_FILE.replace('tcp: "127.0.0.1:80"', "exec: [/nonexistent/check]"))
    result = _run("-c", str(path))
    assert result.exit_code == 1
    assert result.output.startswith(f"{path}:2:18: there is no /nonexistent; ")
    assert _run("-c", str(path), "--node", "lb1").exit_code == 1
