"""The launcher as a process, spoken to as the agent does, with real programs."""

from __future__ import annotations

import contextlib
import json
import os
import resource
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from vrrpd.launcher import Launcher, start

PATIENCE_S = 10
GLIBC_OWN = 3 << 31  # signals 32 and 33: nptl(7)


class Desk:
    """Asks a launcher and reads its answers."""

    def __init__(self, launcher: Launcher) -> None:
        self.pid = launcher.pid
        self._channel = launcher.channel
        self._channel.settimeout(PATIENCE_S)
        self._outputs: dict[int, int] = {}
        self._guarded: list[socket.socket] = []

    def ask(self, run: int, *argv: str, user: str | None = "root") -> int:
        """Start a program; the reading end of its output."""
        reading, writing = os.pipe()
        socket.send_fds(self._channel, [json.dumps({"run": run, "argv": argv, "user": user}).encode()], [writing])
        os.close(writing)
        self._outputs[run] = reading
        return reading

    def answer(self) -> dict[str, Any]:
        return json.loads(self._channel.recv(4096))

    def run(self, *argv: str, user: str | None = "root") -> tuple[int, str]:
        """Run a program to its end: exit status and output."""
        self.ask(1, *argv, user=user)
        while "status" not in (answer := self.answer()):
            pass
        return answer["status"], self.output(1)

    def send(self, packet: bytes, brought: int, descriptor: int = 2) -> None:
        """Send any packet with so many descriptors."""
        socket.send_fds(self._channel, [packet], [descriptor] * brought)

    def guardian(self, account: list[Any]) -> int | None:
        """Ask for a guardian that is this user: its process id, None where there is none."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        bell, memory, agent = os.eventfd(0), os.memfd_create("guardian"), os.pidfd_open(os.getpid())
        os.ftruncate(memory, 4096)
        handed = [theirs.detach(), bell, memory, agent]
        socket.send_fds(self._channel, [json.dumps({"guardian": account}).encode()], handed)
        for each in handed:
            os.close(each)
        self._guarded.append(ours)
        ours.settimeout(PATIENCE_S)
        said = ours.recv(4096)
        return json.loads(said)["pid"] if said else None

    def output(self, run: int) -> str:
        """What a program that has ended wrote."""
        with os.fdopen(self._outputs.pop(run), "rb") as file:
            return file.read().decode()

    def line(self, run: int) -> str:
        """Wait for the first line of a program that goes on."""
        got = b""
        while not got.endswith(b"\n"):
            assert select.select([self._outputs[run]], [], [], PATIENCE_S)[0], "says nothing"
            got += os.read(self._outputs[run], 1)
        return got.decode().strip()

    def drop(self, run: int) -> None:
        """Stop listening to a program."""
        os.close(self._outputs.pop(run))

    def end(self) -> None:
        for output in self._outputs.values():
            os.close(output)
        for channel in self._guarded:  # which ends the guardian
            channel.close()


@pytest.fixture
def desk(launcher: Launcher) -> Iterator[Desk]:
    found = Desk(launcher)
    yield found
    found.end()


def stat(pid: int) -> list[str]:
    """proc_pid_stat(5) from the state on; empty for nobody."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return []


def until(true: Any) -> None:
    """Wait for something that no descriptor tells of."""
    deadline = time.monotonic() + PATIENCE_S
    while not true():
        assert time.monotonic() < deadline, "not in time"
        time.sleep(0.001)


def gone(*pids: int) -> None:
    """Wait until processes are dead; an orphan may stay a zombie for as long as its new parent likes."""
    until(lambda: all(stat(pid)[:1] in ([], ["Z"]) for pid in pids))


def descriptors(pid: int) -> int:
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


FAMILY = ("/bin/sh", "-c", "trap '' TERM INT HUP; sleep 60 & (sleep 60 & echo $$ $!; wait); wait")


def test_the_answers_are_a_pid_and_an_exit_status(desk: Desk) -> None:
    desk.ask(7, "/bin/sh", "-c", "echo $$; exit 3")
    began = desk.answer()
    assert desk.answer() == {"run": 7, "status": 3}
    assert began == {"run": 7, "pid": int(desk.output(7))}


def test_a_signal_is_a_negative_status(desk: Desk) -> None:
    assert desk.run("/bin/sh", "-c", "kill -SEGV $$")[0] == -signal.SIGSEGV


