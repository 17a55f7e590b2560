"""The shared addresses on their interfaces: the wanted state, brought about in order by one worker thread.

A netlink write can wait for a lock of the kernel for tens of milliseconds, so none happens on the event loop: `hold`
and `drop` note what is wanted and hand it to the thread at once, if that is idle. Otherwise it goes with all that is
noted until then, one batch after the other: what comes back is settled before the next one begins. Messages are
encoded, and interfaces made ready, when a router starts and not when it takes over. What a frozen agent had still to
add is not added when it wakes up.

**Ours is what we added.** An address that was there before, without our tag, is reported as foreign and never
changed or removed. What carries our tag and is not wanted is an orphan of an agent that died; `reconcile`
removes it, at the start before anything else happens, and after an event was lost.
"""

from __future__ import annotations

import errno
import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from ipaddress import IPv4Address
from typing import Any, TypeAlias, TypeVar

import trio

from vrrpd.config.spec import SharedAddress
from vrrpd.linux.netlink import (
    AddressAdded,
    KernelAddress,
    Link,
    NetlinkError,
    Snapshot,
    encode_remove,
    reason,
)
from vrrpd.linux.worker import Job
from vrrpd.proto.settings import Family
from vrrpd.proto.timers import SECOND
from vrrpd.runtime.kernel import Kernel
from vrrpd.runtime.leases import IPV4, Leases
from vrrpd.runtime.links import Links
from vrrpd.runtime.placement import Key, Outcome, Place, Standing, foreign, outcome, place
from vrrpd.runtime.vigil import Vigil

log = logging.getLogger(__name__)

T = TypeVar("T")

GONE = {0, errno.EADDRNOTAVAIL, errno.ENODEV}
"""What the kernel answers to a removal after which the address is not there."""

Tell: TypeAlias = Callable[[Sequence[Outcome]], None]


@dataclass(frozen=True, slots=True)
class Batch:
    """What is written together, in this order.

    Attributes:
        removes: the loser of a contest lets go before anything.
        adds: see `Addresses.hold`.
        taken: what gets our tag and its lifetime back.
        renewals: messages.
        foreign: what is not added, since somebody else's address stands there.
    """

    removes: Sequence[Place]
    adds: Sequence[Place]
    taken: Sequence[Place]
    renewals: Sequence[bytes]
    foreign: Sequence[Outcome]


