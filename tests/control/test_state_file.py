"""The file that outlives a reboot: whole or not at all, and never in the way of the event loop."""

from __future__ import annotations

import errno
import os
import stat
import threading
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio
from trio.testing import MockClock

from vrrpd.control import state_file
from vrrpd.control.client import DEFAULT_CONTROL
from vrrpd.control.state_file import StateFile, state_path
from vrrpd.errors import VrrpdError


class Keeper:
    """A state file with a text that tests change."""

    def __init__(self, path: Path) -> None:
        self.text = "one"
        self.file = StateFile(str(path), lambda: self.text)


@asynccontextmanager
async def keeping(path: Path) -> AsyncGenerator[Keeper]:
    keeper = Keeper(path)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(keeper.file.run)
        yield keeper
        nursery.cancel_scope.cancel()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "lib" / "state.json"


def content(path: Path) -> str:
    return path.read_text()


def neighbours(path: Path) -> list[str]:
    return sorted(each.name for each in path.parent.iterdir())


def prepare(path: Path, text: str) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)


@pytest.mark.parametrize(
    ("control", "path"),
    [
        (DEFAULT_CONTROL, "/var/lib/vrrpd/state.json"),
        ("/run/x/lab.sock", "/run/x/lab.state.json"),
        ("/run/x/lab.one", "/run/x/lab.one.state.json"),
        ("/run/x/lab", "/run/x/lab.state.json"),
    ],
)
def test_each_control_socket_has_its_state(control: str, path: str) -> None:
    assert state_path(control) == path


async def test_what_was_saved_is_read_again(path: Path) -> None:
    async with keeping(path) as keeper:
        assert keeper.file.read() is None
        for keeper.text in ("one", "two"):
            await keeper.file.save()
            assert StateFile(str(path), str).read() == keeper.text.encode()
    assert neighbours(path) == ["state.json"]


async def test_others_may_not_read_it(path: Path) -> None:
    async with keeping(path) as keeper:
        await keeper.file.save()
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o600  # noqa: PTH116


@pytest.mark.parametrize("step", ["fsync", "replace"])
async def test_a_write_that_fails_leaves_what_was_there(path: Path, step: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    async with keeping(path) as keeper:
        await keeper.file.save()
        keeper.text = "two"
        monkeypatch.setattr(*((os, "fsync") if step == "fsync" else (Path, "replace")), fail)
        with pytest.raises(VrrpdError, match=rf"cannot write {path}: No space left on device; .* --state"):
            await keeper.file.save()
        assert content(path) == "one"
        assert neighbours(path) == ["state.json"]
        monkeypatch.undo()
        await keeper.file.save()
    assert content(path) == "two"


async def test_the_leftover_of_a_crash_is_no_hindrance(path: Path, tmp_path: Path) -> None:
    prepare(path, "one")
    precious = tmp_path / "precious"
    prepare(precious, "precious")
    (path.parent / "state.json.new").symlink_to(precious)
    async with keeping(path) as keeper:
        keeper.text = "two"
        await keeper.file.save()
    assert (content(path), content(precious)) == ("two", "precious")
    assert neighbours(path) == ["state.json"]


async def test_a_directory_is_neither_read_nor_replaced_nor_renamed(path: Path) -> None:
    await trio.Path(path).mkdir(parents=True)
    async with keeping(path) as keeper:
        with pytest.raises(VrrpdError, match="it is no regular file"):
            keeper.file.read()
        with pytest.raises(VrrpdError, match="it is no regular file"):
            await keeper.file.save()
        assert "cannot be renamed" in keeper.file.set_aside()
    assert neighbours(path) == ["state.json"]


async def test_what_is_set_aside_is_kept(path: Path) -> None:
    prepare(path, "nonsense")
    async with keeping(path) as keeper:
        assert keeper.file.set_aside() == f"it is kept as {path}.bad"
        await keeper.file.save()
    assert (content(path), content(path.with_name("state.json.bad"))) == ("one", "nonsense")


class SlowDisk:
    """Writes that wait until they are let go."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.written: list[str] = []
        self.begun = threading.Semaphore(0)
        self.free = threading.Event()
        monkeypatch.setattr(state_file, "_replace", self._replace)

    def _replace(self, _: Path, text: str) -> None:
        self.begun.release()
        self.free.wait()
        self.written.append(text)


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> SlowDisk:
    return SlowDisk(monkeypatch)


async def test_wishes_that_come_during_a_write_share_the_next_and_get_the_latest(path: Path, disk: SlowDisk) -> None:
    async with keeping(path) as keeper, trio.open_nursery() as nursery:
        nursery.start_soon(keeper.file.save)
        await trio.to_thread.run_sync(disk.begun.acquire)
        for keeper.text in ("two", "three"):
            nursery.start_soon(keeper.file.save)
        await trio.testing.wait_all_tasks_blocked()
        disk.free.set()
    assert disk.written == ["one", "three"]


async def test_a_disk_that_hangs_holds_up_who_waits_for_it_for_five_seconds_and_the_end_of_the_agent_not_at_all(
    path: Path, disk: SlowDisk, mock_clock: MockClock
) -> None:
    async with keeping(path) as keeper, trio.open_nursery() as nursery:

        async def wait() -> None:
            with pytest.raises(VrrpdError, match="the disk has not answered for 5 s"):
                await keeper.file.save()

        nursery.start_soon(wait)
        await trio.to_thread.run_sync(disk.begun.acquire)
        await trio.testing.wait_all_tasks_blocked()
        mock_clock.jump(5)
    assert disk.written == []
    disk.free.set()
