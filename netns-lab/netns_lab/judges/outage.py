"""How long the client got no answer.

The outage after a moment is the longest time between two consecutive answers of the shared address, from the last
answer before the moment to the end of the window. Where a role moves cleanly that is the gap around the answer in which
the answering node changes; where it does not, a gap before or after the change counts too, since the client noticed it
as well. No answer until the end of the window counts to its end. A service that never paused measures about one pace of
the probe (1 ms for icmp, 2 ms for http), never zero.

The control is the same measure over the address that does not move, for the whole run.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from netns_lab.history import Event, History
from netns_lab.judges.base import Case, Finding, Outcome


def judge(case: Case) -> Finding:
    """Judge `outage: {after: MARK, under: FORMULA}`."""
    title = f"outage{case.where()}"
    start, finish = case.window()
    replies = _replies(case.history, "shared")
    before = [event for event in replies if event.t < start]
    after = [event for event in replies if start <= event.t < finish]
    if not before:
        return Finding(title, f"under {case.options['under']}", "no answer before it", Outcome.UNKNOWN)
    first = before[-1]
    value = longest_gap([first.t, *(event.t for event in after), finish])
    served = _served([first, *after])
    return case.bounded(title, value, f", {' > '.join(served)}" + ("" if after else ", no answer any more"))


def control_gap(history: History) -> int | None:
    """The longest time between two answers of the control, in nanoseconds; None where it was not probed."""
    times = [event.t for event in _replies(history, "control")]
    return longest_gap(times) if len(times) > 1 else None


def longest_gap(times: Sequence[int]) -> int:
    """The longest step in a rising sequence of times."""
    return max(second - first for first, second in pairwise(times))


def _replies(history: History, target: str) -> list[Event]:
    return [event for event in history.events("reply") if event["target"] == target]


def _served(replies: Sequence[Event]) -> list[str]:
    """Who answered, in turn; at most the last four, as a contest can go to and fro."""
    nodes = [replies[0]["node"]]
    for event in replies[1:]:
        if event["node"] != nodes[-1]:
            nodes.append(event["node"])
    return nodes[-4:]
