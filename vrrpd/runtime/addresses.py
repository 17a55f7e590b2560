"""The shared addresses on their interfaces: the wanted state, brought about in order by one worker thread.

A netlink write can wait for a lock of the kernel for tens of milliseconds, so none happens on the event loop: `hold`
and `drop` only note what is wanted, and `run` carries batches to the thread, one after the other. Messages are encoded,
and interfaces made ready, when a router starts and not when it takes over. What a frozen agent had still to add is not
added when it wakes up.

**Ours is what we added.** An address that was there before, without our tag, is reported as foreign and never
changed or removed. What carries our tag and is not wanted is an orphan of an agent that died; `reconcile`
removes it, at the start before anything else happens, and after an event was lost.
"""

from __future__ import annotations

import errno
import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from functools import partial
from ipaddress import IPv4Address
from typing import TypeAlias

import trio

from vrrpd.config.spec import SharedAddress
from vrrpd.linux.netlink import KernelAddress, Link, NetlinkError, Snapshot, encode_add, encode_remove, reason
from vrrpd.proto.settings import Family
from vrrpd.proto.timers import SECOND
from vrrpd.runtime.kernel import Kernel
from vrrpd.runtime.leases import IPV4, Leases
from vrrpd.runtime.links import Links
from vrrpd.runtime.vigil import Vigil

log = logging.getLogger(__name__)

GONE = {0, errno.EADDRNOTAVAIL, errno.ENODEV}
"""What the kernel answers to a removal after which the address is not there."""

Key: TypeAlias = tuple[int, str]
"""Interface index, and the address with its prefix length as text."""


class Standing(Enum):
    """What became of a wanted address."""

    HELD = auto()
    FOREIGN = auto()
    FAILED = auto()


