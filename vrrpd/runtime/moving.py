"""What moves with the role beside addresses on an interface: elastic addresses, routes, the answer to a health probe.

Owns what a router knows of its movers: it tells them of the role, runs them for as long as it lives, and takes from
their reports what the election has to know. A mover reconciles in a task of its own, so that nothing here waits, and no
advertisement does.

    router -- want(role is ours, priority) --> mover
    router <-- changed, then its report: ready? priority? stand aside? offer the role? alarms? -- mover

`Moving` and `Report` are what a router needs of a mover at work; `vrrpd.movers.driver` is one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Never, Protocol

import trio

from vrrpd.config.spec import MoverSpec
from vrrpd.runtime.alarms import Alarms, Code

FAREWELL_S = 4.0
"""How long giving up what was moved may take at a clean stop, in seconds."""

CODES = (Code.MOVER_CONTENDED, Code.MOVER_FAILED, Code.MOVER_STOLEN, Code.MOVER_UNREADY, Code.MOVER_YIELDED)
"""The alarms that movers raise."""


class Report(Protocol):
    """How one mover does."""

    @property
    def state(self) -> str:
        """One word."""
        ...

    @property
    def detail(self) -> str:
        """One line for people."""
        ...

    @property
    def holder(self) -> str | None:
        """Who has it, as far as is known."""
        ...

    @property
    def ready(self) -> bool:
        """Whether it could be taken over by this node now."""
        ...

    @property
    def why(self) -> str:
        """Why not; "" where it could."""
        ...

    @property
    def epoch(self) -> int:
        """How often the role came or went."""
        ...

    @property
    def attempts(self) -> int:
        """Tried since the role came."""
        ...

    @property
    def ms(self) -> float | None:
        """How long it took to bring it here the last time, in milliseconds; None before."""
        ...

    @property
    def weight(self) -> int:
        """What is added to the priority for now; 0 while this node is ready."""
        ...

    @property
    def aside(self) -> str | None:
        """Why this node has to give the role up and stay out, for as long as this stands; None where it need not."""
        ...

    @property
    def yields(self) -> str | None:
        """Why any other node should have the role, for as long as this stands; None where it need not."""
        ...

    @property
    def troubles(self) -> Mapping[str, str]:
        """Alarms: code -> sentence."""
        ...


class Moving(Protocol):
    """One mover at work."""

    @property
    def local(self) -> bool:
        """What it moves is on this host: it stays as long as the addresses do, also while the role is handed over."""
        ...

    @property
    def report(self) -> Report:
        """How it does; another object after each change."""
        ...

    def want(self, active: bool, priority: int) -> None:
        """The role is ours, with this effective priority, or it is ours no longer. Waits for nothing."""
        ...

    def heard(self, name: str, priority: int) -> None:
        """A node advertises that it is Active; its address, where it has no name. Waits for nothing."""
        ...

    async def run(self) -> Never:
        """Bring about what is wanted, until cancelled."""
        ...

    async def release(self) -> None:
        """After `run`, at a clean stop that nobody followed: give up what the file says is to be given up then."""
        ...


Start = Callable[[MoverSpec, Callable[[], None]], Moving]
"""Makes a mover of its specification; it calls the second argument after each change of its report."""


@dataclass(frozen=True, slots=True)
class Demand:
    """What all movers of a router together ask of the election.

    Attributes:
        weight: what is added to the priority.
        lowering: who lowers it, and why, for people; None while nobody does.
        aside: why this node has to stay out; None where it need not.
        yields: why this node is a last resort only; None where it is not.
    """

    weight: int = 0
    lowering: str | None = None
    aside: str | None = None
    yields: str | None = None


class Movement:
    """The movers of one router.

    Attributes:
        demand: see `Demand`.
        movers: with their specifications, in the order of the file.
        over: set when `run` has ended.
    """

    def __init__(self, specs: Sequence[MoverSpec], start: Start, changed: Callable[[], None]) -> None:
        """Make all movers; nothing is asked of anybody before `run`.

        Args:
            specs: what moves.
            start: see `Start`.
            changed: called when `demand` has changed.
        """
        self.demand = Demand()
        self.movers: list[tuple[MoverSpec, Moving]] = []
        self.over = trio.Event()
        self._changed = changed
        self._wanted: tuple[bool, bool, int] | None = None
        self._scope = trio.CancelScope()
        self._gives_up = False
        for spec in specs:
            self.movers.append((spec, start(spec, self._look)))

    def want(self, *, active: bool, holds: bool, priority: int) -> None:
        """Tell all movers where the role is.

        Args:
            active: it is ours, and not being given away.
            holds: the addresses are here: it is ours, or still being given away.
            priority: our effective priority.
        """
        if self.movers and self._wanted != (active, holds, priority):
            self._wanted = active, holds, priority
            for _, mover in self.movers:
                mover.want(holds if mover.local else active, priority)

    def heard(self, name: str, priority: int) -> None:
        """Tell all movers that another node is Active.

        Args:
            name: of the node; its address, where it has none.
            priority: what it says, above 0.
        """
        for _, mover in self.movers:
            mover.heard(name, priority)

    def raise_alarms(self, alarms: Alarms, now: int) -> None:
        """Hold the alarms of all movers against what they report."""
        for code in CODES if self.movers else ():
            said = [f"{spec.name}: {m.report.troubles[code]}" for spec, m in self.movers if code in m.report.troubles]
            alarms.set(code, "; ".join(said) or None, now)

    async def run(self) -> None:
        """Run all movers until `close`."""
        try:
            with self._scope:
                async with trio.open_nursery() as nursery:
                    for _, mover in self.movers:
                        nursery.start_soon(mover.run)
            if self._gives_up:
                with trio.move_on_after(FAREWELL_S):
                    async with trio.open_nursery() as nursery:
                        for _, mover in self.movers:
                            nursery.start_soon(mover.release)
        finally:
            self.over.set()

    def close(self, *, give_up: bool) -> None:
        """End all movers, for good.

        Args:
            give_up: this is a clean stop of the agent, and no other node followed.
        """
        self._gives_up = give_up
        self._scope.cancel()

    def _look(self) -> None:
        """A report has changed: what does that mean for the election?"""
        reports = [(spec, mover.report) for spec, mover in self.movers]
        low = [f"{spec.name} is not ready ({report.weight}): {report.why}" for spec, report in reports if report.weight]
        self.demand = Demand(
            weight=sum(report.weight for _, report in reports),
            lowering="; ".join(low) or None,
            aside=next((report.aside for _, report in reports if report.aside), None),
            yields=next((report.yields for _, report in reports if report.yields), None),
        )
        self._changed()
