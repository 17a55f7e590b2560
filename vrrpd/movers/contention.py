"""Who gives way when two nodes want the same thing, and what one look is worth.

Where no advert gets through, two nodes are Active and both move the thing to themselves: naively about twice a second,
for ever, and each move may be billed. So the nodes are ranked as the election ranks them, by priority and then by
address. Who finds that a node of a higher rank has it gives way and leaves the election for a while, since its adverts
are evidently not heard; who finds it anywhere else takes it back, a few times a minute, then once a minute. A rule
without ranks ends on the wrong node as often as not: the one that is quicker to try is also the first to give up.

Services answer out of date. A look that shows the holder from before our own move says nothing for a while; neither
does a single look that shows another one.

No clock: times are arguments, in seconds.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import inf
from random import Random

from vrrpd.movers.base import Holder, Who
from vrrpd.proto.settings import Address

TOLERATED = 5
"""So often within the window it is taken back in a hurry."""

WINDOW_S = 60
PEACE_S = 120
"""Without a theft for so long, the contention is over."""

_RETAKE_S, _RETAKE_CAP_S = 0.2, 8
_STALE_S = 5  # how long answers may be out of date
_LATE_S = 10  # longer than an attempt, and than the looks soon after a move
_APART_S = 1  # between two looks that say the same
_FORGIVEN_S = 600
_ASIDE_S, _ASIDE_CAP_S = 30, 480


@dataclass(frozen=True, slots=True)
class Ranks:
    """How the nodes of a router rank: a higher priority first, then the higher address.

    Attributes:
        own: our own address; our own priority is whatever it is at the moment.
        peers: name of a node -> the priority that the file gives it, None where that does not say; and its address.
        heard: name of a node -> the priority that it last advertised, 0 since it gave the role away; None where nothing
            was heard of it. What it says counts, for checks and movers change its priority, and one that has left wants
            the thing no more: what it had under way may land after that.
    """

    own: Address
    peers: Mapping[str, tuple[int | None, Address]]
    heard: Callable[[str], int | None] = lambda _: None

    def of(self, name: str, priority: int) -> tuple[int, int]:
        """How a node ranks that advertises this; one that nobody knows as the lowest address."""
        return priority, int(self.peers[name][1]) if name in self.peers else 0

    def mine(self, priority: int) -> tuple[int, int]:
        """How this node ranks with this priority; compares with another's priority and address."""
        return priority, int(self.own)

    def outranked(self, holder: Holder, priority: int) -> bool:
        """Whether the holder is a node that ranks higher than we do with this priority."""
        name = holder.peer or ""
        if holder.who is not Who.PEER or name not in self.peers:
            return False
        filed, _ = self.peers[name]
        said = self.heard(name)
        theirs = filed if said is None else said
        if theirs == 0:
            return False
        # Where neither node knows the other's priority, both have to go by what both know.
        return self.of(name, priority if theirs is None else theirs) > self.mine(priority)


class Proof:
    """What looks say after the thing came here.

    Attributes:
        look_again_at: when another look decides; infinite while there is nothing to decide.
    """

    def __init__(self, moved_at: float = -inf, before: Holder | None = None, *, confirmed: bool = False) -> None:
        """Begin to weigh looks.

        Args:
            moved_at: when our own move was acknowledged; infinitely long ago where it was found here.
            before: who had it before that; None where that is not known.
            confirmed: a look has shown it here since.
        """
        self._moved_at = moved_at
        self._before = before
        self._confirmed = confirmed
        self._doubted_at: float | None = None
        self._weighed: Holder | None = None
        self.look_again_at = inf

    def lost(self, holder: Holder, now: float, *, gives_way: bool) -> bool:
        """Weigh one look.

        Args:
            holder: what it shows.
            now: when it was taken.
            gives_way: this node would give way to that holder. Then a look that may be out of date does not count at
                all: the holder may be the dead node that this one has taken over from.

        Returns:
            Whether the thing is certainly not here.
        """
        self.look_again_at = inf
        if holder is self._weighed:
            return False  # the mover did not ask: its service may not be asked so often
        self._weighed = holder
        if holder.who is Who.ME:
            self._confirmed, self._doubted_at = True, None
        if holder.who in {Who.ME, Who.UNKNOWN}:
            return False
        current = self._moved_at + _STALE_S
        if now >= current:
            return True
        if not self._confirmed and (gives_way or self._before is None or same_place(holder, self._before)):
            self.look_again_at = current
            return False
        if self._doubted_at is None:
            self._doubted_at = now
        self.look_again_at = self._doubted_at + _APART_S
        return now >= self.look_again_at


