"""The one timer, and who is due when it goes off.

Regular advertisements leave first, all in one go; then the routers have their turn that have more to do, a few at a
time, so that others speak meanwhile; then what they have put off, such as to log what they did. Owns the schedule, the
choirs in it, and the clock's alarm: this is the only place that sets it.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable, Sequence
from functools import partial

import trio

from vrrpd.proto.renewal import Heard
from vrrpd.proto.timers import MS, SECOND
from vrrpd.runtime.choir import Choir, Listeners, Singer, choirs
from vrrpd.runtime.kernel import Clock
from vrrpd.runtime.ports import Port
from vrrpd.runtime.schedule import Schedule
from vrrpd.runtime.vigil import Vigil

PIECE = 8
"""So many routers are ticked, each of which may take the role, before others that are due have their turn to speak, and
what the kernel did for the ones before is settled."""

STANDSTILL = MS // 2
"""So many nanoseconds the loop stands still for a router that takes the role, if nobody else is due within them: the
thread that adds its address needs the interpreter, and is told of as late as the loop falls asleep and wakes up."""


class Deadlines:
    """The deadlines of all routers."""

    def __init__(self, clock: Clock, vigil: Vigil, settle: Callable[[float], None]) -> None:
        """Start with none.

        Args:
            clock: the one that routers live by.
            vigil: told when the timer has gone off; it wants to be told now and then.
            settle: see `Addresses.settle`.
        """
        self._clock = clock
        self._vigil = vigil
        self._settle = settle
        self._urgent = deque[Callable[[], None]]()
        self._later = OrderedDict[Callable[[], None], None]()
        self._schedule = Schedule[Singer | Choir]()
        self._armed: int | None = None
        self._ticking = False
        self._just_read = set[Port]()

    async def run(self, flush: Callable[[], None]) -> None:
        """Wait for the timer, for ever.

        Args:
            flush: sends what the routers have posted.
        """
        self.arm()
        try:
            while True:
                waiting = self._clock.now()
                await self._clock.wait()
                self._ticking, self._armed = True, None
                self._vigil.beat()
                speak = partial(self._speak, flush, self._clock.now(), waiting)
                speak()
                if self._urgent or self._later:
                    await self._work(speak)
                self._ticking = False
                self.arm()
        finally:
            self._ticking = False
            self._urgent.clear()
            while self._later:
                self._next()()

    def later(self, work: Callable[[], None]) -> None:
        """Do something that is not urgent, in order, and once: while routers tick, when all have."""
        if self._ticking:
            self._later[work] = None
        else:
            work()

    def renew(self, router: Singer) -> None:
        """The deadline of a router has moved."""
        if router.choir is None or not router.choir.chorus.intact:
            self._schedule.renew(router)
            self.arm()

    def forget(self, router: Singer) -> None:
        """It will not be due any more."""
        self._schedule.forget(router)
        router.choir = None

    def hear_together(self, routers: Sequence[Singer], chorus: Heard) -> None:
        """These hear their Actives together from now on."""
        self._join(Listeners(routers, chorus))

    def look(self) -> None:
        """Look for the vigil; a timer that is to do so before long is put off."""
        self._vigil.look()
        if self._armed is not None and 2 * self._armed < self._clock.now() + self._vigil.due:
            self.arm(later=True)

    def arm(self, *, later: bool = False) -> None:
        """Set the timer; while routers tick, only when all have.

        It may go off too early, which costs less than to set it each time that a deadline moves; `later` puts it off.
        """
        if self._ticking:
            return
        following, due = self._schedule.next(), self._vigil.due
        following = due if following is None else min(following, due)
        if self._armed is None or following < self._armed or (later and following > self._armed):
            self._armed = following
            self._clock.arm(following)

    def read(self, port: Port) -> None:
        """Hand over what has come in, for all routers of one piece together."""
        if port not in self._just_read:
            self._just_read.add(port)
            port.read()

    async def _work(self, speak: Callable[[], None]) -> None:
        """Do all that is due, the urgent first; `speak` finds what became due meanwhile."""
        if len(self._urgent) == 1:
            self._urgent.popleft()()
            now = self._clock.now()
            following = self._schedule.next()
            self._settle(max(STANDSTILL if following is None else min(STANDSTILL, following - now), 0) / SECOND)
        count = 0
        while self._urgent or self._later:
            self._next()()
            count += 1
            if count % PIECE == 0:  # many of them take a while
                await trio.lowlevel.checkpoint()
                self._vigil.look()
                speak()

    def _next(self) -> Callable[[], None]:
        return self._urgent.popleft() if self._urgent else self._later.popitem(last=False)[0]

    def _speak(self, flush: Callable[[], None], woken: int, waiting: int) -> None:
        """Send every regular advertisement that is due, in one go; routers with more to do will be ticked."""
        self._just_read.clear()
        now = self._clock.now()
        spoke = list[Singer | Choir]()
        while due := self._schedule.due(now):
            for each in due:
                if each.speak(now):
                    self._schedule.renew(each)
                    spoke.append(each)
                elif isinstance(each, Listeners):
                    for router in each.leave():  # they have nothing to say
                        if (deadline := router.deadline) is not None and deadline <= now:
                            self._urgent.append(partial(router.tick, woken, waiting))
                        else:
                            self._schedule.renew(router)
                elif isinstance(each, Choir):
                    for router in each.leave():
                        self._schedule.renew(router)
                else:
                    self._urgent.append(partial(each.tick, woken, waiting))
        flush()
        for choir in choirs(spoke):
            self._join(choir)

    def _join(self, choir: Choir) -> None:
        """From now on the schedule has one entry for all of them."""
        for router in choir.routers:
            self._schedule.forget(router)
        self._schedule.renew(choir)
