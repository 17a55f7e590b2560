"""Measures one agent in one case: brings both nodes up, lets them run, takes the Active away.

Three passes over one pair of agents: what they cost while nobody listens in; how late advertisements are, seen from
outside; and the work of a takeover, when all of the Active stops at once.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import time
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from netns_lab import helper, kernel
from netns_lab.agents.vrrpd import Vrrpd
from netns_lab.bench import files, witnessed
from netns_lab.bench.bed import Bed
from netns_lab.bench.case import RECEIVER, SENDER, Case
from netns_lab.bench.cost import cost
from netns_lab.errors import LabError
from netns_lab.expressions import SECOND
from netns_lab.node import wait_until

_SETTLED_S = 8.0  # announcements have been repeated by then, which keepalived does 5 s after a takeover
_PATIENCE_S = 30.0
_LOOK_S = 0.5
_ANNOUNCED_S = 0.0005  # for each virtual router; thousands are announced at the pace of switches


@dataclass(frozen=True, slots=True)
class Figures(witnessed.Punctuality):
    """What one run came to.

    Attributes:
        sent_us: processor time for each advertisement sent, microseconds.
        received_us: the same for each one received.
        sender_core: how much of one core the Active took, in percent.
        receiver_core: the same of the Backup.
        sent_share: advertisements sent of those that were due, in percent.
        wakeups_active: how often the Active woke up, each second.
        wakeups_backup: the same of the Backup.
        memory_mb: of the node that has more.
        descriptors: the same.
        start_s: from the start of the program until it takes part with all virtual routers.
    """

    sent_us: float
    received_us: float
    sender_core: float
    receiver_core: float
    sent_share: float
    wakeups_active: float
    wakeups_backup: float
    memory_mb: float
    descriptors: int
    start_s: float


def unable(case: Case, kind: str) -> str | None:
    """Why an agent cannot do what a case asks for; None where it can."""
    if kind == "keepalived" and case.signed:
        return "has no HMAC before 2.4.2"
    return None


def measure(case: Case, kind: str, seconds: float) -> Figures:
    """Measure one agent.

    Args:
        case: what is asked of it.
        kind: vrrpd or keepalived.
        seconds: how long each of the first two passes lasts.

    Raises:
        LabError: it did not get that far.
    """
    with Bed(case) as bed:
        start_s = _start(bed, kind, SENDER)
        _wait_active(bed, SENDER)
        _start(bed, kind, RECEIVER)
        with _load(bed):
            time.sleep(_SETTLED_S + 4 * case.interval_ms / 1000)
            _wait_active(bed, SENDER)
            costs = _costs(bed, seconds)
            with _watching(bed) as seen:
                time.sleep(seconds)
                stopped = time.monotonic_ns()
                _freeze(bed)
                time.sleep(witnessed.active_down_ns(case) / SECOND + _LOOK_S)  # nobody looks while they work
                _wait_active(bed, RECEIVER)
                time.sleep(_LOOK_S + case.routers * _ANNOUNCED_S)
        return Figures(**costs, start_s=start_s, **witnessed.judge(case, seen, stopped))


def _start(bed: Bed, kind: str, node: str) -> float:
    """Start an agent; how many seconds until it takes part."""
    here, case = bed.nodes[node], bed.case
    file = here.directory / f"{kind}.conf"
    if kind == "vrrpd":
        file.write_text(files.vrrpd(case))
        argv = [Vrrpd.program(), "run", "-c", str(file), "--control", str(here.directory / "control.sock")]
        argv += ["--user", "root", "--node", node]
        ready = "ready"
    else:
        file.write_text(files.keepalived(case, node))
        argv = ["keepalived", "--dont-fork", "--log-console", "--no-syslog", "--vrrp", "-f", str(file)]
        argv += ["-p", str(here.directory / "keepalived.pid"), "-r", str(here.directory / "vrrp.pid")]
        ready = f"(r{case.routers}) Entering BACKUP STATE"  # the last one
    began = time.monotonic()
    here.start("agent", argv).wait_line(ready, _PATIENCE_S)
    return time.monotonic() - began


def _wait_active(bed: Bed, node: str) -> None:
    """Wait until a node holds all addresses, and no other node holds one."""
    wanted = {shared for _, _, shared in bed.case.shared()}
    found: dict[str, set[str]] = {}

    def alone() -> bool:
        found.update({name: wanted & _addresses(bed, name) for name in (SENDER, RECEIVER)})
        held = found[node] == wanted and (node == RECEIVER or not found[RECEIVER])
        if not held:
            time.sleep(_LOOK_S)
        return held

    def missed() -> str:
        return (
            f"{node} to be Active for all of {len(wanted)}: now {', '.join(f'{k} {len(v)}' for k, v in found.items())}"
        )

    wait_until(alone, _PATIENCE_S + 5 * bed.case.interval_ms / 1000, missed)


def _addresses(bed: Bed, node: str) -> set[str]:
    done = subprocess.run(
        ["ip", "-n", bed.nodes[node].namespace, "-json", "-4", "address"], capture_output=True, check=True
    )
    return {each["local"] for link in json.loads(done.stdout) for each in link["addr_info"]}


def _costs(bed: Bed, seconds: float) -> dict[str, Any]:
    """What both cost while nobody listens in."""
    case, pids = bed.case, [bed.nodes[node].processes["agent"].pid for node in (SENDER, RECEIVER)]
    heard = _heard(bed)
    before = [cost(pid) for pid in pids]
    began = time.monotonic()
    time.sleep(seconds)
    after = [cost(pid) for pid in pids]
    took, received = time.monotonic() - began, _heard(bed) - heard
    if received <= 0:
        raise LabError("nobody advertised")
    active, backup = ((late.processor_ns - early.processor_ns) for late, early in zip(after, before, strict=True))
    awake = [(late.wakeups - early.wakeups) / took for late, early in zip(after, before, strict=True)]
    due = case.routers * took * 1000 / case.interval_ms
    return {
        "sent_us": active / (received * case.destinations) / 1000,
        "received_us": backup / received / 1000,
        "sender_core": active / SECOND / took * 100,
        "receiver_core": backup / SECOND / took * 100,
        "sent_share": received / due * 100,
        "wakeups_active": awake[0],
        "wakeups_backup": awake[1],
        "memory_mb": max(each.memory_mb for each in after),
        "descriptors": max(each.descriptors for each in after),
    }


def _heard(bed: Bed) -> int:
    """How many IPv4 packets have reached the Backup, which are advertisements, all but a few."""
    # proc_pid_net(5), RFC 4293 ipSystemStatsInReceives: without gratuitous ARP, unlike the counters of interfaces.
    counters = Path(f"/proc/{bed.nodes[RECEIVER].processes['agent'].pid}/net/snmp").read_text().splitlines()
    names, values = (line.split() for line in counters if line.startswith("Ip:"))
    return int(values[names.index("InReceives")])


def _freeze(bed: Bed) -> None:
    """Stop the Active with all that descends from it, the parent first, so that nobody says a word any more."""
    for pid in kernel.family(bed.nodes[SENDER].processes["agent"].pid)[::-1]:
        os.kill(pid, signal.SIGSTOP)


@contextlib.contextmanager
def _load(bed: Bed) -> Generator[None]:
    """Keep every core busy while the block runs, where the case asks for it."""
    cores = sorted(os.sched_getaffinity(0)) if bed.case.loaded else []
    with (bed.path / "load.log").open("wb") as errors, contextlib.ExitStack() as loads:
        for core in cores:
            loads.callback(helper.start(helper.command("soak.load", str(core)), errors).communicate)
        yield


@contextlib.contextmanager
def _watching(bed: Bed) -> Generator[dict[str, Any]]:
    """Watch while the block runs; what was seen is there afterwards."""
    seen: dict[str, Any] = {}
    log = bed.path / "watch.log"
    with log.open("wb") as errors:
        watch = helper.start(
            helper.command("bench.watch", *(bed.nodes[node].namespace for node in (SENDER, RECEIVER))), errors
        )
        assert watch.stdout is not None, "started with pipes"
        watch.stdout.readline()
        try:
            yield seen
        finally:
            said, _ = watch.communicate()
    if watch.returncode:
        raise LabError(f"the watch ended: {log.read_text().strip()}")
    seen |= json.loads(said)
