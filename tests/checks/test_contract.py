"""What every kind of check keeps: one test for each promise, run for each kind."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import trio

from vrrpd.checks import registry
from vrrpd.checks.base import Host, Status, Timing, Watch, run_check
from vrrpd.proto.timers import MS

KINDS = sorted(registry.KINDS)
Build = Callable[[str, dict[str, Any]], Any]


@pytest.fixture
def hung(silent_port: int) -> dict[str, Any]:
    """Options for a service that accepts and never answers, of each kind that waits for an answer."""
    return {
        "http": {"url": f"http://127.0.0.1:{silent_port}/"},
        "haproxy": {"socket": f"127.0.0.1:{silent_port}", "backend": "web"},
        "exec": ["/bin/sleep", "60"],
    }


@pytest.fixture
def broken(tmp_path: Path, closed_port: int) -> dict[str, Any]:
    """Options of each kind for a service that is down."""
    (tmp_path / "junk").write_text("junk")
    return {
        "http": {"url": f"http://127.0.0.1:{closed_port}/"},
        "tcp": f"127.0.0.1:{closed_port}",
        "haproxy": {"socket": f"127.0.0.1:{closed_port}", "backend": "web"},
        "process": {"pidfile": str(tmp_path / "pid")},
        "exec": ["/bin/false"],
        "ping": "no-such-host.invalid",
        "link": "nosuch0",
        "file": str(tmp_path / "junk"),
    }


@pytest.fixture
def working(tmp_path: Path, silent_port: int) -> dict[str, Any]:
    """Options of each kind that is satisfied without a server of its own (http and haproxy are tested with one)."""
    (tmp_path / "own").write_text(str(os.getpid()))
    return {
        "tcp": f"127.0.0.1:{silent_port}",
        "process": {"pidfile": str(tmp_path / "own")},
        "exec": ["/bin/true"],
        "ping": "127.0.0.1",
        "link": "eth0",
        "file": str(tmp_path / "none"),
    }


@pytest.fixture
def build(host: Host) -> Build:
    """Makes a check of a kind, from a table of options as a file would have them."""
    return lambda kind, options: registry.build(kind, registry.KINDS[kind].options.validate_python(options[kind]), host)


def let_go(check: Any) -> None:
    """End a check that was not run by the runner."""
    if isinstance(check, Watch):
        check.close()


async def first_verdict(check: Any) -> Status:
    """Run a check as the agent does, until it has been probed."""
    seen: list[Status] = []
    with trio.fail_after(5):
        async with trio.open_nursery() as nursery:

            def report(status: Status) -> None:
                seen.append(status)
                if len(seen) == 2:
                    nursery.cancel_scope.cancel()

            timing = Timing(interval=1000 * MS, timeout=40 * MS, rise=1, fall=1, start_up=False)
            await run_check("it", check, timing, report, wall=time.monotonic)
    return seen[1]


@pytest.mark.parametrize("kind", ["exec", "haproxy", "http"])
async def test_a_hung_probe_is_ended_at_its_timeout(kind: str, hung: dict[str, Any], build: Build) -> None:
    verdict = await first_verdict(build(kind, hung))
    assert (verdict.up, verdict.detail) == (False, "no answer within 40 ms")


@pytest.mark.parametrize("kind", KINDS)
async def test_bad_news_has_one_short_line_for_people(kind: str, broken: dict[str, Any], build: Build) -> None:
    check = build(kind, broken)
    result = await check.probe()
    assert not result.ok
    assert 0 < len(result.detail) < 250
    assert result.detail.isprintable()
    let_go(check)


@pytest.mark.parametrize("kind", ["exec", "file", "link", "ping", "process", "tcp"])
async def test_good_news_has_one_short_line_for_people(kind: str, working: dict[str, Any], build: Build) -> None:
    check = build(kind, working)
    result = await check.probe()
    assert result.ok
    assert 0 < len(result.detail) < 250
    assert result.detail.isprintable()
    let_go(check)


@pytest.mark.parametrize("kind", KINDS)
async def test_a_probe_may_be_cancelled_at_once(kind: str, broken: dict[str, Any], build: Build) -> None:
    check = build(kind, broken)
    with trio.CancelScope() as scope:
        scope.cancel()
        await check.probe()
    assert scope.cancelled_caught
    let_go(check)


@pytest.mark.parametrize("kind", sorted({*KINDS} - {"http", "haproxy"}))
def test_a_kind_that_works_here_has_nothing_against_this_host(kind: str, working: dict[str, Any]) -> None:
    assert registry.inspect(kind, registry.KINDS[kind].options.validate_python(working[kind])) is None


@pytest.mark.parametrize("kind", KINDS)
def test_options_can_be_compared(kind: str, broken: dict[str, Any]) -> None:
    options = registry.KINDS[kind].options
    assert options.validate_python(broken[kind]) == options.validate_python(broken[kind])


@pytest.mark.parametrize("kind", KINDS)
def test_options_describe_themselves_to_editors(kind: str) -> None:
    assert registry.KINDS[kind].options.json_schema()


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_has_a_test_file(kind: str) -> None:
    assert (Path(__file__).parent / f"test_check_{kind}.py").is_file()
