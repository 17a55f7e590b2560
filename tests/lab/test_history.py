"""The history: what is asked of it while a lab runs, and what is left of it in a file."""

from __future__ import annotations

from pathlib import Path

from netns_lab.history import Event, History
from tests.lab.histories import ADDRESS, Story, failover


def test_the_holders_follow_the_address_events() -> None:
    story = Story().holds(1, "n1").holds(2, "n2").lets_go(3, "n1").holds(4, "n3", address="10.88.0.13")
    assert story.history.holders(ADDRESS) == {"n2"}
    assert story.history.holders("10.88.0.200") == set()


def test_a_node_is_cut_off_until_it_is_healed() -> None:
    story = Story().step(1, "cable-pulled", cut=True)
    assert story.history.cut_off() == {"n1"}
    assert story.step(2, "cable-pulled healed", cut=False).history.cut_off() == set()


def test_events_come_in_the_order_of_time_whoever_told_them_first() -> None:
    history = History([Event(5, "advert", {}), Event(3, "address", {"address": "x", "held": True, "node": "n1"})])
    assert [event.t for event in history.events()] == [3, 5]
    assert [event.t for event in history.events(since=4)] == [5]
    assert [event.t for event in history.events(until=5)] == [3]


def test_a_history_from_a_file_is_judged_as_the_recorded_one(tmp_path: Path) -> None:
    story = failover()
    file = tmp_path / "history.jsonl"
    file.write_text("\n".join(story.history.lines()))
    again = Story()
    again.history = History.load(file)
    asked = {"after": "death", "under": "skew_time + 20ms"}
    assert again.judged("outage", **asked) == story.judged("outage", **asked)
