"""One mover at work: brings the thing here while the role is ours, looks after it, and has all ready while it is not.

    run
    ├── the role is elsewhere    prepare and ask who has it, every 30 s; look back at what was cut off
    │      ^ v  want
    ├── the role is ours         ─> bring ─> look after ─> taken? wait, look again, take it back ─┐
    │                                ^                                                            │
    │                                └────────────────────────────────────────────────────────────┘
    ├── bulletin                 ends alarms, and staying out of the election, when their time is over
    └── serve                    what the mover does by itself, where it is `Serving`

Owns everything that has to do with time: when there is an attempt, how long it may take, how often it is repeated, when
a look at the holder counts, who gives way. `pace` and `contention` have the numbers; a mover makes one attempt at one
thing. At most one call of the mover is under way, ever.

What the service says is the truth. The role's coming sends the change at once, before anything is asked, except where
the last look showed the thing here and no other node was Active since: then one question comes first, since a move to
where it is may be billed. The role's going cancels what is under way, in the call that says so, and nothing more is
sent; what that left behind is looked at after 1 and 5 s. Answers that come after the role has changed are dropped.

A request that can never succeed (`InvalidError`) is not repeated. The service goes on being asked who has the thing,
every `verify_interval`, and when that shows something else than it did there is another attempt: somebody has mended
it. What `prepare` finds wrong is looked at every 30 s, since preparing changes nothing.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from math import inf
from random import Random
from typing import Any, Never

import trio

from vrrpd.movers.base import (
    CommonOptions,
    Holder,
    InvalidError,
    Mover,
    MoverError,
    OutcomeUnknownError,
    Serving,
    UnauthenticatedError,
    Who,
)
from vrrpd.movers.bulletin import Bulletin
from vrrpd.movers.calls import Calls, is_mine
from vrrpd.movers.contention import Proof, Ranks, Retakes, Rivals, same_place
from vrrpd.movers.first_look import FirstLook, look_back
from vrrpd.movers.mending import mended
from vrrpd.movers.mishaps import Mishaps, go_on
from vrrpd.movers.pace import SETTLED_S, WARM_EVERY_S, Looks, Pace, needs_a_person, sooner
from vrrpd.movers.readiness import Readiness
from vrrpd.movers.report import Report, State, Trouble
from vrrpd.proto.timers import SECOND

_GOODBYE_S = 1


class MoverDriver:
    """Drives one mover.

    Attributes:
        name: of the mover, for people.
        local: what moves is on this host (`Mover.local`).
    """

    def __init__(
        self,
        name: str,
        mover: Mover,
        options: CommonOptions,
        ranks: Ranks,
        *,
        changed: Callable[[], None],
        look: Callable[[], None],
        log: logging.Logger,
        random: Random,
    ) -> None:
        """Ask nothing of anybody before `run`.

        Args:
            name: of the mover, for people.
            mover: the kind, built from its options.
            options: those that all kinds have.
            ranks: how the nodes rank.
            changed: called after each change of `report`; must not block.
            look: called in the step in which a change leaves this host; may call `want`, and then nothing leaves.
            log: where events go, each of them once.
            random: for jitter.
        """
        self.name = name
        self.local = mover.local
        self._mover = mover
        self._options = options
        self._tell = Bulletin(name, changed, log)
        self._random = random
        self._compares = options.takeover == "compare" and mover.compares
        self._mishaps = Mishaps(name, log)
        self._calls = Calls(mover, options.timeout / SECOND, look, self._show, self._mishaps)

        self._first_look = FirstLook(self._calls)
        self._readiness = Readiness(self._tell, "", "")

        self._active = False
        self._priority = 0
        self._epoch = 0
        self._scope = trio.CancelScope()  # of all that the present role does

        self._rival: Holder | None = None  # who had it when the present attempts began
        self._began = 0.0
        self._proof = Proof()
        self._looks = Looks(0, 0, random)
        self._prepare_at = -inf
        self._warming = Pace(random)

        self._newcomer = trio.Event()  # another node became Active

        self._rivals = Rivals(ranks)
        self._retakes = Retakes()

    @property
    def report(self) -> Report:
        """How it does; another object after each change."""
        return self._tell.report

    # ---------------------------------------------------------------- what the router says

    def want(self, active: bool, priority: int) -> None:
        """Say where the role is; waits for nothing.

        Args:
            active: it is ours, and not being given away.
            priority: our effective priority.
        """
        self._priority = priority
        if active is self._active:
            return
        self._active = active
        self._epoch += 1
        self._rivals.role(trio.current_time(), here=active)
        if not (active and self._calls.first_preparation):
            self._scope.cancel()

    def heard(self, name: str, priority: int) -> None:
        """A node advertises that it is Active. Where this one made room for it, it is right to listen again.

        Args:
            name: of the node; its address, where it has none.
            priority: what it says, above 0.
        """
        if self.report.aside is not None and self._rivals.is_right(name, priority):
            self._tell.take_part()
        if not self._active and self._rivals.active(name, trio.current_time()) and not self._calls.trouble:
            self._newcomer.set()

    async def run(self) -> Never:
        """Bring about what is wanted, until cancelled; closes the mover at the end."""
        if self._options.takeover == "compare" and not self._mover.compares:
            self._tell.remark(logging.WARNING, "no change can be made conditional here; it is taken, whoever has it")
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._tell.run)
                if isinstance(self._mover, Serving):
                    nursery.start_soon(go_on, self._mover, self._tell, self._mishaps, self._random)
                nursery.start_soon(self._follow)
        finally:
            self._active = False
            with trio.move_on_after(_GOODBYE_S, shield=True):
                if self._mover.local:
                    await self._let_go()
                await self._calls.aclose()
            self._tell.hush()
        raise AssertionError("both go on until they are cancelled")

    async def release(self) -> None:
        """After `run`, at a clean stop that nobody followed: give it up where the options say so."""
        if self._options.release == "on_stop":
            try:
                await self._let_go()
            finally:
                with trio.move_on_after(_GOODBYE_S, shield=True):
                    await self._calls.aclose()

    # ---------------------------------------------------------------- the role is elsewhere

    async def _follow(self) -> Never:
        while True:
            with trio.CancelScope() as self._scope:
                await (self._serve() if self._active else self._stand_by())

    async def _stand_by(self) -> None:
        self._readiness = Readiness(self._tell, "not ready to take over", "ready to take over again")
        self._tell.end(Trouble.FAILED)
        self._show(state=State.IDLE, detail=self._whereabouts(), epoch=self._epoch)
        if self._calls.loose:
            await self._calls.aclose()
        if self._mover.local:
            await self._let_go()
        elif self._calls.loose or is_mine(self._calls.seen):
            late = "a late write brought it here after the role was gone"
            await look_back(self._calls, self._noticed, lambda: self._say(logging.WARNING, late))
        while not self._active:
            with trio.move_on_at(self._prepare_at):
                await self._newcomer.wait()
                self._newcomer = trio.Event()
                self._prepare_at = min(self._prepare_at, trio.current_time() + SETTLED_S)
                continue
            await self._warm_up()

    async def _warm_up(self) -> None:
        """One preparation, and one look at the holder; the next one is due after that or, if it failed, sooner."""
        try:
            await self._prepare()
            if self._active:
                return
            holder = await self._calls.ask()
        except MoverError as error:
            self._prepare_at = trio.current_time() + self._warming.after(error)
            locked = isinstance(error, UnauthenticatedError) and error.pause is not None
            self._readiness.failed(error, for_certain=locked)
            self._show()
            return
        self._warming.succeeded()
        self._readiness.succeeded()
        self._show(detail=self._whereabouts())
        self._noticed(holder)
        if self._mover.local and is_mine(holder):
            await self._let_go()

    def _noticed(self, holder: Holder) -> None:
        """A look while the role is not here: whoever has it now may not be the one that this node made room for."""
        if self._rivals.seen(holder):
            self._tell.take_part()

    async def _let_go(self) -> None:
        """Give it up where it is here; what is on this host must not stay there, so that is repeated until done."""
        pace = Pace(self._random)
        while True:
            try:
                if await self._calls.give_up():
                    self._say(logging.INFO, "given up")
                break
            except MoverError as error:
                wait = pace.after(error)
                if not self._mover.local or Trouble.FAILED not in self.report.troubles:
                    self._tell.remark(logging.WARNING, f"not given up: {error}")
                if not self._mover.local:
                    break
                self._tell.fail(f"it is still on this host, and cannot be taken away: {error}")
                await trio.sleep(wait)
        self._calls.loose = False
        if self._mover.local:
            self._tell.end(Trouble.FAILED)
            self._show(state=State.IDLE)

    # ---------------------------------------------------------------- the role is ours

    async def _serve(self) -> None:
        self._began = trio.current_time()
        self._readiness = Readiness(self._tell, "it may be here or not, that cannot be seen", "it can be seen again")
        self._first_look = FirstLook(self._calls)
        self._show(state=State.ACQUIRING, detail="on its way, no answer yet", epoch=self._epoch, attempts=0, ms=None)
        look_first = not self._rivals.known and (self._calls.here or not self._calls.asked)
        while True:
            await self._tell.back_in()
            ours = await self._bring(look_first=look_first)
            while ours:
                ours = await self._take_back(await self._look_after())
            look_first = True

    async def _bring(self, *, look_first: bool = False, taker: Holder | None = None) -> bool:
        """Try until it is here; False where this node has to give way.

        Args:
            look_first: begin with a question.
            taker: who was seen to have it a moment ago; None where nobody has looked.
        """
        ours = False
        self._rival = taker
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._watch_deadline)
            ours = await self._try_until_here(look_first)
            nursery.cancel_scope.cancel()
        return ours

    async def _watch_deadline(self) -> None:
        """Say so when it took too long, and offer the role to others where the options say so; attempts go on."""
        limit = self._options.deadline / SECOND
        await trio.sleep(limit)
        reason = f"could not be brought here in {limit:g} s: {self.report.detail}"
        self._tell.fail(reason)
        if self._options.on_deadline == "yield":
            self._tell.offer(reason)

    async def _try_until_here(self, look_first: bool) -> bool:
        pace = Pace(self._random)
        said: set[type[MoverError]] = set()
        while True:
            self._show(attempts=self.report.attempts + 1)
            try:
                return await self._attempt(look_first)
            except MoverError as error:
                wait = pace.after(error)
                if type(error) not in said:
                    self._tell.remark(logging.WARNING, f"could not be brought here: {error}")
                    said.add(type(error))
                self._show(detail=str(error))
                if needs_a_person(error, wait):
                    self._tell.fail(f"could not be brought here: {error}")
                mends_itself = not isinstance(error, InvalidError) or self._calls.unprepared
            look_first = self._calls.loose
            if mends_itself:
                await trio.sleep(wait)
            else:
                await mended(self._calls, self._options.verify_interval / SECOND, self._random)
                look_first = True

    async def _attempt(self, look_first: bool) -> bool:
        """One attempt: whether it is here after it, or this node has to give way."""
        if self._calls.unprepared:
            await self._prepare()
        seen = None
        if self._compares:
            seen = await self._calls.ask()
        elif look_first or self._first_look.owed:
            seen = await self._first_look.take()
        if seen is not None and is_mine(seen):
            self._found()
            return True
        if seen is not None and self._gives_way(seen):
            return False
        before = self._calls.seen
        try:
            await self._calls.change(seen if self._compares else None)
        except OutcomeUnknownError as error:
            return await self._resolve(before, error)
        self._moved(before, confirmed=False)
        return True

    async def _resolve(self, before: Holder | None, unknown: OutcomeUnknownError) -> bool:
        """The answer did not come: see what the service says."""
        holder = await self._first_look.take()
        if is_mine(holder):
            self._calls.arrived()
            self._moved(before, confirmed=True)
            return True
        if holder is not None and self._gives_way(holder):
            return False
        raise unknown

    def _gives_way(self, holder: Holder) -> bool:
        """Whether a node that ranks higher took it while we were trying; it stands aside if so.

        One that had it when we began is no reason: it may be dead, and that is why the role is here.
        """
        if self._rival is None:
            self._rival = holder
        return not same_place(holder, self._rival) and self._outranked(holder)

    def _outranked(self, holder: Holder) -> bool:
        """Whether a node that ranks higher has it; it stands aside if so."""
        if not self._rivals.outranked(holder, self._priority, trio.current_time()):
            return False
        self._show(state=State.CONTENDED)
        self._rivals.make_room(holder, self._priority)
        self._tell.stand_aside(f"{holder} has it and ranks higher, and does not hear us")
        return True

    def _moved(self, before: Holder | None, *, confirmed: bool) -> None:
        """It was brought here."""
        now = trio.current_time()
        ms = (now - self._began) * 1000
        self._proof = Proof(now, before, confirmed=confirmed)
        self._looks = self._plan()
        came = f", from {before}" if before and before.who in {Who.PEER, Who.FOREIGN} else ""
        self._hold(f"moved here in {ms:.0f} ms{came}", ms)

    def _found(self) -> None:
        """It is here already; but who had the role before may have a change on its way."""
        self._calls.loose = False
        self._proof = Proof(trio.current_time(), confirmed=True)
        self._looks = self._plan()
        self._hold("it was here already", self.report.ms)

    def _plan(self) -> Looks:
        return Looks(trio.current_time(), self._options.verify_interval / SECOND, self._random)

    def _hold(self, detail: str, ms: float | None) -> None:
        self._rivals.arrived(trio.current_time())
        self._tell.end(Trouble.FAILED)
        self._say(logging.INFO, detail, state=State.HELD, ms=ms)
        self._tell.take_part()

    # ---------------------------------------------------------------- it is here

    async def _look_after(self) -> Holder:
        """Verify and keep warm, until it is certain that it is somewhere else; return where."""
        pace = Pace(self._random)
        while True:
            await trio.sleep_until(min(self._looks.next, self._prepare_at))
            now = trio.current_time()
            if now >= self._looks.holder:
                try:
                    holder = await self._calls.ask()
                except MoverError as error:
                    self._looks.asked(trio.current_time())
                    self._looks.not_before(self._blinded(error, pace))
                    continue
                self._sees_again(pace)
                now = trio.current_time()
                self._looks.asked(now)
                gives_way = self._rivals.outranked(holder, self._priority, now)
                if self._proof.lost(holder, now, gives_way=gives_way):
                    return holder
                self._looks.not_after(self._proof.look_again_at)
            elif now >= self._looks.local:
                await self._look_locally()
            else:
                await self._keep_warm()

    async def _look_locally(self) -> None:
        """Ask this host; where it does not see the thing, the service is asked next."""
        here = await self._calls.sees_it(in_doubt=True)
        self._looks.asked_locally(trio.current_time())
        if here is None:
            self._looks.never_locally()
        elif not here:
            self._looks.not_after(trio.current_time())

    async def _keep_warm(self) -> None:
        try:
            await self._prepare()
            self._sees_again(self._warming)
        except MoverError as error:
            self._prepare_at = self._blinded(error, self._warming)

    def _blinded(self, error: MoverError, pace: Pace) -> float:
        """Count a failure to look after it; return when to try again."""
        wait = pace.after(error)
        self._readiness.failed(error, for_certain=needs_a_person(error, wait))
        self._show()
        return trio.current_time() + wait

    def _sees_again(self, pace: Pace) -> None:
        pace.succeeded()
        if not self._calls.trouble:
            self._readiness.succeeded()
            self._show()

    async def _take_back(self, taker: Holder) -> bool:
        """It is somewhere else while the role is ours: bring it back, by the rules of contention."""
        if self._outranked(taker):
            return False
        now = trio.current_time()
        contended = self._retakes.contended(now)
        state, detail = self._tell.lost(taker, contended=contended)
        self._show(state=state, detail=detail)
        await trio.sleep(self._retakes.wait(now, self._random))
        latest = await self._calls.ask_quietly() or taker
        if is_mine(latest):
            self._found()
            return True
        if self._outranked(latest):
            return False
        self._began = trio.current_time()
        self._retakes.sent(self._began)
        return await self._bring(taker=latest)

    # ---------------------------------------------------------------- both

    async def _prepare(self) -> None:
        await self._calls.prepare()
        self._prepare_at = trio.current_time() + sooner(self._random, WARM_EVERY_S)

    def _whereabouts(self) -> str:
        if self._calls.seen is None:
            return "not asked yet"
        if self._mover.local:
            return "it is here" if is_mine(self._calls.seen) else "it is not here"
        return f"the cloud says {self._calls.seen}"

    def _say(self, level: int, detail: str, **changes: Any) -> None:
        """Log an event, and show it until the next one."""
        self._tell.remark(level, detail)
        self._show(detail=detail, **changes)

    def _show(self, **changes: Any) -> None:
        """Renew the report, with what is known from calls."""
        seen = self._calls.seen
        unready = not self._active and self._readiness.lost
        self._tell.show(
            ready=not self._calls.trouble,
            why=self._calls.trouble,
            weight=self._options.unready_weight if unready else 0,
            holder=str(seen) if seen and seen.who is not Who.UNKNOWN else None,
            **changes,
        )
