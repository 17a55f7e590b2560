"""The check `exec: [argv...]`, with real programs."""

from __future__ import annotations

import logging
import os
import time
from pathlib import Path

import pytest
import trio
from pydantic import ValidationError

from vrrpd.checks.base import Result
from vrrpd.checks.exec import OPTIONS, ExecCheck


async def run(*argv: str, seconds: float = 5) -> Result:
    with trio.fail_after(seconds):
        return await ExecCheck(OPTIONS.validate_python(list(argv))).probe()


def shell(text: str) -> tuple[str, ...]:
    return ("/bin/sh", "-c", text)


@pytest.mark.parametrize(
    ("script", "result"),
    [
        ("exit 0", Result(ok=True, detail="exit 0")),
        ("echo one; echo two; echo", Result(ok=True, detail="exit 0: two")),
        ("echo why >&2; exit 3", Result(ok=False, detail="exit 3: why")),
        ("printf 'no newline'", Result(ok=True, detail="exit 0: no newline")),
        ("printf '\\033[31mred\\377'", Result(ok=True, detail="exit 0: [31mred\N{REPLACEMENT CHARACTER}")),
        ("kill -9 $$", Result(ok=False, detail="killed by SIGKILL")),
        ("head -c 1000000 /dev/zero | tr '\\0' x; echo; echo last", Result(ok=True, detail="exit 0: last")),
        ("cat; echo end of input", Result(ok=True, detail="exit 0: end of input")),
        ("pwd", Result(ok=True, detail="exit 0: /")),
    ],
)
async def test_the_exit_status_decides_and_the_last_line_explains(script: str, result: Result) -> None:
    assert await run(*shell(script)) == result


async def test_a_long_line_is_cut() -> None:
    assert len((await run(*shell("head -c 3000 /dev/zero | tr '\\0' x"))).detail) < 250


async def test_there_is_no_shell() -> None:
    assert (await run("/bin/echo", "$HOME; false | x")).detail == "exit 0: $HOME; false | x"


async def test_a_program_is_found_through_path() -> None:
    assert (await run("true")).ok


async def test_a_missing_program_fails_the_check_and_is_said_at_the_start(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        result = await run("/nowhere/at/all")
    assert result == Result(ok=False, detail="cannot start /nowhere/at/all: no such file or directory")
    assert "/nowhere/at/all is no program that could be started" in caplog.text


async def test_a_file_that_may_not_be_executed_fails_the_check(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("data")
    assert (await run(str(tmp_path / "data"))).detail == f"cannot start {tmp_path}/data: permission denied"


async def test_a_file_that_is_no_program_fails_the_check(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("data")
    (tmp_path / "data").chmod(0o755)
    assert (await run(str(tmp_path / "data"))).detail == f"cannot start {tmp_path}/data: exec format error"


async def test_a_hung_program_is_killed_with_all_that_it_started(tmp_path: Path) -> None:
    script = f"sleep 60 & echo $! > {tmp_path}/child; trap '' TERM INT HUP; echo $$ > {tmp_path}/own; wait"
    check = ExecCheck(shell(script))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(check.probe)
        own = await _pid(tmp_path / "own")
        child = await _pid(tmp_path / "child")
        started = time.monotonic()
        nursery.cancel_scope.cancel()
    assert time.monotonic() - started < 1
    await _gone(child)
    with pytest.raises(ProcessLookupError):
        os.kill(own, 0)


async def test_children_that_a_program_leaves_behind_do_not_hold_up_the_probe(tmp_path: Path) -> None:
    result = await run(*shell(f"sleep 60 & echo $! > {tmp_path}/child; echo done"))
    assert result == Result(ok=True, detail="exit 0: done")
    await _gone(await _pid(tmp_path / "child"))


async def test_a_program_does_not_inherit_our_descriptors() -> None:
    ours = os.open("/dev/null", os.O_RDONLY)
    os.set_inheritable(ours, True)
    assert (await run(*shell(f"test ! -e /proc/self/fd/{ours}"))).ok
    os.close(ours)


async def test_a_probe_that_was_cancelled_does_not_spoil_the_next_one() -> None:
    check = ExecCheck(shell("test -e /proc/self || sleep 60; echo fine"))
    with trio.move_on_after(0):
        await check.probe()
    assert (await check.probe()).ok


async def _pid(file: Path) -> int:
    with trio.fail_after(5):
        while not (text := _read(file)).endswith("\n"):  # noqa: ASYNC110 - another process writes it
            await trio.sleep(0.001)
    return int(text)


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


@pytest.mark.parametrize(
    ("value", "complaint"),
    [
        ("/bin/true", "'/bin/true' is not a command; write a list such as [/usr/bin/test, -e, /run/proxy.ok]"),
        ([], "this list is not a command; write a list such as [/usr/bin/test, -e, /run/proxy.ok]"),
        (["./check"], "'./check' is no program; write an absolute path, or a name that PATH leads to"),
        ([""], "'' is no program; write an absolute path, or a name that PATH leads to"),
        (["/bin/a", ["b"]], "the list holds something that is not text; write the program and its arguments as words"),
        (["/bin/a", "b\0c"], "the list holds something that is not text; write the program and its arguments as words"),
    ],
)
def test_mistakes_are_said_in_plain_words(value: object, complaint: str) -> None:
    with pytest.raises(ValidationError) as raised:
        OPTIONS.validate_python(value)
    (error,) = raised.value.errors()
    assert str(error.get("ctx", {})["error"]) == complaint
