"""Who serves in the end, and whose announcement the network heard last.

The client's word counts: the node that gave the last answer of the window. And the last gratuitous ARP or
unsolicited neighbour advertisement decides where switches and neighbours send their packets from then on, so after
a contest it has to be the winner's.
"""

from __future__ import annotations

from netns_lab.expressions import MS, show
from netns_lab.judges.base import Case, Finding, Outcome

_FRESH_NS = 50 * MS
"""How old the last answer may be for somebody to be serving at the end."""


def judge_serves(case: Case) -> Finding:
    """Judge `serves: {after: MARK, node: NAME}`: who answers at the end of the window."""
    title = f"who serves{case.where()}"
    asked = str(case.options["node"])
    start, finish = case.window()
    replies = [e for e in case.history.events("reply", since=start, until=finish) if e["target"] == "shared"]
    if not case.history.events("probes"):
        return Finding(title, asked, "nothing was probed", Outcome.UNKNOWN)
    if not replies:
        return Finding(title, asked, "nobody", Outcome.FAILED)
    last = replies[-1]
    if finish - last.t > _FRESH_NS:
        measured = f"nobody for the last {show(finish - last.t)}"
        return Finding(title, asked, measured, Outcome.FAILED)
    outcome = Outcome.PASSED if last["node"] == asked else Outcome.FAILED
    return Finding(title, asked, last["node"], outcome)


def judge_announces_last(case: Case) -> Finding:
    """Judge `announces_last: {after: MARK}`: the last announcement is that of the node which serves."""
    title = f"last announcement{case.where()}"
    start, finish = case.window()
    heard = [e for e in case.history.events("announcement", since=start, until=finish) if e["address"] == case.address]
    replies = [e for e in case.history.events("reply", since=start, until=finish) if e["target"] == "shared"]
    if not heard or not replies:
        missing = "nobody announced" if not heard else "nobody serves"
        return Finding(title, "by who serves", missing, Outcome.FAILED)
    announced, served = heard[-1]["node"], replies[-1]["node"]
    outcome = Outcome.PASSED if announced == served else Outcome.FAILED
    return Finding(title, f"by {served}, who serves", f"by {announced}", outcome)
