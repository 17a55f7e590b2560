"""Real labs: they come up, they do what they say, and nothing of them is left."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from netns_lab import helper, kernel
from netns_lab.errors import CannotRunError, LabError
from netns_lab.faults.registry import FAULTS, heal, inject
from netns_lab.lab import Lab
from netns_lab.node import wait_until
from netns_lab.rundir import BASE, PREFIX, sweep
from netns_lab.runner import judge, run_scenario
from netns_lab.scenario import load
from netns_lab.service import Service
from netns_lab.topology import Topology

pytestmark = pytest.mark.netns

FAST = Service(interval_ms=100)
PAIR = Topology(nodes=("n1", "n2"))


def left(run_id: str) -> list[str]:
    """What is left of a lab in the kernel and on the disk."""
    return kernel.namespace_names(PREFIX + run_id) + [path.name for path in BASE.glob(f"*{run_id}")]


@pytest.fixture
def pair() -> Iterator[Lab]:
    """Two nodes with keepalived at an interval of 100 ms; n1 serves."""
    with Lab(PAIR) as lab:
        for node in PAIR.nodes:
            lab.start_agent(node, "keepalived", FAST)
        lab.wait_holder("n1")
        yield lab


def test_a_lab_is_up_in_a_second_and_leaves_nothing() -> None:
    start = time.monotonic()
    with Lab(Topology(nodes=("n1", "n2", "n3"), webs=2, access_switches=("n1",))) as lab:
        assert time.monotonic() - start < 2
        run_id = lab.run_id
        assert lab.node("client").run("ip", "neigh").returncode == 0
        assert len(kernel.namespace_names(f"{PREFIX}{run_id}-")) == 8
        lab.node("n1").start("sleeper", ["sleep", "60"])
    assert left(run_id) == []


def test_a_lab_goes_with_an_exception_too() -> None:
    run_id = ""

    def broken() -> None:
        nonlocal run_id
        with Lab(PAIR) as lab:
            run_id = lab.run_id
            raise RuntimeError("on purpose")

    with pytest.raises(RuntimeError, match="on purpose"):
        broken()
    assert left(run_id) == []


SLEEPING_LAB = """
import sys, time
from netns_lab.lab import Lab
from netns_lab.topology import Topology
with Lab(Topology(nodes=("n1",))) as lab:
    lab.node("n1").start("sleeper", ["sleep", "60"])
    print(lab.run_id, flush=True)
    time.sleep(60)
