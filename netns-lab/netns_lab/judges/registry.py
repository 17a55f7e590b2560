"""The judges of the lab: the name of an expectation in a scenario and the function that judges it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from netns_lab.judges import holders, outage, service, wellformed
from netns_lab.judges.base import Case, Finding

JUDGES: Mapping[str, Callable[[Case], Finding]] = MappingProxyType(
    {
        "outage": outage.judge,
        "two_holders": holders.judge_together,
        "single_holder": holders.judge_single,
        "serves": service.judge_serves,
        "announces_last": service.judge_announces_last,
        "wellformed": wellformed.judge,
    }
)
