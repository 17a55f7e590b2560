"""Who said it, and when? Signing our advertisements and judging those of others, by HMAC with keys that have numbers.

Owns the keys in use, the sequence number of what we send, and what is remembered of each sender: the mark that its next
sequence number must pass, the pace of one whose clock differs, and how it signed. The bytes are `vrrpd.trailer`'s, the
time is `proto.clock`'s.

The order of the checks is keepalived's, the cheap ones first, so that a flood of forgeries costs little: is there a
trailer, is it well formed, is its time near ours, do we have the key; only then the HMAC, and after it the mark. A
forged packet changes nothing here but the counters and the list of sightings, which is bounded.

Where we differ: an advertisement with a good signature and a wrong time may come from a peer whose clock is wrong. It
is never accepted, but it is looked at (not more often than a few times an interval): where its signature is good, its
number above the mark, and the numbers of one after another rise as time passes, it is called authentic, and the state
machine hesitates (`events.Unproven`). Old recordings do not pass the mark, and one that is played too fast or too
slowly shows in its pace. Each node of the file is looked at for itself, all strangers together, and who keeps its pace
apart from what does not: a forger in the name of one hides nobody else, and hardly that one.

Sources: keepalived 2.4.2 and later; RFC 1982 for the comparison of sequence numbers.
"""

from __future__ import annotations

import hmac
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from vrrpd import trailer as wire
from vrrpd.proto.clock import Instant, SteadyClock
from vrrpd.proto.credentials import AntiReplay, Hmac, Mode, Secret
from vrrpd.proto.datagram import Datagram
from vrrpd.proto.memory import remember
from vrrpd.proto.settings import Address, Settings
from vrrpd.proto.timers import MS, SECOND
from vrrpd.proto.validate import Drop, Reason
from vrrpd.trailer import Trailer, clock_sequence, difference, nanoseconds

REMEMBERED_IN_MULTICAST = 4
"""Senders with a mark; as many as keepalived remembers. Only a good HMAC makes a sender remembered."""

MOST_SIGHTINGS = 64
SEAL_SLACK = 100 * MS
"""By so much the numbers of who signs in our place are ahead of ours; half of it our clock may gain meanwhile."""

PACE_SLACK = 100 * MS
PACE_SPAN = 60 * SECOND
"""After so long the pace of a sender is measured from a later packet, so that small errors never add up."""


@dataclass(slots=True)
class Sighting:
    """A sender and one way in which it signed, or did not.

    Attributes:
        source: its address, as the packets claim it.
        key_id: the key of a good signature, else None.
        refused: why its packets were refused, None where they were accepted; unsigned where both are None.
        since: when it was first seen so, nanoseconds on the monotonic clock.
        last: when it was last seen so.
        count: how often it was.
    """

    source: Address
    key_id: int | None
    refused: Reason | None
    since: int
    last: int
    count: int = 0


class Seal(NamedTuple):
    """The means to sign for somebody else.

    Attributes:
        key_id: see `Authenticator.hmac`.
        key: its secret.
        ahead: what to add to `clock_sequence` of the monotonic clock for a number above all that were sent before.
    """

    key_id: int
    key: Secret
    ahead: int


class _Mark(NamedTuple):
    """The last accepted sequence number of a sender, and by how many nanoseconds its clock was ahead then."""

    sequence: int
    ahead: int


class _Pace(NamedTuple):
    """Sequence numbers of a sender whose time is not ours: the one that is measured from, and the last."""

    first: int
    first_at: int
    last: int


