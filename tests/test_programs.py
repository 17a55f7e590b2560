"""Programs run through the launcher beside an event loop."""

from __future__ import annotations

import logging
import os
import signal
from pathlib import Path

import pytest
import trio

from vrrpd.errands import CannotStartError, Finished
from vrrpd.launcher import Launcher
from vrrpd.programs import LauncherClient


@pytest.fixture
def frozen(launcher: Launcher) -> Launcher:
    """A launcher that is stopped, as one that waits for the kernel would be."""
    os.kill(launcher.pid, signal.SIGSTOP)
    return launcher


def thaw(launcher: Launcher) -> None:
    os.kill(launcher.pid, signal.SIGCONT)


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def running(marker: str) -> list[int]:
    """Every process with this word among its arguments."""
    found: list[int] = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if marker.encode() in (folder / "cmdline").read_bytes().split(b"\0"):
                found.append(int(folder.name))
        except (FileNotFoundError, ProcessLookupError):
            continue
    return found


async def starts(marker: str) -> list[int]:
    with trio.fail_after(10):
        while not (found := running(marker)):  # noqa: ASYNC110 - it is not our child
            await trio.sleep(0.001)
    return found


async def ends(marker: str) -> None:
    with trio.fail_after(10):
        while running(marker):  # noqa: ASYNC110 - they are not our children
            await trio.sleep(0.001)


async def shell(programs: LauncherClient, text: str, user: str | None = None) -> Finished:
    with trio.fail_after(10):
        return await programs.run(("/bin/sh", "-c", text), user=user)


@pytest.mark.parametrize(
    ("script", "finished"),
    [
        ("exit 0", Finished(0, b"")),
        ("echo out; echo err >&2; exit 3", Finished(3, b"out\nerr\n")),
        ("printf 'no newline'", Finished(0, b"no newline")),
        ("printf '\\000\\377\\001'", Finished(0, b"\0\xff\x01")),
        ("kill -9 $$", Finished(-signal.SIGKILL, b"")),
        ("head -c 300000 /dev/zero; echo last", Finished(0, b"\0" * 4091 + b"last\n")),
        ("exec >&- 2>&-; exit 5", Finished(5, b"")),
    ],
)
async def test_a_program_ends_with_a_status_and_the_end_of_its_output(
    programs: LauncherClient, script: str, finished: Finished
) -> None:
    assert await shell(programs, script) == finished


async def test_a_program_has_the_rights_that_were_asked_for(programs: LauncherClient) -> None:
    assert (await shell(programs, "id -un")).output == b"nobody\n"
    assert (await shell(programs, "id -un", "root")).output == b"root\n"


async def test_what_cannot_start_says_why(programs: LauncherClient) -> None:
    with pytest.raises(CannotStartError, match=r"^no such file or directory$"):
        await programs.run(["/nowhere/at/all"])
    with pytest.raises(CannotStartError, match="there is no user 'no-such-user'"):
        await programs.run(["/bin/true"], user="no-such-user")
    with pytest.raises(CannotStartError, match=r"^its arguments are too long$"):
        await programs.run(["/bin/true", "x" * 100_000])


