"""Flap protection: how long a router that moved too often is held down."""

from __future__ import annotations

from vrrpd.proto.hold_down import HoldDown
from vrrpd.proto.timers import SECOND

MINUTE = 60 * SECOND


def released(*times: int) -> HoldDown:
    hold_down = HoldDown()
    for at in times:
        hold_down.released(at * SECOND)
    return hold_down


def test_two_releases_in_a_minute_are_nobodys_concern() -> None:
    assert not released(100, 110).active(110 * SECOND)


def test_the_third_within_a_minute_holds_down_for_ten_seconds() -> None:
    hold_down = released(100, 110, 159)
    assert hold_down.active(169 * SECOND - 1)
    assert not hold_down.active(169 * SECOND)


def test_releases_further_apart_are_not_counted_together() -> None:
    assert not released(100, 131, 161).active(161 * SECOND)


def test_every_further_release_doubles_it_up_to_five_minutes() -> None:
    hold_down, now, lengths = released(0, 1), 2 * SECOND, list[int]()
    for _ in range(8):
        hold_down.released(now)
        lengths.append(hold_down.length // SECOND)
        now = hold_down.until
    assert lengths == [10, 20, 40, 80, 160, 300, 300, 300]


def test_ten_quiet_minutes_forgive_everything() -> None:
    hold_down = released(0, 1, 2)
    hold_down.released(2 * SECOND + 10 * MINUTE)
    assert not hold_down.active(2 * SECOND + 10 * MINUTE)
    almost = released(0, 1, 2)
    almost.released(2 * SECOND + 10 * MINUTE - 1)
    assert almost.length == 20 * SECOND
