"""Durations, and the little formulas that bound them: `active_down_interval + 20ms`, `2 * interval + 20ms`.

A scenario says its limits in the protocol's own terms, because they depend on who takes over and with what interval it
was configured. The grammar is the least that reads well:

    sum     = product (("+" | "-") product)*
    product = factor ("*" factor)*
    factor  = NUMBER [ms | s | m | h] | NAME | "(" sum ")"

Values are nanoseconds, as floats. The formulas are those of RFC 9568 6.1 and RFC 3768 6.1, written down here once more:
a lab that took them from the agent would agree with its mistakes.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

MS = 1_000_000
SECOND = 1_000 * MS

_UNITS = {"": 1, "ms": MS, "s": SECOND, "m": 60 * SECOND, "h": 3600 * SECOND}
_TOKEN = re.compile(r"\s*(?:(?P<number>\d+(?:\.\d+)?)(?P<unit>ms|s|m|h)?\b|(?P<name>[a-z_]+)|(?P<sign>[-+*()]))")
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h)?")


def parse_duration(text: str | float) -> int:
    """A duration such as `250ms`, `1s`, `2m`, `1h` or a number of seconds, in nanoseconds.

    Raises:
        ValueError: it is not one.
    """
    match = _DURATION.fullmatch(str(text).strip())
    if not match:
        raise ValueError(f"{text!r} is no duration; write 250ms, 1s, 2m, 1h or a number of seconds")
    return round(float(match[1]) * _UNITS[match[2] or "s"])


def show(nanoseconds: float) -> str:
    """A duration for people: milliseconds with one decimal, without it from a second up."""
    milliseconds = nanoseconds / MS
    return f"{milliseconds:.0f} ms" if milliseconds >= 1000 else f"{milliseconds:.1f} ms"


@dataclass(frozen=True, slots=True)
class Timers:
    """The protocol's times for the node that takes over, from what it advertised.

    Attributes:
        version: 2 or 3.
        priority: its priority.
        interval: its advertisement interval in nanoseconds.
    """

    version: int
    priority: int
    interval: int

    @property
    def skew_time(self) -> float:
        """Skew_Time: RFC 9568 6.1; in version 2 of one second, whatever the interval (RFC 3768 6.1)."""
        return (256 - self.priority) * (SECOND if self.version == 2 else self.interval) / 256

    @property
    def active_down_interval(self) -> float:
        """Active_Down_Interval, RFC 9568 6.1."""
        return 3 * self.interval + self.skew_time

    def names(self) -> dict[str, float]:
        """What a formula may call them."""
        return {
            "interval": self.interval,
            "skew_time": self.skew_time,
            "active_down_interval": self.active_down_interval,
        }


NAMES = frozenset(Timers(3, 100, SECOND).names())
"""The names that a formula may use."""


def evaluate(text: str, names: Mapping[str, float]) -> float:
    """The value of a formula in nanoseconds.

    Args:
        text: the formula.
        names: name -> nanoseconds.

    Raises:
        ValueError: not a formula, or with a name that is not in `names`.
    """
    return _Parser(text, names).parse()


class _Parser:
    def __init__(self, text: str, names: Mapping[str, float]) -> None:
        self._text = text
        self._names = names
        self._at = 0

    def parse(self) -> float:
        value = self._sum()
        if self._text[self._at :].strip():
            raise self._mistake()
        return value

    def _sum(self) -> float:
        value = self._product()
        while (sign := self._sign("+-")) is not None:
            value = value + self._product() if sign == "+" else value - self._product()
        return value

    def _product(self) -> float:
        value = self._factor()
        while self._sign("*") is not None:
            value *= self._factor()
        return value

    def _factor(self) -> float:
        if self._sign("(") is not None:
            value = self._sum()
            if self._sign(")") is None:
                raise self._mistake()
            return value
        match = _TOKEN.match(self._text, self._at)
        if match is None or match["sign"]:
            raise self._mistake()
        self._at = match.end()
        if match["number"]:
            return float(match["number"]) * _UNITS[match["unit"] or ""]
        if match["name"] not in self._names:
            known = ", ".join(sorted(self._names))
            raise ValueError(f"{match['name']!r} in {self._text!r} is unknown; there are {known}")
        return self._names[match["name"]]

    def _sign(self, signs: str) -> str | None:
        match = _TOKEN.match(self._text, self._at)
        if match is None or not match["sign"] or match["sign"] not in signs:
            return None
        self._at = match.end()
        return match["sign"]

    def _mistake(self) -> ValueError:
        return ValueError(f"{self._text!r} is no formula from here on: {self._text[self._at :]!r}")
