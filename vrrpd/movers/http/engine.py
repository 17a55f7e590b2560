"""The mover that carries a declaration out.

What it knows of the world is three things: the header that says who it is (`auth`), its own id at the service, and what
the last answer about the holder said. `prepare` brings all three up to date, so that `acquire` sends its first change
at once, on the connection that the question about the holder keeps warm.

A move of several changes (detach, attach) is never begun anew where it broke off: once the steps `if_held` are done
nobody holds the thing, and the next attempt leaves them out. If what follows is refused then, somebody else may have
been faster: a conflict. After that, and where it may be here already, the next attempt looks before it clears anything.
What was cleared by us and is refused to us is with nobody: that is never left as it is (`HalfDoneError`).

A call that is refused with 401 is made once more with a secret that was read again, if that is another one: the service
did nothing, and a token may have been rotated. No other call is repeated for it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from ipaddress import ip_address
from math import inf
from typing import Any, Final

import trio

from vrrpd.config.model import for_node
from vrrpd.movers.base import (
    ConflictError,
    HalfDoneError,
    Holder,
    Host,
    InvalidError,
    MoverError,
    OutcomeUnknownError,
    ThrottledError,
    UnauthenticatedError,
    UnavailableError,
    Who,
)
from vrrpd.movers.http.auth import Credentials
from vrrpd.movers.http.declared import TOKEN, Api, Call, HttpCommon, Step, conditional
from vrrpd.movers.http.service import BusyError, Reply, Service, TakenError, picked
from vrrpd.movers.http.templates import Template, Values
from vrrpd.proto.timers import SECOND

_MOMENT_S: Final = 0.1  # an answer so young is not asked for twice: `holder` follows `prepare`


class HttpMover:
    """Moves one thing through a declared API.

    Attributes:
        compares: the API takes a change on condition.
        local: nothing of it is on this host.
    """

    local = False

    def __init__(self, api: Api, options: HttpCommon, host: Host) -> None:
        self.compares = conditional(api.acquire)
        self._api = api
        self._host = host
        self._service = Service(
            api.base,
            api.ca,
            call_timeout=options.call_timeout,
            connect_timeout=options.connect_timeout,
            look=host.look,
        )
        self._credentials = Credentials(api.auth, self._service, host.programs)
        self._own = for_node(api.nodes, host.node)
        self._saved: dict[str, Any] = {}  # by the question about the holder
        self._last: tuple[float, Holder] | None = None  # when it was asked, on trio's clock, and the answer
        self._sent: dict[int, float] = {}  # when those steps were sent last that must not be sent often
        self._who: Who | None = None  # has it; UNKNOWN: a look comes before anything is cleared
        self._refused = False  # because another has it
        self._cleared = False  # by us, and not brought here yet

    async def prepare(self) -> None:
        """Have the secret, this node's id, and a connection that works."""
        await self._credentials.prepare()
        self._credentials.check()
        if self._own is None:
            self._own = await self._found_out()
        if self._recent(0) is None:
            await self._ask(fresh=False)

    async def holder(self, *, fresh: bool = False) -> Holder:
        """Ask the service, unless it answered a moment ago."""
        if not fresh and (known := self._recent(_MOMENT_S)) is not None:
            return known
        return await self._ask(fresh=fresh)

    async def acquire(self, seen: Holder | None) -> None:
        """Take the steps."""
        self._credentials.check()
        self._values(seen)  # is it known what to send?
        freeing = [step for step in self._api.acquire if step.if_held]
        looked = False
        if self._who in {Who.ME, Who.UNKNOWN} and any(step.if_held or step.if_refused for step in self._api.acquire):
            looked = True
            await self._ask(fresh=False)
            if self._who is Who.ME:
                return
        if self._refused and self._who is not Who.NOBODY:
            freeing += [step for step in self._api.acquire if step.if_refused]
        await self._bring(freeing, self._values(seen), looked=looked)

    async def release(self, seen: Holder) -> None:
        """Give it up, if it still is as it was seen."""
        self._last = self._who = None
        await self._walk(self._api.release_steps, self._values(seen))

    async def local_verify(self) -> bool | None:
        """Nothing on this host shows it."""
        return None

    async def aclose(self) -> None:
        """Close the connections."""
        await self._service.aclose()

    def _recent(self, moment: float) -> Holder | None:
        """The last answer about the holder, where it is too young to ask again."""
        if self._last is None:
            return None
        asked, holder = self._last
        return holder if trio.current_time() - asked < max(moment, self._api.holder.every / SECOND) else None

    def _values(self, seen: Holder | None) -> dict[str, Any]:
        """What names stand for in a change; the condition only where it is to be one."""
        if seen is not None and seen.token is None:
            raise InvalidError("the service says nothing that a condition could name; leave out takeover and release")
        if self._own is None:
            raise UnavailableError("which of the service's ids this node is, is not known yet; the next look finds out")
        return {**self._saved, "self": self._own, TOKEN: seen.token if seen else None}

    async def _found_out(self) -> str:
        """Our own id: the service's word for it, or our address where the service knows nodes by that."""
        questions = self._api.self_
        if not questions:
            own = min(self._host.addresses, key=lambda address: address.version, default=None)
            if own is None:
                raise InvalidError("this node has no address of its own here; name its id in the configuration")
            return str(own)
        values: dict[str, Any] = {}
        reply = None
        for question in questions:
            reply = await self._service.call(question, values, self._credentials.header)
            _save(question, reply, values)
        assert reply is not None, "there is a question"
        own = picked(reply, questions[-1].pick, "the id of this node")
        if not own:
            raise UnavailableError(f"the answer holds no id of this node at {questions[-1].pick!r}; correct 'self'")
        return own

    async def _call(self, call: Call, values: Values, *, fresh: bool = False) -> Reply:
        """Call; once more where the secret is refused and is another one by now."""
        async with self._credentials.knocking():
            try:
                return await self._service.call(call, values, self._credentials.header, fresh=fresh)
            except UnauthenticatedError as error:
                refusal = self._credentials.refused(error)
                if not await self._credentials.refresh():
                    raise refusal from None
            try:
                return await self._service.call(call, values, self._credentials.header, fresh=fresh)
            except UnauthenticatedError as error:
                raise self._credentials.refused(error) from None

    async def _ask(self, *, fresh: bool) -> Holder:
        """Ask who holds it."""
        self._credentials.check()
        question = self._api.holder
        values = {} if self._own is None else {"self": self._own}
        reply = await self._call(question, values, fresh=fresh)
        if not reply.excused:
            _save(question, reply, self._saved)
        found = "" if reply.excused else picked(reply, question.pick, "the holder")
        if not found and question.ok and not reply.excused:  # there it is, and it leads where no node's id can stand
            found = f"something without {question.pick}"
        holder = self._named(found, None if reply.excused else self._saved.get(TOKEN))
        self._last = trio.current_time(), holder
        self._who = holder.who
        return holder

    def _named(self, found: str, token: Any) -> Holder:
        """Whose id that is."""
        token = None if token is None else str(token)
        if not found:
            return Holder(Who.NOBODY, token=token)
        if self._own is not None and _same(found, self._own):
            return Holder(Who.ME, found, token=token)
        peers = {peer.name: {str(address) for address in peer.addresses} for peer in self._host.peers}
        for name, ids in peers.items():
            if any(_same(found, each) for each in (*ids, self._api.nodes.get(name, ""))):
                return Holder(Who.PEER, found, name, token)
        return Holder(Who.FOREIGN, found, token=token)

    async def _bring(self, freeing: Sequence[Step], values: dict[str, Any], *, looked: bool) -> None:
        """Take the steps that are left to take."""
        self._last = None
        skipped = bool(freeing) and self._who is Who.NOBODY
        if freeing and not skipped:
            self._cleared |= await self._walk(freeing, values)
            self._who = Who.NOBODY
        try:
            await self._walk([step for step in self._api.acquire if not (step.if_held or step.if_refused)], values)
        except (InvalidError, ConflictError, BusyError) as error:
            self._who, self._refused = Who.UNKNOWN, isinstance(error, TakenError)
            if self._refused and (await self._ask(fresh=False)).who is Who.ME:
                return
            if skipped and not looked:
                raise ConflictError(f"{error}; another node may have been faster") from None
            if self._cleared and isinstance(error, InvalidError):
                raise HalfDoneError(f"nobody has it, and it is refused here: {error}") from None
            raise
        self._who, self._refused, self._cleared = Who.ME, False, False

    async def _walk(self, steps: Iterable[Step], values: dict[str, Any]) -> bool:
        """Take some steps, one after the other; whether the service accepted a change."""
        changed = False
        for step in steps:
            if any(values.get(name, "") is None for name in step.needs):
                continue  # the call before was excused, and there is nothing to look at
            try:
                reply = await self._taken(step, values)
            except _MoveFailedError:
                raise
            except MoverError as error:
                if changed and (not step.changes or isinstance(error, UnauthenticatedError)):
                    raise OutcomeUnknownError(f"how it ended cannot be seen: {error}") from None
                if changed and isinstance(error, InvalidError):
                    raise HalfDoneError(f"a part of it is done, and the rest is refused: {error}") from None
                raise
            changed = changed or (step.changes and not reply.excused)
            _save(step, reply, values)
        return changed

    async def _taken(self, step: Step, values: Values) -> Reply:
        """Take one step; look again where it says so."""
        if step.apart:
            self._pace(step)
        while True:
            reply = await self._call(step, values)
            self._sent.pop(id(step), None)
            if reply.excused:
                return reply
            failed = next((path for path, value in step.fail.items() if _is(reply, path, value, values)), None)
            if failed is not None:
                raise _MoveFailedError(self._failure(reply, failed))
            if all(_is(reply, path, value, values) for path, value in step.until.items()):
                return reply
            await trio.sleep(step.every / SECOND)

    def _pace(self, step: Step) -> None:
        """Note that a step is sent now, or refuse it where it was sent a moment ago and did not succeed."""
        now = trio.current_time()
        left = self._sent.get(id(step), -inf) + step.apart / SECOND - now
        if left > 0:
            raise ThrottledError(f"the service allows this again in {left:.0f} s, since it limits how often", left)
        self._sent[id(step)] = now

    def _failure(self, reply: Reply, path: str) -> str:
        said = self._service.said(reply.answer)
        return f"the service took the move and says that it failed ({path}{said})"


class _MoveFailedError(UnavailableError):
    """The service did what was asked, and that failed there."""


def _save(call: Call, reply: Reply, values: dict[str, Any]) -> None:
    """Keep what later calls need; None for what an excused call does not give."""
    for name, path in call.save.items():
        found = None if reply.excused else reply.pick(path)
        if found is None and not reply.excused and name != TOKEN:
            raise UnavailableError(f"the answer holds nothing at {path!r}; correct 'save'")
        values[name] = found


def _is(reply: Reply, path: str, wanted: Template, values: Values) -> bool:
    found = reply.pick(path)
    if wanted.text == "*":
        return found is not None
    text = str(found).lower() if isinstance(found, bool) else str(found)
    return found is not None and text == wanted.filled(values)


def _same(one: str, other: str) -> bool:
    """Whether two ids are one; addresses have several spellings."""
    try:
        return ip_address(one) == ip_address(other)
    except ValueError:
        return one == other
