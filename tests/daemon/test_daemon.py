"""The agent as a process: how it starts, how it refuses to start, how it ends."""

from __future__ import annotations

import signal
import socket
import sys
from pathlib import Path

import pytest

from tests.daemon.conftest import Namespace

pytestmark = pytest.mark.netns

FILE = """
nodes: {lb1: 10.79.0.11, lb2: 10.79.0.12}
defaults: {advert_interval: 100ms}
routers:
  web: {vrid: 51, addresses: [10.79.0.100/24]}
"""
VIP = "10.79.0.100/24"

OWNER = """
nodes: {lb1: 10.79.0.11, lb2: 10.79.0.12}
routers:
  web: {vrid: 51, addresses: [10.79.0.11/24], priority: {lb1: 255, lb2: 100}, advert_interval: 30s}
"""

SPEAK = """
import socket, sys
raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, 112)
raw.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, 255)
raw.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton("10.79.0.12"))
raw.sendto(bytes.fromhex(sys.argv[1]), ("224.0.0.18", 0))
"""


def test_it_says_ready_to_people_and_to_the_service_manager_and_answers(node: Namespace, tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(10)
        agent = node.agent(FILE, environment={"NOTIFY_SOCKET": str(tmp_path / "notify")})
        assert manager.recv(4096).decode().splitlines()[0] == "READY=1"
        line = agent.says("ready")
        assert "lb1" in line
        assert str(agent.control) in line
        router = agent.becomes("active")
        assert router["addresses"] == [{"address": VIP, "device": "eth0", "held": True}]
        assert node.holds(VIP)
        agent.signal(signal.SIGTERM)
        assert manager.recv(4096) == b"STOPPING=1"
        status, took = agent.ends()
    assert status == 0
    assert took < 2
    assert not node.holds(VIP)
    assert not agent.control.exists()
    assert "Traceback" not in agent.log.read_text()


def test_a_planned_stop_hands_over_to_the_other_node(namespaces: tuple[Namespace, Namespace]) -> None:
    left, right = namespaces
    lb1, lb2 = left.agent(FILE), right.agent(FILE)
    lb1.becomes("active")
    lb2.shows(lambda router: router["active_address"] == "10.79.0.11")
    lb1.signal(signal.SIGTERM)
    assert lb1.ends()[0] == 0
    assert not left.holds(VIP)
    lb2.becomes("active")
    assert right.holds(VIP)


def test_a_second_signal_lets_go_at_once(node: Namespace) -> None:
    agent = node.agent(OWNER)
    agent.becomes("active")
    agent.signal(signal.SIGTERM)
    agent.says("handing over")
    agent.signal(signal.SIGINT)
    status, took = agent.ends()
    assert status == 0
    assert took < 2, "a planned stop would wait five seconds for an answer"
    assert node.holds("10.79.0.11/24"), "the owner's own address stays"


def test_a_hangup_is_survived_with_a_word(node: Namespace) -> None:
    agent = node.agent(FILE)
    agent.says("ready")
    agent.signal(signal.SIGHUP)
    assert "WARNING" in agent.says("SIGHUP")
    assert agent.status()["node"] == "lb1"
    assert agent.process.poll() is None


def test_what_a_killed_agent_left_is_gone_before_the_next_one_is_ready(node: Namespace) -> None:
    agent = node.agent(FILE.replace("{advert", "{lease: off, advert"))
    agent.becomes("active")
    node.run("kill", "-KILL", str(agent.guardian()), str(agent.process.pid))
    agent.ends()
    assert node.holds(VIP)
    following = node.agent(FILE.replace("10.79.0.100", "10.79.0.101"))
    following.says("ready")
    assert not node.holds(VIP)


def test_a_check_that_fails_is_told(node: Namespace) -> None:
    text = (
        FILE.replace("{advert", "{track: [proxy], advert")
        + """
checks:
  proxy: {tcp: "127.0.0.1:9", interval: 100ms}
"""
    )
    agent = node.agent(text)
    router = agent.shows(lambda router: any(alarm["code"] == "unhealthy" for alarm in router["alarms"]))
    assert router["checks"][0]["state"] == "down"
    assert "refused" in router["checks"][0]["detail"]


def test_our_vrid_in_the_mouth_of_a_stranger_is_an_alarm_and_no_reason_to_stop(
    namespaces: tuple[Namespace, Namespace],
) -> None:
    left, right = namespaces
    agent = left.agent(FILE.replace("lb2: 10.79.0.12", "lb2: 10.79.0.13"))
    agent.says("ready")
    # Version 3, VRID 51, priority 100, every second, 10.79.0.100; the checksum covers the message alone.
    right.run(sys.executable, "-c", SPEAK, "3133640100640a620a4f0064")
    router = agent.shows(lambda router: any(alarm["code"] == "unlisted_source" for alarm in router["alarms"]))
    assert "10.79.0.12 advertises VRID 51" in str(router["alarms"])
    assert agent.process.poll() is None


def test_a_second_agent_is_told_who_is_first(node: Namespace) -> None:
    first = node.agent(FILE)
    first.says("ready")
    said = node.refused(FILE)
    assert len(said) == 1
    assert f"pid {first.process.pid}," in said[0]
    assert str(first.control) in said[0]
    assert first.status()["node"] == "lb1", "the first one is none the worse"


def test_a_wrong_file_lists_every_mistake_and_starts_nothing(node: Namespace) -> None:
    said = node.refused(FILE.replace("vrid: 51", "vrid: 300").replace("100ms", "15ms").replace("web:", "w: {}\n  web:"))
    text = "\n".join(said)
    assert "0.yaml:3:" in text
    assert "15ms" in text
    assert "300" in text
    assert "vrid" in text
    assert not node.holds(VIP)


def test_a_missing_file_is_one_line(node: Namespace, tmp_path: Path) -> None:
    said = node.refused(FILE, "-c", str(tmp_path / "nowhere.yaml"))
    assert len(said) == 1
    assert "nowhere.yaml" in said[0]


@pytest.mark.parametrize("capability", ["net_raw", "net_admin"])
def test_a_missing_capability_is_named(node: Namespace, capability: str) -> None:
    said = node.refused(FILE, wrapper=("setpriv", f"--bounding-set=-{capability}"))
    assert len(said) == 1
    assert f"CAP_{capability.upper()}" in said[0]
    others = {"CAP_NET_RAW", "CAP_NET_ADMIN"} - {f"CAP_{capability.upper()}"}
    assert not any(f"missing {other}" in said[0] or f"and {other}" in said[0] for other in others)


def test_an_unknown_interface_is_one_line(node: Namespace) -> None:
    said = node.refused(FILE.replace("{vrid", "{interface: eth9, vrid"))
    assert len(said) == 1
    assert "eth9" in said[0]


def test_a_host_that_is_none_of_the_nodes_is_one_line(node: Namespace) -> None:
    said = node.refused(FILE.replace("10.79.0.11", "10.79.0.21"))
    assert len(said) == 1
    assert "none of the addresses of nodes is on this host" in said[0]


def test_a_named_node_waits_for_its_address(node: Namespace) -> None:
    node.run("ip", "addr", "del", "10.79.0.11/24", "dev", "eth0")
    agent = node.agent(FILE, "--node", "lb1")
    assert agent.becomes("fault")["reason"] == "10.79.0.11 is on no interface of this host yet"
    node.run("ip", "addr", "add", "10.79.0.11/24", "dev", "eth0")
    agent.becomes("active")


def test_an_interface_that_is_made_anew_works_again(namespaces: tuple[Namespace, Namespace]) -> None:
    left, right = namespaces
    agent = left.agent(FILE)
    agent.becomes("active")
    left.run("ip", "link", "del", "eth0")
    agent.becomes("fault")
    left.run("ip", "link", "add", "eth0", "type", "veth", "peer", "name", "eth0", "netns", right.name)
    for number, each in ((11, left), (12, right)):
        each.run("ip", "addr", "add", f"10.79.0.{number}/24", "dev", "eth0")
        each.run("ip", "link", "set", "eth0", "up")
    agent.becomes("active")
    assert left.holds(VIP)


def test_a_renamed_interface_is_followed_and_takes_the_role_announced(
    namespaces: tuple[Namespace, Namespace],
) -> None:
    left, right = namespaces
    first, second = left.agent(FILE), right.agent(FILE)
    first.becomes("active")
    second.becomes("backup")
    right.run("ip", "link", "set", "eth0", "name", "lan0")
    assert second.shows(lambda router: router["interface"] == "lan0")["state"] == "backup"
    mac = right.run("cat", "/sys/class/net/lan0/address").strip()
    left.run("sysctl", "-qw", "net.ipv4.neigh.eth0.locktime=0")  # an entry this young may be changed
    left.run("ip", "neigh", "replace", "10.79.0.100", "lladdr", "02:00:00:00:00:99", "dev", "eth0", "nud", "stale")
    first.signal(signal.SIGTERM)
    router = second.shows(lambda router: router["state"] == "active" and router["addresses"][0]["held"])
    assert router["addresses"] == [{"address": "10.79.0.100/24", "device": "lan0", "held": True}]
    assert router["alarms"] == []
    first.ends()
    assert mac in left.run("ip", "neigh", "show", "10.79.0.100"), "nobody was told where the address is"


def test_an_own_address_that_moves_to_another_interface_is_followed(
    namespaces: tuple[Namespace, Namespace],
) -> None:
    left, right = namespaces
    first, second = left.agent(FILE), right.agent(FILE)
    first.becomes("active")
    second.becomes("backup")
    right.run("ip", "link", "add", "br7", "type", "bridge")
    right.run("ip", "link", "set", "eth0", "master", "br7")
    right.run("ip", "addr", "del", "10.79.0.12/24", "dev", "eth0")
    right.run("ip", "link", "set", "br7", "up")
    right.run("ip", "addr", "add", "10.79.0.12/24", "dev", "br7")
    assert second.shows(lambda router: router["interface"] == "br7" and router["state"] == "backup")
    first.process.kill()
    assert second.becomes("active")["addresses"][0]["device"] == "br7"


def test_a_start_that_fails_takes_no_role_and_leaves_no_address(node: Namespace, tmp_path: Path) -> None:
    owner = FILE.replace("web: {", "web: {priority: {lb1: 255, lb2: 100}, ")
    blocked = tmp_path / "file"
    blocked.write_text("")
    said = node.refused(owner, "--control", str(blocked))
    assert "no socket" in said[-1]
    assert not any("active" in line for line in said)
    assert not node.holds("10.79.0.100/24")