"""


def test_what_a_killed_lab_left_behind_goes_when_the_next_one_comes() -> None:
    argv = [sys.executable, "-c", SLEEPING_LAB]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, env=helper.environment(), text=True) as process:
        assert process.stdout is not None
        run_id = process.stdout.readline().strip()
        process.kill()
    # The sleeper is there until it is swept; by us, or by another lab that starts at this moment.
    with Lab(Topology(nodes=("n1",))):
        wait_until(lambda: left(run_id) == [], 5, f"{run_id} to be swept")


def test_a_lab_that_lives_is_not_swept() -> None:
    with Lab(PAIR) as lab:
        assert lab.run_id not in sweep()
        assert left(lab.run_id)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_command_that_is_ended_takes_its_lab_with_it(number: signal.Signals) -> None:
    before = set(kernel.namespace_names(PREFIX))
    argv = helper.command("cli", "run", "cable-pulled", "--agent", "keepalived")
    with subprocess.Popen(argv, stdout=subprocess.PIPE, env=helper.environment(), start_new_session=True) as process:
        assert process.stdout is not None
        process.stdout.readline()
        wait_until(lambda: bool(children(process.pid)), 5, "the lab of the command")
        time.sleep(0.3)  # well inside its first steps
        os.killpg(process.pid, number)
        process.stdout.read()
        assert process.wait(10) == 128 + number
    mine = [name for name in kernel.namespace_names(PREFIX) if name not in before and owner_is_gone(name)]
    assert mine == []


def children(pid: int) -> str:
    """The children of a process, as the kernel lists them."""
    return Path(f"/proc/{pid}/task/{pid}/children").read_text()


def owner_is_gone(namespace: str) -> bool:
    """Whether a namespace belongs to no lab that lives; other tests run labs at the same time."""
    return not (BASE / namespace.removeprefix(PREFIX).partition("-")[0]).exists()


def test_a_pulled_cable_moves_the_address_and_the_history_tells_it(pair: Lab) -> None:
    with pair.probing("icmp", FAST):
        pair.wait_advert("n1")
        inject(pair, "cable-pulled", "n1", "pulled")
        pair.wait_holder("n2")
        time.sleep(0.1)
        pair.history.add("step", step="end", mark="end")
    findings = judge(load("cable-pulled-100ms"), pair.history)
    said = {finding.title: finding.measured for finding in findings}
    assert said["who serves after pulled"] == "n2"
    assert said["last announcement after pulled"] == "by n2"
    assert findings[0].limit == 300e6 + 100e6 * (256 - 240) / 256 + 20e6
    assert findings[0].value is not None
    assert 0.25e9 < findings[0].value < 1e9
    adverts = pair.history.events("advert")
    assert {(e["node"], e["priority"]) for e in adverts} >= {("n1", 250), ("n2", 240)}
    assert all(e["hop_limit"] == 255 for e in adverts)


def test_the_roles_are_those_that_the_kernel_shows(pair: Lab) -> None:
    assert [pair.agent(node).role() for node in PAIR.nodes] == ["active", "backup"]
    pair.agent("n1").kill()
    pair.wait_role("n2", "active")
    assert pair.agent("n1").role() == "down"
    # Killed, it left its address behind: two holders, and the history has both.
    assert pair.history.holders(FAST.address) == {"n1", "n2"}


@pytest.mark.parametrize("kind", sorted(set(FAULTS) - {"proxy-killed", "switch-dead"}))
def test_a_fault_takes_the_role_away_and_healing_gives_it_back(pair: Lab, kind: str) -> None:
    inject(pair, kind, "n1")
    wait_until(lambda: "n2" in pair.history.holders(FAST.address), 10, "n2 to take over")
    heal(pair, kind, "n1")
    pair.wait_holder("n1")


def test_a_dead_switch_leaves_the_carrier_and_cuts_the_node_off() -> None:
    with Lab(Topology(nodes=("n1", "n2"), access_switches=("n1",))) as lab:
        reach = ["n2", "n1"]
        assert arrives(lab, *reach)
        inject(lab, "switch-dead", "n1")
        assert lab.node("n1").run("cat", "/sys/class/net/eth0/carrier").stdout == "1\n"
        assert not arrives(lab, *reach)
        heal(lab, "switch-dead", "n1")
        assert arrives(lab, *reach)


def arrives(lab: Lab, source: str, target: str) -> bool:
    """Whether an ARP request gets from one node to another."""
    address = lab.node(target).host.ipv4
    lab.node(source).run("ip", "neigh", "flush", "dev", "eth0")
    lab.node(source).run("bash", "-c", f"exec 3<>/dev/udp/{address}/9; echo x >&3")
    time.sleep(0.05)
    return "lladdr" in lab.node(source).run("ip", "neigh", "show", address).stdout


def test_the_proxies_answer_through_the_shared_address_with_their_names() -> None:
    service = Service(interval_ms=100, track="proxy")
    with Lab(Topology(nodes=("n1", "n2"), webs=2)) as lab:
        lab.start_proxies()
        for node in ("n1", "n2"):
            lab.start_agent(node, "keepalived", service)
        lab.wait_holder("n1")
        with lab.probing("http", service):
            time.sleep(0.2)
            inject(lab, "proxy-killed", "n1", "death")
            lab.wait_holder("n2")
            time.sleep(0.2)
        replies = [event for event in lab.history.events("reply") if event["target"] == "shared"]
    assert {event["node"] for event in replies} == {"n1", "n2"}
    assert {event["backend"] for event in replies} == {"w1", "w2"}


def test_a_scenario_is_run_and_judged() -> None:
    result = run_scenario(load("five-nodes-three-deaths", {"interval": "100ms"}), "keepalived", lambda _: None)
    verdicts = {finding.title: finding.outcome.value for finding in result.findings}
    assert verdicts["who serves after third"] == "passed"
    assert verdicts["holder at the end after third"] == "passed"
    assert verdicts["packets on the wire"] == "passed"


def test_a_step_that_waits_in_vain_says_for_what() -> None:
    with Lab(PAIR) as lab:
        lab.start_agent("n1", "keepalived", FAST)
        lab.agent("n1").stop()
        with pytest.raises(LabError, match=r"n1 to be the only holder of 10\.88\.0\.100 \(now: \[\]\)"):
            lab.wait_holder("n1", timeout=0.05)


def test_a_lab_stays_up_and_is_played_with_by_hand() -> None:
    run_id = netns_lab("up", "cable-pulled", "--agent", "keepalived", "--set", "interval=100ms").split()[1]
    try:
        where = ("--lab", run_id)
        assert netns_lab("fault", "n1", "cable-pulled", *where) == "cable-pulled on n1\n"
        assert "cable-pulled" in netns_lab("status", *where)
        assert "already in force" in netns_lab("fault", "n1", "cable-pulled", *where, status=1)
        assert netns_lab("heal", *where) == "cable-pulled on n1\n"
        assert netns_lab("heal", *where) == "nothing to do\n"
        inside = netns_lab("shell", *where, "n2", "--", "ip", "-json", "address", "show", "eth0")
        assert any(info["local"] == "10.88.0.12" for info in json.loads(inside)[0]["addr_info"])
    finally:
        netns_lab("down", "--lab", run_id)
    assert left(run_id) == []


def netns_lab(*arguments: str, status: int = 0) -> str:
    """Run the command; returns all that it printed."""
    done = subprocess.run(
        helper.command("cli", *arguments),
        capture_output=True,
        text=True,
        env=helper.environment(),
        timeout=60,
        check=False,
    )
    assert done.returncode == status, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_an_agent_that_cannot_start_says_why() -> None:
    with Lab(PAIR) as lab, pytest.raises(CannotRunError, match="no agent is called 'ucarp'"):
        lab.start_agent("n1", "ucarp", FAST)
