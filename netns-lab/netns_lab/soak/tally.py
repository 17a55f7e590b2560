"""What a soak keeps of its history: the addresses one by one, the advertisements as numbers.

An hour at 10 ms is a million advertisements; a history that kept each of them would fill the memory of the machine that
it is about. So they are counted as they come, and only the last ones are kept, which tell the story of a change.

Quiet is: one node holds the address, and it alone advertises, never with priority 0. Everything else is a disturbance.
"""

from __future__ import annotations

from array import array
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from netns_lab.expressions import MS
from netns_lab.history import Event, History
from netns_lab.judges.lateness import Grid

_RECENT = 60
_STORIES = 20
_MOST = 1000
PERCENTILES = (50, 90, 99, 99.9, 99.99, 100)


@dataclass(slots=True)
class _Stream:
    """The advertisements of one node to one destination.

    Attributes:
        grid: what they lie on.
        late: how late each was, nanoseconds.
    """

    grid: Grid = field(default_factory=Grid)
    late: array[int] = field(default_factory=lambda: array("q"))


class Tally(History):
    """A history that counts advertisements in place of keeping them.

    Attributes:
        adverts: how many were seen since the quiet began.
        largest_gap: the longest time without one of the serving node at a destination, in nanoseconds.
        changes: (time, node, held) of every address that came or went since then.
        disturbances: how many there were.
        times: when each of the first thousand was seen, nanoseconds.
        stories: for the first disturbances, the last advertisements before.
    """

    def __init__(self, address: str) -> None:
        self.adverts = 0
        self.largest_gap = 0
        self.changes: list[tuple[int, str, bool]] = []
        self.disturbances = 0
        self.times: list[int] = []
        self.stories: list[dict[str, Any]] = []
        self._address = address
        self._quiet: str | None = None
        self._streams: dict[tuple[str, int, str], _Stream] = {}
        self._last: dict[str, int] = {}
        self._recent: deque[dict[str, Any]] = deque(maxlen=_RECENT)
        super().__init__()

    @property
    def last_seen(self) -> int:
        """When the last advertisement came, nanoseconds; 0 where none did."""
        return max(list(self._last.values()), default=0)

    def begin(self, node: str) -> None:
        """From now on this node serves, and nothing is to happen."""
        self._quiet = node

    def extend(self, events: Iterable[Event]) -> None:
        """Take events."""
        kept: list[Event] = []
        for event in events:
            if event.kind == "advert":
                self._count(event)
                continue
            if event.kind == "address" and event["address"] == self._address and self._quiet is not None:
                self._change(event)
            kept.append(event)
        super().extend(kept)

    def lateness(self) -> dict[str, float]:
        """How late advertisements were, in milliseconds by percentile; `max` is the latest. Empty without any."""
        late = sorted(value for stream in list(self._streams.values()) for value in stream.late)
        return {_named(p): _at(late, p) / MS for p in PERCENTILES} if late else {}

    def _count(self, event: Event) -> None:
        node, destination = event["node"], event["destination"]
        said = {"t": event.t, "node": node, "to": destination, "priority": event["priority"]}
        self._recent.append(said)
        if self._quiet is None:
            return
        self.adverts += 1
        if node != self._quiet or event["priority"] == 0:
            self._disturbed(event.t, f"{node} advertises priority {event['priority']}")
        if node != self._quiet:
            return
        stream = self._streams.setdefault((node, event["vrid"], destination), _Stream())
        late = stream.grid.late(event.t, event["interval_ms"] * MS)
        if late is not None:
            stream.late.append(late)
        if destination in self._last:
            self.largest_gap = max(self.largest_gap, event.t - self._last[destination])
        self._last[destination] = event.t

    def _change(self, event: Event) -> None:
        node, held = event["node"], bool(event["held"])
        if len(self.changes) < _MOST:
            self.changes.append((event.t, node, held))
        self._disturbed(event.t, f"{node} {'gets' if held else 'loses'} the address")

    def _disturbed(self, t: int, what: str) -> None:
        self.disturbances += 1
        if len(self.times) < _MOST:
            self.times.append(t)
        if len(self.stories) < _STORIES:
            self.stories.append({"t": t, "what": what, "adverts": list(self._recent)})
            self._recent.clear()


def _named(percentile: float) -> str:
    return "max" if percentile == 100 else f"p{percentile:g}"


def _at(values: Sequence[int], percentile: float) -> int:
    return values[min(len(values) - 1, int(len(values) * percentile / 100))]
