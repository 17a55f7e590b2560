"""What lies on the link and in a node's own time: recordings that are played back, clocks that jump."""

from __future__ import annotations

import os
import struct
import subprocess
import sys
import time
from pathlib import Path

import pytest
from scapy.layers.inet import IP
from scapy.layers.l2 import ARP, Ether
from scapy.layers.vrrp import VRRPv3

from netns_lab import helper
from netns_lab.errors import LabError
from netns_lab.faults.registry import heal, inject
from netns_lab.lab import Lab
from netns_lab.node import wait_until
from netns_lab.replayer import recorded
from netns_lab.service import Service
from netns_lab.topology import Topology

CLOCK = helper.PACKAGE / "clock"
HOUR = 3600


def advert(source: str, priority: int) -> bytes:
    return bytes(
        Ether() / IP(src=source, dst="10.88.0.12", ttl=255) / VRRPv3(priority=priority, addrlist=["10.88.0.100"])
    )


def capture(*frames: bytes) -> bytes:
    """What the recorder writes, a frame each second."""
    records = (struct.pack("=IIII", n, 5, len(frame), len(frame)) + frame for n, frame in enumerate(frames))
    return bytes(24) + b"".join(records)


def test_only_what_one_node_said_while_it_served_is_played_back() -> None:
    mine = advert("10.88.0.11", 250)
    others = [advert("10.88.0.12", 240), advert("10.88.0.11", 0), bytes(Ether() / ARP())]
    assert list(recorded(capture(mine, *others, mine), "10.88.0.11")) == [(5, mine), (4_000_000_005, mine)]


def test_a_record_that_is_not_all_there_yet_is_left_out() -> None:
    mine = advert("10.88.0.11", 250)
    assert len(list(recorded(capture(mine, mine)[:-3], "10.88.0.11"))) == 1


READ = "import time as t; print(t.time(), t.time_ns() // 10**9, t.clock_gettime(t.CLOCK_REALTIME), t.monotonic())"


def test_a_clock_of_its_own_is_ahead_as_the_file_says_and_time_that_only_goes_on_is_not(tmp_path: Path) -> None:
    file = tmp_path / "clock"
    file.write_text(f"{HOUR * 10**9}\n")
    environment = os.environ | {"PYTHONPATH": str(CLOCK), "NETNS_LAB_CLOCK": str(file)}
    done = subprocess.run([sys.executable, "-c", READ], capture_output=True, text=True, env=environment, check=True)
    *walls, monotonic = map(float, done.stdout.split())
    now = time.clock_gettime(time.CLOCK_REALTIME)
    assert all(wall - now == pytest.approx(HOUR, abs=60) for wall in walls)
    assert monotonic - time.monotonic() == pytest.approx(0, abs=60)


@pytest.mark.netns
def test_one_node_has_another_time_from_one_moment_to_the_next_and_the_others_do_not() -> None:
    program = "import time\nwhile True:\n    print(int(time.time()), flush=True)\n    time.sleep(0.02)\n"
    with Lab(Topology(nodes=("n1", "n2"), clocks=True)) as lab:
        readers = [lab.node(name).start("reader", [sys.executable, "-c", program]) for name in ("n1", "n2")]

        def ahead(number: int) -> bool:
            said = readers[number].output().split()
            return bool(said) and int(said[-1]) - time.clock_gettime(time.CLOCK_REALTIME) > HOUR / 2

        wait_until(lambda: all(reader.output() for reader in readers), 10, "both to read their clocks")
        assert not ahead(0)
        inject(lab, "clock-jumped", "n1")
        wait_until(lambda: ahead(0), 5, "the clock of n1 to jump")
        assert not ahead(1)
        heal(lab, "clock-jumped", "n1")
        wait_until(lambda: not ahead(0), 5, "it to be right again")


@pytest.mark.netns
def test_a_lab_without_clocks_says_so() -> None:
    with Lab(Topology(nodes=("n1",))) as lab, pytest.raises(LabError, match="set clocks to true"):
        inject(lab, "clock-jumped", "n1")


@pytest.mark.netns
def test_what_a_node_advertised_is_played_back_until_it_is_healed() -> None:
    service = Service(interval_ms=100)
    with Lab(Topology(nodes=("n1", "n2"))) as lab:
        for node in ("n1", "n2"):
            lab.start_agent(node, "vrrpd", service)
        lab.wait_holder("n1")
        time.sleep(0.5)

        def played() -> int:
            return sum(event["node"] == "client" for event in lab.history.events("advert"))

        inject(lab, "adverts-replayed", "n1")
        wait_until(lambda: played() > 20, 10, "more than was recorded, so it begins anew")
        assert {e["source"] for e in lab.history.events("advert") if e["node"] == "client"} == {"10.88.0.11"}
        heal(lab, "adverts-replayed", "n1")
        before = played()
        time.sleep(0.3)
        assert played() == before
        with pytest.raises(LabError, match="has not advertised"):
            inject(lab, "adverts-replayed", "n2")