class Addresses:
    """What this agent holds, and what the worker thread does to make it so; `run` must run meanwhile."""

    def __init__(self, kernel: Kernel, links: Links, vigil: Vigil) -> None:
        self._kernel = kernel
        self._links = links
        self._vigil = vigil
        self._leases = Leases[Key]()
        self._wanted: dict[Key, tuple[Place, Tell]] = {}
        self._ours: set[Key] = set()
        self._pending: dict[Key, Place] = {}
        self._running = False
        self._job: Job[Any] | None = None  # what the thread does now; one at a time
        self._awaited: Job[Any] | None = None  # the same, where somebody takes a role by it
        self._bug: Exception | None = None
        self._call = trio.Event()
        self._idle = trio.Event()
        self._idle.set()
        self._reread: Callable[[Snapshot], None] | None = None
        self._unread: Callable[[Snapshot], None] | None = None
        self._stuck: dict[Key, Place] = {}
        self._refused: set[Key] = set()  # by duplicate address detection: to be removed before they are added
        self._taken: set[Key] = set()  # still there, but without our tag and lifetime
        self._expected: list[Place] = []
        self._prepared: set[tuple[int, str]] = set()

    @property
    def busy(self) -> bool:
        """True while anything of ours is on an interface, or on its way there."""
        return bool(self._ours or self._wanted)

    def expect(self, places: Iterable[Place]) -> None:
        """These may be wanted one day: what can be done for them before is done now."""
        self._expected += places
        self._begin_soon()

    def hold(self, places: Iterable[Place], tell: Tell) -> None:
        """Want these addresses; `tell` is called on the event loop with the outcomes, as they come."""
        for each in places:
            self._wanted[each.key] = each, tell
            self._pending[each.key] = each
        idle = self._job is None
        self._begin()
        if idle:
            self._awaited = self._job

    def settle(self, seconds: float) -> None:
        """Stand still for so long at most, while the kernel adds what was asked for last, and settle that at once.

        Where the thread has to wait itself, or has more to do, nobody waits for it.
        """
        awaited, self._awaited = self._awaited, None
        if awaited is not None and awaited is self._job:
            awaited.wait(seconds)

    def rehearse(self) -> None:
        """Somebody may want something in a moment: wake the thread, which takes as long as the work."""
        if self._job is None and self._running:
            self._hand(lambda: None, lambda _: None)

    def drop(self, places: Iterable[Place]) -> None:
        """Want these addresses no more; those that are not ours stay as they are."""
        for each in places:
            if self._wanted.pop(each.key, None):
                self._leases.end(each.key)
                self._pending[each.key] = each
        self._begin()

    def lost(self, gone: KernelAddress) -> None:
        """The kernel no longer has this address; put back what is wanted in its place.

        This may be old news, told after the address was put back already. So it stays ours until we have removed it:
        asking for one removal too many is harmless, forgetting one leaves a second holder.
        """
        keys = {gone.key}
        if not gone.ours:  # somebody else's may have stood there with another prefix length
            ip = gone.address.ip
            keys |= {k for k, (p, _) in self._wanted.items() if k[0] == gone.index and p.address.address.ip == ip}
        self._ask_again(self._wanted[key][0] for key in keys & self._wanted.keys())

    def changed(self, taken: KernelAddress) -> None:
        """Somebody took our tag and its lifetime from an address that we hold: no net would catch it any more."""
        if taken.key in self._wanted and taken.key in self._ours:
            self._taken.add(taken.key)
            self._begin()

    def ran_out(self, gone: KernelAddress) -> bool:
        """Whether the kernel removed it because we did not renew it."""
        return self._leases.ran_out(gone.key, self._kernel.clock.now())

    def refused(self, address: KernelAddress) -> None:
        """Duplicate address detection has found one of ours elsewhere, and the kernel does not use it: once more."""
        if address.key in self._wanted and address.key in self._ours:
            self._refused.add(address.key)
            self._ask_again([self._wanted[address.key][0]])

    def gone(self, link: Link) -> None:
        """An interface was deleted with all that was on it."""
        for key in [key for key in self._ours | self._wanted.keys() if key[0] == link.index]:
            self._wanted.pop(key, None)
            self._forget(key)

    def reread(self, done: Callable[[Snapshot], None]) -> None:
        """Read the kernel's tables again, behind every change that is already asked for, and reconcile."""
        self._reread = done
        self._begin()

    def retry(self) -> None:
        """Ask again for what the kernel could not do: a removal, a full reading."""
        stuck, self._stuck = self._stuck, {}
        self._ask_again(stuck.values())
        if self._unread is not None:
            self.reread(self._unread)
            self._unread = None

    async def settled(self) -> None:
        """Wait until everything that is asked for has been done."""
        await self._idle.wait()

    def first_reading(self) -> Snapshot:
        """Read the kernel's tables and remove what a dead agent left behind. Blocks: for the start alone."""
        snapshot = self._kernel.commands.dump()
        orphans = [a for a in snapshot.addresses if a.ours]
        self._kernel.commands.apply([encode_remove(a.address, a.index) for a in orphans])
        return self._kernel.commands.dump() if orphans else snapshot

    async def run(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Renew leases in time, for ever; what is asked for is done while this runs."""
        self._running = True
        task_status.started()
        try:
            while True:
                self._begin()
                await self._wait()
                self._vigil.look()
                self._call = trio.Event()
        finally:
            self._running = False
            if self._job is not None:
                self._job.give_up()

    async def _wait(self) -> None:
        """Return when something is asked for, or an address has to be renewed.

        Raises:
            Exception: something went wrong meanwhile that is a bug.
        """
        following = self._leases.next if self._job is None else None
        wait = float("inf") if following is None else (following - self._kernel.clock.now()) / SECOND
        with trio.move_on_after(max(wait, 0)):
            await self._call.wait()
        if self._bug is not None:
            raise self._bug

    def _ask_again(self, places: Iterable[Place]) -> None:
        self._pending.update((each.key, each) for each in places)
        self._begin()

    def _begin_soon(self) -> None:
        """In the next turn, together with what others ask for in this one."""
        self._idle = trio.Event() if self._idle.is_set() else self._idle
        self._call.set()

    def _begin(self) -> None:
        """Hand the next thing to do to the thread, unless that is at work."""
        if self._job is not None or not self._running:
            self._idle = trio.Event() if self._idle.is_set() else self._idle
        elif self._expected:
            expected, self._expected = self._expected, []
            self._hand(partial(self._prepare, expected), lambda _: None)
        elif (batch := self._next_batch()) is not None:
            self._hand(partial(self._write, batch), partial(self._settle, batch))
        elif self._reread is not None:
            done, self._reread = self._reread, None
            self._hand(self._read, partial(self._take_reading, done))
        else:
            self._idle.set()

    def _hand(self, work: Callable[[], T], then: Callable[[T], None]) -> None:
        self._idle = trio.Event() if self._idle.is_set() else self._idle
        self._job = self._kernel.worker.begin(work, partial(self._ended, then))

    def _ended(self, then: Callable[[T], None], job: Job[T]) -> None:
        """Settle what the thread has done, and go on; called by the loop itself, where no error may end."""
        try:
            self._vigil.look()
            then(job.result())
            self._job = None  # only now: what has happened is settled before anything else is done
            self._begin()
        except Exception as bug:  # noqa: BLE001 - raised by the task that stands for it
            self._bug = bug
        self._call.set()  # a lease may have begun that ends before the others

    def _next_batch(self) -> Batch | None:
        """What is to be written now; None where nothing is."""
        asked, self._pending = list(self._pending.values()), {}
        adds = [p for p in asked if p.key in self._wanted]
        removes = [p for p in asked if p.key not in self._wanted and p.key in self._ours]
        gone = [p.key for p in asked if p.key not in self._wanted and p.key not in self._ours]
        if gone:  # it was never there, or never ours
            self._kernel.guardian.gone(gone)
        strange = [found for p in adds if (found := self._foreign(p)) is not None]
        if strange:
            others = {each.place.key for each in strange}
            adds = [p for p in adds if p.key not in others]
        removes += [p for p in adds if p.key in self._refused]
        self._refused.clear()
        taken = [self._wanted[key][0] for key in self._taken if key in self._wanted]
        self._taken.clear()
        due = self._leases.take(self._kernel.clock.now())
        renewals = [self._wanted[key][0].renew for key in due if key in self._wanted]
        found = adds or removes or taken or renewals or strange
        return Batch(removes, adds, taken, renewals, strange) if found else None

    def _take_reading(self, done: Callable[[Snapshot], None], snapshot: Snapshot | None) -> None:
        if snapshot is None:
            self._unread = done
            return
        done(snapshot)
        self._reconcile(snapshot)

    def _write(self, batch: Batch) -> tuple[list[int], list[Outcome]]:
        """In the worker thread: one write for all."""
        adds = batch.adds
        ups = [*(p.add for p in adds), *(p.again for p in batch.taken)] if self._vigil.fresh() else []
        changes = [*(p.remove for p in batch.removes), *ups]
        try:
            codes = self._kernel.commands.apply(changes)
        except NetlinkError as error:  # how far the changes went is unknown, so all of them are asked for again
            codes = [error.errno or errno.EIO] * len(changes)
        if batch.renewals and self._vigil.fresh():
            self._renew(batch.renewals)
        removed = codes[: len(batch.removes)]
        added = codes[len(removed) :][: len(adds)] if ups else [errno.ECANCELED] * len(adds)
        snapshot = self._read() if errno.EEXIST in added else None
        tagged = None if snapshot is None else {a.key for a in snapshot.addresses if a.ours}
        return removed, [outcome(each, code, tagged) for each, code in zip(adds, added, strict=True)]

    def _renew(self, renewals: Sequence[bytes]) -> None:
        """In the worker thread; what cannot be renewed now comes again in a third of its lease."""
        try:
            self._kernel.commands.renew(renewals)
        except NetlinkError as error:
            log.warning("leases cannot be renewed, trying again: %s", error.text)

    def _read(self) -> Snapshot | None:
        """In the worker thread: a full reading, None where the kernel cannot give one now."""
        try:
            return self._kernel.commands.dump()
        except NetlinkError as error:
            log.warning("links and addresses cannot be read, trying again: %s", error.text)
            return None

    def _settle(self, batch: Batch, answer: tuple[list[int], list[Outcome]]) -> None:
        """What the kernel has said, to those who want to know."""
        codes, outcomes = answer
        for each, code in zip(batch.removes, codes, strict=True):
            self._settle_removal(each, code)
        told: dict[Tell, list[Outcome]] = {}
        for each in (*batch.foreign, *outcomes):
            if (wanted := self._wanted.get(each.place.key)) is not None:
                told.setdefault(wanted[1], []).append(each)
        for tell, those in told.items():
            tell(those)
        for each in (*batch.foreign, *outcomes):
            self._settle_addition(each)

    def _settle_removal(self, each: Place, code: int) -> None:
        if code in GONE:
            self._forget(each.key)
            return
        log.warning("%s stays on %s, trying again: %s", each.address.address, each.link.name, reason(code))
        self._stuck[each.key] = each

    def _settle_addition(self, said: Outcome) -> None:
        key, lease = said.place.key, said.place.lease
        if said.standing is Standing.HELD:
            self._ours.add(key)
            if key in self._wanted:
                self._links.update(AddressAdded(said.place.there, self._kernel.commands.port))
            if lease is not None and key in self._wanted:
                age = 0 if said.new else lease // 3  # its lifetime began when we added it: time for a renewal
                weight = IPV4 if said.place.address.address.version == 4 else 1
                self._leases.begin(key, lease, self._kernel.clock.now() - age, weight)
        elif said.standing is Standing.FOREIGN:
            self._forget(key)

    def _forget(self, key: Key) -> None:
        """It is not there any more, or not ours."""
        self._ours.discard(key)
        self._leases.end(key)
        if key not in self._wanted:
            self._kernel.guardian.gone([key])

    def _foreign(self, wanted: Place) -> Outcome | None:
        """What is to be said where somebody else's address stands in the place; None where none does."""
        there = self._links.present(wanted.link.name, wanted.address.address.ip)
        if there is None or there.ours or wanted.key in self._ours:
            return None
        return foreign(wanted, str(there.address))

    def _reconcile(self, snapshot: Snapshot) -> None:
        """After a full reading: remove our orphans, add what is wanted and missing."""
        tagged = {a.key for a in snapshot.addresses if a.ours}
        there = {a.key for a in snapshot.addresses}
        self._ours = tagged | (self._ours & there)  # somebody may have cleared our tag meanwhile
        self._pending.update((key, each) for key, (each, _) in self._wanted.items() if key not in self._ours)
        links = {link.index: link for link in snapshot.links}
        for a in snapshot.addresses:
            if a.ours and a.key not in self._wanted and a.index in links:
                orphan = SharedAddress(a.address, a.device, None, a.scope, advertise=False)
                self._pending[a.key] = place(orphan, links[a.index])

    def _prepare(self, expected: Sequence[Place]) -> None:
        """In the worker thread: settings (ip-sysctl) that an IPv4 address needs on its interface.

        Removing a primary address takes its secondaries along without `promote_secondaries`. Without `accept_local` the
        kernel drops what comes from an address that we hold, and the owner of it would never be heard again.
        """
        for each in expected:
            link, v4 = each.link, isinstance(each.address.address.ip, IPv4Address)
            names = ("promote_secondaries", *(["accept_local"] if each.owned else [])) if v4 else ()
            for name in names:
                if (link.index, name) not in self._prepared:
                    self._prepared.add((link.index, name))
                    error = self._kernel.write_setting(Family.IPV4, link.name, name, 1)
                    if error is not None:
                        log.warning("%s", error.text)
