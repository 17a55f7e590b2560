"""The history: one list of everything that was seen and done, on one clock.

Every event is a time, a kind and a few plain values. The time is CLOCK_MONOTONIC in nanoseconds, which all processes of
one machine share, so what the wires, the kernels, the probe and the steps say can be laid side by side. Judges read a
history and nothing else; written to a file it can be judged again, or drawn, by anybody.

| kind         | what happened                        | values |
|--------------|--------------------------------------|--------|
| step         | the lab did something                | step, node, and `mark` where the scenario names the moment; `cut`: the node is off the network from here on (true) or back (false) |
| address      | a kernel gained or lost an address   | node, address, held |
| route        | a kernel gained or lost a default route | node, route (the family), held |
| kept         | the lab looked for what is none of the agent's business | node, what, held |
| advert       | an advertisement entered the switch  | node (the cable), vrid, version, priority, interval_ms, source, destination, hop_limit, addresses |
| announcement | a gratuitous ARP or unsolicited neighbour advertisement entered the switch | node, address, mac, form |
| reply        | a probe was answered                 | target, node (who answered), sent |
| failure      | a request failed (http probes)       | target, sent, reason, `kept`: on a connection that had answered before |
| probes       | how many probes a target was sent    | target, sent, pace_ns |
| flooded      | forged packets were sent             | recipe, sent, seconds, processor_s (what each agent used meanwhile) |
| alarms       | an agent was asked what it complains about | node, `alarms`: code -> sentence |
| remap        | something moved in the cloud         | node (who asked), action, what, holder |
| request      | the cloud was asked for something    | node (who asked), action, parameters, connection |
| refused      | the cloud refused what it had been asked at `t` | as `request`, and code |
| lost_events  | the kernel dropped address events    | node |
"""  # noqa: E501  the rows of a table

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

HEALED = " healed"
"""What the step that undoes a fault adds to the fault's name."""


@dataclass(frozen=True, slots=True, order=True)
class Event:
    """One thing that happened.

    Attributes:
        t: CLOCK_MONOTONIC in nanoseconds.
        kind: see the table of this module.
        values: plain values, ready for JSON.
    """

    t: int
    kind: str
    values: Mapping[str, Any] = field(compare=False)

    def __getitem__(self, key: str) -> Any:
        return self.values.get(key)


class History:
    """A growing list of events; may be added to from several threads."""

    def __init__(self, events: Iterable[Event] = ()) -> None:
        self._lock = threading.Lock()
        self._events: list[Event] = []
        self._holders: dict[str, set[str]] = {}
        self._cut: set[tuple[str, str]] = set()
        self.extend(events)

    def add(self, kind: str, *, t: int | None = None, **values: Any) -> Event:
        """Add an event that happens now, or happened at `t`."""
        event = Event(time.monotonic_ns() if t is None else t, kind, values)
        self.extend((event,))
        return event

    def extend(self, events: Iterable[Event]) -> None:
        """Add events."""
        with self._lock:
            for event in events:
                self._events.append(event)
                self._follow(event)

    def events(self, kind: str | None = None, *, since: int = 0, until: int | None = None) -> list[Event]:
        """The events of a kind, in the order of time.

        Args:
            kind: None for all.
            since: the earliest time that counts.
            until: the first time that counts no more; None for no end.
        """
        with self._lock:
            chosen = [
                event
                for event in self._events
                if (kind is None or event.kind == kind) and event.t >= since and (until is None or event.t < until)
            ]
        return sorted(chosen, key=lambda event: event.t)

    def mark(self, name: str) -> int | None:
        """When the step with this mark was done; None where there was none."""
        return next((event.t for event in self.events("step") if event["mark"] == name), None)

    def holders(self, address: str) -> set[str]:
        """The nodes whose kernel has the address now."""
        with self._lock:
            return set(self._holders.get(address, ()))

    def cut_off(self) -> set[str]:
        """The nodes that are off the network now: dead, unplugged, or behind a dead switch."""
        with self._lock:
            return {node for node, _ in self._cut}

    def lines(self) -> Iterator[str]:
        """The events in the order of time, a JSON object each."""
        for event in self.events():
            yield json.dumps({"t": event.t, "kind": event.kind, **event.values}, separators=(",", ":"))

    @classmethod
    def load(cls, path: Path) -> History:
        """Read what `lines` wrote."""
        events: list[Event] = []
        for line in path.read_text().splitlines():
            values: dict[str, Any] = json.loads(line)
            events.append(Event(values.pop("t"), values.pop("kind"), values))
        return cls(events)

    def _follow(self, event: Event) -> None:
        """Keep what is asked about now."""
        if event.kind == "address":
            holders = self._holders.setdefault(event["address"], set())
            (holders.add if event["held"] else holders.discard)(event["node"])
        elif event.kind == "step" and event["cut"] is not None:
            follow_cut(self._cut, event)


def follow_cut(cut: set[tuple[str, str]], event: Event) -> None:
    """Keep the faults in force that cut a node off, as (node, kind), from a step that does or undoes one.

    A node may be off the network for two reasons at once: it boots behind a port that is still blocked.
    """
    fault = (event["node"], event["step"].removesuffix(HEALED))
    (cut.add if event["cut"] else cut.discard)(fault)
