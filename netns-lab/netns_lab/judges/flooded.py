"""Whether a flood was one: what was sent, and what the agents paid for it."""

from __future__ import annotations

from netns_lab.judges.base import Case, Finding, Outcome


def judge(case: Case) -> Finding:
    """Judge `flooded: {after: MARK, packets: N}`; fewer packets than that prove nothing."""
    wanted = int(case.options["packets"])
    title, asked = f"flood{case.where()}", f"{wanted} packets"
    start, finish = case.window()
    floods = case.history.events("flooded", since=start, until=finish)
    sent = sum(event["sent"] for event in floods)
    seconds = sum(event["seconds"] for event in floods)
    shares = [
        f"{node} {100 * sum(event['processor_s'][node] for event in floods) / seconds:.0f} %"
        for node in (floods[0]["processor_s"] if floods else ())
    ]
    measured = f"{sent} in {seconds:.1f} s; processor: {', '.join(shares)}"
    return Finding(title, asked, measured, Outcome.PASSED if sent >= wanted else Outcome.UNKNOWN)
