"""The mover `exec: [argv...]`: a program of the user's that moves something, for whatever no other kind can.

It is started with one more argument, the verb:

    acquire     bring it to this node, whoever has it; exit status 0: done
    holder      print one line, {"holder": WHO}, and change nothing; exit status 0
    release     give it up, if this node still has it (only with `release: on_stop`); exit status 0: done, or not ours

WHO is "me", the name or an own address of another node of the file, null for nobody, or any other text or number: what
the holder is called by whoever knows it. With another exit status the attempt has failed. The last line of its output
is the reason, for people; a program that knows more prints as its last line {"error": KIND, "detail": TEXT}:

    unreachable         nothing was sent: tried again soon
    unavailable         it cannot be done now: the same; what every other failure is taken for
    throttled           too many calls; "retry_after": seconds, where they are known
    unauthenticated     the credentials are wrong
    forbidden           they are right, and do not suffice
    invalid             it can never succeed
    unknown             it may have happened, or happen yet; also what is said of a program that was killed

The environment says for whom: VRRPD_ROUTER, VRRPD_NODE, VRRPD_INTERFACE, VRRPD_ADDRESSES (the shared ones), VRRPD_OWN
(ours) and VRRPD_PEERS (lb2=10.0.0.12,fd00::12 lb3=10.0.0.13), lists with blanks between. There is no shell, and the
rights are those of nobody in particular unless `user` names somebody (`vrrpd.launcher` has the rest).

`holder` is asked every 30 s on every node, so it should be cheap. Whatever it does, a program is killed with its whole
session at the end of its time (`timeout`), and when the role is lost while it runs: nothing of it is done late.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any, Self, cast

from pydantic import Field, TypeAdapter, model_validator

from vrrpd.config.command import COMMAND, Command, read_command
from vrrpd.config.scalars import Shorthand
from vrrpd.config.spec import PeerSpec
from vrrpd.errands import CannotStartError, Finished, one_line
from vrrpd.linux import executable
from vrrpd.movers.base import (
    CommonOptions,
    ForbiddenError,
    Holder,
    Host,
    InvalidError,
    Kind,
    MoverError,
    OutcomeUnknownError,
    ThrottledError,
    UnauthenticatedError,
    UnavailableError,
    UnreachableError,
    Who,
)

VERBS = ("acquire", "holder", "release")
"""What a program is asked to do."""

ERRORS: Mapping[str, type[MoverError]] = {
    "unreachable": UnreachableError,
    "unavailable": UnavailableError,
    "throttled": ThrottledError,
    "unauthenticated": UnauthenticatedError,
    "forbidden": ForbiddenError,
    "invalid": InvalidError,
    "unknown": OutcomeUnknownError,
}
"""What a program may say of its failure."""


class ExecOptions(CommonOptions):
    """Options of an `exec` mover."""

    command: Command = Field(description="a program and its arguments; the verb is added, there is no shell")
    user: str | None = Field(
        default=None, min_length=1, description="whose rights the program has; by default vrrpd's or nobody's"
    )

    @model_validator(mode="after")
    def _fits(self) -> Self:
        self.refuse("takeover", "connect_timeout")
        return self


def _expanded(value: object) -> object:
    return cast("object", value) if isinstance(value, dict) else {"command": read_command(value)}


class ExecMover:
    """What the program says is so."""

    compares = False
    local = False

    def __init__(self, options: ExecOptions, host: Host) -> None:
        self._options = options
        self._host = host
        self._peers = {str(each): peer.name for peer in host.peers for each in (peer.name, *peer.addresses)}
        self._me = {"me", *([host.node] if host.node else []), *(str(each) for each in host.addresses)}

    async def prepare(self) -> None:
        """Nothing: `holder`, which follows, shows whether the program works."""

    async def holder(self, *, fresh: bool = False) -> Holder:
        """Ask the program; what it prints is judged, and nothing else."""
        finished = await self._run("holder")
        said = _said(finished)
        who: object = said.get("holder", said)
        if who is None:
            return Holder(Who.NOBODY)
        if isinstance(who, bool) or not isinstance(who, str | int) or who == "":
            raise InvalidError(
                f"the program printed no holder but {finished.last_line!r}; have it print one line such as "
                '{"holder": "me"}, {"holder": "lb2"} or {"holder": null}'
            )
        name = one_line(str(who))
        if name in self._me:
            return Holder(Who.ME)
        if name in self._peers:
            return Holder(Who.PEER, peer=self._peers[name])
        return Holder(Who.FOREIGN, id=name)

    async def acquire(self, seen: Holder | None) -> None:
        """Have the program bring it here."""
        await self._run("acquire")

    async def release(self, seen: Holder) -> None:
        """Have the program give it up."""
        await self._run("release")

    async def local_verify(self) -> bool | None:
        """Nobody knows but the program."""
        return None

    async def aclose(self) -> None:
        """A program that runs is killed where its run is cancelled."""

    async def _run(self, verb: str) -> Finished:
        command = (*self._options.command, verb)
        try:
            finished = await self._host.programs.run(
                command, user=self._options.user, environment=_environment(self._host)
            )
        except (CannotStartError, OSError) as error:
            raise UnreachableError(one_line(f"cannot start {command[0]}: {error}")) from error
        if finished.status != 0:
            raise _failure(verb, finished)
        return finished


def _said(finished: Finished) -> Mapping[str, Any]:
    """The object that a program printed as its last line; empty where that is none."""
    lines = finished.output.decode(errors="replace").split("\n")
    last = next((line for line in reversed(lines) if line.strip()), "")
    try:
        said: object = json.loads(last)
    except (ValueError, RecursionError):
        return {}
    return cast("Mapping[str, Any]", said) if isinstance(said, dict) else {}


def _failure(verb: str, finished: Finished) -> MoverError:
    """What an exit status, and maybe an object on the last line, mean."""
    if finished.status < 0:
        return OutcomeUnknownError(f"the program was {finished} during {verb}")
    said = _said(finished)
    kind = ERRORS.get(str(said.get("error")))
    if kind is None:
        return UnavailableError(f"{verb}: {finished}")
    detail = one_line(str(said.get("detail") or f"exit {finished.status}"))
    if kind is ThrottledError:
        return ThrottledError(f"{verb}: {detail}", _seconds(said.get("retry_after")))
    return kind(f"{verb}: {detail}")


def _seconds(value: object) -> float | None:
    """A number of seconds as a program may print it, which can be any; None where it is none to wait for."""
    try:
        seconds = float(value) if isinstance(value, int | float) and not isinstance(value, bool) else -1
    except OverflowError:
        return None
    return seconds if 0 <= seconds < math.inf else None


def _environment(host: Host) -> dict[str, str]:
    """For whom the program is to do it."""
    interface = host.interface()
    return {
        "VRRPD_ROUTER": host.router,
        "VRRPD_NODE": host.node,
        "VRRPD_INTERFACE": interface.name if interface else "",
        "VRRPD_ADDRESSES": _list(host.shared),
        "VRRPD_OWN": _list(host.addresses),
        "VRRPD_PEERS": _list(map(_peer, host.peers)),
    }


def _list(words: Iterable[object]) -> str:
    return " ".join(map(str, words))


def _peer(peer: PeerSpec) -> str:
    return f"{peer.name}={','.join(map(str, peer.addresses))}"


def inspect(options: ExecOptions) -> str | None:
    """What keeps this host from running the program, or lets others change it; None where nothing does. Blocks."""
    return executable.trouble(options.command, options.user)


def errands(options: ExecOptions) -> Sequence[Mapping[str, Any]]:
    """What the launcher is asked for."""
    return [{"argv": [*options.command, verb], "user": options.user} for verb in VERBS]


def _things(options: ExecOptions) -> Sequence[str]:
    return [f"what {' '.join(options.command)} moves"]


OPTIONS: TypeAdapter[ExecOptions] = TypeAdapter(Annotated[ExecOptions, Shorthand(_expanded, COMMAND)])
"""Validates `[argv...]` and `{command: [argv...], user: NAME, ...}`."""

KINDS = {"exec": Kind(OPTIONS, ExecMover, things=_things, errands=errands, inspect=inspect)}
"""For the registry."""
