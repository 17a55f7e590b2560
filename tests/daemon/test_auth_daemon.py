"""Authentication with real agents: signed on a real wire, keys from files, nothing secret in sight."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.daemon.conftest import Child, Namespace

pytestmark = pytest.mark.netns

KEY = "hunter2hunter2hunter2hunter2hunter2"
FILE = """
nodes: {{lb1: [10.79.0.11, "fd79::11"], lb2: [10.79.0.12, "fd79::12"]}}
defaults:
  advert_interval: 100ms
  hear_first: off
  auth: {{hmac: {{keys: {{1: "{key}"}}}}}}
routers:
  web: {{vrid: 51, addresses: [10.79.0.100/24, "fd79::100/64"]}}
"""
VIP = "10.79.0.100/24"


def asked(agent: Child) -> tuple[int, dict[str, Any]]:
    """What `vrrpd auth status` says, and its exit status."""
    command = [sys.executable, "-m", "vrrpd", "auth", "status", "--json", "--control", str(agent.control)]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    return done.returncode, json.loads(done.stdout)


def standings(agent: Child) -> set[tuple[str, str | None, int | None]]:
    _, found = asked(agent)
    return {(s["node"], s["reason"], s["key"]) for router in found["routers"] for s in router["senders"]}


@pytest.fixture
def both(namespaces: tuple[Namespace, Namespace]) -> tuple[Namespace, Namespace]:
    """The two namespaces with addresses of both families."""
    for number, each in zip((11, 12), namespaces, strict=True):
        each.run("ip", "addr", "add", f"fd79::{number}/64", "dev", "eth0", "nodad")
    return namespaces


def test_two_agents_with_one_key_in_files_take_over_from_each_other(
    both: tuple[Namespace, Namespace], tmp_path: Path
) -> None:
    left, right = both
    path = tmp_path / "vrrp.key"
    path.write_text(KEY + "\n")
    path.chmod(0o600)
    text = FILE.format(key=f"file:{path}")
    lb1 = left.agent(text)
    lb1.becomes("active")
    lb2 = right.agent(text)
    lb2.shows(lambda router: router["counters"]["adverts_received"] > 5)

    assert standings(lb2) == {("lb1", None, 1)}
    assert asked(lb2)[0] == 0
    assert {router["family"] for router in asked(lb2)[1]["routers"]} == {"ipv4", "ipv6"}
    assert not right.holds(VIP)
    assert lb2.status()["routers"][1]["counters"]["adverts_received"] > 5, "IPv6, too"
    lb1.process.terminate()
    lb1.ends()
    lb2.becomes("active")
    assert right.holds(VIP)
    for agent in (lb1, lb2):
        assert KEY not in agent.log.read_text()
    assert KEY not in Path(f"/proc/{lb2.process.pid}/cmdline").read_text()


def test_an_agent_with_another_key_never_holds_the_address(both: tuple[Namespace, Namespace]) -> None:
    left, right = both
    lb1 = left.agent(FILE.format(key=KEY))
    lb1.becomes("active")
    lb2 = right.agent(FILE.format(key=KEY.replace("2", "3")))
    lb2.says("alarm refused_advert")

    deadline = time.monotonic() + 2
    while time.monotonic() < deadline:
        assert not right.holds(VIP)
        time.sleep(0.02)
    assert left.holds(VIP)
    assert standings(lb2) == {("lb1", "invalid_hmac", None)}
    assert asked(lb2)[0] == 1
    assert "hunter" not in lb2.log.read_text()


def test_a_key_file_that_is_missing_or_open_to_all_is_named(node: Namespace, tmp_path: Path) -> None:
    path = tmp_path / "vrrp.key"
    text = FILE.format(key=f"file:{path}").replace(', "fd79::11"', "").replace(', "fd79::12"', "")
    text = text.replace(', "fd79::100/64"', "")
    [line] = node.refused(text)
    assert f"the key file {path} cannot be read" in line

    path.write_text(KEY)
    path.chmod(0o644)
    agent = node.agent(text)
    agent.becomes("active")
    assert "can be read by everybody" in agent.says("key file")
