"""From what the checks say to what the core is told: health, priority with its weights, hold-down.

Pure: the checks' last words and a time go in, an `Adjust` for each virtual router comes out. A tracked check without
a weight makes the whole router unhealthy while it is down. One with a weight changes the priority of the routers that
track it: a negative weight is added while the check is down, a positive one while it is up, and so is the number of a
`file` check; the sum stays within 1..254, and an owner's 255 is left alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from vrrpd.config.priority import weighted
from vrrpd.config.spec import MemberSpec, RouterSpec, TrackSpec
from vrrpd.proto.events import Adjust, Drain
from vrrpd.proto.hold_down import HoldDown
from vrrpd.proto.settings import HELD_DOWN, OWNER
from vrrpd.runtime.moving import Demand


@dataclass(frozen=True, slots=True)
class CheckState:
    """What a health check says.

    Attributes:
        up: the verdict.
        settled: False until the first verdict.
        since: when the verdict last changed, wall-clock seconds since 1970, for people.
        detail: what the last probe found.
        value: what it adds to the priority, None of most kinds.
    """

    up: bool
    settled: bool
    since: float
    detail: str
    value: int | None = None


def unchecked(*, up: bool) -> CheckState:
    """What a check says before its first verdict."""
    return CheckState(up, settled=False, since=0.0, detail="not checked yet")


class Health:
    """The health of one router, a group of virtual routers that move together.

    Attributes:
        unhealthy: which checks keep it out, for people; None while it is healthy.
        weighing: which checks lower its priority, for people; None while none does.
        settled: False while that is no more than that checks have not spoken yet.
        hold_down: see `HoldDown`.
        demand: what the movers ask.
    """

    def __init__(self, spec: RouterSpec) -> None:
        self.unhealthy: str | None = None
        self.weighing: str | None = None
        self.settled = False
        self.hold_down = HoldDown()
        self.demand = Demand()
        self._spec = spec

    def judge(self, checks: Mapping[str, CheckState], drain: Drain, now: int) -> list[Adjust]:
        """What each virtual router is told now, in their order."""
        required = {t.check for member in self._spec.members for t in member.track if t.weight is None}
        down = {name: checks[name] for name in sorted(required) if not checks[name].up}
        self.unhealthy = "; ".join(f"check {name} is down: {state.detail}" for name, state in down.items()) or None
        self.settled = any(state.settled for state in down.values())
        weighing = {t.check: t for m in self._spec.members for t in m.track if (t.weight or 0) < 0}
        lowers = [
            f"check {n} is down ({t.weight}): {checks[n].detail}" for n, t in weighing.items() if _failed(checks[n])
        ]
        self.weighing = "; ".join(lowers) or None
        return [self._adjust(member, checks, drain, now) for member in self._spec.members]

    def _adjust(self, member: MemberSpec, checks: Mapping[str, CheckState], drain: Drain, now: int) -> Adjust:
        priority, weights = _weighted(member.settings.priority, member.track, checks, self.demand)
        reason = self.demand.aside or self.unhealthy or weights
        if drain is not Drain.NO:
            reason = "drained"
        if self.demand.yields and priority != OWNER:
            priority, reason = HELD_DOWN, self.demand.yields
        if self.hold_down.active(now):
            priority, reason = HELD_DOWN, f"held down for {self.hold_down.length / 1e9:g} s after repeated failures"
        return Adjust(priority, self.unhealthy is None, reason, Drain.FORCE if self.demand.aside else drain)


def _failed(state: CheckState) -> bool:
    return state.settled and not state.up


def _weighted(
    priority: int, track: Iterable[TrackSpec], checks: Mapping[str, CheckState], demand: Demand
) -> tuple[int, str]:
    """The priority with its weights, and what changed it, for people."""
    shifts = {each.check: shift for each in track if (shift := _shift(each, checks[each.check]))}
    words = [f"check {name} is {'up' if checks[name].up else 'down'}: {shift:+}" for name, shift in shifts.items()]
    words += [demand.lowering] if demand.lowering else []
    if priority == OWNER or not words:
        return priority, "nothing changes the priority"
    return weighted(priority, sum(shifts.values()) + demand.weight), "; ".join(words)


def _shift(track: TrackSpec, state: CheckState) -> int:
    """What one check adds to the priority."""
    weight = track.weight or 0
    return (weight if (weight > 0) is state.up else 0) + (state.value or 0)