@dataclass(frozen=True, slots=True)
class Place:
    """One address in one place, with the messages that put it there and take it away.

    Attributes:
        address: as configured.
        link: the interface it goes to.
        add: encoded once, when the router starts.
        remove: likewise.
        renew: likewise; lets its lifetime begin anew, and would bring it back were it missing.
        lease: its lifetime in the kernel, nanoseconds; None where it has none.
        owned: True where another node is its owner, who sends advertisements from it.
    """

    address: SharedAddress
    link: Link
    add: bytes
    remove: bytes
    renew: bytes
    lease: int | None = None
    owned: bool = False

    @property
    def key(self) -> Key:
        """How the kernel's tables name it."""
        return self.link.index, str(self.address.address)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the kernel said about one wanted address.

    Attributes:
        place: which.
        standing: see `Standing`.
        detail: for people, where it is not held by us.
        new: False where it was there already.
    """

    place: Place
    standing: Standing
    detail: str = ""
    new: bool = True


Tell: TypeAlias = Callable[[Outcome], None]


def place(address: SharedAddress, link: Link, *, lease: int | None = None, owned: bool = False) -> Place:
    """Prepare an address for an interface: encoding takes longer than the system call."""
    lifetime = None if lease is None else lease // SECOND
    encode = partial(
        encode_add, address.address, link.index, label=address.label, scope=address.scope, lifetime=lifetime
    )
    remove = encode_remove(address.address, link.index)
    return Place(address, link, encode(), remove, encode(renew=True), lease, owned)


class Addresses:
    """What this agent holds, and the one task that makes it so."""

    def __init__(self, kernel: Kernel, links: Links, vigil: Vigil) -> None:
        self._kernel = kernel
        self._links = links
        self._vigil = vigil
        self._leases = Leases[Key]()
        self._wanted: dict[Key, tuple[Place, Tell]] = {}
        self._ours: set[Key] = set()
        self._pending: dict[Key, Place] = {}
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
        self._wake()

    def hold(self, places: Iterable[Place], tell: Tell) -> None:
        """Want these addresses; `tell` is called on the event loop with the outcome of each."""
        for each in places:
            self._wanted[each.key] = each, tell
            self._note(each)

    def drop(self, places: Iterable[Place]) -> None:
        """Want these addresses no more; those that are not ours stay as they are."""
        for each in places:
            if self._wanted.pop(each.key, None):
                self._leases.end(each.key)
                self._note(each)

    def lost(self, gone: KernelAddress) -> None:
        """The kernel no longer has this address; put back what is wanted in its place.

        This may be old news, told after the address was put back already. So it stays ours until we have removed it:
        asking for one removal too many is harmless, forgetting one leaves a second holder.
        """
        keys = {gone.key}
        if not gone.ours:  # somebody else's may have stood there with another prefix length
            ip = gone.address.ip
            keys |= {k for k, (p, _) in self._wanted.items() if k[0] == gone.index and p.address.address.ip == ip}
        for key in keys & self._wanted.keys():
            self._note(self._wanted[key][0])

    def changed(self, taken: KernelAddress) -> None:
        """Somebody took our tag and its lifetime from an address that we hold: no net would catch it any more."""
        if taken.key in self._wanted and taken.key in self._ours:
            self._taken.add(taken.key)
            self._wake()

    def ran_out(self, gone: KernelAddress) -> bool:
        """Whether the kernel removed it because we did not renew it."""
        return self._leases.ran_out(gone.key, self._kernel.clock.now())

    def refused(self, address: KernelAddress) -> None:
        """Duplicate address detection has found one of ours elsewhere, and the kernel does not use it: once more."""
        if address.key in self._wanted and address.key in self._ours:
            self._refused.add(address.key)
            self._note(self._wanted[address.key][0])

    def gone(self, link: Link) -> None:
        """An interface was deleted with all that was on it."""
        for key in [key for key in self._ours | self._wanted.keys() if key[0] == link.index]:
            self._wanted.pop(key, None)
            self._forget(key)

    def reread(self, done: Callable[[Snapshot], None]) -> None:
        """Read the kernel's tables again, behind every change that is already asked for, and reconcile."""
        self._reread = done
        self._wake()

    def retry(self) -> None:
        """Ask again for what the kernel could not do: a removal, a full reading."""
        for each in self._stuck.values():
            self._note(each)
        self._stuck.clear()
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
        """Carry changes to the worker thread, in order, for ever."""
        task_status.started()
        while True:
            await self._wait()
            self._vigil.look()
            self._call = trio.Event()
            while self._pending or self._expected or self._taken or self._reread or self._due():
                await self._next_batch()
            self._idle.set()

    async def _wait(self) -> None:
        """Return when something is asked for, or an address has to be renewed."""
        following = self._leases.next
        wait = float("inf") if following is None else (following - self._kernel.clock.now()) / SECOND
        with trio.move_on_after(max(wait, 0)):
            await self._call.wait()

    def _due(self) -> bool:
        following = self._leases.next
        return following is not None and following <= self._kernel.clock.now()

    async def _next_batch(self) -> None:
        expected, self._expected = self._expected, []
        if expected:
            await self._kernel.worker.run(partial(self._prepare, expected))
            self._vigil.look()
        batch, self._pending = list(self._pending.values()), {}
        adds = [p for p in batch if p.key in self._wanted and not self._is_foreign(p)]
        removes = [p for p in batch if p.key not in self._wanted and p.key in self._ours]
        removes += [p for p in adds if p.key in self._refused]
        self._refused.clear()
        for each in batch:
            if each.key not in self._wanted and each.key not in self._ours:  # it was never there, or never ours
                self._kernel.guardian.gone([each.key])
        taken = [self._wanted[key][0] for key in self._taken if key in self._wanted]
        self._taken.clear()
        due = self._leases.take(self._kernel.clock.now())
        renewals = [self._wanted[key][0].renew for key in due if key in self._wanted]
        if adds or removes or taken or renewals:
            codes, outcomes = await self._kernel.worker.run(partial(self._write, removes, adds, taken, renewals))
            self._vigil.look()
            for each, code in zip(removes, codes, strict=True):
                self._settle_removal(each, code)
            for outcome in outcomes:
                self._settle(outcome)
        if self._reread and not self._pending:
            done, self._reread = self._reread, None
            snapshot = await self._kernel.worker.run(self._read)
            self._vigil.look()
            if snapshot is None:
                self._unread = done
                return
            done(snapshot)
            self._reconcile(snapshot)

    def _write(
        self, removes: Sequence[Place], adds: Sequence[Place], taken: Sequence[Place], renewals: Sequence[bytes]
    ) -> tuple[list[int], list[Outcome]]:
        """In the worker thread: one write for all, removals first: the loser of a contest lets go before anything."""
        ups = [*(p.add for p in adds), *(p.renew for p in taken)] if self._vigil.fresh() else []
        changes = [*(p.remove for p in removes), *ups]
        try:
            codes = self._kernel.commands.apply(changes)
        except NetlinkError as error:  # how far the changes went is unknown, so all of them are asked for again
            codes = [error.errno or errno.EIO] * len(changes)
        if self._vigil.fresh():
            self._renew(renewals)
        removed = codes[: len(removes)]
        added = codes[len(removes) :][: len(adds)] if ups else [errno.ECANCELED] * len(adds)
        snapshot = self._read() if errno.EEXIST in added else None
        tagged = None if snapshot is None else {a.key for a in snapshot.addresses if a.ours}
        return removed, [_outcome(each, code, tagged) for each, code in zip(adds, added, strict=True)]

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

    def _settle_removal(self, each: Place, code: int) -> None:
        if code in GONE:
            self._forget(each.key)
            return
        log.warning("%s stays on %s, trying again: %s", each.address.address, each.link.name, reason(code))
        self._stuck[each.key] = each

    def _settle(self, outcome: Outcome) -> None:
        key, lease = outcome.place.key, outcome.place.lease
        if outcome.standing is Standing.HELD:
            self._ours.add(key)
            if lease is not None and key in self._wanted:
                age = 0 if outcome.new else lease // 3  # its lifetime began when we added it: time for a renewal
                weight = IPV4 if outcome.place.address.address.version == 4 else 1
                self._leases.begin(key, lease, self._kernel.clock.now() - age, weight)
        elif outcome.standing is Standing.FOREIGN:
            self._forget(key)
        if key in self._wanted:
            self._wanted[key][1](outcome)

    def _forget(self, key: Key) -> None:
        """It is not there any more, or not ours."""
        self._ours.discard(key)
        self._leases.end(key)
        if key not in self._wanted:
            self._kernel.guardian.gone([key])

    def _is_foreign(self, wanted: Place) -> bool:
        """True, and told, where somebody else's address stands in the place."""
        there = self._links.present(wanted.link.name, wanted.address.address.ip)
        if there is None or there.ours or wanted.key in self._ours:
            return False
        self._settle(_foreign(wanted, str(there.address)))
        return True

    def _reconcile(self, snapshot: Snapshot) -> None:
        """After a full reading: remove our orphans, add what is wanted and missing."""
        tagged = {a.key for a in snapshot.addresses if a.ours}
        there = {a.key for a in snapshot.addresses}
        self._ours = tagged | (self._ours & there)  # somebody may have cleared our tag meanwhile
        for key, (each, _) in self._wanted.items():
            if key not in self._ours:
                self._note(each)
        links = {link.index: link for link in snapshot.links}
        for a in snapshot.addresses:
            if a.ours and a.key not in self._wanted and a.index in links:
                orphan = SharedAddress(a.address, a.device, None, a.scope, advertise=False)
                self._note(place(orphan, links[a.index]))

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

    def _note(self, each: Place) -> None:
        self._pending[each.key] = each
        self._wake()

    def _wake(self) -> None:
        self._idle = trio.Event() if self._idle.is_set() else self._idle
        self._call.set()


