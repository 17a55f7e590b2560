"""How often real agents ask the kernel for something: counted by strace, in namespaces.

All threads of an agent are watched, and all that it does meanwhile counts: the timer, the stamps for the guardian, what
is due once a second. Under strace everything takes longer, so nothing is said about time.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from typing import Any

import pytest

from netns_lab import kernel
from netns_lab.agents.vrrpd import Vrrpd
from netns_lab.bench import files
from netns_lab.bench.bed import Bed
from netns_lab.bench.case import RECEIVER, SENDER, Case
from netns_lab.node import Node, wait_until
from tests.bench.bounds import ASKED_FOR_ADVERTS, ASKED_FOR_LEASES, hold

pytestmark = [
    pytest.mark.netns,
    pytest.mark.skipif(os.geteuid() != 0, reason="network namespaces need root"),
]

BURSTS = Case(routers=50, interval_ms=100)
LEASES = Case(routers=1, interval_ms=1000, transport="multicast")
LEASED = 100
WATCHED_S = 3
LOOKS = 3
SETTLED_S = 2
SILENCE_S = 0.1
_RTMGRP_IPV4_IFADDR = 0x10  # linux/rtnetlink.h


def start(node: Node, file: Mapping[str, Any]) -> None:
    """Start an agent; nothing is due but what its file says."""
    (node.directory / "vrrpd.yaml").write_text(json.dumps(file))
    where = ["-c", str(node.directory / "vrrpd.yaml"), "--control", control(node)]
    run = [Vrrpd.program(), "run", *where, "--user", "root", "--node", node.name]
    node.start("agent", run).wait_line("ready", 30)


def control(node: Node) -> str:
    return str(node.directory / "control.sock")


def shown(node: Node) -> list[dict[str, Any]]:
    """The routers of `vrrpd status --json`."""
    status = [Vrrpd.program(), "status", "--json", "--control", control(node)]
    return json.loads(subprocess.run(status, capture_output=True, check=False).stdout)["routers"]


def wait_for_roles(bed: Bed, wanted: Mapping[str, str]) -> None:
    def taken() -> bool:
        return all({router["state"] for router in shown(bed.nodes[name])} == {role} for name, role in wanted.items())

    wait_until(taken, 30, "all roles to be taken")


def changes(nodes: Sequence[Node]) -> int:
    """How often a router of these nodes has changed its role."""
    return sum(router["counters"]["transitions"] for node in nodes for router in shown(node))


def packets(node: Node, direction: str) -> int:
    """How many frames a node has sent or received, which are advertisements, all but a few."""
    return int(node.run("cat", f"/sys/class/net/eth0/statistics/{direction}_packets").stdout)


@contextmanager
def strace(node: Node) -> Generator[dict[str, int]]:
    """The system calls of an agent while a block runs, by name; complete at its end."""
    file, calls = node.directory / "calls", dict[str, int]()
    pid = node.processes["agent"].pid
    # The agents take a real-time priority, so strace needs one that is higher, or each call waits for other programs.
    command = ["chrt", "--rr", "20", "strace", "-f", "-c", "-U", "calls,name", "-o", str(file), "-p", str(pid)]
    with subprocess.Popen(command, stderr=subprocess.PIPE) as process:
        assert process.stderr is not None, "started with a pipe"
        assert b"attached" in process.stderr.readline()
        yield calls
        process.send_signal(signal.SIGINT)
    rows = [line.split() for line in file.read_text().splitlines()]
    calls.update({row[1]: int(row[0]) for row in rows if len(row) == 2 and row[0].isdigit() and row[1] != "total"})


def in_peace(nodes: Sequence[Node], look: Callable[[], None]) -> None:
    """Look until no role changes meanwhile, which one may while others need the processor."""
    for _ in range(LOOKS):
        before = changes(nodes)
        look()
        if changes(nodes) == before:
            return
    raise AssertionError(f"roles changed in each of {LOOKS} looks")


def test_many_advertisements_take_no_more_system_calls() -> None:
    with Bed(BURSTS) as bed:
        nodes = sender, receiver = [bed.nodes[name] for name in (SENDER, RECEIVER)]
        for node in reversed(nodes):
            start(node, {**file_of(BURSTS), "defaults": {"lease": "off", "announce": "off"}})
        wait_for_roles(bed, {SENDER: "active", RECEIVER: "backup"})
        time.sleep(SETTLED_S)  # bursts draw together by a tenth of an interval at a time
        found = dict[str, tuple[int, dict[str, int]]]()

        def look() -> None:
            with ExitStack() as watched:
                calls = [watched.enter_context(strace(node)) for node in nodes]
                before = packets(sender, "tx"), packets(receiver, "rx")
                time.sleep(WATCHED_S)
                after = packets(sender, "tx"), packets(receiver, "rx")
            found["advert sent"] = after[0] - before[0], calls[0]
            found["advert heard"] = after[1] - before[1], calls[1]

        in_peace(nodes, look)
    assert all(number > 0.8 * WATCHED_S * 1000 / BURSTS.interval_ms * BURSTS.routers for number, _ in found.values())
    hold_shares(found, ASKED_FOR_ADVERTS)


def test_many_leases_take_no_more_system_calls() -> None:
    with Bed(LEASES) as bed:
        node = bed.nodes[SENDER]
        file: dict[str, Any] = {**file_of(LEASES), "defaults": {"announce": "off", "hear_first": "off"}}
        file["routers"]["r1"]["addresses"] = [f"10.100.2.{number}/32" for number in range(1, LEASED + 1)]
        start(node, file)
        wait_for_roles(bed, {SENDER: "active"})
        found = dict[str, tuple[int, dict[str, int]]]()

        def look() -> None:
            with kernel.inside(node.namespace, news_of_addresses) as news:
                piece(news)
                with strace(node) as calls:
                    renewed, end = 0, time.monotonic() + WATCHED_S
                    while time.monotonic() < end:
                        renewed += piece(news)
            found["address renewed"] = renewed, calls

        in_peace([node], look)
    assert found["address renewed"][0] > 0.8 * WATCHED_S * LEASED
    hold_shares(found, ASKED_FOR_LEASES)


def file_of(case: Case) -> dict[str, Any]:
    """What is in its configuration file."""
    return json.loads(files.vrrpd(case))


def news_of_addresses() -> socket.socket:
    """Reads one message for each address that somebody adds or renews."""
    made = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE)
    made.bind((0, _RTMGRP_IPV4_IFADDR))
    return made


def piece(news: socket.socket) -> int:
    """Wait until a piece of the leases is renewed, and tell how many of them that was."""
    news.settimeout(10)
    news.recv(4096)
    number = 1
    news.settimeout(SILENCE_S)
    with suppress(TimeoutError):
        while news.recv(4096):
            number += 1
    return number


def hold_shares(found: Mapping[str, tuple[int, dict[str, int]]], bounds: Mapping[str, float]) -> None:
    """For each of what an agent did so often; without threads that wait for each other, as on a busy machine."""
    told = {
        what: {name: count for name, count in calls.items() if name != "futex"} for what, (_, calls) in found.items()
    }
    lines = [f"{number} x {what}: {told[what]}" for what, (number, _) in found.items()]
    shares = {what: sum(told[what].values()) / number for what, (number, _) in found.items()}
    hold("\n".join(["system calls", *lines]), shares, bounds)
