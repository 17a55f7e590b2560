"""Hand-written histories: a few lines say what a lab would have recorded in seconds."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from netns_lab.history import Event, History
from netns_lab.judges.base import Case, Finding
from netns_lab.judges.registry import JUDGES

MS = 1_000_000
ADDRESS = "10.88.0.100"


class Story:
    """A history that is told in milliseconds."""

    def __init__(self) -> None:
        self.history = History()

    def step(
        self, at: float, step: str, node: str = "n1", *, mark: str | None = None, cut: bool | None = None
    ) -> Story:
        return self._add(at, "step", step=step, node=node, mark=mark, cut=cut)

    def end(self, at: float) -> Story:
        return self._add(at, "step", step="end", mark="end")

    def holds(self, at: float, node: str, *, held: bool = True, address: str = ADDRESS) -> Story:
        return self._add(at, "address", node=node, address=address, held=held)

    def lets_go(self, at: float, node: str) -> Story:
        return self.holds(at, node, held=False)

    def advert(self, at: float, node: str, priority: int, interval_ms: int = 1000, version: int = 3) -> Story:
        values = {"priority": priority, "interval_ms": interval_ms, "version": version}
        return self._add(at, "advert", node=node, vrid=51, destination="all", addresses=[ADDRESS], **values)

    def announces(self, at: float, node: str) -> Story:
        return self._add(at, "announcement", node=node, address=ADDRESS, mac="", form="arp-request")

    def answers(self, node: str, times: Iterable[int], target: str = "shared") -> Story:
        for at in times:
            self._add(at, "reply", node=node, target=target, sent=at * MS)
        return self

    def fails(self, at: float, reason: str, *, sent: float, kept: bool = False, target: str = "shared") -> Story:
        return self._add(at, "failure", target=target, sent=round(sent * MS), reason=reason, kept=kept)

    def probed(self, at: float) -> Story:
        return self._add(at, "probes", target="shared", sent=1, pace_ns=MS)

    def route(self, at: float, node: str, *, held: bool, family: str = "ipv4") -> Story:
        return self._add(at, "route", node=node, route=family, held=held)

    def looked(self, at: float, node: str, what: str, *, held: bool = True) -> Story:
        return self._add(at, "kept", node=node, what=what, held=held)

    def lost_events(self, at: float) -> Story:
        return self._add(at, "lost_events", node="n1")

    def flooded(self, at: float, sent: int, processor_s: dict[str, float]) -> Story:
        return self._add(at, "flooded", recipe="junk", sent=sent, seconds=10.0, processor_s=processor_s)

    def remapped(self, at: float, holder: str, *, by: str = "", what: str = "eipalloc-1") -> Story:
        return self._add(at, "remap", node=by or holder, action="AssociateAddress", what=what, holder=holder)

    def asks(self, at: float, node: str, action: str = "AssociateAddress", **parameters: str) -> Story:
        return self._add(at, "request", node=node, action=action, parameters=parameters, connection=0)

    def judged(self, judge: str, **options: Any) -> Finding:
        return JUDGES[judge](Case(self.history, ADDRESS, options))

    def _add(self, at: float, kind: str, **values: Any) -> Story:
        self.history.extend((Event(round(at * MS), kind, values),))
        return self


def failover(gap_ms: int = 60) -> Story:
    """n1 serves for a second, dies at 1000 ms, and n2 (priority 240, interval 1 s) answers `gap_ms` later."""
    back = 1000 + gap_ms
    return (
        Story()
        .holds(0, "n1")
        .answers("n1", range(1, 1001))
        .step(1000, "proxy-killed", mark="death")
        .advert(back - 2, "n2", 240)
        .holds(back - 1, "n2")
        .lets_go(back + 9, "n1")
        .announces(back, "n2")
        .answers("n2", range(back, 2000))
        .end(2000)
        .probed(2001)
    )
