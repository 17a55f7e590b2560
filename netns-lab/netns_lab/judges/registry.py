"""The judges of the lab: the name of an expectation in a scenario and the function that judges it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

from netns_lab.judges import (
    alarms,
    cloud,
    flooded,
    holders,
    kept,
    lateness,
    outage,
    requests,
    roles,
    service,
    steps,
    wellformed,
)
from netns_lab.judges.base import Case, Finding

STANDING: Sequence[Callable[[Case], Finding]] = (kept.judge, steps.judge)
"""Those of every scenario, which need not be named."""

_CLOUD: Mapping[str, Callable[[Case], Finding]] = {
    "remaps": cloud.judge_remaps,
    "cloud_holder": cloud.judge_holder,
    "remapped": cloud.judge_remapped,
    "changes_asked": cloud.judge_changes_asked,
}
CLOUD_JUDGES = frozenset(_CLOUD)
"""Those that need a cloud."""

JUDGES: Mapping[str, Callable[[Case], Finding]] = MappingProxyType(
    {
        "outage": outage.judge,
        "failed_requests": requests.judge_failed,
        "lost_connections": requests.judge_lost,
        "moved": roles.judge_moved,
        "gone": roles.judge_gone,
        "no_change": roles.judge_no_change,
        "releases": roles.judge_releases,
        "two_holders": holders.judge_together,
        "single_holder": holders.judge_single,
        "serves": service.judge_serves,
        "announces_last": service.judge_announces_last,
        "lateness": lateness.judge,
        "flooded": flooded.judge,
        "alarm": alarms.judge,
        "wellformed": wellformed.judge,
        **_CLOUD,
    }
)
