"""Whether all steps of a scenario were done: one that waits in vain ends it; what was recorded until then counts."""

from __future__ import annotations

from netns_lab.judges.base import Case, Finding, Outcome

GAVE_UP = "gave up"
"""The step that ends a scenario early."""


def judge(case: Case) -> Finding:
    """Judge what every scenario expects, without being asked."""
    reasons = [str(event["reason"]) for event in case.history.events("step") if event["step"] == GAVE_UP]
    measured = "; ".join(reasons) or "all"
    return Finding("steps", "all done", measured, Outcome.FAILED if reasons else Outcome.PASSED)
