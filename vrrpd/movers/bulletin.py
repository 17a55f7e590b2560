"""Keeps the report of a mover at work: tells of each change, and ends what is over by itself.

An alarm stands until its cause is gone or, where the cause is an event, for a while after it. Staying out of the
election is over when its time is.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from math import inf
from types import MappingProxyType
from typing import Any, Never

import trio

from vrrpd.movers.base import Holder, Who
from vrrpd.movers.contention import PEACE_S, Asides
from vrrpd.movers.report import Report, State, Trouble

STOLEN_FADES_S = 300
"""How long the alarm about a theft stands when there is no other."""


class Bulletin:
    """Tells of one mover.

    Attributes:
        report: how it does; another object after each change.
    """

    def __init__(self, name: str, changed: Callable[[], None], log: logging.Logger) -> None:
        """Begin with a mover that nobody has asked anything.

        Args:
            name: of the mover, for people.
            changed: called after each change of the report; must not block.
            log: where events go.
        """
        self.report = Report()
        self._name = name
        self._changed: Callable[[], None] | None = changed
        self._log = log
        self._standing: dict[Trouble, tuple[str, float]] = {}  # sentence, and when it is over by itself
        self._asides = Asides()
        self._aside_until = inf
        self._back = trio.Event()
        self._rearmed = trio.Event()

    def show(self, **changes: Any) -> None:
        """Renew the report."""
        said = MappingProxyType({str(code): self._standing[code][0] for code in sorted(self._standing)})
        report = replace(self.report, troubles=said, **changes)
        if report != self.report:
            self.report = report
            if self._changed is not None:
                self._changed()

    def remark(self, level: int, text: str) -> None:
        """Log an event, in plain words."""
        self._log.log(level, "%s: %s", self._name, text)

    def stand(self, code: Trouble, sentence: str, lasts: float = inf) -> bool:
        """Raise an alarm, or prolong it, for so many seconds; return whether it says anything new."""
        known = self._standing.get(code, ("", 0))[0]
        self._standing[code] = sentence, trio.current_time() + lasts
        self._rearmed.set()
        return sentence != known

    def end(self, code: Trouble) -> None:
        """End an alarm; nothing where it does not stand."""
        self._standing.pop(code, None)

    def fail(self, sentence: str) -> None:
        """It is not here, and a person should look."""
        self.stand(Trouble.FAILED, sentence)
        self.show(state=State.FAILED)

    def lost(self, taker: Holder, *, contended: bool) -> tuple[State, str]:
        """Say that it is gone while the role is here; not again for each time that the same happens.

        Args:
            taker: where it is.
            contended: it was taken too often lately.

        Returns:
            What that means for the report: state and detail.
        """
        gone = "nobody has it any more" if taker.who is Who.NOBODY else f"{taker} has taken it"
        sentence = f"{gone} while the role is here; it is taken back"
        news = taker.who is Who.NOBODY or self.stand(Trouble.STOLEN, sentence, STOLEN_FADES_S)
        if contended:
            sentence = f"{gone} again and again; it is taken back once a minute; find out who else moves it"
            news = self.stand(Trouble.CONTENDED, sentence, PEACE_S)
        if news:
            self.remark(logging.WARNING, sentence)
        return (State.CONTENDED if contended else State.ACQUIRING), sentence

    def stand_aside(self, reason: str) -> None:
        """Leave the election for a while."""
        self._back = trio.Event()
        length = self._stay_back()
        self._yield(f"{reason}; the role is given away, and this node stays out for {length:g} s", length, aside=reason)

    def offer(self, reason: str) -> None:
        """Let any other node have the role for a while; this one serves where there is none."""
        length = self._stay_back()
        sentence = f"{reason}; the role is offered to the other nodes, and this one is a last resort for {length:g} s"
        self._yield(sentence, length, yields=reason)

    def _stay_back(self) -> float:
        now = trio.current_time()
        length = self._asides.next(now)
        self._aside_until = now + length
        return length

    def _yield(self, sentence: str, length: float, **demand: str) -> None:
        self.stand(Trouble.YIELDED, sentence, length)
        self.remark(logging.WARNING, sentence)
        self.show(detail=sentence, **demand)

    def take_part(self) -> None:
        """Take part in the election again; nothing where this node does."""
        self._aside_until = inf
        if not (self.report.aside or self.report.yields):
            return
        self.end(Trouble.YIELDED)
        self._back.set()
        self.remark(logging.INFO, "takes part in the election again")
        self.show(aside=None, yields=None)

    async def back_in(self) -> None:
        """Return when this node takes part in the election; at once where it does."""
        if self.report.aside is not None:
            await self._back.wait()

    def hush(self) -> None:
        """Tell nobody any more: who listened is gone."""
        self._changed = None

    async def run(self) -> Never:
        """End what is over by itself, for ever."""
        while True:
            due = min((until for _, until in self._standing.values()), default=inf)
            with trio.move_on_at(min(due, self._aside_until)):
                await self._rearmed.wait()
                self._rearmed = trio.Event()
            now = trio.current_time()
            self._standing = {code: (said, until) for code, (said, until) in self._standing.items() if until > now}
            if now >= self._aside_until:
                self.take_part()
            self.show()