def test_a_program_finds_itself_in_a_clean_place(desk: Desk) -> None:
    script = """
    pwd; umask; env | sort; cat; ulimit -n
    readlink /proc/self/fd/0
    ls /proc/self/fd | tr '\\n' ' '; echo
    cut -d' ' -f5,6 /proc/$$/stat; echo $$
    grep -E '^Sig(Blk|Ign)' /proc/self/status
    """
    status, output = desk.run("/bin/sh", "-c", script)
    *head, limit, stdin, open_, groups, pid, blocked, ignored = output.splitlines()
    path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    assert status == 0
    assert head == ["/", "0022", "LANG=C", f"PATH={path}", "PWD=/"]
    assert int(limit) == resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    assert stdin == "/dev/null"
    assert open_ == "0 1 2 3 "  # 3 is the directory that ls reads
    assert groups == f"{pid} {pid}"
    assert int(blocked.split()[1], 16) == 0
    assert int(ignored.split()[1], 16) & ~GLIBC_OWN == 0


def test_what_the_agent_lets_others_inherit_reaches_no_program() -> None:
    ours = os.open("/dev/null", os.O_RDONLY)
    os.set_inheritable(ours, True)
    launcher = start()
    os.close(ours)
    assert Desk(launcher).run("/usr/bin/test", "-e", f"/proc/self/fd/{ours}")[0] == 1
    launcher.channel.close()
    assert os.waitpid(launcher.pid, 0)[1] == 0


@pytest.mark.parametrize(
    ("argv", "failed"),
    [
        (("/nowhere/at/all",), "no such file or directory"),
        (("no-such-program",), "no such file or directory"),
        (("/etc/passwd",), "permission denied"),
        (("/etc/passwd/x",), "not a directory"),
        (("/",), "permission denied"),
        (("/bin/true", "x" * 60_000, "y\0"), "embedded null byte"),
    ],
)
def test_why_a_program_cannot_start_is_said(desk: Desk, argv: tuple[str, ...], failed: str) -> None:
    desk.ask(1, *argv)
    answers = [desk.answer() for _ in range(3)]
    assert {"run": 1, "failed": failed} in answers
    assert answers[-1] == {"run": 1, "status": 127}


def test_a_program_without_a_path_is_looked_for(desk: Desk) -> None:
    assert desk.run("true")[0] == 0


@pytest.mark.parametrize(
    ("user", "rights"),
    [
        ("root", "root root"),
        ("daemon", "daemon daemon"),
        ("nobody", "nobody nogroup"),
        (None, "nobody nogroup"),
    ],
)
def test_a_program_has_the_rights_of_its_user_alone(desk: Desk, user: str | None, rights: str) -> None:
    status, output = desk.run("/bin/sh", "-c", "id -un; id -Gn; grep -E '^(Uid|CapEff)' /proc/self/status", user=user)
    name, groups, uids, powers = output.splitlines()
    assert status == 0
    assert f"{name} {groups}" == rights
    assert len(set(uids.split()[1:])) == 1, "a saved or real id is a way back"
    assert (int(powers.split()[1], 16) == 0) == (user != "root")


@pytest.mark.parametrize(("user", "forbidden"), [(None, "1"), ("nobody", "0"), ("root", "0")])
def test_a_setuid_program_adds_rights_only_where_a_user_is_named(desk: Desk, user: str | None, forbidden: str) -> None:
    output = desk.run("/bin/grep", "NoNewPrivs", "/proc/self/status", user=user)[1]
    assert output.split() == ["NoNewPrivs:", forbidden]


@pytest.mark.parametrize(
    ("packet", "brought"),
    [
        (b"no JSON", 0),
        (b"\xff", 0),
        (b"[" * 60_000, 0),
        (b"7", 1),
        (b"{}", 1),
        (b'{"promise": 7}', 0),
        (b'{"run": 1, "argv": [], "user": null}', 1),
        (b'{"run": 1, "argv": [7], "user": null}', 1),
        (b'{"run": 1, "argv": "/bin/true", "user": null}', 1),
        (b'{"run": 1, "argv": ["/bin/true"], "user": 0}', 1),
        (b'{"run": 1, "argv": ["/bin/true"]}', 1),
        (b'{"argv": ["/bin/true"], "user": null}', 1),
        (b'{"run": 1, "argv": ["/bin/true"], "user": null}', 3),
        (b'{"run": 1, "argv": ["/bin/true"], "user": null, "open": [[]]}', 1),
        (b'{"run": 1, "argv": ["/bin/true"], "user": null, "env": {"LD_PRELOAD": "/tmp/x.so"}}', 1),
        (b'{"run": 1, "argv": ["/bin/true"], "user": null, "env": {"VRRPD_NODE": 1}}', 1),
        (b'{"run": 1, "argv": ["/bin/true"], "user": null, "env": []}', 1),
        (b'{"run": 1, "open": 7}', 1),
        (b'{"guardian": ["root", 0, 0, []]}', 0),
        (b'{"guardian": ["root", 0, 0, []]}', 3),
        (b'{"guardian": ["root", 0, 0]}', 4),
        (b'{"guardian": ["root", "0", 0, []]}', 4),
    ],
)
def test_what_is_no_request_is_dropped_with_what_it_brought(desk: Desk, packet: bytes, brought: int) -> None:
    desk.run("/bin/true")
    before = descriptors(desk.pid)
    desk.send(packet, brought)
    assert desk.run("/bin/true")[0] == 0
    assert descriptors(desk.pid) == before


