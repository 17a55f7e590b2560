"""Whose rights the three processes of an agent have, with real agents, however they are started."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import vrrpd
from tests.daemon.conftest import PATIENCE_S, Child, Namespace, child_of
from tests.daemon.test_launcher_daemon import gone

pytestmark = pytest.mark.netns

OWN = 990
NETWORK = 1 << 12 | 1 << 13  # CAP_NET_ADMIN, CAP_NET_RAW: linux/capability.h
LAUNCHING = NETWORK | 1 << 2 | 1 << 5 | 1 << 6 | 1 << 7 | 1 << 23
FILE = """
nodes: {lb1: 10.79.0.11, lb2: 10.79.0.12}
checks:
  who: {exec: {command: [/bin/sh, -c, "echo $(id -un) $(grep CapPrm /proc/self/status)"]%s}, interval: 100ms}
routers:
  web: {vrid: 51, addresses: [10.79.0.100/24], advert_interval: 100ms, hear_first: off, track: [who]}
"""
POWERLESS = "CapPrm: 0000000000000000"


def closed(path: Path) -> Path | None:
    """The first directory on the way that others may not enter."""
    return next((each for each in reversed(path.parents) if not each.stat().st_mode & stat.S_IXOTH), None)


@pytest.fixture
def place(node: Namespace) -> Iterator[Path]:
    """A directory that everybody may enter; the agents' files lie there."""
    with tempfile.TemporaryDirectory() as folder:
        node.directory = Path(folder)
        node.directory.chmod(0o755)
        yield node.directory


@pytest.fixture
def host(place: Path) -> tuple[str, ...]:
    """Starts a program on a host that has a user vrrpd, who can read what runs here."""
    lines = ["set -e", f"cp /etc/passwd /etc/group {place}"]
    lines += [f"echo vrrpd:x:{OWN}:{OWN}::/:/bin/false >> {place}/passwd; echo vrrpd:x:{OWN}: >> {place}/group"]
    needed = {
        Path(sys.prefix),
        Path(os.path.realpath(sys.executable)).parent.parent,
        Path(vrrpd.__file__).parent.parent,
    }
    homes = {each: home for each in needed if (home := closed(each / "bin"))}
    for number, each in enumerate(homes):
        lines += [f"mkdir -p {place}/{number}; mount --bind {each} {place}/{number}"]
    lines += [f"mount -t tmpfs -o mode=0755 none {home}" for home in set(homes.values())]
    lines += [f"mkdir -p {each}; mount --bind {place}/{number} {each}" for number, each in enumerate(homes)]
    lines += [f"mount --bind {place}/{each} /etc/{each}" for each in ("passwd", "group")]
    script = place / "host.sh"
    script.write_text("\n".join([*lines, 'exec "$@"', ""]))
    return "unshare", "--mount", "sh", str(script)


def as_own_user(*more: str) -> tuple[str, ...]:
    """Starts a program as a service manager does that has User=vrrpd and AmbientCapabilities=."""
    powers = ",".join(["-all", "+net_admin", "+net_raw", *more])
    sets = [f"--{each}={powers}" for each in ("inh-caps", "ambient-caps", "bounding-set")]
    return "setpriv", "--reuid=vrrpd", "--regid=vrrpd", "--init-groups", *sets


def family(agent: Child) -> tuple[int, int, int]:
    """The process ids of agent, launcher and guardian."""
    guardian = agent.guardian()
    launcher = child_of(agent.process.pid, "vrrpd-launcher")
    assert launcher is not None
    return agent.process.pid, launcher, guardian


def rights(pid: int) -> tuple[int, int]:
    """The user that a process is, in every respect, and the capabilities that it could use."""
    status = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    (uid,) = set(status["Uid"].split())
    assert status["CapEff"] == status["CapPrm"]
    assert int(status["CapInh"], 16) == int(status["CapAmb"], 16) == 0
    return int(uid), int(status["CapPrm"], 16)


def kept_for_good(pid: int) -> bool:
    """True where no program that a process could start has more."""
    return "NoNewPrivs:\t1" in Path(f"/proc/{pid}/status").read_text()


def check_says(agent: Child) -> str:
    return str(agent.shows(lambda router: router["checks"][0]["state"] == "up")["checks"][0]["detail"])


