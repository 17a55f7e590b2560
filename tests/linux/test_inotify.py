"""Changes of one file, told by a real kernel."""
# ruff: noqa: ASYNC240 - these tests are about files

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import trio
import trio.testing

from vrrpd.linux.inotify import FileWatch


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "file"


@pytest.fixture
def watch(path: Path) -> Iterator[FileWatch]:
    found = FileWatch(str(path))
    found.attach()
    yield found
    found.close()


async def hears(watch: FileWatch) -> bool:
    """Whether a change was told; the kernel has told it before the change returned."""
    with trio.move_on_after(0.02):
        await watch.changed()
        return True
    return False


def append(path: Path) -> None:
    with path.open("a") as file:
        file.write("x")


def replace(path: Path) -> None:
    (path.parent / "fresh").write_text("x")
    (path.parent / "fresh").rename(path)


CHANGES: list[Callable[[Path], object]] = [
    append,
    replace,
    Path.unlink,
    lambda path: path.rename(path.parent / "elsewhere"),
]


@pytest.mark.parametrize("change", CHANGES, ids=["write", "replace", "delete", "move away"])
async def test_every_change_of_the_file_is_told(path: Path, watch: FileWatch, change: Callable[[Path], object]) -> None:
    path.write_text("x")
    assert await hears(watch)
    change(path)
    assert await hears(watch)
    assert not await hears(watch)


async def test_other_files_of_the_directory_are_not(path: Path, watch: FileWatch) -> None:
    (path.parent / "file2").write_text("x")
    (path.parent / "fil").write_text("x")
    assert not await hears(watch)


async def test_half_a_change_is_not(path: Path, watch: FileWatch) -> None:
    with path.open("w") as file:
        file.write("x")
        file.flush()
        assert not await hears(watch)
    assert await hears(watch)


async def test_a_directory_that_comes_later_is_watched_from_the_next_attach(path: Path) -> None:
    inside = path / "file"
    watch = FileWatch(str(inside))
    watch.attach()
    path.mkdir()
    watch.attach()
    inside.write_text("x")
    assert await hears(watch)
    watch.close()


@pytest.mark.parametrize("gone", ["deleted", "moved"])
async def test_a_directory_that_goes_is_told_and_its_successor_watched(path: Path, gone: str) -> None:
    inside = path / "file"
    path.mkdir()
    watch = FileWatch(str(inside))
    watch.attach()
    if gone == "deleted":
        path.rmdir()
    else:
        path.rename(path.parent / "old")
    assert await hears(watch)
    path.mkdir()
    watch.attach()
    while await hears(watch):  # what is left to say about the old one
        pass
    inside.write_text("x")
    assert await hears(watch)
    watch.close()


async def test_whoever_waits_hears_of_the_end(watch: FileWatch) -> None:
    with pytest.RaisesGroup(trio.ClosedResourceError):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(watch.changed)
            await trio.testing.wait_all_tasks_blocked()
            watch.close()
