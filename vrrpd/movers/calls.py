"""Single calls of a mover: each bounded, and each remembered for what it says about this node and about the holder.

Owns what is known from calls: whether this node is ready, who was seen last, whether a change may still happen. An
answer that comes when the role has changed is dropped: whoever calls is cancelled, and learns nothing from it.

Must not do: repeat anything.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

import trio

from vrrpd.movers.base import (
    Holder,
    Mover,
    MoverError,
    OutcomeUnknownError,
    UnauthenticatedError,
    UnreachableError,
    Who,
)
from vrrpd.movers.mishaps import Mishaps

PREPARE_LIMIT_S = 10
"""How long preparing may take: it is several calls, and credentials may come from a program."""

_GOODBYE_S = 1

_T = TypeVar("_T")


class Calls:
    """Calls one mover.

    Attributes:
        seen: who had it at the last look, or `ME` since our own change was acknowledged; None before.
        asked: somebody was asked, whatever came of it.
        loose: a change was sent that may happen yet.
        unprepared: never prepared, or not since our credentials were refused.
        first_preparation: being prepared while it was not; the role's coming is no reason to begin that anew.
    """

    def __init__(
        self, mover: Mover, timeout_s: float, look: Callable[[], None], noted: Callable[[], None], mishaps: Mishaps
    ) -> None:
        """Call nothing yet.

        Args:
            mover: the kind, built from its options.
            timeout_s: how long a call may take, in seconds.
            look: called in the step in which a change leaves this host.
            noted: called when `seen` or `trouble` may have changed.
            mishaps: told of what is no `MoverError`.
        """
        self.seen: Holder | None = None
        self.asked = False
        self.loose = False
        self.unprepared = True
        self.first_preparation = False
        self._mover = mover
        self._timeout_s = timeout_s
        self._look = look
        self._noted = noted
        self._mishaps = mishaps
        self._troubles: dict[str, str] = {"prepare": "not asked yet"}

    @property
    def here(self) -> bool:
        """Whether the last look showed it here, and nothing of ours is under way."""
        return not self.loose and is_mine(self.seen)

    @property
    def trouble(self) -> str:
        """Why this node is not ready; "" where it is."""
        return next(iter(self._troubles.values()), "")

    async def prepare(self) -> None:
        """Have everything ready; raises `MoverError`."""
        self.first_preparation = self.unprepared
        try:
            await self._within(PREPARE_LIMIT_S, self._mover.prepare)
        except MoverError as error:
            self._note("prepare", error)
            raise
        finally:
            self.first_preparation = False
        self.unprepared = False
        self._note("prepare", None)

    async def ask(self, *, fresh: bool = False) -> Holder:
        """Ask who has it, on a new connection where the old one did not answer; raises `MoverError`."""
        try:
            holder = await self._within(self._timeout_s, lambda: self._mover.holder(fresh=fresh))
        except MoverError as error:
            self.asked = True
            self._note("holder", error)
            raise
        self.asked, self.seen = True, holder
        self._note("holder", None)
        return holder

    async def ask_quietly(self) -> Holder | None:
        """Ask who has it; None where that cannot be found out now."""
        try:
            return await self.ask()
        except MoverError:
            return None

    async def sees_it(self, *, in_doubt: bool) -> bool | None:
        """Whether this host sees it by itself; None where it cannot tell, ever; `in_doubt` where that failed."""
        try:
            return await self._within(self._timeout_s, self._mover.local_verify)
        except MoverError:
            return in_doubt

    async def change(self, seen: Holder | None) -> None:
        """Send the change, once; raises `MoverError`. Nothing is sent where `look` tells that the role has gone."""
        before = self.loose
        with trio.move_on_after(self._timeout_s):
            self._look()
            await trio.lowlevel.checkpoint_if_cancelled()
            self.loose = True
            try:
                await self._mover.acquire(seen)
            except OutcomeUnknownError:
                raise
            except MoverError as error:
                self.loose = before
                self._refused(error)
                raise
            except Exception as error:  # noqa: BLE001 - see `mishaps`
                raise OutcomeUnknownError(self._mishaps.sentence(error)) from None
            await trio.lowlevel.checkpoint_if_cancelled()
            self.arrived()
            return
        raise OutcomeUnknownError(f"no answer within {self._timeout_s:g} s")

    def arrived(self) -> None:
        """Our change is known to have happened, or not to be needed."""
        self.loose = False
        self.seen = Holder(Who.ME)

    async def give_up(self) -> bool:
        """Give it up where it is here; return whether it was. Raises `MoverError`.

        What is on this host alone is let go of without a question.
        """
        was_here = is_mine(self.seen)
        holder = Holder(Who.ME) if self._mover.local else await self.ask()
        if not is_mine(holder):
            return False
        self._look()
        await trio.lowlevel.checkpoint_if_cancelled()
        await self._within(self._timeout_s, lambda: self._mover.release(holder))
        self.seen = Holder(Who.NOBODY if self._mover.local else Who.UNKNOWN)
        return was_here or not self._mover.local

    async def aclose(self) -> None:
        """Close connections; takes a second at most."""
        with trio.move_on_after(_GOODBYE_S):
            try:
                await self._mover.aclose()
            except Exception as error:  # noqa: BLE001 - see `mishaps`
                self._mishaps.sentence(error)

    async def _within(self, limit_s: float, call: Callable[[], Awaitable[_T]]) -> _T:
        with trio.move_on_after(limit_s):
            try:
                result = await call()
            except MoverError as error:
                self._refused(error)
                raise
            except Exception as error:  # noqa: BLE001 - see `mishaps`
                raise MoverError(self._mishaps.sentence(error)) from None
            await trio.lowlevel.checkpoint_if_cancelled()
            return result
        raise UnreachableError(f"no answer within {limit_s:g} s")

    def _note(self, question: str, error: MoverError | None) -> None:
        """Remember what one of the two questions came to."""
        if error is None:
            self._troubles.pop(question, None)
        else:
            self._troubles[question] = str(error)
        self._noted()

    def _refused(self, error: MoverError) -> None:
        """Credentials that were refused are renewed by the next preparation."""
        if isinstance(error, UnauthenticatedError):
            self.unprepared = True


def is_mine(holder: Holder | None) -> bool:
    """Whether a look showed it here."""
    return holder is not None and holder.who is Who.ME