def test_an_agent_of_roots_becomes_its_own_user(node: Namespace, host: tuple[str, ...], place: Path) -> None:
    agent = node.agent(FILE % "", "--control", str(place / "run/control.sock"), wrapper=host)
    agent.control = place / "run/control.sock"
    agent.becomes("active")
    pids = family(agent)
    assert [rights(pid) for pid in pids] == [(OWN, NETWORK), (0, LAUNCHING), (OWN, NETWORK)]
    assert [kept_for_good(pid) for pid in pids] == [True, False, True]
    line = agent.says("started as root: ")
    assert "runs as vrrpd from now on, with CAP_NET_ADMIN and CAP_NET_RAW alone" in line
    assert check_says(agent) == f"exit 0: vrrpd {POWERLESS}"
    assert [stat.filemode(agent.control.stat().st_mode), agent.control.stat().st_gid] == ["srw-rw----", OWN]
    command = [sys.executable, "-m", "vrrpd", "drain", "--force", "--control", str(agent.control)]
    subprocess.run(command, check=True, capture_output=True)
    assert (place / "run/control.state.json").stat().st_uid == OWN, "a drain can be kept"
    agent.signal(signal.SIGTERM)
    assert agent.ends()[0] == 0
    assert not agent.control.exists()
    assert not node.holds("10.79.0.100/24")


def test_without_that_user_it_stays_root_and_has_not_roots_power(node: Namespace) -> None:
    agent = node.agent(FILE % "", "--user", "root")
    agent.becomes("active")
    assert [rights(pid) for pid in family(agent)] == [(0, NETWORK), (0, LAUNCHING), (0, NETWORK)]
    assert "stays root, with CAP_NET_ADMIN and CAP_NET_RAW alone" in agent.says("started as root: ")
    assert check_says(agent).endswith(POWERLESS)


def test_a_service_managers_user_is_enough(node: Namespace, host: tuple[str, ...], place: Path) -> None:
    (place / "run").mkdir()
    os.chown(place / "run", OWN, OWN)
    agent = node.agent(FILE % "", "--control", str(place / "run/control.sock"), wrapper=(*host, *as_own_user()))
    agent.control = place / "run/control.sock"
    agent.becomes("active")
    assert node.holds("10.79.0.100/24")
    pids = family(agent)
    assert [rights(pid) for pid in pids] == [(OWN, NETWORK)] * 3
    assert check_says(agent) == f"exit 0: vrrpd {POWERLESS}"
    assert "started as root" not in agent.log.read_text()
    agent.signal(signal.SIGKILL)
    gone([*pids])
    assert not node.holds("10.79.0.100/24"), "the guardian has removed it"


def test_what_a_killed_agent_and_guardian_left_is_removed_by_that_user(
    node: Namespace, host: tuple[str, ...], place: Path
) -> None:
    agent = node.agent(FILE.replace("hear_first", "lease: 60s, hear_first") % "", "--user", "root")
    agent.becomes("active")
    pids = family(agent)
    os.kill(pids[2], signal.SIGKILL)
    agent.signal(signal.SIGKILL)
    gone([*pids])
    assert node.holds("10.79.0.100/24")
    said = node.run(*host, *as_own_user(), sys.executable, "-m", "vrrpd", "purge")
    assert said == "10.79.0.100/24 on eth0: removed\n"
    assert not node.holds("10.79.0.100/24")


def test_another_user_for_a_check_takes_capabilities_that_are_named(
    node: Namespace, host: tuple[str, ...], place: Path
) -> None:
    os.chown(place, OWN, OWN)
    text = FILE % ", user: daemon"
    (line,) = node.refused(text, wrapper=(*host, *as_own_user("+setgid")))
    assert "may not become another user without CAP_KILL and CAP_SETUID; grant them" in line
    agent = node.agent(text, wrapper=(*host, *as_own_user("+setgid", "+setuid", "+kill")))
    assert check_says(agent) == f"exit 0: daemon {POWERLESS}"
    assert rights(agent.process.pid) == (OWN, NETWORK), "the right to change users is the launcher's"


