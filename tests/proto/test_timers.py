"""The timers of RFC 9568 6.1 and RFC 3768 6.1, by example."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.proto.builders import ms
from vrrpd.proto.timers import CENTISECOND, SECOND, active_down_interval, next_advert, skew_time


@pytest.mark.parametrize(
    ("priority", "down_in_ms"), [(254, 3007.8125), (100, 3609.375), (1, 3996.09375), (255, 3003.90625)]
)
def test_the_down_interval_at_one_second(priority: int, down_in_ms: float) -> None:
    assert active_down_interval(3, priority, SECOND) == ms(down_in_ms)


def test_ten_centiseconds_keep_their_fractions() -> None:
    assert skew_time(3, 100, 10 * CENTISECOND) == ms(60.9375)
    assert active_down_interval(3, 100, 10 * CENTISECOND) == ms(360.9375)


def test_the_shortest_interval_keeps_priorities_apart() -> None:
    assert skew_time(3, 250, CENTISECOND) == 234_375
    assert skew_time(3, 240, CENTISECOND) - skew_time(3, 250, CENTISECOND) == 390_625


@pytest.mark.parametrize("interval", [SECOND, 10 * SECOND, 255 * SECOND])
def test_the_skew_of_version_2_is_a_part_of_one_second_whatever_the_interval(interval: int) -> None:
    assert skew_time(2, 100, interval) == ms(609.375)
    assert active_down_interval(2, 100, interval) == 3 * interval + ms(609.375)


def test_the_number_of_missed_advertisements_can_be_chosen() -> None:
    assert active_down_interval(3, 128, SECOND, down_adverts=5) == ms(5500)


@given(st.sampled_from([2, 3]), st.integers(1, 254), st.integers(1, 4095))
def test_a_higher_priority_is_always_sooner_and_never_immediate(version: int, priority: int, centiseconds: int) -> None:
    interval = centiseconds * CENTISECOND

    assert 0 < skew_time(version, priority + 1, interval) < skew_time(version, priority, interval)


def test_an_advertisement_follows_the_last_one_after_an_interval() -> None:
    assert next_advert(ms(1234), SECOND, None) == ms(2234)
    assert next_advert(ms(2200), SECOND, ms(200)) == ms(3200)


@given(start=st.integers(0, 10**12), phase=st.integers(0, SECOND - 1))
def test_advertisements_fall_into_step_at_once_and_never_come_late(start: int, phase: int) -> None:
    times = [start]
    for _ in range(3):
        times.append(next_advert(times[-1], SECOND, phase))
    gaps = [later - earlier for earlier, later in pairwise(times)]
    assert 0 < gaps[0] <= SECOND
    assert gaps[1:] == [SECOND, SECOND]
    assert times[-1] % SECOND == phase
