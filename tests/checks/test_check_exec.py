"""The check `exec: [argv...]`, with real programs and a real launcher."""

from __future__ import annotations

import os
import signal
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import trio
from pydantic import ValidationError

from tests.checks.conftest import Cables
from vrrpd.checks.base import Host, Result
from vrrpd.checks.exec import OPTIONS, ExecCheck, inspect
from vrrpd.launcher import Launcher
from vrrpd.programs import LauncherClient

Make = Callable[[Any], ExecCheck]
Run = Callable[..., Awaitable[Result]]


@pytest.fixture
def make(programs: LauncherClient, cables: Cables) -> Make:
    """Makes a check of options as a file would have them."""
    return lambda options: ExecCheck(OPTIONS.validate_python(options), Host(programs, cables))


@pytest.fixture
def run(make: Make) -> Run:
    """Probes once."""

    async def probe(*argv: str) -> Result:
        with trio.fail_after(5):
            return await judged(make(list(argv)))

    return probe


async def judged(check: ExecCheck) -> Result:
    """One probe that comes to a verdict."""
    result = await check.probe()
    assert result is not None
    return result


def shell(text: str) -> list[str]:
    return ["/bin/sh", "-c", text]


@pytest.mark.parametrize(
    ("script", "result"),
    [
        ("exit 0", Result(ok=True, detail="exit 0")),
        ("echo one; echo two; echo", Result(ok=True, detail="exit 0: two")),
        ("echo why >&2; exit 3", Result(ok=False, detail="exit 3: why")),
        ("printf 'no newline'", Result(ok=True, detail="exit 0: no newline")),
        ("printf '\\033[31mred\\377'", Result(ok=True, detail="exit 0: [31mred\N{REPLACEMENT CHARACTER}")),
        ("kill -9 $$", Result(ok=False, detail="killed by SIGKILL")),
        ("kill -40 $$", Result(ok=False, detail="killed by signal 40")),
        ("head -c 1000000 /dev/zero | tr '\\0' x; echo; echo last", Result(ok=True, detail="exit 0: last")),
        ("cat; echo end of input", Result(ok=True, detail="exit 0: end of input")),
        ("pwd", Result(ok=True, detail="exit 0: /")),
    ],
)
async def test_the_exit_status_decides_and_the_last_line_explains(run: Run, script: str, result: Result) -> None:
    assert await run(*shell(script)) == result


async def test_a_long_line_is_cut(run: Run) -> None:
    assert len((await run(*shell("head -c 3000 /dev/zero | tr '\\0' x"))).detail) < 250


async def test_there_is_no_shell(run: Run) -> None:
    assert (await run("/bin/echo", "$HOME; false | x")).detail == "exit 0: $HOME; false | x"


async def test_a_program_is_found_through_path(run: Run) -> None:
    assert (await run("true")).ok


async def test_a_program_has_nobodys_rights_unless_a_user_is_named(make: Make) -> None:
    command = ["/usr/bin/id", "-un"]
    assert (await judged(make(command))).detail == "exit 0: nobody"
    assert (await judged(make({"command": command}))).detail == "exit 0: nobody"
    assert (await judged(make({"command": command, "user": "root"}))).detail == "exit 0: root"


async def test_a_program_that_cannot_start_fails_the_check(run: Run, tmp_path: Path) -> None:
    result = await run("/nowhere/at/all")
    assert result == Result(ok=False, detail="cannot start /nowhere/at/all: no such file or directory")
    assert (await run("/etc/passwd")).detail == "cannot start /etc/passwd: permission denied"
    assert (await run(f"/nowhere/\033[31m/{tmp_path}/{'x' * 300}")).detail.isprintable()


async def test_a_file_that_is_no_program_fails_the_check(make: Make, tmp_path: Path) -> None:
    (tmp_path / "data").write_text("data")
    (tmp_path / "data").chmod(0o755)
    result = await judged(make({"command": [f"{tmp_path}/data"], "user": "root"}))
    assert result.detail == f"cannot start {tmp_path}/data: exec format error"


