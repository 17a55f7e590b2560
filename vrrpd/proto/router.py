"""The state machine of one virtual router: RFC 9568 section 6.4, version 2 by RFC 3768 6.4, and Leaving, which is ours.

        Startup          down timer                  preempted after long service
    Initialize ----> Backup ----------> Active ------------------------------------+
        ^  ^            ^                 |  |  ^                                  v
        |  |            +-----------------+  |  | nobody answered, role kept    Leaving
        |  +--- stop, fault          contest +--+------------------------------>   |
        +--------------------------------------------------------------------------+

Everything that affects transitions lives here: one handler a state. `handle(event, now)` returns the effects in the
order in which they must be performed; nothing is performed, no clock is read. A state carries its own deadline, so a
doubled `Tick` returns nothing to do. Where an event makes a deadline due, the next `Tick` acts on it.

A Backup that hears somebody who cannot prove who it is hesitates, and an Active may give way to such a one: `doubt`.

Who was away (`Overslept`) goes back to Backup from wherever it was, without a word, and listens as after a start. An
advertisement that is heard in Initialize changes nothing. What breaks a MUST on purpose: README, table of deviations.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from typing import assert_never

from vrrpd.proto.auth import Authenticator
from vrrpd.proto.doubt import Doubt
from vrrpd.proto.effects import Acquire, Announce, Effect, Release, Role, SendAdvert, Transition
from vrrpd.proto.encoder import Encoder
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
from vrrpd.proto.memory import remember
from vrrpd.proto.packet import Advertisement
from vrrpd.proto.reasons import why_active, why_beaten, why_doubted
from vrrpd.proto.renewal import Renewal, Rhythm
from vrrpd.proto.settings import OWNER, UNHEALTHY, Address, Settings
from vrrpd.proto.standing import Standing
from vrrpd.proto.states import LINGER, REPEATS, Active, Backup, Initialize, Leaving, State, role_of
from vrrpd.proto.stats import Counters
from vrrpd.proto.timers import answer_wait, next_advert

REMEMBERED_SOURCES = 256  # in multicast anybody may claim to be anybody
HANDING_OVER = "handing over"


class VirtualRouter:
    """One virtual router.

    Attributes:
        settings: the constants.
        source: our own address while taking part, None otherwise.
        standing: what this node is worth in the election.
        followed_by: who took the role from this node last, None where nobody did.
        reason: why the role is what it is, for people.
        routine: what one more advertisement like the last one does; None where it must be handled like any other.
        encoder: the bytes that it sends.
        authenticator: signs and judges signatures; None without keys.
    """

    def __init__(self, settings: Settings, nodes: Collection[Address] = ()) -> None:
        self.settings = settings
        self._state: State = Initialize()
        self.routine: Renewal | Rhythm | None = None
        self.source: Address | None = None
        self.followed_by: Address | None = None
        self.reason = "not started"
        self._counters = Counters()
        self._heard: dict[Address, int] = {}
        self.standing = Standing(settings)
        self._hear_until: int | None = None  # of the last Startup; None once the network was heard
        self._unheard_until = 0  # the last word of an Active may have gone nowhere, and others wait until then
        self._doubt = Doubt()
        self.authenticator = Authenticator.of(settings, nodes)
        self.encoder = Encoder(settings, self.authenticator)

    @property
    def state(self) -> State:
        """Where it is; replaced, never changed."""
        self._catch_up()
        return self._state

    @state.setter
    def state(self, state: State) -> None:
        self._state = state
        if self.routine is not None:
            self.routine.end()
            self.routine = None

    @property
    def counters(self) -> Counters:
        """See `Counters`."""
        self._catch_up()
        return self._counters

    @property
    def heard(self) -> dict[Address, int]:
        """When each source was last heard, nanoseconds; the latest last, the oldest forgotten."""
        self._catch_up()
        return self._heard

    @property
    def deadline(self) -> int | None:
        """When the next `Tick` is due, nanoseconds; None while nothing is."""
        return self.routine.deadline if self.routine is not None else self._state.deadline

    @property
    def effective_priority(self) -> int:
        """The priority of the election."""
        return self.standing.effective_priority

    @property
    def role(self) -> Role:
        """The state as others see it."""
        return role_of(self._state)

    @property
    def holds_addresses(self) -> bool:
        """True exactly while Active or Leaving."""
        return isinstance(self._state, Active | Leaving)

    def handle(self, event: Event, now: int) -> list[Effect]:
        """Take one event and return what must be done about it, in order.

        Args:
            event: what happened.
            now: nanoseconds on the caller's monotonic clock, never going back.
        """
        self.state = self.state  # caught up; what one more advertisement does is known again when it was handled
        if isinstance(event, Received):
            if event.source == self.source:
                return []  # our own packet came back, or our address is used twice: no reason to demote
            self._learn(event, now)
        elif isinstance(event, NetworkHeard):
            self._hear_until = None
        elif isinstance(event, Adjust):
            return self._adjust(event, now)
        elif isinstance(event, Overslept):
            return self._oversleep(event, now)
        return self._in_state(event, now)

    def speak(self, now: int) -> int | None:
        """For when Adver_Timer was set, where the regular advertisement, and no more, is to be sent now; else None."""
        state = self.state
        if not isinstance(state, Active) or not 0 <= now - state.advert_at < self.settings.interval // 2:
            return None
        self._advertise(state, now)
        return state.advert_at

    # ---------------------------------------------------------------- one handler a state

    def _in_state(self, event: Event, now: int) -> list[Effect]:
        match self.state:
            case Initialize():
                return self._in_initialize(event, now)
            case Backup() as state:
                return self._in_backup(state, event, now)
            case Active() as state:
                return self._in_active(state, event, now)
            case Leaving() as state:
                return self._in_leaving(state, event, now)
            case _ as unreachable:
                assert_never(unreachable)

    def _in_initialize(self, event: Event, now: int) -> list[Effect]:
        if isinstance(event, Shutdown | Leave):
            self.source, self.reason = None, event.reason
        if not isinstance(event, Startup):
            return []
        self.source = event.source
        self.encoder.speak_from(event.source)
        self.standing.since = now
        self._doubt.begin()
        self._hear_until = self.settings.hear_until(now)
        return self._start(now)

    def _in_backup(self, state: Backup, event: Event, now: int) -> list[Effect]:
        match event:
            case Shutdown(reason) | Leave(reason):  # RFC 9568 6.4.2: no advertisement
                return self._stop(reason)
            case Tick(late) if late and not state.final and now >= state.deadline:
                self.state = state.patient(late, now)
                return []
            case Tick():
                return self._become_active(state, now) if now >= state.deadline else []
            case NetworkHeard():
                self.state = replace(state, hear_until=None, final=now >= state.down_at)
                return self._last_word(now)
            case Received():
                return self._hear_as_backup(state, event, now)
            case ActiveLeft():
                self.state = state.hurried(now + self.standing.skew(state.interval))
                return []
            case Unproven():
                self.state = self._doubt.hesitate(state, event, now, self.standing.down_interval(state.interval))
                return []
            case Startup() | Adjust() | Yield() | Stay() | Overslept():
                return []
            case _ as unreachable:
                assert_never(unreachable)

    def _in_active(self, state: Active, event: Event, now: int) -> list[Effect]:
        match event:
            case Shutdown(reason):  # RFC 9568 6.4.3
                self._unheard_until = now + self.settings.longest_wait
                return [self._say(0), *self._stop(reason)]
            case Leave(reason):
                return self._leave(now, stop=True, wait=answer_wait(self.settings.interval), reason=reason)
            case Tick():
                return [self._advertise(state, now)] if now >= state.advert_at else []
            case Received(advert=Advertisement(priority=0)):  # RFC 9568 6.4.3: answer, and re-arm
                self.state = replace(state, advert_at=self._next_advert(now))
                return [self._say()]
            case Received() if self.standing.loses_to(event.advert.priority, event, self.source):
                why = why_beaten(event.source, event.advert.priority, self.effective_priority)
                order = Yield(not self.standing.in_contest(state.since, now), outranked=True, reason=why)
                return self._give_way(order, self._backup_behind(event, now), now)
            case Received():
                return self._contradict(state, now)
            case Yield():
                return self._give_way(event, self._backup_behind(None, now), now)
            case Unproven():
                return self._distrust(state, event, now)
            case Startup() | Adjust() | NetworkHeard() | ActiveLeft() | Stay() | Overslept():
                return []
            case _ as unreachable:
                assert_never(unreachable)

    def _in_leaving(self, state: Leaving, event: Event, now: int) -> list[Effect]:
        match event:
            case Shutdown(reason):
                return self._stop(reason)
            case Leave(reason):
                until = min(state.until, now + LINGER) if state.successor else now + answer_wait(self.settings.interval)
                self.state = replace(state, stop=True, until=until)
                return [self._transition(Role.ACTIVE, f"{HANDING_OVER}: {reason}")]
            case Tick():
                return self._tick_leaving(state, now)
            case Received():
                return self._hear_while_leaving(state, event, now)
            case Yield() if not state.successor:
                self.state = state.answered(self._backup_behind(None, now), now + LINGER)
                return []
            case Stay() if not state.stop:
                return self._keep(now)
            case Startup() | Adjust() | NetworkHeard() | ActiveLeft() | Unproven() | Yield() | Stay() | Overslept():
                return []
            case _ as unreachable:
                assert_never(unreachable)

    # ---------------------------------------------------------------- priority and health

    def _adjust(self, event: Adjust, now: int) -> list[Effect]:
        before, drained = self.effective_priority, self.standing.drain
        self.standing.adjust(event, now)
        after = self.effective_priority
        match self.state:
            case Initialize():
                return self._start(now) if self.source is not None else []
            case Backup() as state:
                return self._adjust_backup(state, before, after, event.reason)
            case Active():
                return self._adjust_active(before, after, event.reason, now)
            case Leaving() as state:
                if event.drain > drained and not state.successor:
                    self.state = replace(state, until=now + answer_wait(self.settings.interval))
                elif not state.stop and not state.successor and after > before:
                    self.state = replace(
                        state, until=min(state.until, now + self.standing.skew(self.settings.interval))
                    )
                return []
            case _ as unreachable:
                assert_never(unreachable)

    def _adjust_backup(self, state: Backup, before: int, after: int, reason: str) -> list[Effect]:
        if not self.standing.takes_part and not (self.standing.drain is Drain.ASK and self.standing.may_serve):
            return self._out(reason)
        shift = self.standing.skew(state.interval, after) - self.standing.skew(state.interval, before)
        self.state = replace(state, down_at=state.down_at + shift)
        return []

    def _out(self, reason: str) -> list[Effect]:
        """From Backup to taking no part, for a while."""
        self.state = Initialize()
        return [self._transition(Role.BACKUP, reason)]

    def _adjust_active(self, before: int, after: int, reason: str, now: int) -> list[Effect]:
        """A lower priority starts an election that includes ourselves: backups are silent, so we must ask."""
        if not self.standing.takes_part:
            return self._leave(now, stop=False, wait=answer_wait(self.settings.interval), reason=reason)
        highest = self.settings.highest_other
        if after >= before or (highest is not None and after > highest):
            return []
        # Of nodes that are all unhealthy the one that serves is as good as any: it fires before the others do.
        wait = self.standing.skew(self.settings.interval, max(after, UNHEALTHY + 1))
        return self._leave(now, stop=False, wait=wait, reason=reason)

    # ---------------------------------------------------------------- steps between states

    def _oversleep(self, event: Overslept, now: int) -> list[Effect]:
        """Drop everything and begin to listen: another may be Active, and our last word is long past."""
        before = self.state
        if isinstance(before, Initialize):
            return []
        if isinstance(before, Leaving) and before.stop:
            return self._stop(event.reason)
        interval = before.interval if isinstance(before, Backup) else self.settings.interval
        self._hear_until = self.settings.hear_until(now)
        listening = Backup(now + self.standing.down_interval(interval), interval, hear_until=self._hear_until)
        self.state = listening if self.standing.takes_part else Initialize()
        transition = self._transition(role_of(before), event.reason)
        return [transition] if isinstance(before, Backup) else [Release(), transition]

    def _start(self, now: int) -> list[Effect]:
        """RFC 9568 6.4.1."""
        if not self.standing.takes_part:
            return self._last_word(now)
        interval = self.settings.interval
        if self.effective_priority == OWNER:
            return self._become_active(None, now)
        self.state = Backup(now + self.standing.down_interval(interval), interval, hear_until=self._hear_until)
        said = self._last_word(now) if self._hear_until is None else []
        return [*said, self._transition(Role.INITIALIZE, "started")]

    def _last_word(self, now: int) -> list[Effect]:
        """Priority 0 once more: who left because the link was gone told nobody, and the others may still wait."""
        unheard, self._unheard_until = now < self._unheard_until, 0
        return [self._say(0)] if unheard else []

    def _become_active(self, state: Backup | None, now: int) -> list[Effect]:
        previous, self.standing.drain = self.role, Drain.NO  # nobody else would serve
        self.state = Active(advert_at=self._next_advert(now), since=now)
        reason = why_active(self.settings, state, self.effective_priority, self.heard, now)
        return [self._say(), Acquire(), Announce(), self._transition(previous, reason)]

    def _stop(self, reason: str) -> list[Effect]:
        """To Initialize at once."""
        previous, held = self.role, self.holds_addresses
        self.state, self.source = Initialize(), None
        transition = self._transition(previous, reason)
        return [Release(), transition] if held else [transition]

    def _leave(self, now: int, *, stop: bool, wait: int, reason: str) -> list[Effect]:
        """From Active to Leaving, nobody known yet who takes over."""
        repeats = tuple(now + after for after in REPEATS if after < wait)
        self.state = Leaving(now + wait, stop=stop, repeats=repeats)
        return [self._say(0), self._transition(Role.ACTIVE, f"{HANDING_OVER}: {reason}")]

    def _give_way(self, order: Yield, successor: Backup, now: int) -> list[Effect]:
        """Another is Active. After long service linger, as in any hand-over; in a contest let go at once.

        The losing priority is said once more: the winner may have been Active all the time and never have heard of us,
        while the link learnt our address; it contradicts, and announces again.
        """
        last_word = [self._say()] if order.outranked else []
        if order.linger:
            self.state = Leaving(now + LINGER, stop=False, successor=successor)
            return [*last_word, self._transition(Role.ACTIVE, f"{HANDING_OVER}: {order.reason}")]
        self.counters.contests += 1
        self.state = successor
        return [Release(), *last_word, self._transition(Role.ACTIVE, order.reason)]

    def _distrust(self, state: Active, event: Unproven, now: int) -> list[Effect]:
        """Somebody is Active besides us and cannot prove who it is: is it we who are wrong?"""
        loses = self.standing.loses_to(event.priority, event, self.source)
        in_contest = self.standing.in_contest(state.since, now)
        if self.effective_priority == OWNER or not self._doubt.gives_way(loses=loses, in_contest=in_contest):
            return []
        order = Yield(linger=False, outranked=False, reason=why_doubted(event.source))
        wait = self.standing.down_interval(self.settings.interval)
        return self._give_way(order, self._doubt.hesitate(Backup(now, self.settings.interval), event, now, wait), now)

    def _keep(self, now: int) -> list[Effect]:
        """From Leaving back to Active."""
        self.standing.drain = Drain.NO
        self.state = Active(advert_at=self._next_advert(now), since=now)
        return [self._say(), Announce(), self._transition(Role.ACTIVE, "nobody else took the role: kept")]

    def _hear_while_leaving(self, state: Leaving, event: Received, now: int) -> list[Effect]:
        if event.advert.priority == 0:
            if state.successor and state.successor.active in (None, event.source):
                successor = state.successor.hurried(now + self.standing.skew(state.successor.interval))
                self.state = replace(state, successor=successor, until=min(state.until, successor.down_at))
            return []
        if self._is_no_answer(state, event):
            return self._keep(now)
        self.state = state.answered(self._backup_behind(event, now), now + LINGER)
        return []

    def _is_no_answer(self, state: Leaving, event: Received) -> bool:
        """True where only an unhealthy node answers a drain, which must not darken the service."""
        asked = self.standing.drain is Drain.ASK and state.successor is None and not state.stop
        return asked and event.advert.priority == UNHEALTHY < self.effective_priority

    def _tick_leaving(self, state: Leaving, now: int) -> list[Effect]:
        alone = now >= state.until and (state.successor is None or now >= state.successor.down_at)
        if alone and not state.stop and self.standing.may_serve and self.standing.drain is not Drain.FORCE:
            return self._keep(now)
        due = [at for at in state.repeats if at <= now]
        zeros: list[Effect] = [self._say(0)] if due else []
        if now < state.until:
            self.state = replace(state, repeats=state.repeats[len(due) :])
            return zeros
        reason = "handed over" if state.successor else "left; nobody answered"
        self.followed_by = state.successor.active if state.successor else None
        if state.stop:
            return [*zeros, *self._stop(reason)]
        self.state = state.successor if state.successor and self.standing.takes_part else Initialize()
        return [*zeros, Release(), self._transition(Role.ACTIVE, reason)]

    # ---------------------------------------------------------------- pieces of the handlers

    def _advertise(self, state: Active, now: int) -> SendAdvert:
        """Adver_Timer, on an absolute schedule: lateness of one does not move the next."""
        following = self._next_advert(state.advert_at)
        at = following if following > now else self._next_advert(now)
        self.state = spoken = Active(at, state.since, state.replied_at)
        if self.authenticator is None:
            self.routine = Rhythm(spoken, self.settings.interval)
        return self._say()

    def _contradict(self, state: Active, now: int) -> list[Effect]:
        """RFC 9568 6.4.3: tell a lower Active at once, but not at the rate of a quarrel; and tell the link."""
        self.counters.contests += 1
        if state.replied_at is not None and now - state.replied_at < self.settings.interval // 4:
            return [Announce()]
        self.state = replace(state, replied_at=now)
        return [self._say(), Announce()]

    def _hear_as_backup(self, state: Backup, event: Received, now: int) -> list[Effect]:
        """RFC 9568 6.4.2."""
        priority = event.advert.priority
        if priority == 0 and state.active not in (None, event.source):
            self.counters.stray_zero += 1
        elif priority == 0:
            self.state = state.hurried(now + self.standing.skew(state.interval))
        elif self.standing.drain is Drain.ASK and (priority > UNHEALTHY or not self.standing.healthy):
            return self._out("drained")  # somebody serves
        elif self.standing.preempts(priority, now):
            self.state = state.preempting(event.source, priority)
        else:
            self.state = backup = self._backup_behind(event, now)
            if self.authenticator is None and self.standing.rests_behind(priority):
                self.routine = Renewal(event, backup, now)
        return []

    def _backup_behind(self, event: Received | None, now: int) -> Backup:
        """Backup with its timer armed by this advertisement, or by one that another member of the group heard."""
        interval = self.settings.interval
        if event is not None and self.settings.version == 3:  # RFC 9568 6.4.2: adopt the Active's interval
            interval = min(event.advert.interval, self.settings.max_learned_interval)
        return Backup(now + self.standing.down_interval(interval), interval, event.source if event else None)

    def _learn(self, event: Received, now: int) -> None:
        self._hear_until, self._unheard_until = None, 0  # who speaks to us waits for nobody
        self.encoder.learn(event.source, event.dialect)
        self._count(event, now, 1)

    def _count(self, event: Received, now: int, number: int) -> None:
        """So many advertisements came that say the same, the last one now."""
        self._doubt.end(now)
        remember(self._heard, event.source, now, REMEMBERED_SOURCES)
        self._counters.received(event.advert.priority, event.dialect, number)

    def _catch_up(self) -> None:
        """Take over what was noted of advertisements that said the same again."""
        routine = self.routine
        if routine is None or not routine.noted:
            return
        self._state, number = routine.count()
        if isinstance(routine, Rhythm):
            self._counters.adverts_sent += number
        else:
            self._count(routine.event, routine.at, number)

    def _say(self, priority: int | None = None) -> SendAdvert:
        self.counters.adverts_sent += 1
        self.counters.zeros_sent += priority == 0
        return SendAdvert(self.effective_priority if priority is None else priority)

    def _transition(self, previous: Role, reason: str) -> Transition:
        self.counters.transitions += previous is not self.role
        self.reason = reason
        return Transition(previous, self.role, reason)

    def _next_advert(self, last: int) -> int:
        return next_advert(last, self.settings.interval, self.settings.phase)
