"""Every scenario with the real agent: who serves in the end, how often the role moved, which requests failed.

Several run at a time here, and so no time is judged; `netns-lab run --all` measures them, one after another.
"""

from __future__ import annotations

import pytest

from netns_lab.judges.base import Outcome
from netns_lab.runner import judge, record
from netns_lab.scenario import available, load

pytestmark = pytest.mark.netns

NOTHING_BUT_TIMES = {"many-failing-checks", "cable-pulled-10ms", "cable-pulled-100ms"}
FLOODS = {"flood", "flood-multicast", "flood-ipv6"}
"""Half a core for 40 s: they would disturb what runs beside them. `forged-packets` is a short one."""
GENTLY = {"icmp": "4ms", "http": "8ms", "http-kept": "8ms"}
"""The pace of each probe, which leaves the processors to the agents."""
SECOND = 1_000_000_000


@pytest.mark.parametrize("name", sorted(set(available()) - NOTHING_BUT_TIMES - FLOODS))
def test_a_scenario_comes_to_the_right_end(name: str) -> None:
    settings = load(name).settings
    quick = {"interval": "250ms"} if settings.interval == SECOND else {}
    scenario = load(name, {"pace": GENTLY[settings.probe], "pause": "2s", **quick})
    findings = judge(scenario, record(scenario, "vrrpd", lambda _: None))
    assert [f for f in findings if f.limit is None and f.outcome is not Outcome.PASSED] == []
