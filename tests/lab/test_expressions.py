"""Durations and formulas as a person writes them into a scenario."""

from __future__ import annotations

import pytest

from netns_lab.expressions import Timers, evaluate, parse_duration, show

MS = 1_000_000
NAMES = Timers(version=3, priority=240, interval=1000 * MS).names()


@pytest.mark.parametrize(
    ("text", "milliseconds"),
    [
        ("10ms", 10),
        ("interval", 1000),
        ("skew_time + 20ms", 82.5),
        ("active_down_interval + 20ms", 3082.5),
        ("2 * interval + 20ms", 2020),
        ("2 * (interval + 20ms)", 2040),
        ("1.5s - 500ms - 1ms", 999),
        ("  1m ", 60_000),
    ],
)
def test_a_formula_has_the_value_that_it_reads_as(text: str, milliseconds: float) -> None:
    assert evaluate(text, NAMES) == milliseconds * MS


@pytest.mark.parametrize("text", ["", "10 ms 5", "interval +", "(interval", "2 ** 3", "10d", "__import__", "-5ms"])
def test_what_is_no_formula_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"formula|unknown"):
        evaluate(text, NAMES)


def test_an_unknown_name_is_told_with_those_that_exist() -> None:
    with pytest.raises(ValueError, match=r"'skew' .* active_down_interval, interval, skew_time"):
        evaluate("skew + 1ms", NAMES)


@pytest.mark.parametrize(
    ("text", "nanoseconds"),
    [
        ("250ms", 250 * MS),
        ("1s", 1000 * MS),
        ("2m", 120_000 * MS),
        ("1h", 3_600_000 * MS),
        (0.2, 200 * MS),
        ("3", 3000 * MS),
    ],
)
def test_a_duration_is_a_number_with_a_unit_or_of_seconds(text: str | float, nanoseconds: int) -> None:
    assert parse_duration(text) == nanoseconds


@pytest.mark.parametrize("text", ["", "fast", "-1s", "10 parsecs", "1s2", "nan"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is no duration"):
        parse_duration(text)


def test_the_examples_of_the_standard_come_out() -> None:
    # RFC 9568 6.1 with an interval of one second
    down = [Timers(3, priority, 1000 * MS).active_down_interval / MS for priority in (254, 100, 1)]
    assert down == [pytest.approx(3007.8, abs=0.1), pytest.approx(3609.4, abs=0.1), pytest.approx(3996.1, abs=0.1)]


def test_times_are_shown_with_a_useful_number_of_digits() -> None:
    assert [show(1.234 * MS), show(82.5 * MS), show(3082.5 * MS)] == ["1.2 ms", "82.5 ms", "3082 ms"]
