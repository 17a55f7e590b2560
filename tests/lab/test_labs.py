"""Real labs: they come up, they do what they say, and nothing of them is left."""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from netns_lab import helper, kernel
from netns_lab.errors import CannotRunError, LabError
from netns_lab.faults.registry import heal, inject
from netns_lab.judges import kept
from netns_lab.judges.base import Case, Outcome
from netns_lab.lab import Lab
from netns_lab.node import wait_until
from netns_lab.probes.client import Kind
from netns_lab.rundir import BASE, PREFIX, sweep
from netns_lab.runner import judge, run_scenario
from netns_lab.scenario import load
from netns_lab.service import Check, Service, Track
from netns_lab.topology import Topology

pytestmark = pytest.mark.netns

MS = 1_000_000

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
from netns_lab.judges import kept
from netns_lab.judges.base import Case, Outcome
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


@pytest.mark.parametrize("kind", ["agent-killed", "agent-stopped", "cable-pulled", "power-cut"])
def test_a_fault_takes_the_role_away_and_healing_gives_it_back(pair: Lab, kind: str) -> None:
    inject(pair, kind, "n1")
    wait_until(lambda: "n2" in pair.history.holders(FAST.address), 10, "n2 to take over")
    heal(pair, kind, "n1")
    pair.wait_holder("n1")


@pytest.mark.parametrize("kind", ["switch-dead", "port-blocked"])
def test_a_switch_that_forwards_nothing_leaves_the_carrier_and_cuts_the_node_off(kind: str) -> None:
    with Lab(Topology(nodes=("n1", "n2"), access_switches=("n1",))) as lab:
        assert arrives(lab, "n2", "n1")
        inject(lab, kind, "n1")
        assert carrier(lab, "n1", "eth0")
        assert not arrives(lab, "n2", "n1")
        heal(lab, kind, "n1")
        assert arrives(lab, "n2", "n1")


def test_a_node_boots_behind_a_blocked_port() -> None:
    with Lab(PAIR) as lab:
        lab.start_agent("n1", "keepalived", FAST)
        inject(lab, "power-cut", "n1")
        inject(lab, "port-blocked", "n1")
        heal(lab, "power-cut", "n1")
        assert carrier(lab, "n1", "eth0")
        assert not arrives(lab, "n2", "n1")
        assert lab.history.cut_off() == {"n1"}
        heal(lab, "port-blocked", "n1")
        assert arrives(lab, "n2", "n1")


def test_a_node_with_two_networks_loses_the_cable_of_one() -> None:
    with Lab(Topology(nodes=("n1", "n2"), networks=2)) as lab:
        assert arrives(lab, "n2", "n1", network=2)
        inject(lab, "second-cable-pulled", "n1")
        assert (carrier(lab, "n1", "eth0"), carrier(lab, "n1", "eth1")) == (True, False)
        assert arrives(lab, "n2", "n1")
        assert not arrives(lab, "n2", "n1", network=2)
        heal(lab, "second-cable-pulled", "n1")
        assert arrives(lab, "n2", "n1", network=2)
        with pytest.raises(LabError, match="ref has no second cable"):
            lab.set_cable("ref", plugged=False, network=2)


def test_a_lost_gateway_is_lost_to_one_node_alone() -> None:
    with Lab(PAIR) as lab:
        inject(lab, "gateway-lost", "n1")
        assert [pings(lab, node) for node in PAIR.nodes] == [False, True]
        heal(lab, "gateway-lost", "n1")
        assert pings(lab, "n1")


def test_a_node_reads_its_own_health_at_the_same_place_as_every_other() -> None:
    with Lab(PAIR) as lab:
        inject(lab, "health-bad", "n1")
        read = [lab.node(node).run("cat", "/run/netns-lab/node/health").stdout for node in PAIR.nodes]
        assert read == ["-50\n", "0\n"]
        heal(lab, "health-bad", "n1")
        assert lab.node("n1").run("cat", "/run/netns-lab/node/health").stdout == "0\n"


