"""`vrrpd purge`: what an agent left goes, what others configured stays, and an agent that lives is not robbed."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.daemon.conftest import Namespace
from tests.squatting import squatter
from vrrpd.control.holder import NAME

pytestmark = pytest.mark.netns

FILE = """
nodes: {lb1: 10.79.0.11, lb2: 10.79.0.12}
defaults: {advert_interval: 100ms}
routers:
  web: {vrid: 51, addresses: [10.79.0.100/24]}
"""


LEAVE_BEHIND = """
from ipaddress import ip_interface
from socket import if_nametoindex
from vrrpd.linux.netlink import Netlink, encode_add
with Netlink() as netlink:
    for address in ("10.79.0.100/24", "fd79::100/64"):
        netlink.add(encode_add(ip_interface(address), if_nametoindex("eth0")))
"""


def purge(node: Namespace) -> subprocess.CompletedProcess[str]:
    command = ["ip", "netns", "exec", node.name, sys.executable, "-m", "vrrpd", "purge"]
    return subprocess.run(command, check=False, capture_output=True, text=True)


def test_it_removes_what_carries_the_tag_and_nothing_else(node: Namespace) -> None:
    node.run(sys.executable, "-c", LEAVE_BEHIND)
    node.run("ip", "addr", "add", "10.79.0.101/24", "dev", "eth0")
    done = purge(node)
    assert (done.returncode, done.stderr) == (0, "")
    assert sorted(done.stdout.splitlines()) == ["10.79.0.100/24 on eth0: removed", "fd79::100/64 on eth0: removed"]
    assert not node.holds("10.79.0.100/24")
    assert node.holds("10.79.0.11/24")
    assert node.holds("10.79.0.101/24")
    again = purge(node)
    assert (again.returncode, again.stdout) == (0, "")


def test_it_is_refused_while_an_agent_lives(node: Namespace) -> None:
    agent = node.agent(FILE)
    agent.becomes("active")
    done = purge(node)
    assert done.returncode == 1
    assert f"an agent already runs in this network namespace: pid {agent.process.pid}" in done.stderr
    assert node.holds("10.79.0.100/24")


def test_another_user_who_has_taken_the_name_of_agents_does_not_stop_it(node: Namespace) -> None:
    node.run(sys.executable, "-c", LEAVE_BEHIND)
    with squatter(NAME, "ip", "netns", "exec", node.name) as pid:
        done = purge(node)
    assert done.returncode == 0
    assert f"user 65534 has taken the name @vrrpd (pid {pid})" in done.stderr
    assert not node.holds("10.79.0.100/24")
