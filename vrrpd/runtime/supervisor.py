"""The task tree of the agent.

    Runtime.run
    ├── timer       waits for the clock; regular advertisements in one go, then the routers with more to do; the
    │               stamp for the guardian; the only place that arms the timer of all deadlines
    ├── events      links and addresses as the kernel tells of them; routers start, stop, start anew
    ├── addresses   carries address changes to one worker thread, in order
    ├── guardian    sees to it that there is one
    ├── announcer   gratuitous ARP and neighbour advertisements, paced
    ├── claims      listens for other holders of our addresses, and asks for them
    ├── post ...    one for each of its listeners
    ├── port ...    three for each interface and family: adverts, what strangers send, farewells that must not wait
    ├── hearing ... asks for a sign of life on a link, for all routers that wait for one there
    └── movement .. one for each router with movers: the movers at work

The wanted state comes in whole (`apply`): routers that are new are made, those that are gone or changed hand over and
go, those that are equal keep everything. Everything here runs on one event loop without locks; what can block runs in
the worker thread of `addresses`. Where there are thousands of routers, whatever is done to all of them is done to some
at a time, and an event goes to those that it may concern.

Whoever has waited asks the vigil first, before it handles what it has waited for: while this process was stopped or the
machine paused, others may have taken over, and then everything is dropped before anything else is done.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Container, Sequence
from contextlib import suppress
from functools import partial
from typing import TypeAlias

import trio

from vrrpd.config.spec import AgentSpec, MoverSpec, RouterSpec
from vrrpd.linux.netlink import (
    AddressAdded,
    AddressRemoved,
    Event,
    KernelAddress,
    LinkChanged,
    LinkGone,
    Overrun,
    Snapshot,
)
from vrrpd.proto.settings import Address
from vrrpd.proto.timers import SECOND
from vrrpd.runtime.addresses import Addresses
from vrrpd.runtime.announcer import Announcer
from vrrpd.runtime.claims import Claims, Post
from vrrpd.runtime.deadlines import Deadlines
from vrrpd.runtime.health import CheckState, unchecked
from vrrpd.runtime.hearing import Waiting, hear_first, on_link
from vrrpd.runtime.host_routes import HostRoutes, remove_orphans
from vrrpd.runtime.kernel import Kernel
from vrrpd.runtime.lateness import Lateness
from vrrpd.runtime.links import Links
from vrrpd.runtime.member import Footing
from vrrpd.runtime.moving import Movement, Moving
from vrrpd.runtime.ports import Port, Ports
from vrrpd.runtime.routers import Router
from vrrpd.runtime.services import Services
from vrrpd.runtime.vigil import Vigil, freeze_limit

HOUSEKEEPING_EVERY_S = 1

TURN, GLANCES = 64, 256
"""So many routers have something done to them, or are looked at, before other tasks have their turn; some ten
milliseconds."""


class Runtime:
    """All routers of one agent.

    Attributes:
        routers: by name, in the order of the configuration.
        checks: the last word of each check.
        links: the mirror of the kernel's links and addresses.
        routes: changes routes of this host.
        lateness: how late our own advertisements leave.
        drained_from_the_start: tells of a router that is made whether an operator wants it out.
    """

    def __init__(self, kernel: Kernel, mover: MakeMover | None = None) -> None:
        """Start with nothing wanted.

        Args:
            kernel: the machine.
            mover: makes the movers that routers have; None where none has any.
        """
        self.routers: dict[str, Router] = {}
        self.checks: dict[str, CheckState] = {}
        self.links = Links()
        self.drained_from_the_start: Callable[[RouterSpec], bool] = lambda _: False
        self._kernel = kernel
        self._vigil = Vigil(kernel.clock, kernel.guardian, self._freeze_limit, self._overslept)
        self._addresses = Addresses(kernel, self.links, self._vigil)
        self.routes = HostRoutes(kernel, self.links, self._addresses.settled)
        self._announcer = Announcer(kernel, kernel.clock.now, self._vigil.look)
        self._claims = Claims(kernel, self._post_opened, self._vigil.look)
        self.lateness = Lateness(kernel.real_time)
        self._deadlines = Deadlines(kernel.clock, self._vigil, self._addresses.settle)
        self._ports = Ports(kernel, self._port_opened, self.lateness, self._deadlines.hear_together)
        self._wanted: dict[str, RouterSpec] = {}
        self._making = False  # some of the wanted routers are made in the next turn
        self._sharing: dict[Address, list[Router]] = {}
        self._shared: set[Address] = set()
        self._own: set[Address] = set()
        self._peers: set[Address] = set()
        self._hearings: dict[tuple[int, bytes, Address], list[Waiting]] = {}
        self._limit = 0  # the last F while anything was held
        self._nursery: trio.Nursery | None = None
        self._tidied = trio.Event()
        self._parting: list[Movement] = []
        self._stopping = False
        self._services = Services(
            links=self.links,
            addresses=self._addresses,
            announcer=self._announcer,
            claims=self._claims,
            ports=self._ports,
            shared=self._shared,
            own=self._own,
            checks=self.checks,
            now=kernel.clock.now,
            wall=kernel.clock.wall,
            read=self._deadlines.read,
            renew=self._renew,
            later=self._deadlines.later,
            listen=self._listen,
            guardian=kernel.guardian,
            vigil=self._vigil,
            lateness=self.lateness,
            mover=partial(mover or _no_mover, self),
        )

    def now(self) -> int:
        """The clock, nanoseconds."""
        return self._kernel.clock.now()

    def look(self) -> None:
        """Were we asleep? Asked by whoever has waited and is about to change something."""
        self._vigil.look()

    async def run(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Read the host, remove what a dead agent left, then run until cancelled."""
        remove_orphans(self._kernel.commands)
        self._take(self._addresses.first_reading())
        try:
            async with trio.open_nursery() as nursery:
                self._nursery = nursery
                nursery.start_soon(self._deadlines.run, self._ports.flush)
                nursery.start_soon(self._events)
                nursery.start_soon(self._addresses.run)
                nursery.start_soon(self._kernel.guardian.run)
                nursery.start_soon(self._announcer.run)
                nursery.start_soon(self._claims.run)
                nursery.start_soon(self._claims.ask)
                nursery.start_soon(self._housekeeping)
                task_status.started()
        finally:
            self._nursery = None
            self._announcer.close()
            self._claims.close()

    def apply(self, spec: AgentSpec) -> None:
        """Bring about a wanted state: only what differs from the present one is touched.

        Of many routers some are made later (`made`).
        """
        self._wanted = {router.name: router for router in spec.routers}
        members = [member for router in spec.routers for member in router.members]
        self._shared.clear()
        self._shared.update(address.address.ip for member in members for address in member.addresses)
        self._peers = {peer for member in members for peer in (*member.settings.peers, *member.names)}
        # One that leaves looks at its checks.
        tracked = {name for router in self.routers.values() for name in router.spec.checks}
        fresh = {c.name: self.checks.get(c.name, unchecked(up=c.start_up)) for c in spec.checks}
        for name in self.checks.keys() - tracked - fresh.keys():
            del self.checks[name]
        self.checks.update(fresh)
        for name, router in list(self.routers.items()):
            if router.spec != (wanted := self._wanted.get(name)):
                router.leave("reconfigured" if wanted else "no longer in the configuration")
        self._hosts_changed()
        self._tidy()

    async def made(self) -> None:
        """Return once every wanted router is there that need not wait for another one to leave."""
        while self._making:
            await self._tidied.wait()

    def check_changed(self, name: str, state: CheckState) -> None:
        """A check has something new to say."""
        self._vigil.look()
        if name in self.checks:
            self.checks[name] = state
            for router in list(self.routers.values()):
                if name in router.spec.checks:
                    router.judge_health()

    def find(self, name: str) -> Router | None:
        """What moves the router of this name in the file, or the group of this name."""
        return next(
            (r for r in self.routers.values() if name in {r.spec.name, *(m.router for m in r.spec.members)}), None
        )

    async def leave(self, reason: str) -> None:
        """Hand every role over, and return when the last address is gone."""
        self._stopping, self._wanted = True, {}
        await self._each(lambda router: router.leave(reason))
        self._tidy()
        while self.routers:
            await self._tidied.wait()
        await self._addresses.settled()
        for movement in self._parting:
            await movement.over.wait()

    async def shutdown(self, reason: str) -> None:
        """Let go of everything at once, and return when the last address is gone."""
        self._wanted = {}
        await self._each(lambda router: router.shutdown(reason))
        await self._addresses.settled()

    # ---------------------------------------------------------------- tasks

    async def _events(self) -> None:
        while True:
            events = await self._kernel.events.receive()
            self._vigil.look()
            touched = set[str | Address]()
            for event in events:
                touched |= self._take_event(event)
            if touched:  # what we did ourselves changes nothing for a router
                self._hosts_changed(touched)

    async def _run_port(self, work: Callable[[Callable[[], None]], Awaitable[None]]) -> None:
        with suppress(trio.ClosedResourceError):
            await work(self._deadlines.look)

    async def _hear(self, footing: Footing, waiting: Sequence[Waiting]) -> None:
        def targets() -> list[Address]:
            neighbours = dict.fromkeys(address for each in waiting for address in each.neighbours)
            name = self.links.name(footing.link.index) or footing.link.name  # it may be called otherwise by now
            candidates = [*neighbours, *self._kernel.gateways(name)]
            same = [each for each in candidates if each.version == footing.source.version]
            return on_link(same, self.links.on(name))

        heard = None
        while heard is None and any(each.waits() for each in waiting):  # somebody may have come late
            heard = await hear_first(self._kernel, footing.link, footing.source, targets, waiting)
            self._vigil.look()
        for each in [each for each in waiting if heard and each.waits()]:
            each.heard()
        del self._hearings[footing.link.index, footing.link.mac, footing.source]

    async def _housekeeping(self) -> None:
        while True:
            await trio.sleep(HOUSEKEEPING_EVERY_S)
            self._vigil.look()
            self._addresses.retry()
            await self._each(lambda router: router.look_around(), GLANCES)
            self.lateness.look(self.now())

    async def _each(self, do: Callable[[Router], None], turn: int = TURN) -> None:
        """Do something to every router, and let others have their turn meanwhile."""
        for count, router in enumerate(list(self.routers.values()), start=1):
            do(router)
            if count % turn == 0:
                await trio.lowlevel.checkpoint()
                self._vigil.look()

    # ---------------------------------------------------------------- what changed

    def _take_event(self, event: Event) -> set[str | Address]:
        """Take one event of the kernel; the interfaces and addresses about which it may be news to a router."""
        before = self.links.name(event.link.index) if isinstance(event, LinkChanged | LinkGone) else None
        self.links.update(event)
        match event:
            case Overrun():
                self._addresses.reread(self._take)
                return set()
            case LinkGone(link):
                self._announcer.forget(link)
                self._claims.gone(link)
                self._addresses.gone(link)
                return {link.name, before or link.name}
            case LinkChanged(link):
                return {link.name, before or link.name}
            case AddressRemoved(address, by):
                if self._worth_putting_back(address, by, f"removed from {address.device}"):
                    self._addresses.lost(address)
            case AddressAdded(address, by):
                if address.ours and address.failed:
                    self._addresses.refused(address)
                elif not address.ours and self._worth_putting_back(address, by, f"changed on {address.device}"):
                    self._addresses.changed(address)
        return set() if address.ours else {address.device, address.address.ip}

    def _worth_putting_back(self, address: KernelAddress, by: int, deed: str) -> bool:
        """What others took is put back, five times a minute; a lease that ran out says that we were not well."""
        router = next((r for r in self._sharing.get(address.address.ip, ()) if r.holds(address)), None)
        if router is None or by == self._kernel.commands.port:
            return True
        if by:
            return router.robbed(address, f"{deed} by {self._kernel.requester(by)}")
        if self._addresses.ran_out(address):
            router.overslept(f"the lease of {address.address} ran out on {address.device}")
            return False
        return True

    def _take(self, snapshot: Snapshot) -> None:
        """Take a full reading of the kernel's tables."""
        self.links.replace(snapshot)
        self._hosts_changed()

    def _overslept(self, reason: str, slept: int | None) -> None:
        away = [each for each in self.routers.values() if slept is None or slept > each.patience]
        for router in away:
            router.overslept(reason)
        members = [member for router in away for member in router.members]
        for port in {member.port for member in members if member.port is not None}:
            # What has come meanwhile is old, and would be judged by the time at which it is read.
            port.forget({member.spec.settings.vrid for member in members if member.port is port})

    def _freeze_limit(self) -> int | None:
        """F, which follows the most impatient Active; the last one while its addresses are still to be removed."""
        cores = [core for router in self.routers.values() for core in router.group.members if core.holds_addresses]
        if cores:
            self._limit = freeze_limit(min(core.settings.interval for core in cores))
        return self._limit if cores or self._addresses.busy or self.routes.busy else None

    def _hosts_changed(self, touched: Container[object] | None = None) -> None:
        """Links or addresses changed: the routers that it may concern look where they stand.

        Args:
            touched: the interfaces, by name, and addresses that it is about; None: all of them.
        """
        own = set(self.links.own())
        if own != self._own:
            self._own.clear()
            self._own.update(own)
            for port in self._ports:
                port.judge_anew()
        for router in list(self.routers.values()):
            if touched is None or router.fault is not None or any(m.minds(touched) for m in router.members):
                router.refresh()

    def _tidy(self) -> None:
        """Let go of routers that have handed over, and make some of those that are wanted and missing."""
        if self._nursery is None:
            return  # asked for before the end
        for name, router in list(self.routers.items()):
            if router.leaving and router.idle:
                del self.routers[name]
                for ip in router.spec.shared:
                    self._sharing[ip].remove(router)
                router.shutdown("left")
                self._part(router)
                self._deadlines.forget(router)
        busy = {claim for router in self.routers.values() if router.leaving for claim in router.spec.claims}
        missing = (spec for name, spec in self._wanted.items() if name not in self.routers)
        free = [spec for spec in missing if not busy or not spec.claims & busy]
        for spec in free[:TURN]:
            self._make(spec)
        self._making = len(free) > TURN
        if self._making:
            self._tidy_soon()
        patience = min((router.patience for router in self.routers.values()), default=SECOND)
        if patience != self._vigil.patience or not self._making:
            self._vigil.patience = patience
            self._vigil.holding()
        self._tidied.set()
        self._tidied = trio.Event()
        self._deadlines.arm()

    def _make(self, spec: RouterSpec) -> None:
        router = self.routers[spec.name] = Router(spec, self._services)
        for ip in spec.shared:
            self._sharing.setdefault(ip, []).append(router)
        assert self._nursery is not None, "routers are made while the runtime runs"
        if router.movement.movers:
            self._nursery.start_soon(router.movement.run)
        if self.drained_from_the_start(spec):
            router.drain(force=True)
        else:
            router.judge_health()
        router.refresh()
        self._vigil.look()  # many of them take a while

    def _tidy_soon(self) -> None:
        """Once, where many routers leave together."""
        trio.lowlevel.current_trio_token().run_sync_soon(self._tidy, idempotent=True)

    def _part(self, router: Router) -> None:
        """End the movers of a router that has left; what they moved is given up where nobody took it over."""
        if router.movement.movers:
            router.movement.close(give_up=self._stopping and router.unfollowed)
            self._parting = [each for each in self._parting if not each.over.is_set()] + [router.movement]

    def _renew(self, router: Router) -> None:
        self._deadlines.renew(router)
        if router.leaving and router.idle and self.routers.get(router.spec.name) is router:
            self._tidy_soon()

    def _port_opened(self, port: Port) -> None:
        assert self._nursery is not None, "routers are made while the runtime runs"
        for work in (port.run, port.overhear, port.heed):
            self._nursery.start_soon(self._run_port, work)

    def _post_opened(self, post: Post) -> None:
        assert self._nursery is not None
        self._nursery.start_soon(post.run, self._vigil.look)

    def _listen(self, router: Router, index: int) -> None:
        """Ask for a sign of life; once for all that wait for one on the same link."""
        assert self._nursery is not None, "routers are started while the runtime runs"
        member = router.members[index]
        footing = member.footing
        if footing is None:
            return

        def waits() -> bool:
            same = member.footing is not None and member.footing.identity == footing.identity
            return same and router.waits_to_hear(index)

        key = footing.link.index, footing.link.mac, footing.source
        waiting = self._hearings.get(key)
        if waiting is None:
            waiting = self._hearings[key] = []
            self._nursery.start_soon(self._hear, footing, waiting)
        waiting.append(Waiting(member.spec.neighbours, waits, partial(router.network_heard, index)))


def _no_mover(_runtime: Runtime, _router: Router, spec: MoverSpec, _changed: Callable[[], None]) -> Moving:
    raise AssertionError(f"{spec.name}: nobody makes movers here")


MakeMover: TypeAlias = Callable[[Runtime, Router, MoverSpec, Callable[[], None]], Moving]
"""Makes a mover of a router; it is given what to call after each change of its report."""
