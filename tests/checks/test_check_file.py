"""The check `file: PATH`, with files that are written, replaced and deleted."""
# ruff: noqa: ASYNC240 - these tests are about files

from __future__ import annotations

import os
import threading
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import pytest
import trio
from pydantic import ValidationError

from vrrpd.checks import file
from vrrpd.checks.base import Result, Status, Timing, run_check
from vrrpd.checks.file import OPTIONS, FileCheck
from vrrpd.linux.inotify import FileWatch
from vrrpd.proto.timers import SECOND

# An interval that no test lives to see: whatever is noticed is noticed by the event.
RARELY = Timing(interval=1000 * SECOND, timeout=SECOND, rise=1, fall=1, start_up=False)
OFTEN = Timing(interval=SECOND // 100, timeout=SECOND, rise=1, fall=1, start_up=False)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "weight"


async def probe(path: Path) -> Result:
    check = FileCheck(OPTIONS.validate_python(str(path)))
    try:
        with trio.fail_after(5):
            return await check.probe()
    finally:
        check.close()


@pytest.mark.parametrize(
    ("text", "value", "detail"),
    [("10\n", 10, "+10"), ("-254", -254, "-254"), (" +254 \n\n", 254, "+254"), ("0", 0, "+0"), ("007", 7, "+7")],
)
async def test_the_number_is_read(path: Path, text: str, value: int, detail: str) -> None:
    path.write_text(text)
    assert await probe(path) == Result(ok=True, detail=detail, value=value)


async def test_a_missing_file_adds_nothing(path: Path) -> None:
    assert await probe(path) == Result(ok=True, detail="no file, which adds nothing", value=0)
    assert (await probe(path / "below" / "nothing")).value == 0


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (b"", "nothing"),
        (b" \n", "nothing"),
        (b"255", "'255'"),
        (b"-255", "'-255'"),
        (b"1.5", "'1.5'"),
        (b"10 20", "'10 20'"),
        (b"1_0", "'1_0'"),
        (b"0x10", "'0x10'"),
        ("\u0661".encode(), "'\u0661'"),
        (b"9" * 100_000, f"'{'9' * 20}'"),
        (b"1\x00\x1b", r"'1\x00\x1b'"),
        (b"\xff", "'\N{REPLACEMENT CHARACTER}'"),
    ],
)
async def test_anything_else_has_failed_and_says_what_would_be_right(path: Path, content: bytes, found: str) -> None:
    path.write_bytes(content)
    assert await probe(path) == Result(
        ok=False, detail=f"{path} holds {found}; write a whole number of -254..254 into it"
    )


async def test_what_is_no_file_has_failed(path: Path) -> None:
    os.mkfifo(path)
    assert await probe(path) == Result(ok=False, detail=f"{path}: is no regular file")
    assert await probe(path.parent) == Result(ok=False, detail=f"{path.parent}: is no regular file")


async def test_a_file_that_is_closed_to_us_is_named_with_its_owner(path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can become somebody else")
    path.write_text("1")
    path.chmod(0o600)
    for folder in path.parents:
        if folder.stat().st_mode & 0o005 != 0o005:
            folder.chmod(0o755)
    os.seteuid(65534)
    try:
        result = await probe(path)
    finally:
        os.seteuid(0)
    assert not result.ok
    assert result.detail.startswith(f"no permission to use {path}, which belongs to root:root with mode 0600; ")


class Report:
    """What a running check reports of the file."""

    def __init__(self) -> None:
        self.last: Status | None = None
        self._news = trio.Event()

    def __call__(self, status: Status) -> None:
        self.last = status
        self._news.set()

    async def until(self, value: int | None) -> None:
        """Wait until the file is said to hold this."""
        with trio.fail_after(5):
            while self.last is None or not self.last.settled or self.last.value != value:
                self._news = trio.Event()
                await self._news.wait()


@asynccontextmanager
async def followed(path: Path, timing: Timing = RARELY) -> AsyncGenerator[Report]:
    """A check that runs while a test changes its file."""
    report = Report()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(partial(run_check, "it", FileCheck(str(path)), timing, report, wall=time.monotonic))
        yield report
        nursery.cancel_scope.cancel()


class TestChanges:
    async def test_are_seen_at_once(self, path: Path) -> None:
        async with followed(path) as report:
            await report.until(0)
            path.write_text("10")
            await report.until(10)
            path.write_text("-20")
            await report.until(-20)
            path.unlink()
            await report.until(0)

    async def test_by_renaming_are_seen_at_once(self, path: Path) -> None:
        path.write_text("1")
        async with followed(path) as report:
            await report.until(1)
            fresh = path.with_suffix(".new")
            fresh.write_text("2")
            fresh.rename(path)
            await report.until(2)
            path.rename(fresh)
            await report.until(0)

    async def test_in_a_directory_that_is_made_later_are_seen_by_the_next_probe(self, path: Path) -> None:
        inside = path / "weight"
        async with followed(inside, OFTEN) as report:
            await report.until(0)
            path.mkdir()
            inside.write_text("3")
            await report.until(3)

    async def test_in_a_directory_that_is_replaced_are_seen_at_once(self, path: Path) -> None:
        path.mkdir()
        inside = path / "weight"
        inside.write_text("1")
        async with followed(inside) as report:
            await report.until(1)
            path.rename(path.with_suffix(".old"))
            await report.until(0)
            path.mkdir()
            inside.write_text("2")
        async with followed(inside) as report:
            await report.until(2)

    async def test_are_seen_by_the_interval_where_the_kernel_tells_nothing(
        self, path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def refused(path: str) -> FileWatch:
            raise OSError(24, "Too many open files")

        monkeypatch.setattr(file, "FileWatch", refused)
        async with followed(path, OFTEN) as report:
            await report.until(0)
            path.write_text("5")
            await report.until(5)


async def test_a_file_system_that_hangs_takes_one_thread_and_no_more(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path.write_text("1")
    over, started = threading.Event(), 0

    def hang(path: str) -> bytes:
        nonlocal started
        started += 1
        over.wait()
        return b"1"

    monkeypatch.setattr(file, "_read", hang)
    check = FileCheck(str(path))
    for _ in range(3):
        with trio.move_on_after(0.02) as scope:
            await check.probe()
        assert scope.cancelled_caught
    assert started == 1
    over.set()
    with trio.fail_after(5):
        assert (await check.probe()).ok
    check.close()


@pytest.mark.parametrize("value", ["weight", "./weight", "/a\0b"])
def test_a_path_is_absolute(value: str) -> None:
    with pytest.raises(ValidationError) as raised:
        OPTIONS.validate_python(value)
    (error,) = raised.value.errors()
    assert "is no absolute path; write one that begins with /" in str(error.get("ctx", {})["error"])
