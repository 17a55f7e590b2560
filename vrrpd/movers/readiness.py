"""Counts failures in a row of what keeps a node ready, on a Backup and on an Active, and raises the alarm about them.

One failure comes and goes; the second in a row is believed, and so is one that repeating does not mend.
"""

from __future__ import annotations

import logging

from vrrpd.movers.base import MoverError
from vrrpd.movers.bulletin import Bulletin
from vrrpd.movers.report import Trouble

_BELIEVED = 2


class Readiness:
    """Of one mover, from one change of the role to the next."""

    def __init__(self, tell: Bulletin, wrong: str, right: str) -> None:
        """Begin without a failure, and without the alarm.

        Args:
            tell: of the mover.
            wrong: what a failure means, for people.
            right: what its end means.
        """
        self._tell = tell
        self._wrong = wrong
        self._right = right
        self._failures = 0
        tell.end(Trouble.UNREADY)

    @property
    def lost(self) -> bool:
        """Whether enough failures are believed."""
        return self._failures >= _BELIEVED

    def failed(self, error: MoverError, *, for_certain: bool) -> None:
        """One more failure; `for_certain`: repeating does not mend it."""
        before = self.lost
        self._failures = _BELIEVED if for_certain else self._failures + 1
        if self.lost:
            sentence = f"{self._wrong}: {error}"
            self._tell.stand(Trouble.UNREADY, sentence)
            if not before:
                self._tell.remark(logging.WARNING, sentence)

    def succeeded(self) -> None:
        """The row has ended."""
        if self.lost:
            self._tell.remark(logging.INFO, self._right)
        self._failures = 0
        self._tell.end(Trouble.UNREADY)
