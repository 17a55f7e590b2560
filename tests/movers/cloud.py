"""A cloud in memory: one thing, one holder, and everything that goes wrong with real ones; and a mover for it.

What was sent stays sent: a change that is on its way when its sender is cancelled happens all the same.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import trio

from vrrpd.movers.base import ConflictError, Holder, OutcomeUnknownError, Who


@dataclass
class Cloud:
    """Knows who has the thing, and when it changed hands.

    Attributes:
        delay: sender -> seconds until its change happens.
        lost: how many acknowledgements get lost.
        lag: reads show what was true so many seconds ago.
        changes: (when, who) of each change that arrived, whatever came of it.
        moves: (when, who) of each change of hands, the first holder included.
    """

    nursery: trio.Nursery
    holder: str | None = None
    delay: defaultdict[str, float] = field(default_factory=lambda: defaultdict(float))
    lost: int = 0
    lag: float = 0
    changes: list[tuple[float, str]] = field(default_factory=list[tuple[float, str]])
    moves: list[tuple[float, str | None]] = field(default_factory=list[tuple[float, str | None]])

    def __post_init__(self) -> None:
        self.moves.append((trio.current_time() - 3600, self.holder))

    @property
    def token(self) -> str:
        """Changes with each change of hands."""
        return str(len(self.moves))

    def give(self, who: str | None) -> None:
        """The thing changes hands, as from nowhere."""
        if who != self.holder:
            self.holder = who
            self.moves.append((trio.current_time(), who))

    def look(self) -> tuple[str | None, str]:
        """Who has it, as a read shows it, and the token."""
        then = trio.current_time() - self.lag
        return next(who for when, who in reversed(self.moves) if when <= then), self.token

    async def change(self, sender: str, token: str | None, to: str | None) -> None:
        """Hand it over; with a token, on condition that it has not changed hands since."""
        self.changes.append((trio.current_time(), sender))
        done = trio.Event()
        refused: list[str] = []

        async def happen() -> None:
            await trio.sleep(self.delay[sender])
            if token is not None and token != self.token:
                refused.append(token)
            else:
                self.give(to)
            done.set()

        self.nursery.start_soon(happen)
        await done.wait()
        if self.lost:
            self.lost -= 1
            raise OutcomeUnknownError("the cloud did not answer")
        if refused:
            raise ConflictError("the thing has changed hands meanwhile")


class CloudMover:
    """Moves the thing to one node of the cloud.

    Attributes:
        calls: (when, name of the call) in their order.
        failing: name of the call -> what it raises, one after the other; an endless iterable for "for ever".
        takes: name of the call -> seconds it takes before anything is sent.
        seen_locally: what this host sees.
        closed: how often it was closed.
    """

    compares = True
    local = False

    def __init__(self, cloud: Cloud, node: str, peers: Iterable[str] = ()) -> None:
        self.cloud = cloud
        self.node = node
        self.calls: list[tuple[float, str]] = []
        self.failing: dict[str, deque[Exception] | Callable[[], Exception | None]] = {}
        self.takes: defaultdict[str, float] = defaultdict(float)
        self.seen_locally: bool | None = None
        self.closed = 0
        self._peers = frozenset(peers)

    def sent(self, name: str = "acquire") -> list[float]:
        """When these calls were made."""
        return [when for when, what in self.calls if what == name]

    async def _begin(self, name: str) -> None:
        self.calls.append((trio.current_time(), name))
        await trio.sleep(self.takes[name])
        failing = self.failing.get(name)
        if failing is None:
            return
        error = failing() if callable(failing) else failing.popleft() if failing else None
        if error is not None:
            raise error

    async def prepare(self) -> None:
        await self._begin("prepare")

    async def holder(self, *, fresh: bool = False) -> Holder:
        await self._begin("fresh holder" if fresh else "holder")
        who, token = self.cloud.look()
        if who is None:
            return Holder(Who.NOBODY, token=token)
        if who == self.node:
            return Holder(Who.ME, who, token=token)
        return Holder(Who.PEER, who, who, token) if who in self._peers else Holder(Who.FOREIGN, who, token=token)

    async def acquire(self, seen: Holder | None) -> None:
        await self._begin("acquire")
        await self.cloud.change(self.node, None if seen is None else seen.token, self.node)

    async def release(self, seen: Holder) -> None:
        await self._begin("release")
        await self.cloud.change(self.node, seen.token, None)

    async def local_verify(self) -> bool | None:
        await self._begin("local")
        return self.seen_locally

    async def aclose(self) -> None:
        self.closed += 1