async def test_a_file_is_opened_by_whoever_may(programs: LauncherClient, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("what only root may read")
    (tmp_path / "file").chmod(0)
    opened = await programs.open(str(tmp_path / "file"))
    assert not os.get_inheritable(opened)
    with os.fdopen(opened) as file:
        assert file.read() == "what only root may read"


async def test_what_cannot_be_opened_says_why(programs: LauncherClient, tmp_path: Path) -> None:
    with pytest.raises(CannotStartError, match=r"^no such file or directory$"):
        await programs.open(str(tmp_path / "file"))
    os.mkfifo(tmp_path / "pipe")
    for odd in ("pipe", "."):
        with pytest.raises(CannotStartError, match=r"^is no regular file$"):
            await programs.open(str(tmp_path / odd))


async def test_only_what_was_promised_is_done(programs: LauncherClient, tmp_path: Path) -> None:
    for each in ("mine", "other"):
        (tmp_path / each).write_text(each)
    named, plain = {"argv": ("/usr/bin/id", "-un"), "user": "root"}, {"argv": ("/usr/bin/id", "-un"), "user": None}
    programs.promise([named, plain, {"open": str(tmp_path / "mine")}])
    assert await programs.run(["/usr/bin/id", "-un"], user="root") == Finished(0, b"root\n")
    os.close(await programs.open(str(tmp_path / "mine")))
    assert await programs.run(["/usr/bin/id", "-un"]) == Finished(0, b"nobody\n")
    refused = r"^it was not in the configuration when the agent started; restart the agent$"
    with pytest.raises(CannotStartError, match=refused):
        await programs.run(["/usr/bin/id", "-un"], user="daemon")
    with pytest.raises(CannotStartError, match=refused):
        await programs.run(["/usr/bin/id"], user="root")
    with pytest.raises(CannotStartError, match=refused):
        await programs.run(["/usr/bin/id"])
    with pytest.raises(CannotStartError, match=refused):
        await programs.open(str(tmp_path / "other"))
    programs.promise([{"open": str(tmp_path / "other")}])
    with pytest.raises(CannotStartError, match=refused):
        await programs.open(str(tmp_path / "other"))


async def test_a_program_may_print_for_ever(programs: LauncherClient) -> None:
    with trio.move_on_after(0.05) as scope:
        await programs.run(["/usr/bin/yes", "print-for-ever"])
    assert scope.cancelled_caught
    await ends("print-for-ever")


async def test_a_run_may_be_cancelled_at_any_moment(programs: LauncherClient) -> None:
    await shell(programs, "true")
    before = descriptors()
    for step in range(60):
        with trio.move_on_after(step * 0.0001):
            await programs.run(["/bin/sleep", "61.25"])
    assert descriptors() == before
    await ends("61.25")
    assert (await shell(programs, "echo fine")).output == b"fine\n"


async def test_a_cancelled_run_waits_for_nothing(programs: LauncherClient, launcher: Launcher) -> None:
    await shell(programs, "true")
    with trio.fail_after(5):
        with trio.move_on_after(0.001):
            os.kill(launcher.pid, signal.SIGSTOP)
            await programs.run(["/bin/sleep", "61.5"])
        thaw(launcher)
    await ends("61.5")


async def test_a_command_that_cannot_be_killed_is_not_started_again(
    programs: LauncherClient, launcher: Launcher
) -> None:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(programs.run, ["/bin/sleep", "61.75"])
        (pid,) = await starts("61.75")
        os.kill(launcher.pid, signal.SIGSTOP)
        nursery.cancel_scope.cancel()
    with pytest.raises(CannotStartError, match=f"^pid {pid} of the run before cannot be killed$"):
        await programs.run(["/bin/sleep", "61.75"])
    assert running("61.75") == [pid]
    thaw(launcher)
    await ends("61.75")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(programs.run, ["/bin/sleep", "61.75"])
        assert await starts("61.75") != [pid]
        nursery.cancel_scope.cancel()


async def test_a_launcher_that_does_not_answer_is_named(programs: LauncherClient, frozen: Launcher) -> None:
    with trio.move_on_after(0.001):
        await programs.run(["/bin/true"])
    with pytest.raises(CannotStartError, match=f"^the launcher \\(pid {frozen.pid}\\) does not answer$"):
        await programs.run(["/bin/true"])
    thaw(frozen)
    assert (await shell(programs, "echo back")).output == b"back\n"


async def test_more_runs_than_the_socket_holds_wait_their_turn(programs: LauncherClient, frozen: Launcher) -> None:
    ended: list[int] = []

    async def run(number: int) -> None:
        ended.append((await programs.run(["/bin/true", str(number)])).status)

    before = descriptors()
    with trio.fail_after(30):
        async with trio.open_nursery() as nursery:
            for number in range(400):
                nursery.start_soon(run, number)
            await trio.testing.wait_all_tasks_blocked(0.01)
            thaw(frozen)
    assert ended == [0] * 400
    assert descriptors() == before


async def test_two_hundred_that_hang_do_not_hold_up_one_that_does_not(programs: LauncherClient) -> None:
    async with trio.open_nursery() as nursery:
        for number in range(200):
            nursery.start_soon(programs.run, ["/bin/sleep", "62.5", f"0.{number}"])
        assert (await shell(programs, "echo here")).output == b"here\n"
        nursery.cancel_scope.cancel()
    await ends("62.5")


async def test_a_launcher_that_dies_is_noticed_and_fails_every_run(
    programs: LauncherClient, launcher: Launcher, caplog: pytest.LogCaptureFixture
) -> None:
    lost = f"^the launcher \\(pid {launcher.pid}\\) has ended; restart the agent$"
    before = descriptors()
    with trio.fail_after(10), pytest.RaisesGroup(pytest.RaisesExc(CannotStartError, match=lost)):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(programs.run, ["/bin/sleep", "62.75"])
            await starts("62.75")
            os.kill(launcher.pid, signal.SIGKILL)
    with pytest.raises(CannotStartError, match=lost):
        await programs.run(["/bin/true"])
    assert [record.getMessage() for record in caplog.records if record.levelno == logging.ERROR] == [
        f"the launcher (pid {launcher.pid}) has ended: no program can be started; restart the agent"
    ]
    assert descriptors() == before
    await ends("62.75")


async def test_what_is_added_to_the_environment_is_all_there_is_beside_path_and_language(
    programs: LauncherClient,
) -> None:
    done = await programs.run(["/usr/bin/env"], environment={"VRRPD_NODE": "lb1"})
    names = {line.partition("=")[0] for line in done.output.decode().splitlines()}
    assert names == {"PATH", "LANG", "VRRPD_NODE"}
