"""How many requests failed: each is counted, none is estimated.

A failed request is one of the window if it began before the window's end and failed after its beginning, so one that
was on its way when something happened counts as well. What fails on a connection that had answered before is counted
apart: a client that keeps connections has to expect that they break when the address moves, and asks again.
"""

from __future__ import annotations

from collections import Counter

from netns_lab.judges.base import Case, Finding, Outcome


def judge_failed(case: Case) -> Finding:
    """Judge `failed_requests: {after: MARK, at_most: N}`: requests on new connections, or their first ones."""
    return _count(case, f"failed requests{case.where()}", kept=False)


def judge_lost(case: Case) -> Finding:
    """Judge `lost_connections: {after: MARK, at_most: N}`: kept connections that broke under a request."""
    return _count(case, f"kept connections lost{case.where()}", kept=True)


def _count(case: Case, title: str, *, kept: bool) -> Finding:
    most = int(case.options["at_most"])
    start, finish = case.window()
    if not case.history.events("probes"):
        return Finding(title, f"at most {most}", "nothing was asked", Outcome.UNKNOWN)
    answered = [e for e in case.history.events("reply", since=start, until=finish) if e["target"] == "shared"]
    failed = [
        event
        for event in case.history.events("failure", since=start)
        if event["target"] == "shared" and event["kept"] is kept and event["sent"] < finish
    ]
    reasons = ", ".join(f"{count} {reason}" for reason, count in Counter(e["reason"] for e in failed).most_common())
    measured = f"{len(failed)} of {len(answered) + len(failed)} requests" + (f": {reasons}" if reasons else "")
    return Finding(title, f"at most {most}", measured, Outcome.PASSED if len(failed) <= most else Outcome.FAILED)
