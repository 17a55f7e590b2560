"""Priorities that follow from the order of nodes."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vrrpd.config.priority import MOST_NODES, from_order, weighted
from vrrpd.proto.timers import CENTISECOND, MS, SECOND, skew_time


@pytest.mark.parametrize(
    ("count", "version", "interval", "priorities"),
    [
        (1, 3, SECOND, [250]),
        (3, 3, SECOND, [250, 240, 230]),
        (3, 3, 100 * MS, [250, 240, 230]),
        (3, 3, 10 * MS, [250, 145, 40]),
        (2, 3, 10 * MS, [250, 145]),
        (3, 3, 50 * MS, [250, 225, 200]),
        (3, 2, SECOND, [250, 240, 230]),
        (5, 3, 10 * MS, [250, 188, 126, 64, 2]),
        (25, 3, SECOND, [*range(250, 0, -10)]),
        (4, 3, 20 * MS, [250, 195, 140, 85]),
    ],
)
def test_the_order_of_nodes_gives_priorities(count: int, version: int, interval: int, priorities: list[int]) -> None:
    assert from_order(count, version, interval) == priorities


@given(st.integers(1, MOST_NODES), st.sampled_from([2, 3]), st.integers(1, 4095))
def test_priorities_are_different_fall_and_leave_room_for_owner_and_unhealthy(
    count: int, version: int, centiseconds: int
) -> None:
    priorities = from_order(count, version, centiseconds * CENTISECOND)
    assert priorities == sorted(set(priorities), reverse=True)
    assert priorities[0] == 250
    assert priorities[-1] >= 2


@given(st.integers(2, 3), st.integers(1, 4095))
def test_the_timers_of_three_neighbours_can_be_told_apart(version: int, centiseconds: int) -> None:
    interval = centiseconds * CENTISECOND
    skews = [skew_time(version, priority, interval) for priority in from_order(3, version, interval)]
    assert all(later - sooner >= 3.9 * MS for sooner, later in pairwise(skews))


@pytest.mark.parametrize(
    ("base", "total", "priority"),
    [(240, -20, 220), (240, 10, 250), (240, 15, 254), (240, -253, 1), (1, -1, 1), (255, -253, 255), (255, 5, 255)],
)
def test_weights_move_a_priority_between_the_last_resort_and_the_owner(base: int, total: int, priority: int) -> None:
    assert weighted(base, total) == priority
