"""What goes wrong at a service, as rules that requests are matched with.

| kind     | what a matched request meets                                                              |
|----------|-------------------------------------------------------------------------------------------|
| delay    | it waits `delay` seconds before it is looked at; whoever hangs up meanwhile is forgotten  |
| late     | it is carried out `delay` seconds late, also for a caller that hung up                     |
| lost_ack | it is carried out, and the connection cut instead of an answer                             |
| late_ack | it is carried out at once, and answered `delay` seconds later                              |
| hang     | it is never looked at and never answered                                                   |
| error    | it is refused with `status` and `code`; `retry_after` is sent where given                  |

The first rule that matches counts, `n` times at most; a dry run is a request like any other. One kind is about no
request: with `steal` a third party takes the thing that `action` moves `n` times, every `delay` seconds, the first time
at once.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, fields
from fnmatch import fnmatchcase
from typing import Any, Literal, Self, TypeAlias, get_args

import trio

from netns_lab.cloud.server import Answer

Kind: TypeAlias = Literal["delay", "late", "lost_ack", "late_ack", "hang", "error", "steal"]
_TEXT = "Request limit exceeded, or another reason to come again later."

Perform: TypeAlias = Callable[[], Awaitable[Answer | None]]


class RefusedError(Exception):
    """The service refuses.

    Attributes:
        code: as the service's documents call it.
        status: of HTTP.
        retry_after: seconds, where the service says when to come again.
    """

    def __init__(self, code: str, text: str, status: int = 400, retry_after: float | None = None) -> None:
        super().__init__(text)
        self.code = code
        self.status = status
        self.retry_after = retry_after


@dataclass(slots=True)
class Rule:
    """One rule; see the table of this module.

    Attributes:
        kind: what happens.
        action: pattern of the names of the actions that it is about, as `Associate*`.
        key: pattern of the access keys that it is about.
        n: how many requests it is about yet; None: all of them.
        delay: seconds.
        status: of an error.
        code: of an error.
        retry_after: seconds after which an error says to come again, None where it says nothing.
    """

    kind: Kind
    action: str = "*"
    key: str = "*"
    n: int | None = None
    delay: float = 0
    status: int = 503
    code: str = "RequestLimitExceeded"
    retry_after: float | None = None

    @classmethod
    def of(cls, said: Mapping[str, Any]) -> Self:
        """A rule as it is put to the control endpoint.

        Raises:
            ValueError: an unknown key or kind.
        """
        known = [field.name for field in fields(cls)]
        if unknown := said.keys() - set(known):
            raise ValueError(f"a rule has no {', '.join(sorted(unknown))}; it has {', '.join(known)}")
        if said.get("kind") not in get_args(Kind):
            raise ValueError(f"{said.get('kind')!r} is no kind of fault; there are {', '.join(get_args(Kind))}")
        return cls(**said)

    def matches(self, action: str, key: str) -> bool:
        """Whether it is about such a request."""
        return self.n != 0 and fnmatchcase(action, self.action) and fnmatchcase(key, self.key)


class Faults:
    """The rules that hold now, and what they do to a request.

    Attributes:
        rules: may be changed at any time.
    """

    def __init__(self, background: trio.Nursery) -> None:
        """No rule yet.

        Args:
            background: where that goes on which outlives its caller.
        """
        self.rules: list[Rule] = []
        self._background = background

    async def around(self, action: str, key: str, perform: Perform) -> Answer | None:
        """Carry out a request under the rules; None: cut the connection.

        Raises:
            RefusedError: a rule says so.
        """
        rule = next((rule for rule in self.rules if rule.kind != "steal" and rule.matches(action, key)), None)
        if rule is None:
            return await perform()
        if rule.n is not None:
            rule.n -= 1
        match rule.kind:
            case "delay":
                await trio.sleep(rule.delay)
                return await perform()
            case "late":
                return await self._late(rule.delay, perform)
            case "lost_ack":
                await perform()
                return None
            case "late_ack":
                answer = await perform()
                await trio.sleep(rule.delay)
                return answer
            case "hang":
                return await trio.sleep_forever()
            case "error" | "steal":
                await trio.sleep(rule.delay)
                raise RefusedError(rule.code, _TEXT, rule.status, rule.retry_after)

    async def _late(self, delay: float, perform: Perform) -> Answer | None:
        answers: list[Answer | None] = []
        done = trio.Event()

        async def later() -> None:
            await trio.sleep(delay)
            answers.append(await perform())
            done.set()

        self._background.start_soon(later)
        await done.wait()
        return answers[0]
