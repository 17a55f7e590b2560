"""What judges share: the finding, the window of time that an expectation is about, who took over in it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from netns_lab.errors import LabError
from netns_lab.expressions import MS, NAMES, Timers, evaluate, show
from netns_lab.history import History


class Outcome(StrEnum):
    """What a history says to an expectation."""

    PASSED = "passed"
    FAILED = "failed"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Finding:
    """The answer of a judge.

    Attributes:
        title: the expectation in a few words.
        asked: what had to be.
        measured: what was.
        outcome: the verdict on this run.
        value: the measured time in nanoseconds, where the expectation bounds a time.
        limit: its bound in nanoseconds.
    """

    title: str
    asked: str
    measured: str
    outcome: Outcome
    value: float | None = None
    limit: float | None = None


@dataclass(frozen=True, slots=True)
class Case:
    """What is judged.

    Attributes:
        history: what was recorded.
        address: the shared address.
        options: the options of the expectation.
    """

    history: History
    address: str
    options: Mapping[str, Any]

    @property
    def reached(self) -> bool:
        """Whether the scenario got as far as the moment that the expectation names."""
        name = self.options.get("after")
        return name is None or self.history.mark(name) is not None

    def window(self) -> tuple[int, int]:
        """From the moment that the expectation names (`after`) to the next marked moment, or the end of the history.

        Without `after`: everything.

        Raises:
            LabError: no step has that mark.
        """
        events = self.history.events()
        if not events:
            raise LabError("the history is empty")
        name = self.options.get("after")
        start = events[0].t if name is None else self.history.mark(name)
        if start is None:
            raise LabError(f"no step is marked {name!r}")
        if name is None:
            finish = self.history.mark("end")
        else:
            later = [event.t for event in self.history.events("step", since=start + 1) if event["mark"]]
            finish = min(later, default=None)
        return start, finish or events[-1].t + 1

    def where(self) -> str:
        """The moment, for a title, and the network where it is not the first."""
        name, network = self.options.get("after"), self.options.get("network", 1)
        return (f" after {name}" if name else "") + (f" on network {network}" if network > 1 else "")

    def timers(self) -> Timers | None:
        """The times of the node that takes over in the window: the first that newly gets the address.

        Where none does, because the winner had it all along, it is the node that advertises last. They come from
        its own advertisements, so they are those that were in force. None where nobody advertises.
        """
        start, finish = self.window()
        adverts = [e for e in self.history.events("advert", since=start, until=finish) if e["priority"] > 0]
        for event in self.history.events("address", since=start, until=finish):
            if event["address"] == self.address and event["held"]:
                adverts = [advert for advert in adverts if advert["node"] == event["node"]][:1]
                break
        if not adverts:
            return None
        advert = adverts[-1]
        return Timers(advert["version"], advert["priority"], advert["interval_ms"] * MS)

    def bounded(self, title: str, value: float, what: str) -> Finding:
        """The finding about a time that has to stay `under` a formula.

        Args:
            title: the expectation in a few words.
            value: nanoseconds.
            what: added to the measured time, for people.
        """
        formula = str(self.options["under"])
        timers = self.timers()
        measured = f"{show(value)}{what}"
        try:
            limit = evaluate(formula, timers.names() if timers else {})
        except ValueError:
            return Finding(title, f"under {formula}", f"{measured}; nobody took over", Outcome.UNKNOWN, value)
        asked = f"under {show(limit)}" + (f" ({formula})" if any(name in formula for name in NAMES) else "")
        outcome = Outcome.PASSED if value < limit else Outcome.FAILED
        return Finding(title, asked, measured, outcome, value, limit)
