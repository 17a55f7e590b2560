"""What a virtual router counts: a plain struct, rendered elsewhere."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from vrrpd.proto.packet import Dialect
from vrrpd.proto.validate import Reason


@dataclass(slots=True)
class Counters:
    """Counts since the agent started.

    Attributes:
        adverts_sent: advertisements, one for all peers together, priority 0 included.
        adverts_received: accepted advertisements.
        zeros_sent: advertisements of priority 0 among those sent.
        zeros_received: advertisements of priority 0 among those received.
        stray_zero: priority 0 from a node that was not the Active we knew.
        transitions: changes between the states Initialize, Backup and Active.
        contests: advertisements that contradicted us while we were Active.
        dropped: refused packets by reason.
        dialects: accepted packets by checksum dialect.
    """

    adverts_sent: int = 0
    adverts_received: int = 0
    zeros_sent: int = 0
    zeros_received: int = 0
    stray_zero: int = 0
    transitions: int = 0
    contests: int = 0
    dropped: Counter[Reason] = field(default_factory=Counter[Reason])
    dialects: Counter[Dialect] = field(default_factory=Counter[Dialect])

    def received(self, priority: int, dialect: Dialect, number: int = 1) -> None:
        """Count accepted advertisements that say the same."""
        self.adverts_received += number
        self.zeros_received += number * (priority == 0)
        self.dialects[dialect] += number