@pytest.mark.parametrize("again", [False, True], ids=["it stays away", "it comes back"])
@pytest.mark.parametrize(
    ("command", "what"),
    [
        ("address {} fd88::11/64 dev eth0", "fd88::11"),
        ("address {} 10.88.0.41/24 dev eth0", "10.88.0.41"),
        ("-6 route {} default via fd88::251 dev eth0", "default route (ipv6)"),
        ("-4 route {} default via 10.88.0.251 dev eth0", "default route (ipv4)"),
    ],
)
def test_the_lab_sees_that_something_else_was_taken_from_a_node(command: str, what: str, *, again: bool) -> None:
    with Lab(PAIR) as lab:
        for deed in ("del", "add") if again else ("del",):
            lab.node("n1").run("ip", *command.format(deed).split())
        wait_until(lambda: len(lab.history.events()) > again, 5, "the kernel's events")
        for host in lab.members():
            kept.look(lab.node(host.name), 1, lab.history)
        finding = kept.judge(Case(lab.history, "10.88.0.100", {}))
        assert finding.outcome is Outcome.FAILED
        assert "n1" in finding.measured
        assert what in finding.measured
        assert "n2" not in finding.measured


def carrier(lab: Lab, node: str, interface: str) -> bool:
    """Whether an interface of a node has a carrier."""
    return lab.node(node).run("cat", f"/sys/class/net/{interface}/carrier").stdout == "1\n"


def arrives(lab: Lab, source: str, target: str, network: int = 1) -> bool:
    """Whether an ARP request gets from one node to another; the kernel asks three times, a second apart."""
    address = lab.node(target).host.address("ipv4", network)
    lab.node(source).run("ip", "neigh", "flush", "dev", f"eth{network - 1}")
    lab.node(source).run("bash", "-c", f"exec 3<>/dev/udp/{address}/9; echo x >&3")
    known, deadline = "", time.monotonic() + 5
    while not re.search("lladdr|FAILED", known) and time.monotonic() < deadline:
        time.sleep(0.01)
        known = lab.node(source).run("ip", "neigh", "show", address).stdout
    return "lladdr" in known


def pings(lab: Lab, node: str) -> bool:
    """Whether the gateway answers a node."""

    def ask() -> bool:
        with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP) as opened:
            opened.settimeout(0.3)
            opened.connect((lab.node("ref").host.ipv4, 0))
            opened.send(bytes.fromhex("0800f7ff00000000"))
            try:
                return bool(opened.recv(64))
            except TimeoutError:
                return False

    return kernel.inside(lab.node(node).namespace, ask)


@pytest.fixture(scope="module")
def proxies() -> Iterator[Lab]:
    """A node with a proxy and two web servers, and nobody who watches them."""
    with Lab(Topology(nodes=("n1",), webs=2, tls=True)) as lab:
        lab.start_proxies()
        wait_until(lambda: ask_proxy(lab) == 200, 5, "the proxy to find its back ends")
        yield lab


def ask_proxy(lab: Lab) -> int:
    """The status that the proxy of n1 answers with; 0 where it does not."""

    def ask() -> int:
        connection = http.client.HTTPConnection("127.0.0.1", timeout=0.3)
        try:
            connection.request("GET", "/")
            return connection.getresponse().status
        except OSError:
            return 0
        finally:
            connection.close()

    return kernel.inside(lab.node("n1").namespace, ask)


@pytest.mark.parametrize(
    ("kind", "hosts", "status"),
    [
        ("proxy-killed", ["n1"], 0),
        ("proxy-frozen", ["n1"], 0),
        ("webs-lost", ["n1"], 503),
        ("web-bad", ["w1", "w2"], 503),
        ("web-killed", ["w1", "w2"], 503),
    ],
)
def test_a_fault_of_the_service_is_seen_by_a_client_until_it_is_healed(
    proxies: Lab, kind: str, hosts: list[str], status: int
) -> None:
    for host in hosts:
        inject(proxies, kind, host)
    wait_until(lambda: ask_proxy(proxies) == status, 5, f"status {status}")
    for host in hosts:
        heal(proxies, kind, host)
    wait_until(lambda: ask_proxy(proxies) == 200, 5, "the service to be well again")


