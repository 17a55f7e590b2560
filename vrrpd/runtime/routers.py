"""One router of the configuration at work: events of the host and the network in, effects of the core out.

Owns the order of doing: an advertisement is sent in the call that asks for it, before anything slower is begun;
addresses are noted for the worker thread, announcements for the announcer, which sends the first few at once. Nothing
here waits. After each call the caller renews the one timer from `deadline`.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import cached_property, partial

import trio

from vrrpd.config.spec import RouterSpec
from vrrpd.errors import VrrpdError
from vrrpd.linux.claims import Claim
from vrrpd.linux.netlink import KernelAddress
from vrrpd.proto.clock import Instant
from vrrpd.proto.datagram import Datagram
from vrrpd.proto.effects import Acquire, Announce, Effect, Release, Role, SendAdvert, Transition
from vrrpd.proto.events import Drain, Received, Unproven
from vrrpd.proto.group import Asked, Group
from vrrpd.proto.renewal import Renewal
from vrrpd.proto.settings import OWNER, Address
from vrrpd.proto.states import Active, Backup, Leaving
from vrrpd.proto.timers import active_down_interval
from vrrpd.proto.validate import Drop, priority_of, validate
from vrrpd.runtime import doubts
from vrrpd.runtime.alarms import Alarms, Code
from vrrpd.runtime.choir import EARLY, Choir, Verse
from vrrpd.runtime.conditions import LASTING, conditions
from vrrpd.runtime.health import Health
from vrrpd.runtime.member import Footing, Member
from vrrpd.runtime.moving import Movement
from vrrpd.runtime.placement import Outcome, Standing
from vrrpd.runtime.remarks import Remarks
from vrrpd.runtime.repairs import Repairs
from vrrpd.runtime.services import Services
from vrrpd.runtime.voice import Voice
from vrrpd.runtime.witness import Witness


class Router:
    """One router: its group of virtual routers, and what they need of the host.

    Attributes:
        spec: the wanted state.
        group: the core.
        members: the host's side of each virtual router, in the order of the group.
        alarms: what needs a person.
        fault: why it cannot take part, None where it can.
        leaving: True once it was told to hand over for good.
        since: when the role last changed, nanoseconds.
        health: what the checks mean for it.
        remarks: what it says about what it hears.
        movement: what moves with it beside its addresses.
        choir: with whom it is one for the schedule; None where it is alone.
    """

    def __init__(self, spec: RouterSpec, services: Services) -> None:
        self.spec = spec
        self.members = [Member(each) for each in spec.members]
        self.group = Group(
            [each.settings for each in spec.members],
            {address: name for each in spec.members for address, name in each.names.items()},
        )
        self._timed = self.group if len(self.members) > 1 else self.group.members[0]  # who knows, without detours
        self._log = logging.getLogger(f"vrrpd.{spec.name}")
        self.alarms = Alarms(self._log.warning)
        self.fault: str | None = None
        self.leaving = False
        self.since = services.now()
        self.choir: Choir | None = None
        self.health = Health(spec)
        self._services = services
        self._drain = Drain.NO
        self._releasing = False  # giving the role away because of its health
        self._held_down = False
        self._watches = False  # it is Backup
        self._looked_for: int | None = None  # the end of Active_Down_Timer before which it has looked already
        self._served = False  # when it was told to leave
        self._changed = trio.lowlevel.ParkingLot()
        self._nothing_new = False  # to say about the last advertisement, nor about the same once more
        self._repairs = Repairs()
        self.remarks = Remarks(self.alarms, self._log)
        self._voices = [
            Voice(f"{spec.name}/{index}", member, core, services, self.remarks, self._after)
            for index, (member, core) in enumerate(zip(self.members, self.group.members, strict=True))
        ]
        self._witnesses = [Witness(member, self.alarms) for member in self.members]
        self.movement = Movement(spec.movers, partial(services.mover, self), self._mover_changed)

    @property
    def deadline(self) -> int | None:
        """When `tick` is due, nanoseconds."""
        following = self._timed.deadline
        if self._watches and following is not None and following != self._looked_for:
            following -= EARLY
        if not self._held_down:
            return following
        until = self.health.hold_down.until
        return until if following is None else min(following, until)

    @property
    def verse(self) -> Verse | None:
        """What it says again and again; None where there is more to it."""
        return self._voices[0].verse if len(self._voices) == 1 and not self._held_down else None

    @property
    def role(self) -> Role:
        """The role of all members."""
        return self.group.role

    @property
    def idle(self) -> bool:
        """True where nothing is left to hand over."""
        return self.role is Role.INITIALIZE

    @property
    def drained(self) -> bool:
        """True from `drain` until `undrain`, or until it shows that nobody else would serve."""
        return self._drain is not Drain.NO

    @property
    def aside(self) -> bool:
        """True while it stays out because what its movers move is better off elsewhere."""
        return self.health.demand.aside is not None

    @cached_property
    def patience(self) -> int:
        """The shortest Active_Down_Interval of its members, nanoseconds: a longer sleep is a gap."""
        every = [each.settings for each in self.spec.members]
        return min(active_down_interval(s.version, s.priority, s.interval, s.down_adverts) for s in every)

    @property
    def unfollowed(self) -> bool:
        """True where it was Active until it left, and nobody else is, as far as is heard."""
        cores, now = self.group.members, self._services.now()
        heard = [source for core in cores for source, at in core.heard.items() if now - at <= self.patience]
        others = any(self.heard_from([source]) for source in heard) or any(core.followed_by for core in cores)
        return self._served and not others

    @property
    def _bound(self) -> bool:
        """True while an owner serves its own address: that stays whatever we do, so the role stays with it."""
        foreign = any(o.standing is Standing.FOREIGN for m in self.members for o in m.outcomes.values())
        return foreign and self.spec.members[0].settings.priority == OWNER

    # ---------------------------------------------------------------- events

    def refresh(self) -> None:
        """Links, addresses or the wanted state changed: start, stop, or start anew."""
        footings = [m.find_footing(self._services.links, self._services.shared) for m in self.members]
        now = self._services.now()
        trouble = self._repairs.trouble(now) or next((each for each in footings if isinstance(each, str)), None)
        ready = [each for each in footings if isinstance(each, Footing)]
        moved = any(m.footing and m.footing.identity != f.identity for m, f in zip(self.members, ready, strict=False))
        if trouble is None and not moved:
            self._follow_names(ready)
        if trouble is not None or moved:
            self._stand_down(trouble or "the interface or its address changed")
        if trouble is None and not self.leaving and self.members[0].footing is None:
            trouble = self._stand_up(ready)
        if trouble != self.fault:
            self._log.log(logging.WARNING if trouble else logging.INFO, "%s", trouble or "fault is over")
            self.fault = trouble
        self._after()

    def speak(self, now: int) -> bool:
        """Post the regular advertisements that are due, which change nothing; False where there is more to do."""
        if len(self._voices) == 1 and self._voices[0].once_more(now):
            return True
        for index, due in self.group.speak(now):
            self._voices[index].regular(due)
        following = self.deadline
        return following is None or following > now

    def tick(self, woken: int, waiting: int) -> None:
        """A deadline may have passed. A Backup looks once more whether somebody spoke before it takes the role.

        What kept us from waking in time may have kept an Active from speaking, too.

        Args:
            woken: when the timer was seen to have gone off, nanoseconds.
            waiting: since when it was waited for, nanoseconds.
        """
        now = self._services.now()
        if self._held_down and not self.health.hold_down.active(now):
            self._held_down = False
            self.judge_health()
        due = self.group.deadline
        if self._watches and due is not None and now < due:
            if due - EARLY <= now:
                self.look()
                self._looked_for = due
            self._services.renew(self)
            return
        late = woken - max(due or woken, waiting)
        if late > self.spec.members[0].settings.interval or isinstance(self.group.members[0].state, Backup):
            self._read()
        now, pairs = self._services.now(), zip(self.members, self.group.members, strict=True)
        overdue = [member.punctuality for member, core in pairs if member.punctuality.is_due(core.state, now)]
        self._perform(self.group.tick(now, late))
        self._services.lateness.left(overdue, self._services.now())

    def look(self) -> None:
        """Before it may have to take the role: has anybody spoken?"""
        self._read()
        self._services.addresses.rehearse()

    def _read(self) -> None:
        """Take what has come in by the sockets already."""
        for port in [member.port for member in self.members if member.port is not None]:
            self._services.read(port)

    def receive(self, index: int, datagram: Datagram) -> bool:
        """A datagram with our VRID came in; returns whether it was believed."""
        core, now = self.group.members[index], self._services.now()
        at, keys = Instant(now, self._services.wall()), core.authenticator
        prove = partial(keys.judge, at=at) if keys else None
        verdict = validate(datagram, core.settings, self._services.own, prove)
        if isinstance(verdict, Drop):
            core.counters.dropped[verdict.reason] += 1
            self.remarks.refused(self.members[index], datagram, verdict, now)
            self._witnesses[index].refused(core, datagram, verdict, now)
            priority = priority_of(datagram)
            if priority and doubts.may_be_peer(self.members[index].spec, datagram.source, verdict):
                self._doubt(index, Unproven(datagram.source, priority, verdict.authentic), now)
            return False
        event, before = Received(verdict.advert, datagram.source, verdict.dialect), core.state
        self._perform(self.group.received(index, event, now))
        remarked = self.remarks.accepted(self.members[index], core, datagram.source, verdict.advert, now)
        self._witnesses[index].heard(core, before, event, now)
        if index == 0 and verdict.advert.priority:  # the others have the same role, and other addresses
            name = self.members[0].spec.names.get(datagram.source, str(datagram.source))
            self.movement.heard(name, verdict.advert.priority)
        self._voices[index].heard()
        if len(self.members) > 1:
            self.network_heard(index)
        self._nothing_new = not remarked and not self.movement.movers
        return True

    def renewal(self, index: int) -> Renewal | None:
        """What the datagram that was believed last does when it comes again; None where it has to be received anew."""
        found = self.group.renewal if self._nothing_new and not self._held_down else None
        if found is not None:
            found.counted = self._witnesses[index].heard_again
        return found

    def claimed(self, index: int, claim: Claim) -> None:
        """Somebody on the link says that an address of ours is his, or we hear ourselves."""
        macs = self._services.links.macs()
        self._witnesses[index].claimed(self.group.members[index], claim, macs, self._services.now())

    def overslept(self, reason: str) -> None:
        """We were away for so long that others may have taken over: drop everything, listen, then take part again."""
        if self.role is not Role.INITIALIZE:
            self.alarms.seen(Code.OVERSLEPT, reason, self._services.now())
        self._perform(self.group.overslept(reason, self._services.now()))
        for index in filter(self.waits_to_hear, range(len(self.members))):
            self._services.listen(self, index)

    def holds(self, address: KernelAddress) -> bool:
        """Whether this address is one that we hold, as far as we know."""
        found = (member.outcomes.get(address.key) for member in self.members)
        return any(outcome is not None and outcome.standing is Standing.HELD for outcome in found)

    def robbed(self, address: KernelAddress, deed: str) -> bool:
        """Somebody removed an address that we hold, or made it his own; True where it is worth putting back."""
        detail, now = f"{address.address} was {deed}", self._services.now()
        if not self.alarms.seen(Code.ADDRESS_STOLEN, f"{detail}: make it leave the address alone", now):
            self._log.info("%s", detail)
        worth = self._repairs.another(address.address, detail, now)
        if not worth:
            self.refresh()
        return worth

    def _doubt(self, index: int, event: Unproven, now: int) -> None:
        """A peer that cannot be believed may be Active all the same; costs next to nothing, for such can be forged."""
        before = self.group.members[index].state
        asked = self.group.unproven(index, event, now)
        if asked or (self.group.members[index].state is not before and Code.DOUBTFUL not in self.alarms):
            self._perform(asked)
        elif self.group.members[index].state is not before:
            self._services.renew(self)

    def network_heard(self, index: int) -> None:
        """A host answered on the link of one member: for all members there, of whatever family."""
        heard = self.members[index].footing
        for other, member in enumerate(self.members):
            if member.footing and heard and member.footing.link == heard.link and self.waits_to_hear(other):
                self._perform(self.group.network_heard(other, self._services.now()))

    def waits_to_hear(self, index: int) -> bool:
        """True while a sign of life on the link of this member would change anything."""
        state = self.group.members[index].state
        return isinstance(state, Backup) and state.hear_until is not None

    def heard_from(self, sources: Iterable[Address]) -> int | None:
        """The priority that a node last advertised from any of its addresses; None where it was never heard."""
        said = (witness.heard_from(source) for witness in self._witnesses for source in sources)
        return next((priority for priority in said if priority is not None), None)

    def judge_health(self) -> None:
        """The checks have something new to say, a hold-down began or ended, or an operator wants something else."""
        served = isinstance(self.group.members[0].state, Active)
        self.health.demand = self.movement.demand
        wishes = self.health.judge(self._services.checks, self._drain, self._services.now())
        for index, wish in enumerate(wishes):
            asked = replace(wish, healthy=True) if self._bound else wish
            self._perform(self.group.adjust(index, asked, self._services.now()))
        if served and self._drain is Drain.NO and not (self.aside or self.movement.demand.yields):
            self._releasing = isinstance(self.group.members[0].state, Leaving)

    def drain(self, *, force: bool) -> None:
        """Give the role to somebody else and stay out; with `force` (for good) also where nobody takes it."""
        if self._bound:
            what = "its address is this node's own, which the agent does not take away"
            raise VrrpdError(f"{self.spec.name} cannot be drained: {what}; stop the agent, or remove the address")
        self._drain = max(self._drain, Drain.FORCE if force else Drain.ASK)
        self.judge_health()

    def undrain(self) -> None:
        """Take part again."""
        self._drain = Drain.NO
        self.judge_health()

    async def drained_out(self) -> bool:
        """Wait for the outcome of a drain: True: this node is out. False: it is not drained (any more)."""
        while self.drained and not self.idle:
            await self._changed.park()
        return self.drained

    def look_around(self) -> None:
        """Once a second: is anything over? Who else has our addresses, which are missing, which peers have no agent?"""
        suspicious = [(index, witness) for index, witness in enumerate(self._witnesses) if witness.suspects]
        if not (suspicious or self.alarms or self.remarks.pending or self.fault):
            return  # as it nearly always is, and there may be thousands
        now = self._services.now()
        self.alarms.fade(now)
        self.remarks.sum_up(now)
        if self.fault is not None:
            self.refresh()
        for index, member in enumerate(self.members if Code.ADDRESS_FAILED in self.alarms else ()):
            failed = [o.place for o in member.outcomes.values() if o.standing is Standing.FAILED]
            self._services.addresses.hold(failed, partial(self._settled, index))
        absent = list[str]()
        for index, witness in suspicious:
            absent += witness.absent(self.group.members[index], now)
            if witness.second_holders(self.group.members[index], now):
                self._announce(index)
        self.alarms.set(Code.NO_AGENT, "; ".join(absent) or None, now)

    def leave(self, reason: str) -> None:
        """Hand over, then take no part again."""
        self.leaving = True
        self._served = any(core.holds_addresses for core in self.group.members)
        self._perform(self.group.leave(reason, self._services.now()))

    def shutdown(self, reason: str) -> None:
        """Stop at once."""
        self.leaving = True
        self._stand_down(reason)
        self._after()

    # ---------------------------------------------------------------- taking part

    def _stand_up(self, footings: list[Footing]) -> str | None:
        """Start all members; returns what is in the way, where an interface went away meanwhile."""
        for index, (member, footing) in enumerate(zip(self.members, footings, strict=True)):
            try:
                take, renews = partial(self.receive, index), partial(self.renewal, index)
                port = self._services.ports.join(footing.link, self, member.spec.settings, take, renews)
            except VrrpdError as error:
                self._stand_down(str(error))
                return str(error)
            member.stand(footing, port)
            self._services.addresses.expect(member.places)
        self._perform(self.group.start([f.source for f in footings], self._services.now()))
        for voice in self._voices:
            voice.prepare()
        return None

    def _follow_names(self, footings: list[Footing]) -> None:
        """An interface may be renamed under us; what stands on it stays."""
        for member, footing, voice in zip(self.members, footings, self._voices, strict=True):
            if member.footing is not None and member.port is not None and member.footing.names != footing.names:
                member.stand(footing, member.port)
                voice.prepare()

    def _stand_down(self, reason: str) -> None:
        if self.members[0].footing is None:
            return
        self._perform(self.group.shutdown(reason, self._services.now()))
        for member in self.members:
            if member.port is not None:
                self._services.ports.leave(member.port, member.spec.settings.vrid)
            member.footing, member.port = None, None

    # ---------------------------------------------------------------- effects

    def _perform(self, asked: list[Asked]) -> None:
        for index, effect in asked:
            self._do(index, effect)
        if self._drain is Drain.ASK and self.group.members[0].standing.drain is Drain.NO:  # nobody else would serve
            self._log.warning("not drained: nobody else took the role")
            self.undrain()
        self._after()

    def _do(self, index: int, effect: Effect) -> None:
        member = self.members[index]
        match effect:
            case SendAdvert(priority):
                self._voices[index].say(priority)
                if priority == 0:  # from now on it is the next Active who tells the link where the addresses are
                    self._services.announcer.end((self.spec.name, index))
            case Acquire():
                self._voices[index].cover()
                self._services.addresses.hold(member.places, partial(self._settled, index))
            case Release():
                self._services.announcer.end((self.spec.name, index))
                self._services.claims.forget((self.spec.name, index))
                self._services.guardian.uncover(f"{self.spec.name}/{index}")
                self._services.addresses.drop(member.places)
                member.outcomes.clear()
            case Announce():
                self._announce(index)
            case Transition(previous, role, reason):
                self._services.later(partial(self._tell, index, previous, role, reason))
                if previous is not role:
                    self.since = self._services.now()
                if index == 0 and previous is Role.ACTIVE:
                    self._count_release(given_away=role is not Role.ACTIVE)
                if previous is Role.INITIALIZE and self.waits_to_hear(index):
                    self._services.listen(self, index)

    def _settled(self, index: int, outcomes: Sequence[Outcome]) -> None:
        """Addresses are there, or are not: the answer of the worker thread."""
        member = self.members[index]
        if not self.group.members[index].holds_addresses:
            return
        known = [member.outcomes.get(outcome.place.key) for outcome in outcomes]
        member.outcomes.update((outcome.place.key, outcome) for outcome in outcomes)
        # One that fails again, as it does each second, is no news for the neighbours.
        pairs = zip(known, outcomes, strict=True)
        if any(before is None or not before.standing is each.standing is Standing.FAILED for before, each in pairs):
            self._announce(index)
        if self.alarms or any(outcome.standing is not Standing.HELD for outcome in outcomes):
            self._after()

    def _announce(self, index: int) -> None:
        """Announce what is on its interface, once the kernel has answered for every address."""
        member = self.members[index]
        if len(member.outcomes) == len(member.places):
            failed = {key for key, o in member.outcomes.items() if o.standing is Standing.FAILED}
            places = [(p.address.address.ip, p.link) for p in member.places if p.key not in failed]
            self._services.announcer.begin((self.spec.name, index), places, member.spec.announce)

    def _tell(self, index: int, previous: Role, role: Role, reason: str) -> None:
        """The role has changed: what need not be done at once."""
        if index == 0:
            self._log.info("%s -> %s: %s", previous, role, reason)
        if previous is not role is Role.ACTIVE and self.group.members[index].holds_addresses:
            heard = partial(self.claimed, index)
            self._services.claims.watch((self.spec.name, index), self.members[index].watch(heard))

    def _count_release(self, *, given_away: bool) -> None:
        """A role that moves too often because of our health is not taken back at once (flap protection)."""
        if not self._releasing or isinstance(self.group.members[0].state, Leaving):
            return
        self._releasing = False
        if given_away:
            self.health.hold_down.released(self._services.now())
            self._held_down = self.health.hold_down.active(self._services.now())
            if self._held_down:
                self.judge_health()

    def _mover_changed(self) -> None:
        """A mover has something new to say; it may have waited for that."""
        self._services.vigil.look()
        self.movement.raise_alarms(self.alarms, self._services.now())
        if self.movement.demand != self.health.demand:
            self.judge_health()

    def _after(self) -> None:
        """Renew the timer, tell the movers where the role is; then the lasting alarms are held against what is."""
        core = self.group.members[0]
        active, holds = isinstance(core.state, Active), core.holds_addresses
        self._watches = isinstance(core.state, Backup)
        self.movement.want(active=active, holds=holds, priority=core.effective_priority)
        self._services.renew(self)
        self._changed.unpark_all()
        self._services.later(self._hold_alarms)

    def _hold_alarms(self) -> None:
        found = conditions(self.group, self.members, self.health, held_down=self._held_down)
        self.alarms.hold(LASTING, found, self._services.now())
