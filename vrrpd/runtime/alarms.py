"""Alarms: conditions that need a person, each with a code, a beginning and a sentence.

The README lists the codes. An alarm is raised, kept while its cause is seen again, and cleared; both ends are logged,
the repetitions in between are not, so a flood of bad packets makes one line. One that nobody clears by hand ends by
itself when its cause has not been seen for a minute.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum

from vrrpd.proto.timers import SECOND

FADES_AFTER = 60 * SECOND


class Code(StrEnum):
    """What can be wrong; stable names."""

    ADDRESS_FAILED = "address_failed"
    ADDRESS_STOLEN = "address_stolen"
    CARP = "carp"
    CHECK_DOWN = "check_down"
    CLOCK_SKEW = "clock_skew"
    DOUBTFUL = "doubtful"
    DRAIN_NOT_KEPT = "drain_not_kept"
    FOREIGN_ADDRESS = "foreign_address"
    HELD_DOWN = "held_down"
    LATE_ADVERTS = "late_adverts"
    LAUNCHER_GONE = "launcher_gone"
    LONG_INTERVAL = "long_interval"
    LOOP = "loop"
    MOVER_CONTENDED = "mover_contended"
    MOVER_FAILED = "mover_failed"
    MOVER_STOLEN = "mover_stolen"
    MOVER_UNREADY = "mover_unready"
    MOVER_YIELDED = "mover_yielded"
    NO_AGENT = "no_agent"
    NO_GUARDIAN = "no_guardian"
    ONE_WAY = "one_way"
    OVERSLEPT = "overslept"
    REFUSED_ADVERT = "refused_advert"
    SECOND_HOLDER = "second_holder"
    SEND_FAILED = "send_failed"
    SERVING_UNHEALTHY = "serving_unhealthy"
    SPLIT_GROUP = "split_group"
    TWO_ACTIVE = "two_active"
    UNHEALTHY = "unhealthy"
    UNLISTED_SOURCE = "unlisted_source"


@dataclass(frozen=True, slots=True)
class Alarm:
    """One raised alarm.

    Attributes:
        code: what is wrong.
        since: when it was raised, nanoseconds of the runtime's clock.
        seen: when its cause was last seen; None for one that lasts until it is cleared.
        detail: a sentence with the cause and the mend.
    """

    code: Code
    since: int
    seen: int | None
    detail: str


class Alarms:
    """The alarms of one router, or of what all of them share."""

    def __init__(self, log: Callable[[str], None]) -> None:
        """Start with none.

        Args:
            log: told of each alarm that is raised or cleared.
        """
        self._log = log
        self._raised: dict[Code, Alarm] = {}

    def __iter__(self) -> Iterator[Alarm]:
        return iter(self._raised.values())

    def __bool__(self) -> bool:
        return bool(self._raised)

    def __contains__(self, code: Code) -> bool:
        return code in self._raised

    def set(self, code: Code, detail: str | None, now: int) -> bool:
        """Raise an alarm that lasts (`detail`), or clear it (None). Returns whether anything changed."""
        if detail is None:
            return self._clear(code)
        return self._raise(Alarm(code, now, None, detail))

    def hold(self, codes: Iterable[Code], found: Mapping[Code, str], now: int) -> None:
        """Of these lasting alarms exactly those that are found are raised from now on."""
        if found or self._raised:
            for code in codes:
                self.set(code, found.get(code), now)

    def seen(self, code: Code, detail: str, now: int) -> bool:
        """Raise an alarm that fades a minute after the last call. Returns whether it is new."""
        return self._raise(Alarm(code, now, now, detail))

    def fade(self, now: int) -> bool:
        """Clear what has not been seen for a minute. Returns whether anything changed."""
        faded = [a.code for a in self if a.seen is not None and now - a.seen > FADES_AFTER]
        return sum(self._clear(code) for code in faded) > 0

    def _raise(self, alarm: Alarm) -> bool:
        known = self._raised.get(alarm.code)
        if known is not None:
            self._raised[alarm.code] = replace(alarm, since=known.since)
            return known.detail != alarm.detail and alarm.seen is None
        self._raised[alarm.code] = alarm
        self._log(f"alarm {alarm.code}: {alarm.detail}")
        return True

    def _clear(self, code: Code) -> bool:
        known = self._raised.pop(code, None)
        if known is not None:
            self._log(f"alarm {code} is over")
        return known is not None
