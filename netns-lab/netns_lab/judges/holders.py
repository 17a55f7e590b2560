"""Who had the address in its kernel: never two for long, and exactly one in the end.

Holding is what netlink says, of nodes that the others can reach: a node that is dead, unplugged or behind a dead switch
does no harm with an address, and cannot know better. An address is counted from the moment that the kernel announced it
to the moment that the kernel announced its removal. The time with two holders is the sum over the window, not the
longest stretch: going to and fro is not better than staying.
"""

from __future__ import annotations

from collections.abc import Iterator

from netns_lab.history import follow_cut
from netns_lab.judges.base import Case, Finding, Outcome


def judge_together(case: Case) -> Finding:
    """Judge `two_holders: {after: MARK, under: FORMULA}`."""
    title = f"two holders{case.where()}"
    if _lost(case):
        return Finding(title, f"under {case.options['under']}", "address events were lost", Outcome.UNKNOWN)
    start, finish = case.window()
    total, since = 0, None
    for t, holders in _states(case, finish):
        if since is not None:
            total += max(0, t - max(since, start))
        since = t if len(holders) > 1 else None
    if since is not None:
        total += finish - max(since, start)
    return case.bounded(title, total, "")


def judge_single(case: Case) -> Finding:
    """Judge `single_holder: {after: MARK, node: NAME}`: one holder at the end of the window, and which."""
    title = f"holder at the end{case.where()}"
    wanted = case.options.get("node")
    asked = f"{wanted} alone" if wanted else "one node"
    if _lost(case):
        return Finding(title, asked, "address events were lost", Outcome.UNKNOWN)
    _, finish = case.window()
    *_, (_, holders) = _states(case, finish)
    good = len(holders) == 1 and wanted in {None, *holders}
    measured = " and ".join(sorted(holders)) or "nobody"
    return Finding(title, asked, measured, Outcome.PASSED if good else Outcome.FAILED)


def _states(case: Case, until: int) -> Iterator[tuple[int, frozenset[str]]]:
    """The reachable holders from each change on, up to a time."""
    holders: set[str] = set()
    cut: set[tuple[str, str]] = set()
    yield 0, frozenset()
    for event in case.history.events(until=until):
        if event.kind == "address" and event["address"] == case.address:
            (holders.add if event["held"] else holders.discard)(event["node"])
        elif event.kind == "step" and event["cut"] is not None:
            follow_cut(cut, event)
        else:
            continue
        yield event.t, frozenset(holders - {node for node, _ in cut})


def _lost(case: Case) -> bool:
    return bool(case.history.events("lost_events"))
