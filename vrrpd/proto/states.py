"""Where a virtual router can be: RFC 9568 section 6.4 and Leaving, each with the deadline that it waits for.

States are values, replaced and never changed, so a test can put a router anywhere and compare where it went.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TypeAlias, assert_never

from vrrpd.proto.effects import Role
from vrrpd.proto.settings import Address
from vrrpd.proto.timers import MS

LINGER = 200 * MS
"""How long the addresses stay after the next Active was heard."""

REPEATS = (1 * MS, 10 * MS, 20 * MS)
"""When priority 0 is said again."""


@dataclass(frozen=True, slots=True)
class Initialize:
    """Taking no part (RFC 9568 6.4.1)."""

    deadline: None = None


@dataclass(frozen=True, slots=True)
class Backup:
    """Watching the Active (RFC 9568 6.4.2).

    Attributes:
        down_at: when Active_Down_Timer fires.
        interval: Active_Adver_Interval, learnt from the Active (version 3).
        active: source of the last advertisement, None where none was heard.
        hear_until: no step to Active before this time unless the network is heard; None once it was.
        outranked: priority of the Active where it is too low to re-arm the timer: we are about to preempt it.
        unproven: who keeps the timer from running out without proving who it is; None where nobody does.
        final: True where the role is taken when the timer fires, even by a node that comes late for that: it waited
            once more already, or the Active said that it leaves, or is about to be preempted.
    """

    down_at: int
    interval: int
    active: Address | None = None
    hear_until: int | None = None
    outranked: int | None = None
    unproven: Address | None = None
    final: bool = False

    @property
    def deadline(self) -> int:
        """When `Tick` has something to do."""
        return max(self.down_at, self.hear_until or 0)

    def hurried(self, down_at: int) -> Backup:
        """Priority 0: takes over then, but never later than by the timer that runs already, so repeats cost nothing."""
        down_at = min(self.down_at, down_at)
        return replace(self, down_at=down_at, hear_until=None, outranked=None, unproven=None, final=True)

    def preempting(self, active: Address, priority: int) -> Backup:
        """The Active is of lower priority: it does not re-arm the timer."""
        return replace(self, active=active, hear_until=None, outranked=priority, unproven=None, final=True)

    def patient(self, late: int, now: int) -> Backup:
        """We came late for our timer: who kept us from running may have kept the Active from it, so it has as long."""
        return replace(self, down_at=now + min(late, self.interval), final=True)


@dataclass(frozen=True, slots=True)
class Active:
    """Advertising and answering for the addresses (RFC 9568 6.4.3).

    Attributes:
        advert_at: when Adver_Timer fires.
        since: when the role was taken.
        replied_at: when a contradicting advertisement was last answered at once.
    """

    advert_at: int
    since: int
    replied_at: int | None = None

    @property
    def deadline(self) -> int:
        """When `Tick` has something to do."""
        return self.advert_at


@dataclass(frozen=True, slots=True)
class Leaving:
    """Handing over: the addresses stay while another node takes the role, so that a planned change costs nothing.

    It says priority 0 (repeated against losses, never after an advertisement was heard), and ends LINGER after the
    first advertisement of the next Active, or, where nobody answers, after min(interval + 50 ms, 5 s). Then either the
    node lets go (a stop) or it keeps the role (its priority fell, but nobody better is there: an election that includes
    ourselves). An Active of long standing that hears a higher priority lingers in the same way; one that has just taken
    the role is in a contest, and drops its addresses before anything else.

    Attributes:
        until: when this ends.
        stop: True where the router takes no part afterwards, whoever answers.
        repeats: times of the priority-0 advertisements still to come.
        successor: what a Backup would know of the next Active; None while nobody answered.
    """

    until: int
    stop: bool
    repeats: tuple[int, ...] = ()
    successor: Backup | None = None

    @property
    def deadline(self) -> int:
        """When `Tick` has something to do."""
        return min((self.until, *self.repeats))

    def answered(self, successor: Backup, until: int) -> Leaving:
        """The next Active was heard: `until` then the addresses stay, if it is the first that is heard of it."""
        return replace(self, until=self.until if self.successor else until, repeats=(), successor=successor)


State: TypeAlias = Initialize | Backup | Active | Leaving


def role_of(state: State) -> Role:
    """The state as others see it."""
    match state:
        case Initialize():
            return Role.INITIALIZE
        case Backup():
            return Role.BACKUP
        case Active() | Leaving():
            return Role.ACTIVE
        case _ as unreachable:
            assert_never(unreachable)


def active_of(state: State, ours: Address | None) -> Address | None:
    """Source of the Active as far as a node in this state knows, whose own is `ours`."""
    match state:
        case Backup(active=address) | Leaving(successor=Backup(active=address)):
            return address
        case Active() | Leaving():
            return ours
        case Initialize():
            return None
        case _ as unreachable:
            assert_never(unreachable)