def _foreign(wanted: Place, address: str) -> Outcome:
    text = f"{address} was on {wanted.link.name} before this node took the role: it is used, never removed"
    return Outcome(wanted, Standing.FOREIGN, text)


def _outcome(wanted: Place, code: int, tagged: set[Key] | None) -> Outcome:
    """What the kernel's answer to an addition means; what exists already is ours only with our tag."""
    if code == errno.EEXIST and tagged is None:
        code = errno.EBUSY  # nobody could tell whose it is: asked again
    if code == 0 or (code == errno.EEXIST and wanted.key in (tagged or ())):
        return Outcome(wanted, Standing.HELD, new=code == 0)
    if code == errno.EEXIST:
        return _foreign(wanted, str(wanted.address.address))
    return Outcome(wanted, Standing.FAILED, f"{wanted.address.address}: {_explain(code, wanted.link)}")


def _explain(code: int, link: Link) -> str:
    match code:
        case errno.EPERM | errno.EACCES:
            return "not permitted to change addresses: CAP_NET_ADMIN is missing"
        case errno.ENODEV:
            return f"{link.name} is gone"
        case errno.EINVAL:
            return f"the kernel refuses it on {link.name}"
        case errno.ECANCELED:
            return "the agent was not awake all the time"
        case _:
            return f"{errno.errorcode.get(code, code)} from the kernel on {link.name}"
