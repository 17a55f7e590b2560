"""The checks of an agent at work: each built from its options, run for ever, its word handed to the runtime.

Imported where a file has checks.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

import trio

from vrrpd.checks.base import Host, Status, Timing, run_check, stagger
from vrrpd.checks.registry import build
from vrrpd.config.spec import CheckSpec
from vrrpd.programs import LauncherClient
from vrrpd.runtime.health import CheckState
from vrrpd.runtime.supervisor import Runtime


def start(nursery: trio.Nursery, runtime: Runtime, programs: LauncherClient, checks: Sequence[CheckSpec]) -> None:
    """Run all checks; the first probes are spread over the interval, so that many checks do not start as one."""
    host = Host(programs, runtime.links)
    for index, check in enumerate(checks):
        offset = stagger(index, len(checks), check.interval)
        nursery.start_soon(_check, runtime, host, check, offset)


async def _check(runtime: Runtime, host: Host, spec: CheckSpec, offset: int) -> None:
    """Run one check."""

    def report(state: Status) -> None:
        runtime.check_changed(spec.name, CheckState(state.up, state.settled, state.since, state.detail, state.value))

    timing = Timing(spec.interval, spec.timeout, spec.rise, spec.fall, spec.start_up)
    wall = lambda: datetime.now(UTC).timestamp()  # noqa: E731 - one expression, used here alone
    check = build(spec.kind, spec.options, host)
    await run_check(spec.name, check, timing, report, wall=wall, offset=offset)
