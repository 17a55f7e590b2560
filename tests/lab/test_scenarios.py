"""Scenario files: those that come with the lab, and those with mistakes."""

from __future__ import annotations

from pathlib import Path

import pytest

from netns_lab.errors import CannotRunError
from netns_lab.runner import run_scenario, unable
from netns_lab.scenario import available, load
from netns_lab.service import Check, Track

MS = 1_000_000

GOOD = """
question: What if?
steps:
  - settle: n1
  - {fault: cable-pulled, node: n1, mark: pulled}
expect:
  - outage: {after: pulled, under: 10ms}
"""


@pytest.mark.parametrize("name", available())
def test_every_scenario_of_the_lab_loads_and_begins_with_its_question(name: str) -> None:
    scenario = load(name)
    assert scenario.question.endswith("?")
    assert scenario.expect


def test_the_scenarios_that_users_are_promised_are_there() -> None:
    promised = {"proxy-dies", "cable-pulled", "switch-dies-silently", "agent-stopped", "preferred-node-returns"}
    assert promised <= set(available())


def test_settings_can_be_changed_on_the_command_line() -> None:
    changes = {"interval": "10ms", "nodes": "5", "version": "3", "preempt": "no", "family": "ipv6", "runs": "5"}
    scenario = load("cable-pulled", changes)
    service = scenario.service
    assert (service.interval_ms, service.preempt, service.family) == (10, False, "ipv6")
    assert scenario.settings.topology().nodes == ("n1", "n2", "n3", "n4", "n5")
    assert scenario.settings.runs == 5


def test_one_node_can_have_another_key() -> None:
    settings = load("wrong-key").settings
    keys = [settings.service(node).key for node in settings.names()]
    assert keys[0] == keys[2] != keys[1]
    assert all(keys)
    assert load("cable-pulled").service.key == ""


def test_a_cloud_gives_the_service_a_mover_that_knows_where_it_is() -> None:
    settings = load("cloud-stolen").settings
    mover = settings.service().mover
    assert settings.topology().cloud
    assert mover is not None
    assert mover.kind == "ec2-elastic-ip"
    endpoint = "http://169.254.169.254"
    assert mover.options == {"allocation_id": "eipalloc-1", "endpoint_url": endpoint, "verify_interval": "2s"}
    assert load("cable-pulled").settings.service().mover is None


def test_a_pause_is_as_long_as_the_setting_says() -> None:
    assert load("agent-frozen").settings.pause == 30_000 * MS
    assert load("agent-frozen", {"pause": "2s"}).settings.pause == 2_000 * MS


def test_a_scenario_that_extends_another_takes_over_what_it_does_not_give() -> None:
    base, fast = load("cable-pulled"), load("cable-pulled-10ms")
    assert (fast.steps, fast.expect) == (base.steps, base.expect)
    assert fast.service.interval_ms == 10
    assert fast.question != base.question


def test_checks_and_tracks_are_data_that_every_agent_gets(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    checks = "{uplink: {link: eth1}, web: {http: {url: u}, interval: 200ms, fall: 3, times: 2}}"
    settings = f"settings: {{checks: {checks}, track: [web, {{check: uplink, weight: -50}}]}}"
    file.write_text(f"{settings}\n{GOOD}")
    service = load(str(file)).service
    assert service.checks == (
        Check("uplink", "link", "eth1"),
        Check("web", "http", {"url": "u"}, {"fall": 3, "interval": "200ms"}, 2),
    )
    assert service.tracked(0) == [Track("web-1"), Track("web-2"), Track("uplink", -50)]


def test_a_scenario_knows_its_faults_also_those_that_it_repeats(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    repeated = "- {repeat: 2, steps: [{fault: agent-drained, node: n1}]}"
    file.write_text(GOOD.replace("- settle: n1", repeated))
    scenario = load(str(file))
    assert scenario.faults() == {"agent-drained", "cable-pulled"}
    assert unable(scenario, "keepalived") == "keepalived cannot be drained"
    with pytest.raises(CannotRunError, match="mine: keepalived cannot be drained"):
        run_scenario(scenario, "keepalived", lambda _: None)


def test_a_file_of_ones_own_is_loaded_by_its_path(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(GOOD)
    assert load(str(file)).name == "mine"


@pytest.mark.parametrize(
    ("old", "new", "mistake"),
    [
        ("cable-pulled", "cable-eaten", "no fault is called 'cable-eaten'"),
        ("outage:", "outrage:", "no judge is called 'outrage'"),
        ("after: pulled", "after: pushed", "'pushed', which no step is marked with"),
        ("settle: n1", "settle: n9", "no node 'n9'"),
        ("settle: n1", "wait: soon", "'soon' is no duration"),
        ("settle: n1", "{settle: n1, wait: 1s}", "exactly one of"),
        (", node: n1", "", "cable-pulled needs a node"),
        ("10ms", "10ms + luck", "'luck'"),
        ("steps:", "stairs:", "stairs: unknown key"),
        ("question: What if?", "question: What if?\nsettings: {probe: http}", "need web servers"),
        ("question: What if?", "question: What if?\nsettings: {nodes: 1}", "settings.nodes"),
        ("question: What if?", "question: What if?\nsettings: {track: [web]}", "no check is called 'web'"),
        ("question: What if?", "question: What if?\nsettings: {checks: {web: {tcp: a, http: b}}}", "'web' is one kind"),
        ("question: What if?", "question: What if?\nsettings: {group: true}", "set networks to 2"),
        ("outage: {after: pulled, under: 10ms}", "failed_requests: {after: pulled, at_most: 0}", "set probe to http"),
        ("after: pulled, under", "network: 2, after: pulled, under", "set group to true"),
        ("question: What if?", "question: What if?\nsettings: {wrong_key: n1}", "set signed to true"),
        ("question: What if?", "question: What if?\nsettings: {signed: true, wrong_key: n9}", "no node 'n9'"),
        ("cable-pulled", "clock-jumped", "set clocks to true"),
        ("- settle: n1", "- points: n1", "set cloud to ec2"),
        ("cable-pulled", "cloud-slow", "set cloud to ec2"),
        ("outage: {after: pulled, under: 10ms}", "remaps: {after: pulled, at_most: 0}", "set cloud to ec2"),
        ("question: What if?", "question: What if?\nsettings: {mover: {takeover: compare}}", "set cloud to ec2"),
        ("- settle: n1", "- wait: pausing", "'pausing' is no duration"),
        ("- settle: n1", "- {repeat: 2, steps: [{wait: 1s, mark: m}]}", "no marks"),
        ("- settle: n1", "- repeat: 2", "repeat goes with steps"),
        ("- settle: n1", "- {repeat: 2, steps: [{settle: n9}]}", "no node 'n9'"),
        ("question: What if?", "extends: nowhere", "'nowhere'"),
        (GOOD, "- 1", "a scenario is a mapping"),
        (GOOD, "{", "while parsing"),
    ],
)
def test_a_mistake_is_told_and_nothing_is_run(tmp_path: Path, old: str, new: str, mistake: str) -> None:
    file = tmp_path / "bad.yaml"
    file.write_text(GOOD.replace(old, new))
    with pytest.raises(CannotRunError) as failure:
        load(str(file))
    assert mistake in str(failure.value)


def test_an_unknown_scenario_is_told_with_where_to_look() -> None:
    with pytest.raises(CannotRunError, match="netns-lab list"):
        load("what-if-pigs-fly")
