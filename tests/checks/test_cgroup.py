"""The processes of a systemd unit, found in trees of control groups as systemd makes them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from vrrpd.checks.cgroup import by_unit, full_name


def group(path: Path, *pids: int) -> None:
    """Make a control group with these processes in it."""
    path.mkdir(parents=True)
    (path / "cgroup.procs").write_text("".join(f"{pid}\n" for pid in pids))


def pids(unit: str, *mounts: Path) -> list[int]:
    return [process.pid for process in by_unit(unit, mounts).processes]


@pytest.mark.parametrize(
    "where",
    [
        "system.slice/web.service",
        "web.slice/web.service",
        "system.slice/system-web.slice/web.service",
        "edge.slice/edge-inner.slice/web.service",
    ],
)
def test_a_unit_is_found_in_whatever_slice_it_is(tmp_path: Path, where: str) -> None:
    (tmp_path / "system.slice").mkdir()
    (tmp_path / "user.slice").mkdir()
    group(tmp_path / where, os.getpid())
    assert pids("web.service", tmp_path) == [os.getpid()]


def test_the_service_of_a_user_is_another_one(tmp_path: Path) -> None:
    group(tmp_path / "user.slice/user-1.slice/user@1.service/app.slice/web.service", os.getpid())
    assert by_unit("web.service", [tmp_path]).problem == "no unit web.service runs here"


def test_processes_of_groups_below_count(tmp_path: Path) -> None:
    group(tmp_path / "system.slice/web.service")
    group(tmp_path / "system.slice/web.service/a/b", os.getppid(), os.getpid())
    assert pids("web.service", tmp_path) == [os.getppid(), os.getpid()]


def test_processes_of_another_namespace_and_dead_ones_do_not(tmp_path: Path) -> None:
    group(tmp_path / "system.slice/web.service", 0, (1 << 22) - 1)
    assert by_unit("web.service", [tmp_path]).problem == "unit web.service has no process"


def test_all_places_are_looked_at_where_control_groups_may_be(tmp_path: Path) -> None:
    group(tmp_path / "unified/system.slice/web.service", os.getpid())
    assert pids("web.service", tmp_path, tmp_path / "none", tmp_path / "unified") == [os.getpid()]


def test_a_group_that_may_not_be_read_is_named(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can become somebody else")
    group(tmp_path / "system.slice/web.service", os.getpid())
    for folder in (tmp_path, *tmp_path.parents[:3]):
        folder.chmod(0o755)
    (tmp_path / "system.slice/web.service/cgroup.procs").chmod(0)
    os.seteuid(65534)
    try:
        problem = by_unit("web.service", [tmp_path]).problem
    finally:
        os.seteuid(0)
    assert problem == f"{tmp_path}/system.slice/web.service: permission denied"


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("haproxy", "haproxy.service"),
        ("haproxy.service", "haproxy.service"),
        ("web.1", "web.1.service"),
        ("session-1.scope", "session-1.scope"),
        (r"haproxy@lb\x2d1", r"haproxy@lb\x2d1.service"),
    ],
)
def test_a_unit_is_named_as_for_systemctl(text: str, name: str) -> None:
    assert full_name(text) == name


@pytest.mark.parametrize("text", ["", "a/b", "..", ".service", "a b", "a*"])
def test_what_no_unit_is_called_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is no name of a unit; write one such as haproxy"):
        full_name(text)
