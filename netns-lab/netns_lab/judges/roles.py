"""How often the role moved, and how soon: what an election does, apart from what the client notices of it.

The role is where the address is, by the kernels; that it was offered is told by advertisements with priority 0. An
agent may offer it and keep it (nobody better answered), which is a release and no change.
"""

from __future__ import annotations

from collections.abc import Iterator

from netns_lab.expressions import show
from netns_lab.history import Event
from netns_lab.judges.base import Case, Finding, Outcome

_SHOWN = 4


def judge_moved(case: Case) -> Finding:
    """Judge `moved: {after: MARK, under: FORMULA}`: how soon a node that had not had it gets the address."""
    title = f"role moved{case.where()}"
    asked = f"under {case.options['under']}"
    if case.history.events("lost_events"):
        return Finding(title, asked, "address events were lost", Outcome.UNKNOWN)
    start, _ = case.window()
    taken = next((event for event in _changes(case) if event["held"]), None)
    if taken is None:
        return Finding(title, asked, "nobody took it", Outcome.FAILED)
    return case.bounded(title, taken.t - start, f", to {taken['node']}")


def judge_gone(case: Case) -> Finding:
    """Judge `gone: {after: MARK, node: NAME, under: FORMULA}`: how soon a node has lost the address, for good."""
    node = str(case.options["node"])
    title = f"gone from {node}{case.where()}"
    asked = f"under {case.options['under']}"
    if case.history.events("lost_events"):
        return Finding(title, asked, "address events were lost", Outcome.UNKNOWN)
    start, _ = case.window()
    changes = [event for event in _changes(case) if event["node"] == node]
    if not changes or changes[-1]["held"]:
        return Finding(title, asked, "still there", Outcome.FAILED)
    return case.bounded(title, changes[-1].t - start, "")


def judge_no_change(case: Case) -> Finding:
    """Judge `no_change: {after: MARK}`: no node gets or loses the address, also none that is cut off."""
    title, asked = f"changes{case.where()}", "none"
    if case.history.events("lost_events"):
        return Finding(title, asked, "address events were lost", Outcome.UNKNOWN)
    start, _ = case.window()
    changes = [f"{e['node']} {'gets' if e['held'] else 'loses'} it after {show(e.t - start)}" for e in _changes(case)]
    more = [f"and {len(changes) - _SHOWN} more"] if len(changes) > _SHOWN else []
    measured = ", ".join(changes[:_SHOWN] + more) or "none"
    return Finding(title, asked, measured, Outcome.FAILED if changes else Outcome.PASSED)


def judge_releases(case: Case) -> Finding:
    """Judge `releases: {after: MARK, at_most: N}`: how often the role was offered with priority 0."""
    most = int(case.options["at_most"])
    start, finish = case.window()
    releases = 0
    last: dict[str, int] = {}
    for event in case.history.events("advert", until=finish):
        if case.address not in event["addresses"]:
            continue
        # It is repeated: one release is all of them up to the next advertisement that says something else.
        if event["priority"] == 0 and last.get(event["node"]) != 0 and event.t >= start:
            releases += 1
        last[event["node"]] = event["priority"]
    takeovers = sum(event["held"] for event in _changes(case))
    outcome = Outcome.PASSED if releases <= most else Outcome.FAILED
    return Finding(f"releases{case.where()}", f"at most {most}", f"{releases}, {takeovers} takeovers", outcome)


def _changes(case: Case) -> Iterator[Event]:
    """The events of the window in which a node gets or loses the address; a renewal changes nothing."""
    start, finish = case.window()
    held: dict[str, bool] = {}
    for event in case.history.events("address", until=finish):
        if event["address"] != case.address or held.get(event["node"], False) == event["held"]:
            continue
        held[event["node"]] = event["held"]
        if event.t >= start:
            yield event
