"""Where the elastic address pointed, by what the cloud itself wrote down, and how often and how soon it moved.

Every change of its holder is counted, whoever asked for it: a remap may be billed.
"""

from __future__ import annotations

from itertools import pairwise

from netns_lab.cloud.client import ELASTIC
from netns_lab.expressions import MS, show
from netns_lab.history import Event
from netns_lab.judges.base import Case, Finding, Outcome


def judge_remaps(case: Case) -> Finding:
    """Judge `remaps: {after: MARK, at_most: N}`: how often the elastic address moved."""
    most = int(case.options["at_most"])
    start, finish = case.window()
    moves = [event for event in _moves(case, finish) if event.t >= start]
    story = ", ".join(f"{event['holder'] or 'nobody'} after {show(event.t - start)}" for event in moves)
    outcome = Outcome.PASSED if len(moves) <= most else Outcome.FAILED
    return Finding(f"remaps{case.where()}", f"at most {most}", f"{len(moves)}: {story}" if moves else "none", outcome)


def judge_holder(case: Case) -> Finding:
    """Judge `cloud_holder: {after: MARK, node: NAME, under: FORMULA}`: it points there in the end, and since when.

    Without `under`: only where.
    """
    node = str(case.options["node"])
    title = f"the cloud points to {node}{case.where()}"
    start, finish = case.window()
    moves = _moves(case, finish)
    holder = str(moves[-1]["holder"]) if moves else ""
    if holder != node:
        return Finding(title, "in the end", f"{holder or 'nobody'} has it", Outcome.FAILED)
    since = max(0, moves[-1].t - start)
    if "under" not in case.options:
        return Finding(title, "in the end", f"for good after {show(since)}", Outcome.PASSED)
    return case.bounded(title, since, ", for good")


def judge_remapped(case: Case) -> Finding:
    """Judge `remapped: {after: MARK, under: FORMULA}`: from the change of role to the change in the cloud.

    The change of role is when the kernel of the new holder got the shared address, which happens beside the call.
    """
    title = f"role change to remap{case.where()}"
    asked = f"under {case.options['under']}"
    start, finish = case.window()
    for move in _moves(case, finish):
        taken = [
            event.t
            for event in case.history.events("address", since=start, until=finish)
            if event["address"] == case.address and event["held"] and event["node"] == move["holder"]
        ]
        if move.t >= start and taken:
            return case.bounded(title, max(0, move.t - taken[0]), f", to {move['holder']}")
    return Finding(title, asked, "it did not follow the role", Outcome.FAILED)


def judge_changes_asked(case: Case) -> Finding:
    """Judge `changes_asked: {after: MARK, node: NAME, at_most: N}`: how often a node asked for it."""
    node, most = str(case.options["node"]), int(case.options["at_most"])
    start, finish = case.window()
    asked = [
        event.t
        for event in case.history.events("request", since=start, until=finish)
        if event["node"] == node
        and event["action"] == "AssociateAddress"
        and event["parameters"].get("DryRun") != "true"
    ]
    gaps = [later - earlier for earlier, later in pairwise(asked)]
    shortest = f", {show(min(gaps))} apart at least" if gaps else ""
    good = len(asked) <= most and min(gaps, default=_APART_NS) >= _APART_NS
    title = f"changes that {node} asked for{case.where()}"
    limits = f"at most {most}, {show(_APART_NS)} apart"
    return Finding(title, limits, f"{len(asked)}{shortest}", Outcome.PASSED if good else Outcome.FAILED)


_APART_NS = 100 * MS
"""Nobody asks again sooner, whatever the answer was."""


def _moves(case: Case, finish: int) -> list[Event]:
    """How the elastic address moved, from the beginning."""
    return [event for event in case.history.events("remap", until=finish) if event["what"] == ELASTIC]