async def test_a_hung_program_is_killed_with_all_that_it_started(make: Make, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pids")
    script = f"trap '' TERM INT HUP; sleep 60 & echo $! $$ > {tmp_path}/pids; wait"
    check = make({"command": shell(script), "user": "root"})
    async with trio.open_nursery() as nursery:
        nursery.start_soon(check.probe)
        pids = (await trio.Path(tmp_path / "pids").read_text()).split()
        nursery.cancel_scope.cancel()
    for pid in pids:
        await _gone(int(pid))


async def test_children_in_process_groups_of_their_own_are_killed_too(make: Make, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pid")
    check = make({"command": shell(f"timeout 60 sh -c 'echo $$ > {tmp_path}/pid; exec sleep 60'"), "user": "root"})
    async with trio.open_nursery() as nursery:
        nursery.start_soon(check.probe)
        pid = await trio.Path(tmp_path / "pid").read_text()
        nursery.cancel_scope.cancel()
    await _gone(int(pid))


async def test_a_program_dies_with_its_launcher_which_says_nothing_about_the_service(
    make: Make, launcher: Launcher, tmp_path: Path
) -> None:
    os.mkfifo(tmp_path / "pid")
    check = make({"command": shell(f"echo $$ > {tmp_path}/pid; exec sleep 60"), "user": "root"})
    with trio.fail_after(5):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(check.probe)
            pid = int(await trio.Path(tmp_path / "pid").read_text())
            os.kill(launcher.pid, signal.SIGKILL)
        await _gone(pid)
        assert await check.probe() is None


async def test_children_that_a_program_leaves_behind_do_not_hold_up_the_probe(run: Run) -> None:
    result = await run(*shell("sleep 60 & echo $!"))
    assert result.ok
    await _gone(int(result.detail.removeprefix("exit 0: ")))


async def test_a_probe_that_was_cancelled_does_not_spoil_the_next_one(make: Make) -> None:
    check = make(shell("test -e /proc/self || sleep 60; echo fine"))
    assert (await judged(check)).ok
    for _ in range(20):
        with trio.move_on_after(0.001):
            await check.probe()
    assert (await judged(check)).ok


async def test_a_program_that_cannot_be_killed_is_not_joined_by_a_second_one(
    make: Make, launcher: Launcher, tmp_path: Path
) -> None:
    os.mkfifo(tmp_path / "pid")
    check = make({"command": shell(f"echo $$ > {tmp_path}/pid; exec sleep 60"), "user": "root"})
    async with trio.open_nursery() as nursery:
        nursery.start_soon(check.probe)
        pid = int(await trio.Path(tmp_path / "pid").read_text())
        os.kill(launcher.pid, signal.SIGSTOP)  # so the program lives on, as in the kernel's arms
        nursery.cancel_scope.cancel()
    result = await judged(check)
    os.kill(launcher.pid, signal.SIGCONT)
    assert result == Result(ok=False, detail=f"cannot start /bin/sh: pid {pid} of the run before cannot be killed")
    await _gone(pid)


async def _gone(pid: int) -> None:
    """Wait until a process is dead; an orphan may stay a zombie for as long as its new parent likes."""
    with trio.fail_after(5):
        while _read(Path(f"/proc/{pid}/stat")).rpartition(")")[2][:3] not in {"", " Z "}:  # noqa: ASYNC110 - it is not our child
            await trio.sleep(0.001)


def _read(file: Path) -> str:
    """What is in a file; nothing where there is none."""
    try:
        return file.read_text()
    except (FileNotFoundError, ProcessLookupError):
        return ""


def test_a_host_where_the_program_cannot_run_is_told_before_the_start() -> None:
    assert inspect(OPTIONS.validate_python(["/bin/true"])) is None
    assert inspect(OPTIONS.validate_python({"command": ["true"], "user": "root"})) is None
    said = inspect(OPTIONS.validate_python(["/etc/passwd", "x"])) or ""
    assert "/etc/passwd, which belongs to root:root with mode 0644, cannot be executed by nobody; chmod +x" in said
    said = inspect(OPTIONS.validate_python({"command": ["/bin/true"], "user": "no-one"}))
    assert said == "there is no user 'no-one' on this host; name one that exists"


def test_both_forms_mean_the_same() -> None:
    assert OPTIONS.validate_python(["/bin/true"]) == OPTIONS.validate_python({"command": ["/bin/true"]})


@pytest.mark.parametrize(
    ("value", "complaint"),
    [
        ("/bin/true", "'/bin/true' is not a command; write a list such as [/usr/bin/test, -e, /run/proxy.ok]"),
        ([], "this list is not a command; write a list such as [/usr/bin/test, -e, /run/proxy.ok]"),
        (["./check"], "'./check' is no program; write an absolute path, or a name that PATH leads to"),
        ([""], "'' is no program; write an absolute path, or a name that PATH leads to"),
        (["/bin/a", ["b"]], "the list holds something that is not text; write the program and its arguments as words"),
        ({"command": "/bin/a"}, "'/bin/a' is not a command; write a list such as [/usr/bin/test, -e, /run/proxy.ok]"),
        (["/bin/a", "b\0c"], "the list holds something that is not text; write the program and its arguments as words"),
    ],
)
def test_mistakes_are_said_in_plain_words(value: object, complaint: str) -> None:
    with pytest.raises(ValidationError) as raised:
        OPTIONS.validate_python(value)
    (error,) = raised.value.errors()
    assert str(error.get("ctx", {})["error"]) == complaint