@pytest.mark.parametrize("group", [0, 7])
def test_a_socket_of_haproxy_that_is_closed_to_its_user_starts_no_agent(
    node: Namespace, host: tuple[str, ...], place: Path, group: int
) -> None:
    sock = place / "admin.sock"
    subprocess.run([sys.executable, "-c", "import socket, sys; socket.socket(1).bind(sys.argv[1])", sock], check=True)
    os.chown(sock, 0, group)
    sock.chmod(0o660)
    text = (FILE % "").replace("checks:", f"checks:\n  proxy: {{haproxy: {{socket: {sock}, backend: b}}}}")
    (line,) = node.refused(text.replace("[who]", "[who, proxy]"), wrapper=host)
    owner = "root:lp" if group else "root:root"
    assert f"no permission to use {sock}, which belongs to {owner} with mode 0660; " in line
    mend = "add the user of the agent (vrrpd) to the group lp" if group else "give it a group that may, and let"
    assert mend in line


def test_an_interpreter_that_its_user_cannot_read_starts_no_agent(node: Namespace, place: Path) -> None:
    private = place / "private"
    private.mkdir(mode=0o700)
    start = (
        f"import sys; sys.executable = '{private}/python'; from vrrpd.privileges import own_user; own_user('nobody')"
    )
    (private / "python").touch(0o755)
    done = subprocess.run([sys.executable, "-c", start], check=False, capture_output=True, text=True)
    said = done.stderr.splitlines()[-1]
    assert f"nobody cannot run this agent: no permission to enter {private}, which belongs to root:root" in said


def test_its_loop_keeps_its_priority_and_its_memory_as_that_user(node: Namespace, host: tuple[str, ...]) -> None:
    agent = node.agent(FILE % "", wrapper=host)
    agent.becomes("active")
    assert os.sched_getscheduler(agent.process.pid) & ~os.SCHED_RESET_ON_FORK == os.SCHED_RR
    status = Path(f"/proc/{agent.process.pid}/status").read_text()
    assert "VmLck:\t       0 kB" not in status


SECRETS = ("hunter2hunter2hunter2hunter2hunter2", "c0ffee" * 11, "swordfishswordfishswordfishswordfish", "OldPeer1")
SECRET_FILE = """
nodes: {{lb1: 10.79.0.11, lb2: 10.79.0.12}}
defaults: {{hear_first: off}}
routers:
  signed:
    vrid: 51
    addresses: [10.79.0.100/24]
    auth: {{hmac: {{active_key: 1, keys: {{1: "{0}", 2: "hex:{1}", 3: "file:{file}"}}}}}}
  old: {{vrid: 52, addresses: [10.79.0.101/24], version: 2, auth: {{password: {3}}}}}
"""


def test_no_secret_is_seen_anywhere(node: Namespace, host: tuple[str, ...], place: Path) -> None:
    key = place / "vrrp.key"
    key.write_text(SECRETS[2])
    key.chmod(0o600)
    agent = node.agent(SECRET_FILE.format(*SECRETS, file=key), "--log-level", "debug", wrapper=host)
    agent.becomes("active")
    pids = family(agent)
    seen = [Path(f"/proc/{pid}/{each}").read_text() for pid in pids for each in ("cmdline", "environ", "comm")]
    questions = (["status", "--json"], ["status"], ["auth", "status", "--json"], ["auth", "status"])
    seen += [asked(*question, "--control", str(agent.control)) for question in questions]
    file = str(place / "0.yaml")
    seen += [node.run(*vrrpd_command("check", "-c", file, *more)) for more in ([], ["--json"])]
    agent.signal(signal.SIGTERM)
    agent.ends()
    seen.append(agent.log.read_text())
    assert all(seen), "everything has said something"
    forms = {form for each in SECRETS for form in (each, each.encode().hex(), each.encode().decode("latin1").upper())}
    assert [(form, text) for form in forms for text in seen if form in text] == []


def test_a_key_that_only_root_reads_is_used_by_an_agent_of_another_user(
    node: Namespace, host: tuple[str, ...], place: Path
) -> None:
    key = place / "vrrp.key"
    key.write_text(SECRETS[2])
    key.chmod(0o600)
    agent = node.agent(SECRET_FILE.format(*SECRETS, file=key), wrapper=host)
    assert agent.becomes("active")["name"] == "signed"
    deadline = time.monotonic() + PATIENCE_S
    while not node.holds("10.79.0.100/24"):
        assert time.monotonic() < deadline


def vrrpd_command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "vrrpd", *arguments]


def asked(*arguments: str) -> str:
    return subprocess.run(vrrpd_command(*arguments), check=False, capture_output=True, text=True).stdout