@pytest.mark.parametrize("kind", ["proxy-reloaded", "proxy-restarted"])
def test_a_reloaded_or_restarted_proxy_is_another_process_that_serves(proxies: Lab, kind: str) -> None:
    before = proxies.node("n1").processes["proxy"]
    inject(proxies, kind, "n1")
    wait_until(lambda: not before.running, 5, "the old process to end")
    wait_until(lambda: ask_proxy(proxies) == 200, 5, "the new one to serve")
    heal(proxies, kind, "n1")
    assert int((proxies.node("n1").directory / "proxy.pid").read_text()) != before.pid


def test_a_wrong_certificate_is_one_that_the_trusted_file_does_not_prove(proxies: Lab) -> None:
    assert shakes_hands(proxies)
    inject(proxies, "certificate-wrong", "n1")
    wait_until(lambda: not shakes_hands(proxies), 5, "the new certificate")
    heal(proxies, "certificate-wrong", "n1")
    assert shakes_hands(proxies)


def shakes_hands(lab: Lab) -> bool:
    """Whether the certificate of the proxy is trusted."""
    context = ssl.create_default_context(cafile=str(lab.node("n1").directory / "trusted.pem"))

    def connect() -> bool:
        with socket.create_connection(("127.0.0.1", 443), timeout=1) as opened:
            try:
                context.wrap_socket(opened, server_hostname="127.0.0.1").close()
            except ssl.SSLError:
                return False
            return True

    return kernel.inside(lab.node("n1").namespace, connect)


def test_a_fault_of_something_that_is_not_there_says_so() -> None:
    with Lab(PAIR) as lab:
        for kind, node, why in (
            ("proxy-frozen", "n1", "n1 runs no proxy"),
            ("webs-lost", "n1", "without web servers"),
            ("web-bad", "n2", "n2 is no web server"),
            ("agent-drained", "n1", "no agent was started on n1"),
        ):
            with pytest.raises(LabError, match=why):
                inject(lab, kind, node)


@pytest.mark.parametrize("kind", ["http", "http-kept"])
def test_every_request_of_the_probe_is_answered_or_fails_with_its_reason(kind: Kind) -> None:
    with Lab(Topology(nodes=("n1",), webs=1, service_time_ms=20)) as lab:
        lab.start_proxies()
        wait_until(lambda: ask_proxy(lab) == 200, 5, "the proxy to find its back end")
        kernel.ip_batch([f"addr add {FAST.prefixed} dev eth0"], lab.node("n1").namespace)
        with lab.probing(kind, FAST, 5 * MS):
            time.sleep(0.5)
            inject(lab, "proxy-killed", "n1")
            killed = time.monotonic_ns()
            time.sleep(0.2)
        answered, failed = (
            [e for e in lab.history.events(what) if e["target"] == "shared"] for what in ("reply", "failure")
        )
        sent = next(e["sent"] for e in lab.history.events("probes") if e["target"] == "shared")
    assert len(answered) + len(failed) == sent
    assert min(event.t - event["sent"] for event in answered) >= 20 * MS
    # Those on their way when the proxy died: on new connections, or on ones that had answered before.
    on_their_way = [event for event in failed if event["reason"] in {"closed", "reset"}]
    assert any(event["kept"] for event in on_their_way) is (kind == "http-kept")
    assert max(event["sent"] for event in on_their_way) <= killed
    assert {event["reason"] for event in failed if event not in on_their_way} == {"refused"}


def test_the_proxies_answer_through_the_shared_address_with_their_names() -> None:
    check = Check("proxy", "process", {"name": "haproxy"})
    service = Service(interval_ms=100, checks=(check,), track=(Track("proxy"),))
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