class Authenticator:
    """Authentication of one virtual router.

    Attributes:
        hmac: keys and rules.
        clock: the time that is believed.
        sightings: who signs how; bounded, for senders can be forged.
    """

    def __init__(self, settings: Settings, rules: Hmac, nodes: Collection[Address] = ()) -> None:
        """Begin to remember.

        Args:
            settings: the constants.
            rules: keys and rules.
            nodes: who is listed besides the peers of `settings`.
        """
        self.hmac = rules
        self.clock = SteadyClock()
        self._keys = {key_id: secret.reveal() for key_id, secret in rules.ring}
        self._timed = rules.anti_replay is AntiReplay.TIME
        self._look_every = settings.interval // 4
        self._listed = frozenset((*settings.peers, *nodes))
        self._looked_at: dict[tuple[Address | None, bool], int] = {}  # by node (None: not listed), and whether in pace
        self._sent: int | None = None
        self._remembered = len(settings.peers) if settings.unicast else REMEMBERED_IN_MULTICAST
        self._marks: dict[Address, _Mark] = {}
        self._paces: dict[Address, _Pace] = {}
        self._sightings: dict[tuple[Address, int | None, Reason | None], Sighting] = {}

    @classmethod
    def of(cls, settings: Settings, nodes: Collection[Address] = ()) -> Authenticator | None:
        """The authentication of a virtual router with these settings; None where it has no keys."""
        return cls(settings, settings.auth, nodes) if isinstance(settings.auth, Hmac) else None

    @property
    def signs(self) -> bool:
        """Whether our advertisements are signed."""
        return self.hmac.mode is not Mode.RECEIVE_ONLY

    @property
    def sightings(self) -> list[Sighting]:
        """See the class."""
        return list(self._sightings.values())

    def ahead(self, source: Address) -> int:
        """By how much the clock of an accepted sender is ahead of ours, nanoseconds; 0 where that is not known."""
        mark = self._marks.get(source)
        return mark.ahead if mark and self._timed else 0

    # ---------------------------------------------------------------- sending

    def sign(self, message: bytes, source: Address, at: Instant) -> bytes:
        """The trailer of one advertisement, the same for all peers; the next one gets a higher number.

        Args:
            message: the VRRP message; its checksum does not matter.
            source: IP source address that it will be sent from.
            at: when.
        """
        key_id = self.hmac.active_key
        self._sent = self._next_sequence(self.clock.read(at))
        return wire.seal(message, source.packed, key_id, self._keys[key_id], self._sent)

    def delegate(self, at: Instant) -> Seal:
        """What another process needs to sign in our place from now on."""
        key_id = self.hmac.active_key
        following = self._next_sequence(self.clock.read(at)) + clock_sequence(SEAL_SLACK)
        return Seal(key_id, self.hmac.keys[key_id], difference(following, clock_sequence(at.now)))

    def outdated(self, seal: Seal | None, at: Instant) -> bool:
        """Whether this process has to delegate anew, because its clock was set since."""
        return self.signs and (seal is None or abs(nanoseconds(self.delegate(at).ahead - seal.ahead)) > SEAL_SLACK // 2)

    def _next_sequence(self, time: int) -> int:
        sequence = clock_sequence(time)
        if self._sent is None or difference(sequence, self._sent) > 0:
            return sequence
        if self._timed and nanoseconds(difference(self._sent, sequence)) > self.hmac.time_window:
            return sequence  # the clock went back: nobody would believe the old numbers any more
        return (self._sent + 1) % (1 << wire.SEQUENCE_BITS)

    # ---------------------------------------------------------------- receiving

    def judge(self, datagram: Datagram, length: int, at: Instant) -> Drop | None:
        """Judge one datagram whose sender, version and length are right; None where it is to be accepted.

        Args:
            datagram: what came in, its VRRP message with or without a trailer.
            length: bytes of the message alone.
            at: when it came.
        """
        source = datagram.source
        if len(datagram.payload) == length:
            if self.hmac.mode is Mode.ENFORCE:
                return self._refuse(source, at, Reason.MISSING, "unsigned")
            self._see(source, at)
            return None
        message, trailer = datagram.payload[:length], wire.parse(datagram.payload[length:])
        if trailer.kind != wire.HMAC_SHA256_128 or trailer.reserved:
            return self._refuse(source, at, Reason.MALFORMED, "with a trailer of an unknown form")
        times = self.clock.candidates(at)
        time = self._nearest(trailer.sequence, times) if self._timed else times[0]
        if time is None:
            return self._judge_stale(source, message, trailer, at, times[0])
        key = self._keys.get(trailer.key_id)
        if key is None:
            return self._refuse(source, at, Reason.UNKNOWN_KEY, f"signed with key {trailer.key_id}, which we lack")
        if not _proven(message, source, trailer, key):
            return self._refuse(source, at, Reason.INVALID_HMAC, f"with a wrong signature by key {trailer.key_id}")
        mark = self._marks.get(source)
        if mark and not self._passes(trailer.sequence, mark.sequence, times):
            return self._refuse(source, at, Reason.REPLAY, "older than the last one: delayed, doubled or recorded")
        if self._timed:
            self.clock.believe(time, at)
        remember(self._marks, source, _Mark(trailer.sequence, _ahead(trailer.sequence, time)), self._remembered)
        self._paces.pop(source, None)
        self._see(source, at, key_id=trailer.key_id)
        return None

    def _near(self, sequence: int, time: int) -> bool:
        """Whether a sequence number is inside the window, in whole seconds as keepalived counts."""
        seconds = (sequence >> 32) - (clock_sequence(time) >> 32)
        apart = (seconds + (1 << 31)) % (1 << 32) - (1 << 31)
        return abs(apart) * SECOND <= self.hmac.time_window

    def _nearest(self, sequence: int, times: Sequence[int]) -> int | None:
        """The time that a sequence number agrees with best; None where it is outside the window of all."""
        near = [time for time in times if self._near(sequence, time)]
        if len(near) > 1:
            return min(near, key=lambda time: abs(_ahead(sequence, time)))
        return near[0] if near else None

    def _passes(self, sequence: int, mark: int, times: Sequence[int]) -> bool:
        """Whether a sequence number is after the mark; by the clocks, a mark outside all windows holds nobody up.

        All: who moves the clock of this host back to the time of a recording must not thereby wipe out the marks.
        """
        return difference(sequence, mark) > 0 or (self._timed and not any(self._near(mark, time) for time in times))

    def _judge_stale(self, source: Address, message: bytes, trailer: Trailer, at: Instant, time: int) -> Drop:
        """A time that is not ours (`time`): refused, but looked at."""
        seconds = _ahead(trailer.sequence, time) / SECOND
        detail = f"signed {abs(seconds):.0f} s {'ahead of' if seconds > 0 else 'behind'} our clock"
        drop = self._refuse(source, at, Reason.STALE, detail)
        mark, key = self._marks.get(source), self._keys.get(trailer.key_id)
        if key is None or (mark and difference(trailer.sequence, mark.sequence) <= 0):
            return drop
        pace = self._paces.get(source)
        budget = source if source in self._listed else None, bool(pace and _fits(pace, trailer.sequence, at.now))
        looked_at = self._looked_at.get(budget)
        if looked_at is not None and at.now - looked_at < self._look_every:
            return drop
        self._looked_at[budget] = at.now
        if not _proven(message, source, trailer, key) or not self._keeps_pace(source, trailer.sequence, at.now):
            return drop
        return Drop(drop.reason, drop.detail, authentic=True)

    def _keeps_pace(self, source: Address, sequence: int, now: int) -> bool:
        """Whether the numbers of a sender rise, and as time passes; the first one shows nothing."""
        pace = self._paces.get(source)
        if pace is None:
            remember(self._paces, source, _Pace(sequence, now, sequence), self._remembered)
            return False
        kept = _fits(pace, sequence, now)
        anew = not kept or now - pace.first_at > PACE_SPAN
        following = _Pace(sequence, now, sequence) if anew else pace._replace(last=sequence)
        remember(self._paces, source, following, self._remembered)
        return kept

    # ---------------------------------------------------------------- what was seen

    def _refuse(self, source: Address, at: Instant, reason: Reason, detail: str) -> Drop:
        self._see(source, at, refused=reason)
        return Drop(reason, f"{source} advertises {detail}")

    def _see(self, source: Address, at: Instant, *, key_id: int | None = None, refused: Reason | None = None) -> None:
        key = source, key_id, refused
        sighting = self._sightings.get(key)
        if sighting is None:
            if len(self._sightings) >= MOST_SIGHTINGS:  # what can be forged gives way to what cannot
                del self._sightings[min(self._sightings, key=lambda k: (k[1] is not None, self._sightings[k].last))]
            sighting = self._sightings[key] = Sighting(source, key_id, refused, at.now, at.now)
        sighting.last = at.now
        sighting.count += 1


def _proven(message: bytes, source: Address, trailer: Trailer, key: bytes) -> bool:
    """Whether the signature is right; takes as long where it is wrong."""
    head = wire.head(trailer)
    return hmac.compare_digest(wire.digest(message, source.packed, key, head), trailer.mac)


def _fits(pace: _Pace, sequence: int, now: int) -> bool:
    """Whether a sequence number is after the last one, and has risen as time passed."""
    elapsed = now - pace.first_at
    late = abs(nanoseconds(difference(sequence, pace.first)) - elapsed)
    return difference(sequence, pace.last) > 0 and late <= PACE_SLACK + elapsed // 8


def _ahead(sequence: int, time: int) -> int:
    return nanoseconds(difference(sequence, clock_sequence(time)))
