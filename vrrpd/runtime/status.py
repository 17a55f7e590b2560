"""The status of the agent as one object: what `vrrpd status --json` prints.

The keys are a contract. Clock values become wall-clock times here and nowhere else. A node judges itself: over plain
VRRP backups are silent, so what cannot be known is null.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import Any

from vrrpd import __version__
from vrrpd.config.spec import MoverSpec
from vrrpd.proto.effects import Role
from vrrpd.proto.router import VirtualRouter
from vrrpd.proto.states import active_of
from vrrpd.proto.timers import MS, SECOND
from vrrpd.runtime.alarms import Alarms, Code
from vrrpd.runtime.lateness import BOUNDS, Lateness
from vrrpd.runtime.links import Links
from vrrpd.runtime.member import Member
from vrrpd.runtime.moving import Moving
from vrrpd.runtime.routers import Router
from vrrpd.runtime.supervisor import Runtime


@dataclass(frozen=True, slots=True)
class Moment:
    """One instant on both clocks.

    Attributes:
        now: nanoseconds of the runtime's clock.
        wall: the same instant in UTC.
    """

    now: int
    wall: datetime

    def of(self, then: int) -> str:
        """The wall-clock time of an earlier instant of the runtime's clock, ISO 8601 in UTC."""
        return _iso(self.wall - timedelta(microseconds=(self.now - then) // 1000))


def status(
    runtime: Runtime,
    node: str,
    started: int,
    drained_until: Callable[[str], datetime | None] = lambda _: None,
    troubles: Mapping[Code, tuple[datetime, str]] = MappingProxyType({}),
) -> dict[str, Any]:
    """The whole agent.

    Args:
        runtime: what runs.
        node: our name in the configuration.
        started: when the agent started, nanoseconds of the runtime's clock.
        drained_until: when the drain of a router ends, by the router's name; None where no end is set.
        troubles: alarms of the agent as a whole: code -> since when, and a sentence.
    """
    moment = Moment(runtime.now(), datetime.now(UTC))
    return {
        "node": node,
        "version": __version__,
        "generated_at": _iso(moment.wall),
        "uptime_s": round((moment.now - started) / SECOND, 3),
        "alarms": [
            *({"code": str(code), "since": _iso(since), "detail": said} for code, (since, said) in troubles.items()),
            *_alarms(runtime.lateness.alarms, moment),
        ],
        "lateness": _lateness(runtime.lateness),
        "routers": [
            _member(runtime, router, index, moment, drained_until)
            for router in runtime.routers.values()
            for index in range(len(router.members))
        ],
    }


def _member(
    runtime: Runtime, router: Router, index: int, moment: Moment, drained_until: Callable[[str], datetime | None]
) -> dict[str, Any]:
    member, core, name = router.members[index], router.group.members[index], router.members[index].spec.router
    settings, counters, active = member.spec.settings, core.counters, active_of(core.state, core.source)
    held, until = router.health.hold_down, drained_until(name)
    return {
        "name": name,
        "vrid": settings.vrid,
        "family": str(settings.family),
        "interface": member.footing.link.name if member.footing else member.spec.interface,
        "state": _state(router, core),
        "priority": settings.priority,
        "effective_priority": 0 if (router.drained or router.aside) and router.idle else core.effective_priority,
        "active_address": str(active) if active else None,
        "since": moment.of(router.since),
        "reason": _reason(router, index),
        "drained": router.drained,
        "drained_until": _iso(until) if until and router.drained else None,
        "held_down_until": moment.of(held.until) if held.active(moment.now) else None,
        "addresses": [_address(runtime, member, i) for i in range(len(member.spec.addresses))],
        "checks": [_check(runtime, track.check) for track in member.spec.track],
        "movers": [_mover(spec, at_work) for spec, at_work in router.movement.movers if spec.router == name],
        "peers": _peers(runtime.links, member, core, moment.now),
        "alarms": _alarms(router.alarms, moment),
        "lateness": {
            "worst_ms": member.punctuality.worst / MS,
            "worst_share": round(member.punctuality.worst / settings.interval, 4),
            "late": member.punctuality.late,
        },
        "counters": {
            "adverts_sent": counters.adverts_sent,
            "adverts_received": counters.adverts_received,
            "zeros_sent": counters.zeros_sent,
            "zeros_received": counters.zeros_received,
            "stray_zero": counters.stray_zero,
            "contests": counters.contests,
            "dropped": {str(reason): count for reason, count in counters.dropped.items()},
            "checksums": {str(dialect): count for dialect, count in counters.dialects.items()},
            "transitions": counters.transitions,
        },
    }


def _lateness(lateness: Lateness) -> dict[str, Any]:
    def milliseconds(time: int | None) -> float | None:
        return None if time is None else time / MS

    return {
        "adverts": sum(lateness.counts),
        "p50_ms": milliseconds(lateness.at_most(0.5)),
        "p99_ms": milliseconds(lateness.at_most(0.99)),
        "max_ms": lateness.worst / MS,
        "buckets": [
            {"up_to_ms": milliseconds(bound), "adverts": count}
            for bound, count in zip((*BOUNDS, None), lateness.counts, strict=True)
        ],
    }


def _alarms(alarms: Alarms, moment: Moment) -> list[dict[str, Any]]:
    return [{"code": str(a.code), "since": moment.of(a.since), "detail": a.detail} for a in alarms]


def _state(router: Router, core: VirtualRouter) -> str:
    """One of init, backup, active, fault."""
    if (router.drained or router.aside) and router.idle and not router.fault:
        return str(Role.BACKUP)
    out = core.source is not None and not core.standing.takes_part
    return "fault" if router.idle and (router.fault or out) else str(router.role)


def _reason(router: Router, index: int) -> str:
    """Why the state is what it is."""
    core = router.group.members[index]
    if router.fault is not None:
        return router.fault
    if router.waits_to_hear(index):
        return f"{core.reason}; nothing was heard on the network yet"
    if core.standing.takes_part or not router.idle:
        return core.reason
    if router.drained:
        return "drained"
    return router.movement.demand.aside or router.health.unhealthy or core.reason


def _address(runtime: Runtime, member: Member, index: int) -> dict[str, Any]:
    shared = member.spec.addresses[index]
    device = member.footing.devices[index].name if member.footing else shared.device or member.spec.interface
    held = any(each.address == shared.address for each in runtime.links.on(device))
    return {"address": str(shared.address), "device": device, "held": held}


def _check(runtime: Runtime, name: str) -> dict[str, Any]:
    state = runtime.checks[name]
    since = _iso(datetime.fromtimestamp(state.since, UTC)) if state.settled else None
    return {"name": name, "state": "up" if state.up else "down", "since": since, "detail": state.detail}


def _mover(spec: MoverSpec, at_work: Moving) -> dict[str, Any]:
    report = at_work.report
    return {
        "name": spec.name,
        "state": str(report.state),
        "detail": report.detail,
        "holder": report.holder,
        "ready": report.ready,
        "why": report.why or None,
        "epoch": report.epoch,
        "attempts": report.attempts,
        "ms": report.ms,
    }


def _peers(links: Links, member: Member, core: VirtualRouter, now: int) -> list[dict[str, Any]]:
    """The peers we know of, by configuration or because we heard them."""
    listed = [*member.spec.settings.peers, *(a for a in member.spec.names if a.version == _version(member))]
    ours = {core.source, member.spec.source, *links.own()}
    known = [a for a in dict.fromkeys([*listed, *core.heard]) if a not in ours]
    return [
        {
            "address": str(address),
            "node": member.spec.names.get(address),
            "last_advert_s": round((now - core.heard[address]) / SECOND, 3) if address in core.heard else None,
        }
        for address in known
    ]


def _version(member: Member) -> int:
    return 4 if member.family == "ipv4" else 6


def _iso(time: datetime) -> str:
    return time.isoformat(timespec="milliseconds").replace("+00:00", "Z")
