"""The cloud in memory that the driver is tried on: it keeps the contract, or those tests would show nothing."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager

import trio

from tests.movers.cloud import Cloud, CloudMover
from tests.movers.stage import MEANS, Desk, Fault, Stage
from vrrpd.movers.base import Who


@asynccontextmanager
async def memory(_desk: Desk) -> AsyncGenerator[Stage]:
    async with trio.open_nursery() as nursery:
        cloud = Cloud(nursery)
        mover = CloudMover(cloud, "low", ["high"])

        def fail(fault: Fault) -> Callable[[], None]:
            def begin() -> None:
                if fault is Fault.SILENT:
                    cloud.delay["low"] = 3600
                elif fault is Fault.CUT:
                    cloud.lost = 1000
                else:
                    mover.failing["acquire"] = mover.failing["holder"] = lambda: MEANS[fault]("it refuses")

            return begin

        def asked() -> list[str]:
            changes = [(when, "change") for when, who in cloud.changes if who == "low"]
            reads = [(when, name) for when, name in mover.calls if "holder" in name]
            return [name for _, name in sorted(changes + reads)]

        yield Stage(
            mover,
            asked=asked,
            changes=lambda: ["change" for _ in cloud.changes],
            give={
                Who.NOBODY: lambda: cloud.give(None),
                Who.PEER: lambda: cloud.give("high"),
                Who.FOREIGN: lambda: cloud.give("eni-9"),
            },
            faults={fault: fail(fault) for fault in Fault},
        )
        nursery.cancel_scope.cancel()


CELLS = {"memory": memory}
