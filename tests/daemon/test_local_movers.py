"""What moves on a host itself, with real agents in real namespaces: a route, and the answer to a health probe."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable

import pytest

from tests.daemon.conftest import PATIENCE_S, Child, Namespace

pytestmark = pytest.mark.netns

FILE = """
nodes: {lb1: 10.79.0.11, lb2: 10.79.0.12}
defaults: {advert_interval: 100ms}
routers:
  web:
    vrid: 51
    addresses: [10.79.0.100/24]
    movers:
      - route: {destination: 10.20.0.0/16, via: 10.79.0.2}
      - probe: 81
"""

ASK = "import socket; print(socket.socket().connect_ex(('10.79.0.1%d', 81)))"
LEAVE_BEHIND = """
from ipaddress import ip_address, ip_network
from vrrpd.linux.netlink import Netlink, encode_route
from vrrpd.linux.route import Route
with Netlink() as netlink:
    print(netlink.apply([encode_route(Route(ip_network("10.30.0.0/16"), ip_address("10.79.0.2")), 0)]))
"""


def routes(node: Namespace) -> list[str]:
    return [line.split()[0] for line in node.run("ip", "route", "show", "proto", "86").splitlines()]


def answers(node: Namespace) -> bool:
    """Whether the port of the probe accepts, seen from its own node by its own address."""
    number = 1 if node.name.endswith("l") else 2
    return node.run(sys.executable, "-c", ASK % number).strip() == "0"


def eventually(true: Callable[[], bool], within_s: float = PATIENCE_S) -> None:
    deadline = time.monotonic() + within_s
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def pair(namespaces: tuple[Namespace, Namespace]) -> tuple[Child, Child]:
    """Two agents, the first of them Active with all that moves."""
    left, right = namespaces
    first, second = left.agent(FILE), right.agent(FILE)
    first.shows(lambda router: {mover["state"] for mover in router["movers"]} == {"held"})
    second.becomes("backup")
    assert routes(left) == ["10.20.0.0/16"]
    assert answers(left)
    assert (routes(right), answers(right)) == ([], False)
    return first, second


def test_a_planned_change_takes_route_and_answer_along_and_brings_them_back(
    namespaces: tuple[Namespace, Namespace],
) -> None:
    left, right = namespaces
    first, second = pair(namespaces)
    first.signal(signal.SIGTERM)
    assert first.ends()[0] == 0
    assert (routes(left), answers(left)) == ([], False)
    second.becomes("active")
    eventually(lambda: routes(right) == ["10.20.0.0/16"] and answers(right))
    left.agent(FILE).shows(lambda router: {mover["state"] for mover in router["movers"]} == {"held"})
    eventually(lambda: routes(right) == [] and not answers(right))
    assert routes(left) == ["10.20.0.0/16"]
    assert answers(left)


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGSTOP])
def test_an_agent_that_dies_or_hangs_leaves_no_route(
    namespaces: tuple[Namespace, Namespace], end: signal.Signals
) -> None:
    left, right = namespaces
    first, second = pair(namespaces)
    first.guardian()
    left.run("ip", "route", "add", "10.40.0.0/16", "via", "10.79.0.2", "proto", "static")
    first.signal(end)
    second.becomes("active")
    eventually(lambda: routes(left) == [], within_s=2)
    assert not answers(left), "the kernel completes connections for whoever does not look"
    assert "10.40.0.0/16" in left.run("ip", "route", "show", "proto", "static")
    eventually(lambda: routes(right) == ["10.20.0.0/16"] and answers(right))
    if end == signal.SIGSTOP:
        first.signal(signal.SIGCONT)
        first.shows(lambda router: {mover["state"] for mover in router["movers"]} == {"held"})
        assert answers(left)
        first.signal(signal.SIGSTOP)
        eventually(lambda: not answers(left))
    second.signal(signal.SIGKILL)
    eventually(lambda: not answers(right))


def test_a_route_that_somebody_removes_comes_back(namespaces: tuple[Namespace, Namespace]) -> None:
    left, _ = namespaces
    pair(namespaces)
    left.run("ip", "route", "del", "10.20.0.0/16", "proto", "86")
    eventually(lambda: routes(left) == ["10.20.0.0/16"], within_s=20)


def test_what_a_dead_agent_left_goes_at_the_start_and_by_purge(node: Namespace) -> None:
    assert node.run(sys.executable, "-c", LEAVE_BEHIND).strip() == "[0]"
    assert routes(node) == ["10.30.0.0/16"]
    purge = ["ip", "netns", "exec", node.name, sys.executable, "-m", "vrrpd", "purge"]
    done = subprocess.run(purge, check=True, capture_output=True, text=True)
    assert done.stdout == "route 10.30.0.0/16 via 10.79.0.2: removed\n"
    assert routes(node) == []
    node.run(sys.executable, "-c", LEAVE_BEHIND)
    node.agent(FILE).becomes("active")
    assert "10.30.0.0/16" not in routes(node)


def test_a_port_that_somebody_has_is_told_at_the_start(node: Namespace) -> None:
    server = "import socket, time; s = socket.create_server(('', 81)); time.sleep(60)"
    node.start(sys.executable, "-c", server)
    eventually(lambda: bool(node.run("ss", "-Hltn", "sport = :81")))
    (line,) = node.refused(FILE)
    assert "cannot answer on port 81: another program has it; stop that (ss -ltnp names it)" in line
