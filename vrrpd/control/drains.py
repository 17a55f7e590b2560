"""Which routers an operator has drained, until when: the commands `drain` and `undrain`, and what outlives a reboot.

A drain gives the role away and keeps this node out. It counts once it has an outcome: one that nobody answered is
none, and one that the agent did not live to see is none either, so that a node that starts again never stays out
although nobody took over. Where the state cannot be written the drain is refused before anything is given away. Routers
are kept by their names in the file, whatever their groups; one that the file names no longer is kept too, and harmless.

While the agent runs, `--for` counts on the monotonic clock alone. What is left is written at once and then every
minute, with the end time that the wall clock gives it by then; `kept_drains` says how the two are read again.

A file that makes no sense is set aside, with a warning, and the node takes part: it may be the only one that is left.
Whoever drained it reads the warning and drains it again; a service that is dark because of a file is worse.
`Drains.trouble` says so until the next state is written.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Never, Protocol

import trio

from vrrpd.config.spec import RouterSpec
from vrrpd.control.kept_drains import LONGEST_S, Drain, decode, encode, lasting
from vrrpd.control.state_file import StateFile
from vrrpd.errors import VrrpdError
from vrrpd.proto.effects import Role
from vrrpd.proto.settings import Address

SAVE_EVERY_S = 60.0
"""How often, in seconds, the time that is left is written."""

SHORTEST_S = 1.0
"""The shortest drain that ends by itself, in seconds."""

_DRIFT = timedelta(seconds=1)  # an end time that moves by less stays as it is, for whoever watches the status

log = logging.getLogger(__name__)


class Core(Protocol):
    """What is read of one virtual router."""

    @property
    def followed_by(self) -> Address | None:
        """Who took the role from this node last; None where nobody did."""
        ...


class Group(Protocol):
    """What is read of the virtual routers of a router."""

    @property
    def members(self) -> Sequence[Core]:
        """In the order of `RouterSpec.members`."""
        ...


class Router(Protocol):
    """What moves together, as this module needs it."""

    @property
    def spec(self) -> RouterSpec:
        """Its names."""
        ...

    @property
    def group(self) -> Group:
        """Whom it heard."""
        ...

    @property
    def role(self) -> Role:
        """The role of all members."""
        ...

    @property
    def leaving(self) -> bool:
        """It was told to hand over for good."""
        ...

    @property
    def drained(self) -> bool:
        """A drain was asked for and not given up."""
        ...

    def drain(self, *, force: bool) -> None:
        """Give the role away and stay out; `force`: also where nobody takes it."""
        ...

    def undrain(self) -> None:
        """Take part again."""
        ...

    async def drained_out(self) -> bool:
        """Wait for the outcome of a drain: True where this node is out, False where it is drained no longer."""
        ...


class Routers(Protocol):
    """The runtime, as this module needs it."""

    @property
    def routers(self) -> Mapping[str, Router]:
        """All of them, by name."""
        ...

    def find(self, name: str) -> Router | None:
        """The one of this name, or the one that has this router of the file."""
        ...


@dataclass(frozen=True, slots=True)
class Trouble:
    """Why what is kept is not what should be.

    Attributes:
        since: when it was found.
        detail: the cause and what it means.
    """

    since: datetime
    detail: str


class Drains:
    """The drained routers of one agent.

    Args:
        path: the file that outlives a reboot.
        runtime: the routers.
        wall: the wall clock.

    Attributes:
        trouble: for an alarm; None where all is well.
    """

    def __init__(self, path: str, runtime: Routers, wall: Callable[[], datetime]) -> None:
        self.trouble: Trouble | None = None
        self._runtime = runtime
        self._wall = wall
        self._drained: dict[str, Drain] = {}
        self._changed = trio.Event()
        self._behind = False
        self._file = StateFile(path, self._text)

    def read(self) -> None:
        """Take what the file keeps. Blocks: for the start of the agent, before any router takes part."""
        now, wall = trio.current_time(), self._wall()
        try:
            text = self._file.read()
            kept = {} if text is None else decode(text, now, wall)
        except (VrrpdError, ValueError) as error:
            cause = error if isinstance(error, VrrpdError) else f"{self._file.path} makes no sense ({error})"
            self._warn(f"{cause}; {self._file.set_aside()}; no router is drained")
            return
        self._drained = {name: drain for name, drain in kept.items() if drain.ends is None or drain.ends > now}
        for name in kept.keys() - self._drained:
            log.info("the time of the drain of %s ran out while no agent ran", name)
            self._behind = True

    def holds(self, spec: RouterSpec) -> bool:
        """True where one of these routers is drained, and so all are, for they move together."""
        return any(name in self._drained for name in _names(spec))

    def restore(self) -> None:
        """Keep out every router that is drained; for the start, and after the configuration changed."""
        for router in self._runtime.routers.values():
            names = _names(router.spec)
            if self.holds(router.spec):
                # Two that were drained apart and are one group now: the one that is meant to be out longer decides.
                longest = max((self._drained[n] for n in names if n in self._drained), key=_length)
                self._drained |= dict.fromkeys(names, longest)
                log.warning("%s is drained %s and takes no part", _called(router.spec), _written(longest))
                router.drain(force=True)

    def until(self, router: str) -> datetime | None:
        """When the drain of a router of the file ends by itself; None where it does not, or there is none."""
        drain = self._drained.get(router)
        return drain.until if drain else None

    async def run(self) -> Never:
        """End the drains whose time is over, and keep the file up to date; runs until cancelled."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._file.run)
            while True:
                ends = [drain.ends for drain in self._drained.values() if drain.ends is not None]
                with trio.move_on_at(min([trio.current_time() + SAVE_EVERY_S, *ends])):
                    await self._changed.wait()
                    self._changed = trio.Event()
                    continue
                over = self._end_those_that_are_over()
                if ends or over or self._behind:
                    await self._save()

    # ---------------------------------------------------------------- commands

    async def drain(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """`{"command": "drain", "router": NAME or null, "for_s": seconds or null, "force": bool}`.

        Returns:
            `{"routers": [{"name", "routers", "outcome", "active", "until"}], "problem"}`; `outcome` is `handed over`
            (`active` says to whom), `out` (this node was not Active), `left` (although nobody took over), `kept`
            (nobody took over, and this node is not drained) or `broken off` (the agent ends, or gives the router up).
            `problem` says why a drain would not outlive a restart.

        Raises:
            VrrpdError: there is no such router, or the state cannot be written; nothing was given away.
        """
        length = _seconds(request.get("for_s"))
        await self._file.save()
        routers = self._chosen(request.get("router"))
        drain = lasting(length, trio.current_time(), self._wall())
        served = [router.role is Role.ACTIVE for router in routers]
        for router in routers:
            log.info("drain of %s %s asked for", _called(router.spec), _written(drain))
            router.drain(force=request.get("force") is True)
        said = [await self._outcome(router, drain, active) for router, active in zip(routers, served, strict=True)]
        self._changed.set()
        await self._save()
        return {"routers": said, "problem": self._problem}

    async def undrain(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """`{"command": "undrain", "router": NAME or null}`.

        Returns:
            `{"routers": [{"name", "routers", "was_drained"}], "problem"}`; `problem` says why a drain would come back
            with a restart.

        Raises:
            VrrpdError: there is no such router.
        """
        name = request.get("router")
        forgotten = self._forget(name)
        routers = [] if name is not None and forgotten else self._chosen(name)
        said = [*forgotten, *(self._undrain(router) for router in routers)]
        self._changed.set()
        await self._save()
        return {"routers": said, "problem": self._problem}

    async def _outcome(self, router: Router, drain: Drain, active: bool) -> dict[str, Any]:
        """Wait for what became of one router, which was or was not Active, and note it."""
        out = await router.drained_out()
        said = {**_told(router.spec), "outcome": "broken off", "active": None, "until": None}
        if router.leaving:  # out for another reason, and whether anybody takes over shows after the end of the agent
            return said
        names = _names(router.spec)
        for name in names:
            self._drained.pop(name, None)
        said["outcome"] = "kept"
        if out:
            self._drained |= dict.fromkeys(names, drain)
            successor = _successor(router) if active else None
            said["outcome"] = "out" if not active else "handed over" if successor else "left"
            said["active"], said["until"] = successor, _iso(drain.until) if drain.until else None
        log.info(
            "drain of %s: %s%s",
            _called(router.spec),
            said["outcome"],
            f" to {said['active']}" if said["active"] else "",
        )
        return said

    def _undrain(self, router: Router) -> dict[str, Any]:
        was_drained = router.drained
        for name in _names(router.spec):
            self._drained.pop(name, None)
        if was_drained:
            log.info("%s takes part again: undrained", _called(router.spec))
            router.undrain()
        return {**_told(router.spec), "was_drained": was_drained}

    def _forget(self, name: object) -> list[dict[str, Any]]:
        """Drop what is kept of routers that the configuration names no longer."""
        gone = [each for each in self._drained if name in (None, each) and self._runtime.find(each) is None]
        for each in gone:
            log.info("the drain of %s is forgotten; the configuration names it no longer", each)
            del self._drained[each]
        return [{"name": each, "routers": [], "was_drained": True} for each in gone]

    def _chosen(self, name: object) -> list[Router]:
        """The router of this name, or all.

        Raises:
            VrrpdError: there is none.
        """
        if name is None:
            return list(self._runtime.routers.values())
        router = self._runtime.find(name) if isinstance(name, str) else None
        if router is None:
            specs = [each.spec for each in self._runtime.routers.values()]
            known = dict.fromkeys(known for spec in specs for known in (spec.name, *_names(spec)))
            raise VrrpdError(f"there is no router {name!r}; name one of {', '.join(known)}, or none for all")
        return [router]

    def _end_those_that_are_over(self) -> bool:
        """Undrain every router whose time has come; True where there was one."""
        now = trio.current_time()
        over = {name for name, drain in self._drained.items() if drain.ends is not None and drain.ends <= now}
        for name in over:
            del self._drained[name]
        for router in list(self._runtime.routers.values()):
            if router.drained and over.intersection(_names(router.spec)):
                log.info("%s takes part again: the time of its drain is over", _called(router.spec))
                router.undrain()
        return bool(over)

    # ---------------------------------------------------------------- the file

    def _text(self) -> str:
        """What the file is to keep; a wall clock that jumped moves the end times."""
        now = trio.current_time()
        for name, drain in self._drained.items():
            if drain.until is not None and drain.ends is not None:
                until = self._wall() + timedelta(seconds=drain.ends - now)
                if abs(until - drain.until) > _DRIFT:
                    self._drained[name] = replace(drain, until=until)
        return encode(self._drained, now)

    async def _save(self) -> None:
        """Write what there is; what cannot be written is tried again every minute."""
        try:
            await self._file.save()
        except VrrpdError as error:
            self._behind = True
            self._warn(f"{error}; until then a restart of the agent undoes the last change")
        else:
            self._behind = False
            self.trouble = None

    def _warn(self, detail: str) -> None:
        if detail != self._problem:
            log.warning("%s", detail)
            self.trouble = Trouble(self._wall(), detail)

    @property
    def _problem(self) -> str | None:
        return self.trouble and self.trouble.detail


def _successor(router: Router) -> str | None:
    """Who took the role from this node, None where nobody did."""
    for spec, core in zip(router.spec.members, router.group.members, strict=True):
        if core.followed_by is not None:
            node = spec.names.get(core.followed_by)
            return f"{node} ({core.followed_by})" if node else str(core.followed_by)
    return None


def _names(spec: RouterSpec) -> list[str]:
    """The routers of the file that it consists of."""
    return list(dict.fromkeys(member.router for member in spec.members))


def _told(spec: RouterSpec) -> dict[str, Any]:
    return {"name": spec.name, "routers": _names(spec)}


def _called(spec: RouterSpec) -> str:
    """A router in the log, with its group."""
    names = _names(spec)
    return spec.name if names == [spec.name] else f"{spec.name} ({', '.join(names)})"


def _written(drain: Drain) -> str:
    return f"until {_iso(drain.until)}" if drain.until else "until undrained"


def _iso(time: datetime) -> str:
    return time.isoformat(timespec="seconds").replace("+00:00", "Z")


def _length(drain: Drain) -> float:
    """How long, to compare."""
    return float("inf") if drain.ends is None else drain.ends


def _seconds(asked: object) -> float | None:
    """A length of time that a client asks for.

    Raises:
        VrrpdError: it is none.
    """
    if asked is None:
        return None
    if isinstance(asked, bool) or not isinstance(asked, int | float) or not SHORTEST_S <= asked <= LONGEST_S:
        raise VrrpdError("a drain lasts from 1s to 8760h; without a time it lasts until it is undrained")
    return float(asked)
