"""Nodes with a driver at work, on virtual time."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from ipaddress import ip_address
from random import Random

import trio

from tests.movers.cloud import Cloud, CloudMover
from vrrpd.movers.base import CommonOptions
from vrrpd.movers.contention import Ranks
from vrrpd.movers.driver import MoverDriver
from vrrpd.movers.report import Report

NAMES = ("low", "high")
PRIORITY = {"low": 100, "high": 200}
ADDRESS = {"low": ip_address("10.0.0.1"), "high": ip_address("10.0.0.2")}


@dataclass
class Node:
    """One node.

    Attributes:
        name: "low" or "high", as it ranks.
        reports: (when, report) after each change.
        obedient: it gives the role up as soon as the driver wants to stand aside, as the agent does.
        look: what happens in the step in which a change leaves.
        heard: what other nodes advertised last.
    """

    name: str
    mover: CloudMover
    options: CommonOptions
    seed: int = 0
    reports: list[tuple[float, Report]] = field(default_factory=list[tuple[float, Report]])
    obedient: bool = True
    look: Callable[[], None] = lambda: None
    heard: dict[str, int] = field(default_factory=dict[str, int])

    def __post_init__(self) -> None:
        peers = {name: (PRIORITY[name], ADDRESS[name]) for name in NAMES if name != self.name}
        self.driver = MoverDriver(
            "eip",
            self.mover,
            self.options,
            Ranks(ADDRESS[self.name], peers, self.heard.get),
            changed=self._changed,
            look=lambda: self.look(),  # noqa: PLW0108 - a test changes it
            log=logging.getLogger(f"vrrpd.{self.name}"),
            random=Random(self.seed),
        )

    @property
    def report(self) -> Report:
        return self.driver.report

    def want(self, active: bool) -> None:
        self.driver.want(active, PRIORITY[self.name])

    def states(self) -> list[str]:
        """Each state once, in their order."""
        every = [str(report.state) for _, report in self.reports]
        return [state for i, state in enumerate(every) if i == 0 or state != every[i - 1]]

    def first(self, true: Callable[[Report], object]) -> float | None:
        """When a report first was so."""
        return next((when for when, report in self.reports if true(report)), None)

    def _changed(self) -> None:
        before = self.reports[-1][1] if self.reports else Report()
        now = self.driver.report
        self.reports.append((round(trio.current_time(), 6), now))
        if self.obedient and (now.aside or (now.yields and not before.yields)):
            self.want(False)


def node(cloud: Cloud, name: str = "low", *, seed: int = 0, **options: str) -> Node:
    """A node that is not at work yet; options as in a file."""
    return Node(name, CloudMover(cloud, name, set(NAMES) - {name}), CommonOptions.model_validate(options), seed)


async def at_work(nursery: trio.Nursery, *nodes: Node) -> None:
    """Set nodes to work, and let them get ready."""
    for each in nodes:
        nursery.start_soon(each.driver.run)
    await trio.sleep(10)


async def until(so: Callable[[], object]) -> float:
    """Wait until something is so, in virtual time; return when it was."""
    with trio.fail_after(3600):
        while not so():  # noqa: ASYNC110 - nothing tells of it, and this is no real time
            await trio.sleep(0.02)
    return trio.current_time()