def test_an_output_that_cannot_be_watched_starts_nothing(desk: Desk, tmp_path: Path) -> None:
    with (tmp_path / "file").open("wb") as file:
        desk.send(b'{"run": 1, "argv": ["/bin/true"], "user": null}', 1, file.fileno())
    assert desk.answer() == {"run": 1, "failed": "operation not permitted", "status": 127}
    assert desk.run("/bin/true")[0] == 0


def test_a_dropped_request_is_logged(capfd: pytest.CaptureFixture[str]) -> None:
    launcher = start()
    desk = Desk(launcher)
    desk.send(b"{}", 0)
    desk.run("/bin/true")
    launcher.channel.close()
    os.waitpid(launcher.pid, 0)
    assert capfd.readouterr().err.startswith("vrrpd-launcher: a request was dropped: ")


def test_the_guardian_is_the_user_that_was_promised(desk: Desk) -> None:
    nobody = ["nobody", 65534, 65534, [65534]]
    for what in ({"guardian": nobody}, None):
        desk.send(json.dumps({"promise": what}).encode(), 0)
    assert desk.guardian(["root", 0, 0, []]) is None
    pid = desk.guardian(nobody)
    assert pid is not None
    uids = next(line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("Uid:"))
    assert uids.split()[1:] == ["65534"] * 4


def test_groups_of_whoever_started_the_agent_are_given_away() -> None:
    before = os.getgroups()
    os.setgroups([*before, 4])
    launcher = start()
    os.setgroups(before)
    assert Desk(launcher).run("/usr/bin/id", "-G", user="nobody") == (0, "65534\n")
    launcher.channel.close()
    os.waitpid(launcher.pid, 0)


def test_an_unknown_user_is_refused(desk: Desk) -> None:
    desk.ask(1, "/bin/true", user="no-such-user")
    text = "there is no user 'no-such-user' on this host; name one that exists"
    assert desk.answer() == {"run": 1, "failed": text, "status": 127}


def test_who_stops_listening_has_the_whole_group_killed(desk: Desk) -> None:
    desk.ask(1, *FAMILY)
    pids = [int(word) for word in desk.line(1).split()]
    desk.drop(1)
    assert [desk.answer(), desk.answer()] == [{"run": 1, "pid": pids[0]}, {"run": 1, "status": -signal.SIGKILL}]
    gone(*pids)


def test_a_program_that_nobody_listens_to_from_the_start_is_killed(desk: Desk) -> None:
    for run in range(50):
        desk.ask(run, "/bin/sleep", "60")
        desk.drop(run)
    ended = [answer for answer in (desk.answer() for _ in range(100)) if "status" in answer]
    assert {answer["status"] for answer in ended} == {-signal.SIGKILL}


def test_what_a_program_leaves_behind_is_killed(desk: Desk) -> None:
    status, output = desk.run("/bin/sh", "-c", "sleep 60 & echo $!")
    assert status == 0
    gone(int(output))


def test_a_program_that_closes_its_output_goes_on(desk: Desk, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "gate")
    desk.ask(1, "/bin/sh", "-c", f"exec >&- 2>&-; read word < {tmp_path}/gate; exit 5")
    (tmp_path / "gate").write_text("go\n")  # blocks until it reads
    assert [desk.answer(), desk.answer()][1] == {"run": 1, "status": 5}


def test_two_hundred_programs_at_once(desk: Desk) -> None:
    for run in range(100, 300):
        desk.ask(run, "/bin/sleep", "60")
    assert len({desk.answer()["pid"] for _ in range(200)}) == 200
    assert desk.run("/bin/echo", "still here") == (0, "still here\n")
    for run in range(100, 300):
        desk.drop(run)
    assert [desk.answer()["status"] for _ in range(200)] == [-signal.SIGKILL] * 200
    assert desk.run("/bin/true")[0] == 0


def test_nothing_is_kept_of_programs_that_have_ended(desk: Desk) -> None:
    desk.run("/bin/true")
    before = descriptors(desk.pid)
    for _ in range(20):
        desk.run("/bin/true")
        desk.run("/nowhere")
    assert descriptors(desk.pid) == before


@pytest.mark.parametrize("room", [0, 1])
def test_without_descriptors_a_program_is_refused_and_the_launcher_lives(desk: Desk, room: int) -> None:
    desk.run("/bin/true")
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.prlimit(desk.pid, resource.RLIMIT_NOFILE, (descriptors(desk.pid) + room, limits[1]))
    desk.ask(1, "/bin/true")
    assert desk.answer() == {"run": 1, "failed": "too many open files", "status": 127}
    resource.prlimit(desk.pid, resource.RLIMIT_NOFILE, limits)
    assert desk.run("/bin/true")[0] == 0