class Predecessor:
    """The node that was Active before this one.

    One that was so for a moment only may have a change on its way, unless a look has shown what it brought about. When
    that lands after ours the thing is taken back, whatever the ranks: the role was given up over there.

    Attributes:
        known: another node was heard as Active since the role went from here.
    """

    def __init__(self) -> None:
        self.known = False
        self._name: str | None = None
        self._since = -inf
        self._until = -inf

    def heard(self, name: str | None, now: float) -> bool:
        """A node is Active, None where nobody knows which; return whether it was another before."""
        news = not self.known or name != self._name
        if news:
            self.known, self._name, self._since = True, name, now
        return news

    def seen(self, holder: Holder) -> None:
        """A look while the role is not here: where that node has it already, nothing is on its way any more."""
        if holder.who is Who.PEER and self._name in {None, holder.peer}:
            self._since = -inf

    def ends(self, now: float) -> None:
        """The role is here."""
        if self.known and now - self._since < _LATE_S:
            self._until = inf

    def arrived(self, now: float) -> None:
        """The thing is here, too."""
        self._until = min(self._until, now + _LATE_S)

    def may_land(self, holder: Holder, now: float) -> bool:
        """Whether the holder may have it by such a change."""
        return self.known and holder.who is Who.PEER and self._name in {None, holder.peer} and now < self._until


class Rivals:
    """The other nodes: to whom this one gives way, and until when."""

    def __init__(self, ranks: Ranks) -> None:
        """Begin with nobody heard of.

        Args:
            ranks: how the nodes rank.
        """
        self._ranks = ranks
        self._predecessor = Predecessor()
        self._made_room: tuple[Holder, int] | None = None  # for whom, and our priority then

    @property
    def known(self) -> bool:
        """Another node was heard as Active since the role went from here."""
        return self._predecessor.known

    def role(self, now: float, *, here: bool) -> None:
        """The role came or went."""
        if here:
            self._predecessor.ends(now)
            self._made_room = None
        else:
            self._predecessor = Predecessor()

    def active(self, name: str, now: float) -> bool:
        """A node is Active, and the role is not here; return whether it was another before."""
        return self._predecessor.heard(name if name in self._ranks.peers else None, now)

    def arrived(self, now: float) -> None:
        """The thing is here, and the role is."""
        self._predecessor.arrived(now)

    def outranked(self, holder: Holder, priority: int, now: float) -> bool:
        """Whether this node, with this priority, has to leave the thing to the holder."""
        late = self._predecessor.may_land(holder, now)
        return not late and self._ranks.outranked(holder, priority)

    def make_room(self, holder: Holder, priority: int) -> None:
        """This node leaves the election, so that the holder has the role as well."""
        self._made_room = holder, priority

    def is_right(self, name: str, priority: int) -> bool:
        """Whether who advertises this is the one that room was made for, or another that ranks higher than we did."""
        return self._made_room is not None and self._ranks.of(name, priority) > self._ranks.mine(self._made_room[1])

    def seen(self, holder: Holder) -> bool:
        """A look while the role is not here; return whether it shows that who room was made for has it no more."""
        self._predecessor.seen(holder)
        if self._made_room is None or holder.who is Who.UNKNOWN:
            return False
        return not same_place(holder, self._made_room[0])


class Retakes:
    """How soon it may be taken back, after how many times."""

    def __init__(self) -> None:
        self._taken: list[float] = []
        self._last = -inf
        self._contended_until = -inf

    def contended(self, now: float) -> bool:
        """Whether it has been taken from us too often lately; notes that it was taken once more."""
        self._taken = [at for at in self._taken if now - at < WINDOW_S]
        if len(self._taken) >= TOLERATED or now < self._contended_until:
            self._contended_until = now + PEACE_S
        return now < self._contended_until

    def wait(self, now: float, random: Random) -> float:
        """How long to wait before it is taken back."""
        if now < self._contended_until:
            return max(self._last + WINDOW_S - now, 0)
        return min(_RETAKE_S * 2 ** len(self._taken), _RETAKE_CAP_S) * random.uniform(0.8, 1.2)

    def sent(self, now: float) -> None:
        """It is being taken back."""
        self._taken.append(now)
        self._last = now


class Asides:
    """How long a node stays out of the election when it gives way: twice as long each time, eight minutes at most.

    No longer than that: the other node may have died since, and this one would be the last to notice.
    """

    def __init__(self) -> None:
        self._consecutive = 0
        self._over = -inf

    def next(self, now: float) -> float:
        """How long from now; a quiet time since the last one forgives it."""
        if now - self._over >= _FORGIVEN_S:
            self._consecutive = 0
        length = min(_ASIDE_S * 2**self._consecutive, _ASIDE_CAP_S)
        self._consecutive += 1
        self._over = now + length
        return length


def same_place(one: Holder, other: Holder) -> bool:
    """Whether two looks show the thing at the same place."""
    return (one.who, one.id, one.peer) == (other.who, other.id, other.peer)
