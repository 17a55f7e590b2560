"""Virtual routers that move together, such as the two families of one router: one role, one effective priority.

Owns what no member can know alone; each member stays the plain state machine of `router`. The rules:

- the effective priority of all is the lowest member's, and one unhealthy or drained member makes all so;
- a member that must leave takes all with it, and all say priority 0;
- priority 0 heard by one counts for every member whose Active is the same node;
- a member that gives way, to a better Active or because it doubts itself, takes all with it;
- of two equal priorities the first member that hears the other decides by address: the families may order the same two
  nodes differently, and both would give way;
- the role is taken only by all and when the timers of all have run out: a member whose timer has, while another still
  hears an Active, takes nothing (`split`), for a half that serves elsewhere is worth more than two halves that fight.

A lone virtual router is a group of one, for which every rule above is empty.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TypeAlias

from vrrpd.proto.effects import Effect, Role
from vrrpd.proto.events import (
    ActiveLeft,
    Adjust,
    Drain,
    Event,
    Leave,
    NetworkHeard,
    Overslept,
    Received,
    Shutdown,
    Startup,
    Stay,
    Tick,
    Unproven,
    Yield,
)
from vrrpd.proto.renewal import Renewal
from vrrpd.proto.router import VirtualRouter
from vrrpd.proto.settings import Address, Settings
from vrrpd.proto.states import Active, Backup, Initialize, Leaving

IN_TIME = 10
"""A tick is in time until a tenth of the interval after its deadline: what is later was kept from running."""

Asked: TypeAlias = tuple[int, Effect]
"""An effect and the index of the member that asks for it."""


class Group:
    """One or more virtual routers with one role.

    Attributes:
        members: the virtual routers, in the order of their settings.
        split: True while a member's timer has run out and another's has not.
    """

    def __init__(self, settings: Sequence[Settings], names: Mapping[Address, str]) -> None:
        """Make a group in Initialize.

        Args:
            settings: one for each member.
            names: the node that each source address belongs to; it tells whether two members hear the same node.
        """
        self.members = tuple(VirtualRouter(each, names) for each in settings)
        self.split = False
        self._alone = self.members[0] if len(self.members) == 1 else None
        self._names = names
        self._wishes = [Adjust(each.priority, healthy=True, reason="configured") for each in settings]
        self._adjust_all(self._wishes[0].reason, 0)

    @property
    def role(self) -> Role:
        """The role of all."""
        return self.members[0].role

    @property
    def deadline(self) -> int | None:
        """When `tick` is due, nanoseconds: for Backups when the last timer runs out, else the first of the others'."""
        if self._alone is not None:
            return self._alone.deadline
        if self._watching:
            return max(self._deadlines)
        return min((m.deadline for m in self._doing if m.deadline is not None), default=None)

    def start(self, sources: Sequence[Address], now: int) -> list[Asked]:
        """Start all members, each from its source address."""
        return self._each(lambda index: Startup(sources[index]), now)

    def tick(self, now: int, late: int | None = None) -> list[Asked]:
        """Handle every deadline that has passed.

        Args:
            now: nanoseconds.
            late: for how long something kept us from it that may have kept others as well, nanoseconds; None: since
                the deadline.
        """
        event = Tick(self._late(now) if late is None else self._grave(late))
        if self._alone is not None:
            return [(0, effect) for effect in self._alone.handle(event, now)]
        if self._watching and now < max(self._deadlines):
            self._look(now)
            return []
        ready = self.members if self._watching else self._doing
        asked = [(i, e) for i, m in enumerate(self.members) if m in ready for e in m.handle(event, now)]
        self._look(now)
        return asked

    def speak(self, now: int) -> Sequence[tuple[int, int]]:
        """The members whose regular advertisement is to be sent now, nothing else; others may need a `tick`.

        Returns:
            Of each its index, and for when Adver_Timer was set, nanoseconds.
        """
        if self._alone is not None:
            return () if (due := self._alone.speak(now)) is None else ((0, due),)
        return [(index, due) for index, member in enumerate(self.members) if (due := member.speak(now)) is not None]

    def shutdown(self, reason: str, now: int) -> list[Asked]:
        """All stop at once."""
        return self._each(lambda _: Shutdown(reason), now)

    def overslept(self, reason: str, now: int) -> list[Asked]:
        """All were away for too long."""
        return self._each(lambda _: Overslept(reason), now)

    def leave(self, reason: str, now: int) -> list[Asked]:
        """All hand over, then stop."""
        return self._each(lambda _: Leave(reason), now)

    def network_heard(self, index: int, now: int) -> list[Asked]:
        """Another host answered on the link of one member."""
        return self._tagged(index, NetworkHeard(), now)

    def adjust(self, index: int, event: Adjust, now: int) -> list[Asked]:
        """A new priority or verdict for one member, which counts for all."""
        self._wishes[index] = event
        return self._adjust_all(event.reason, now)

    def received(self, index: int, event: Received, now: int) -> list[Asked]:
        """A validated advertisement for one member."""
        before = self.members[index].state
        left = self._followers(index, event)
        asked = self._tagged(index, replace(event, tie_elsewhere=self._tie_elsewhere(index, now)), now)
        for other in left:
            asked += self._tagged(other, ActiveLeft(), now)
        match before, self.members[index].state:
            case Active(), Leaving():
                return asked + self._yield_others(index, now, linger=True, outranked=True)
            case Active(), Backup():
                return asked + self._yield_others(index, now, linger=False, outranked=True)
            case Leaving(successor=None), Leaving(successor=Backup()):
                return asked + self._yield_others(index, now, linger=True, outranked=False)
            case Leaving(successor=None), Active():
                return asked + self._others(index, Stay(), now)
            case Backup(), Initialize():
                return asked + self._others(index, self._wish("drained", Drain.FORCE), now)
            case _:
                return asked

    @property
    def renewal(self) -> Renewal | None:
        """See `VirtualRouter.routine`; None where there are more than one, for others may have to follow."""
        routine = self._alone.routine if self._alone is not None else None
        return routine if isinstance(routine, Renewal) else None

    def unproven(self, index: int, event: Unproven, now: int) -> list[Asked]:
        """A node of the file that could not prove who it is advertises to one member."""
        before = self.members[index].state
        asked = self._tagged(index, replace(event, tie_elsewhere=True) if index else event, now)
        if isinstance(before, Active) and isinstance(self.members[index].state, Backup):
            asked += self._yield_others(index, now, linger=False, outranked=False)
        return asked

    @property
    def _watching(self) -> bool:
        return all(isinstance(m.state, Backup) for m in self.members)

    @property
    def _doing(self) -> list[VirtualRouter]:
        """The members that are not Backup: their timers are their own, while Backups take the role together."""
        return [m for m in self.members if not isinstance(m.state, Backup)]

    @property
    def _deadlines(self) -> list[int]:
        return [m.deadline for m in self.members if m.deadline is not None]

    def _late(self, now: int) -> int:
        return self._grave(now - (self.deadline or now))

    def _grave(self, late: int) -> int:
        """How late a tick is, nanoseconds; 0 where that is no more than any host is now and then."""
        return late if late > self.members[0].settings.interval // IN_TIME else 0

    def _look(self, now: int) -> None:
        """Set `split`; it also ends by a member that hears again, which makes no deadline due."""
        self.split = self._watching and min(self._deadlines) <= now < max(self._deadlines)

    def _tie_elsewhere(self, index: int, now: int) -> bool:
        """True where a member before this one has heard an Active of late."""
        earlier = self.members[:index]
        return any(now - at < 3 * m.settings.interval for m in earlier for at in m.heard.values())

    def _followers(self, index: int, event: Received) -> list[int]:
        """The other members whose Active is the node that has just said priority 0 to this one."""
        if event.advert.priority:
            return []
        node = self._names.get(event.source)
        others = [(i, m.state) for i, m in enumerate(self.members) if i != index]
        return [i for i, s in others if isinstance(s, Backup) and s.active and node == self._names.get(s.active, "?")]

    def _yield_others(self, index: int, now: int, *, linger: bool, outranked: bool) -> list[Asked]:
        return self._others(index, Yield(linger, outranked, self.members[index].reason), now)

    def _others(self, index: int, event: Event, now: int) -> list[Asked]:
        others = [other for other in range(len(self.members)) if other != index]
        return [asked for other in others for asked in self._tagged(other, event, now)]

    def _adjust_all(self, reason: str, now: int) -> list[Asked]:
        wish = self._wish(reason, max(wish.drain for wish in self._wishes))
        return self._each(lambda _: wish, now)

    def _wish(self, reason: str, drain: Drain) -> Adjust:
        """What every member is told: the lowest priority, healthy only where all are."""
        lowest = min(wish.priority for wish in self._wishes)
        return Adjust(lowest, all(wish.healthy for wish in self._wishes), reason, drain)

    def _each(self, event: Callable[[int], Event], now: int) -> list[Asked]:
        return [asked for index in range(len(self.members)) for asked in self._tagged(index, event(index), now)]

    def _tagged(self, index: int, event: Event, now: int) -> list[Asked]:
        asked = [(index, effect) for effect in self.members[index].handle(event, now)]
        self._look(now)
        return asked