def test_signals_of_a_terminal_and_a_service_manager_do_not_end_it(desk: Desk) -> None:
    desk.run("/bin/true")
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        os.kill(desk.pid, number)
    assert desk.run("/bin/true")[0] == 0
    assert os.getsid(desk.pid) == desk.pid


def test_it_has_a_name_of_its_own(desk: Desk) -> None:
    desk.run("/bin/true")
    assert Path(f"/proc/{desk.pid}/comm").read_text() == "vrrpd-launcher\n"


def test_the_end_of_the_agent_ends_it_and_all_programs() -> None:
    launcher = start()
    desk = Desk(launcher)
    desk.ask(1, *FAMILY)
    pids = [int(word) for word in desk.line(1).split()]
    launcher.channel.close()
    assert os.waitpid(launcher.pid, 0)[1] == 0
    gone(*pids)
    desk.end()


AGENT = """
import json, os, socket, sys, time
from vrrpd.launcher import start
launcher = start()
reading, writing = os.pipe()
request = {"run": 1, "argv": ["/bin/sh", "-c", "sleep 60 & echo $$ $!; wait"], "user": None}
socket.send_fds(launcher.channel, [json.dumps(request).encode()], [writing])
os.close(writing)
print(launcher.pid, os.read(reading, 100).decode(), flush=True)
time.sleep(60)
"""


def test_a_killed_agent_takes_launcher_and_programs_with_it() -> None:
    with subprocess.Popen([sys.executable, "-c", AGENT], stdout=subprocess.PIPE, text=True) as agent:
        assert agent.stdout
        pids = [int(word) for word in agent.stdout.readline().split()]
        agent.kill()
    assert len(pids) == 3
    gone(*pids)


def test_an_agent_that_reads_no_answers_and_dies_leaves_nothing() -> None:
    launcher = start()
    desk = Desk(launcher)
    desk.ask(0, *FAMILY)
    pids = [int(word) for word in desk.line(0).split()]
    launcher.channel.settimeout(0.2)
    with contextlib.suppress(TimeoutError):
        while True:  # until both directions are full
            desk.ask(1, "/bin/true")
            desk.drop(1)
    launcher.channel.close()
    assert os.waitpid(launcher.pid, 0)[1] == 0
    gone(*pids)
    desk.end()


REFUSED = (
    "nobody, who runs the agent, may not become another user without CAP_KILL, CAP_SETGID and CAP_SETUID; "
    "grant them, or leave user 'root' out"
)
UNPRIVILEGED = """
import json, os, socket
from vrrpd.launcher import start
launcher = start()
for argv, user in ((["/bin/sh", "-c", "id -un; grep CapEff /proc/self/status"], None), (["/bin/true"], "root")):
    reading, writing = os.pipe()
    socket.send_fds(launcher.channel, [json.dumps({"run": 1, "argv": argv, "user": user}).encode()], [writing])
    os.close(writing)
    answer = {}
    while "status" not in answer:
        answer |= json.loads(launcher.channel.recv(4096))
    print(answer.get("failed", os.read(reading, 1000).decode()))
"""


def test_an_agent_that_is_not_root_runs_programs_as_itself_and_gives_them_no_capability() -> None:
    # It may read everything, or it could not even start this interpreter from a private home.
    powers = "+net_admin,+net_raw,+dac_override"
    become = ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups"]
    command = [*become, f"--inh-caps={powers}", f"--ambient-caps={powers}", sys.executable, "-c", UNPRIVILEGED]
    said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    assert said.splitlines() == [
        "nobody",
        f"CapEff:\t{'0' * 16}",
        "",
        REFUSED,
    ]


def test_root_without_the_right_to_change_users_says_so() -> None:
    command = ["setpriv", "--bounding-set=-setuid", "--inh-caps=-setuid", sys.executable, "-c", UNPRIVILEGED]
    said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    assert said.splitlines()[0] == "root may not become nobody here; grant CAP_SETUID and CAP_SETGID"


def test_it_is_made_of_the_standard_library() -> None:
    lean = [sys.executable, "-I", "-S", "-X", "importtime", "vrrpd/launcher.py", "-"]
    root = Path(__file__).parent.parent
    imported = subprocess.run(lean, check=False, capture_output=True, text=True, cwd=root).stderr.splitlines()
    modules = {line.rpartition("|")[2].strip() for line in imported if line.startswith("import time:")}
    ours = {"vrrpd", "vrrpd.guardian", "vrrpd.rights", "vrrpd.successors"}
    assert {"json", *ours} <= modules
    names = {module.partition(".")[0] for module in modules - ours}
    assert names - {"imported package"} <= sys.stdlib_module_names | {"_distutils_hack"}
