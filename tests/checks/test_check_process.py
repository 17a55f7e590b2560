"""The check `process: {pidfile | unit | name, grace}`, against real processes."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Protocol

import pytest
import trio
from pydantic import ValidationError

from vrrpd.checks.base import Result, Status, Timing, run_check
from vrrpd.checks.process import OPTIONS, ProcessCheck
from vrrpd.proto.timers import MS, SECOND


class Children(Protocol):
    def start(self, name: str = "") -> subprocess.Popen[bytes]: ...


@pytest.fixture
def name() -> str:
    """A name that no other process has, as long as the kernel keeps."""
    return f"vp{os.getpid()}-{time.monotonic_ns() % 10**6}"[:15]


def check_of(**options: object) -> ProcessCheck:
    return ProcessCheck(OPTIONS.validate_python(options))


async def probe(check: ProcessCheck) -> Result | None:
    with trio.fail_after(5):
        return await check.probe()


def ended(child: subprocess.Popen[bytes]) -> None:
    """Kill a child and bury it."""
    child.kill()
    child.wait()


def leave_unburied(child: subprocess.Popen[bytes]) -> None:
    """Kill a child and let it be a zombie."""
    child.kill()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)


class TestPidfile:
    async def test_a_living_process_is_healthy(self, tmp_path: Path, children: Children) -> None:
        pidfile = tmp_path / "pid"
        pid = children.start().pid
        pidfile.write_text(f"{pid}\n")
        check = check_of(pidfile=str(pidfile))
        assert await probe(check) == Result(ok=True, detail=f"pid {pid}")
        check.close()

    @pytest.mark.parametrize("text", ["", "junk", "-1", "0", "12x", "99999999999999999999", "\x00\xff"])
    async def test_junk_is_no_process(self, tmp_path: Path, text: str) -> None:
        pidfile = tmp_path / "pid"
        pidfile.write_text(text)
        assert await probe(check_of(pidfile=str(pidfile))) == Result(ok=False, detail=f"{pidfile} holds no process id")

    async def test_a_missing_pidfile_is_said_to_be_missing(self, tmp_path: Path) -> None:
        result = await probe(check_of(pidfile=str(tmp_path / "pid")))
        assert result == Result(ok=False, detail=f"{tmp_path}/pid: no such file or directory")

    async def test_an_id_that_nobody_has_is_no_process(self, tmp_path: Path, children: Children) -> None:
        gone = children.start()
        ended(gone)
        (tmp_path / "pid").write_text(str(gone.pid))
        result = await probe(check_of(pidfile=str(tmp_path / "pid")))
        assert result == Result(ok=False, detail=f"no process has the id {gone.pid} of {tmp_path}/pid")

    async def test_a_zombie_is_dead(self, tmp_path: Path, children: Children) -> None:
        zombie = children.start()
        leave_unburied(zombie)
        (tmp_path / "pid").write_text(str(zombie.pid))
        result = await probe(check_of(pidfile=str(tmp_path / "pid")))
        assert result == Result(ok=False, detail=f"process {zombie.pid} is dead")

    async def test_the_successor_in_the_pidfile_is_followed(self, tmp_path: Path, children: Children) -> None:
        old, new = children.start(), children.start()
        pidfile = tmp_path / "pid"
        pidfile.write_text(str(old.pid))
        check = check_of(pidfile=str(pidfile))
        await probe(check)
        pidfile.write_text(str(new.pid))
        assert await probe(check) == Result(ok=True, detail=f"pid {new.pid}")
        check.close()

    async def test_a_pidfile_that_vanishes_does_not_fail_a_living_process(
        self, tmp_path: Path, children: Children
    ) -> None:
        pid = children.start().pid
        pidfile = tmp_path / "pid"
        pidfile.write_text(str(pid))
        check = check_of(pidfile=str(pidfile))
        await probe(check)
        pidfile.unlink()
        assert await probe(check) == Result(ok=True, detail=f"pid {pid}")
        check.close()

    async def test_an_old_pidfile_does_not_vouch_for_a_stranger_with_the_same_id(
        self, tmp_path: Path, children: Children
    ) -> None:
        pidfile = tmp_path / "pid"
        first = children.start()
        pidfile.write_text(str(first.pid))
        check = check_of(pidfile=str(pidfile), grace="0s")
        await probe(check)
        written = pidfile.stat()
        ended(first)
        # The same file as before now holds the id of another process: what a reused id looks like.
        with pidfile.open("r+") as file:
            file.write(str(children.start().pid))
        os.utime(pidfile, ns=(written.st_atime_ns, written.st_mtime_ns))
        result = await probe(check)
        assert result == Result(
            ok=False, detail=f"the process of {pidfile} is gone, its id belongs to another one", decisive=True
        )
        check.close()


class TestName:
    async def test_one_living_process_of_the_name_is_enough(self, name: str, children: Children) -> None:
        one, two = children.start(name), children.start(name)
        check = check_of(name=name)
        result = await probe(check)
        assert result == Result(ok=True, detail=f"2 processes, pid {min(one.pid, two.pid)} the first")
        one.kill()
        with trio.fail_after(5):
            await check.changed()
        assert await probe(check) == Result(ok=True, detail=f"pid {two.pid}")
        check.close()

    async def test_nobody_of_the_name_has_failed(self, name: str) -> None:
        assert await probe(check_of(name=name)) == Result(ok=False, detail=f"no process named {name}")

    async def test_a_name_longer_than_the_kernel_keeps_is_found(self, children: Children) -> None:
        child = children.start("vrrpd-long-process-name")
        check = check_of(name="vrrpd-long-process-name")
        assert await probe(check) == Result(ok=True, detail=f"pid {child.pid}")
        check.close()

    @pytest.mark.netns
    @pytest.mark.parametrize("namespace", ["--net", "--pid"])
    async def test_processes_of_other_namespaces_do_not_count(self, namespace: str, name: str, tmp_path: Path) -> None:
        program = tmp_path / name
        program.symlink_to("/bin/sleep")
        with running_elsewhere(namespace, program):
            assert await probe(check_of(name=name)) == Result(ok=False, detail=f"no process named {name}")


class Unit:
    """A unit as systemd would make it, in the control groups of this machine."""

    def __init__(self, mount: Path, name: str) -> None:
        self.name = f"{name}.service"
        self._slice = mount / f"{name}.slice"
        self.group = self._slice / self.name
        self.group.mkdir(parents=True)

    def put(self, process: subprocess.Popen[bytes], below: str = "") -> None:
        """Move a process into the unit, or into a group below it."""
        folder = self.group / below
        folder.mkdir(exist_ok=True)
        (folder / "cgroup.procs").write_text(str(process.pid))

    def remove(self) -> None:
        """Remove all groups; whatever is still in one goes back to where it was."""
        for folder, _, _ in os.walk(self._slice, topdown=False):
            for pid in (Path(folder) / "cgroup.procs").read_text().split():
                (self._slice.parent / "cgroup.procs").write_text(pid)
            Path(folder).rmdir()


@pytest.fixture
def unit(name: str) -> Iterator[Unit]:
    """A unit of its own for each test."""
    for mount in (Path("/sys/fs/cgroup"), Path("/sys/fs/cgroup/unified"), Path("/sys/fs/cgroup/systemd")):
        if (mount / "cgroup.procs").is_file():
            try:
                found = Unit(mount, name)
            except OSError:
                continue
            yield found
            found.remove()
            return
    pytest.skip("control groups cannot be made here")


def descriptors() -> int:
    """How many descriptors are open."""
    return len(list(Path("/proc/self/fd").iterdir()))


class TestUnit:
    async def test_one_living_process_anywhere_in_the_unit_is_enough(self, unit: Unit, children: Children) -> None:
        one, two = children.start(), children.start()
        unit.put(one)
        unit.put(two, "worker")
        check = check_of(unit=unit.name)
        result = await probe(check)
        assert result == Result(ok=True, detail=f"2 processes, pid {min(one.pid, two.pid)} the first")
        one.kill()
        with trio.fail_after(5):
            await check.changed()
        assert await probe(check) == Result(ok=True, detail=f"pid {two.pid}")
        check.close()

    async def test_the_death_of_the_last_is_beyond_doubt(self, unit: Unit, children: Children) -> None:
        child = children.start()
        unit.put(child)
        check = check_of(unit=unit.name, grace="0s")
        assert await probe(check) == Result(ok=True, detail=f"pid {child.pid}")
        ended(child)
        result = await probe(check)
        assert result == Result(ok=False, detail=f"unit {unit.name} has no process", decisive=True)

    async def test_a_unit_that_does_not_run_has_failed(self, name: str) -> None:
        result = await probe(check_of(unit=name))
        assert result == Result(ok=False, detail=f"no unit {name}.service runs here")

    async def test_a_successor_that_was_there_before_the_last_death_is_no_failure(
        self, unit: Unit, children: Children
    ) -> None:
        old = children.start()
        unit.put(old)
        check = check_of(unit=unit.name, grace="0s")
        await probe(check)
        new = children.start()
        unit.put(new)
        ended(old)
        assert await probe(check) == Result(ok=True, detail=f"pid {new.pid}")
        check.close()

    async def test_many_processes_do_not_take_many_descriptors(self, unit: Unit, children: Children) -> None:
        crowd = [children.start() for _ in range(80)]
        for child in crowd:
            unit.put(child)
        check = check_of(unit=unit.name, grace="0s")
        before = descriptors()
        result = await probe(check)
        assert descriptors() - before <= 64 + 4  # and what a worker thread may take
        assert result is not None
        assert result.detail.startswith("64 or more processes, pid ")
        for child in crowd[:-1]:
            ended(child)
        assert await probe(check) == Result(ok=True, detail=f"pid {crowd[-1].pid}")
        check.close()


@contextmanager
def running_elsewhere(namespace: str, program: Path) -> Generator[None]:
    """A program that runs in a namespace of its own."""
    stranger = subprocess.Popen(["unshare", namespace, "--fork", "--kill-child", program, "60"])
    try:
        while not _is_running(program.name):
            time.sleep(0.001)
        yield
    finally:
        ended(stranger)


def _is_running(name: str) -> bool:
    for comm in Path("/proc").glob("[0-9]*/comm"):
        with suppress(OSError):
            if comm.read_text() == f"{name}\n":
                return True
    return False


class Report:
    """Collects the reports of a running check, with the time of each."""

    def __init__(self) -> None:
        self.seen: list[tuple[float, Status]] = []
        self._news = trio.Event()

    def __call__(self, status: Status) -> None:
        self.seen.append((time.monotonic(), status))
        self._news.set()

    async def until(self, wanted: Callable[[Status], bool]) -> float:
        """Wait until the last report is as wanted; return when it came."""
        with trio.fail_after(5):
            while not (self.seen and wanted(self.seen[-1][1])):
                self._news = trio.Event()
                await self._news.wait()
        return self.seen[-1][0]

    @property
    def was_down(self) -> bool:
        """Whether the check was ever down after it was up."""
        ups = [status.up for _, status in self.seen]
        return False in ups[ups.index(True) :]


# An interval that no test lives to see: whatever is noticed is noticed by the event.
RARELY = Timing(interval=60 * SECOND, timeout=SECOND, rise=1, fall=3, start_up=False)
OFTEN = Timing(interval=5 * MS, timeout=SECOND, rise=1, fall=1, start_up=False)


class TestDeath:
    async def run(self, check: ProcessCheck, timing: Timing, report: Report) -> None:
        await run_check("proxy", check, timing, report, wall=time.monotonic)

    @pytest.mark.parametrize("by", ["pidfile", "unit", "name"])
    async def test_is_reported_after_the_grace_and_without_waiting_for_a_probe(
        self, by: str, name: str, request: pytest.FixtureRequest, tmp_path: Path, children: Children
    ) -> None:
        child = children.start(name)
        (tmp_path / "pid").write_text(str(child.pid))
        target = {"pidfile": str(tmp_path / "pid")} if by == "pidfile" else {"name": name}
        if by == "unit":
            unit: Unit = request.getfixturevalue("unit")
            unit.put(child)
            target = {"unit": unit.name}
        report = Report()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.run, check_of(**target, grace="20ms"), RARELY, report)
            await report.until(lambda status: status.up)
            killed = time.monotonic()
            child.kill()
            reported = await report.until(lambda status: not status.up)
            nursery.cancel_scope.cancel()
        assert 0.020 <= reported - killed < 1

    async def test_is_no_failure_where_the_process_is_back_within_the_grace(
        self, tmp_path: Path, children: Children
    ) -> None:
        pidfile = tmp_path / "pid"
        child = children.start()
        pidfile.write_text(str(child.pid))
        report = Report()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.run, check_of(pidfile=str(pidfile), grace="2s"), OFTEN, report)
            await report.until(lambda status: status.up)
            ended(child)
            await trio.sleep(0.02)  # several probes see that nobody is there
            successor = children.start()
            pidfile.write_text(str(successor.pid))
            await report.until(lambda status: status.detail == f"pid {successor.pid}")
            nursery.cancel_scope.cancel()
        assert not report.was_down

    async def test_is_no_failure_while_the_successor_is_about_to_write_its_pidfile(
        self, tmp_path: Path, children: Children
    ) -> None:
        pidfile = tmp_path / "pid"
        child, successor = children.start(), children.start()
        pidfile.write_text(str(child.pid))
        report = Report()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.run, check_of(pidfile=str(pidfile), grace="1ms"), RARELY, report)
            await report.until(lambda status: status.up)
            pidfile.write_text("")
            ended(child)
            await trio.sleep(0.03)
            pidfile.write_text(str(successor.pid))
            await report.until(lambda status: status.detail == f"pid {successor.pid}")
            nursery.cancel_scope.cancel()
        assert not report.was_down

    async def test_is_one_where_the_pidfile_stays_empty(self, tmp_path: Path, children: Children) -> None:
        pidfile = tmp_path / "pid"
        child = children.start()
        pidfile.write_text(str(child.pid))
        report = Report()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.run, check_of(pidfile=str(pidfile), grace="1ms"), RARELY, report)
            await report.until(lambda status: status.up)
            pidfile.write_text("")
            ended(child)
            await report.until(lambda status: not status.up)
            nursery.cancel_scope.cancel()

    async def test_counts_in_full_where_the_timeout_is_shorter_than_the_grace(
        self, tmp_path: Path, children: Children
    ) -> None:
        child = children.start()
        (tmp_path / "pid").write_text(str(child.pid))
        timing = Timing(interval=10 * MS, timeout=10 * MS, rise=1, fall=1000, start_up=False)
        report = Report()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.run, check_of(pidfile=str(tmp_path / "pid"), grace="50ms"), timing, report)
            await report.until(lambda status: status.up)
            child.kill()
            await report.until(lambda status: not status.up)
            nursery.cancel_scope.cancel()

    async def test_ends_with_the_process_that_comes_back(self, name: str, children: Children) -> None:
        child = children.start(name)
        report = Report()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.run, check_of(name=name, grace="0s"), OFTEN, report)
            await report.until(lambda status: status.up)
            child.kill()
            await report.until(lambda status: not status.up)
            children.start(name)
            await report.until(lambda status: status.up)
            nursery.cancel_scope.cancel()

    async def test_a_frozen_process_lives(self, name: str, children: Children) -> None:
        child = children.start(name)
        check = check_of(name=name)
        child.send_signal(signal.SIGSTOP)
        assert await probe(check) == Result(ok=True, detail=f"pid {child.pid}")
        check.close()


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({}, "a process is found by one thing; write either pidfile, unit or name"),
        ({"pidfile": "/run/a", "name": "a"}, "a process is found by one thing; write either pidfile, unit or name"),
        ({"unit": "a", "name": "a"}, "a process is found by one thing; write either pidfile, unit or name"),
        ({"unit": "a/b"}, "'a/b' is no name of a unit; write one such as haproxy.service"),
        ({"name": "a", "grace": "20"}, "20 is out of range; write 0s..10s"),
        ({"name": "a", "grace": "soon"}, "'soon' is no time; write one such as 250ms, 1s, 2m or 1h"),
        ({"pidfile": "run/a"}, "'run/a' is no absolute path; write one that begins with /"),
    ],
)
def test_mistakes_are_said_in_plain_words(options: dict[str, str], complaint: str) -> None:
    with pytest.raises(ValidationError) as raised:
        OPTIONS.validate_python(options)
    (error,) = raised.value.errors()
    assert str(error.get("ctx", {}).get("error") or error["msg"]) == complaint
