"""A shared address in its place: the messages that put it there and take it away, and what the kernel said to that."""

from __future__ import annotations

import errno
from collections.abc import Container
from dataclasses import dataclass
from enum import Enum, auto
from functools import partial
from typing import TypeAlias

from vrrpd.config.spec import SharedAddress
from vrrpd.linux.netlink import KernelAddress, Link, encode_add, encode_remove, encode_renewal
from vrrpd.proto.timers import SECOND

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
        key: how the kernel's tables name it.
        there: what the kernel has where it is held; it is not asked, and tells us of no IPv4 address that we add.
        add: encoded once, when the router starts.
        remove: likewise.
        again: likewise; gives it our tag and its lifetime, whether or not it is there.
        renew: the same without an answer; lets its lifetime begin anew, and would bring it back were it missing.
        lease: its lifetime in the kernel, nanoseconds; None where it has none.
        owned: True where another node is its owner, who sends advertisements from it.
    """

    address: SharedAddress
    link: Link
    key: Key
    there: KernelAddress
    add: bytes
    remove: bytes
    again: bytes
    renew: bytes
    lease: int | None = None
    owned: bool = False


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


def place(address: SharedAddress, link: Link, *, lease: int | None = None, owned: bool = False) -> Place:
    """Prepare an address for an interface: encoding takes longer than the system call."""
    lifetime = None if lease is None else lease // SECOND
    encode = partial(
        encode_add, address.address, link.index, label=address.label, scope=address.scope, lifetime=lifetime
    )
    remove = encode_remove(address.address, link.index)
    there = KernelAddress(
        *(address.address, link.index, link.name),
        ours=True, tentative=False, failed=False, deprecated=False, secondary=False,
        scope=address.scope, label=address.label, permanent=lease is None,
    )  # fmt: skip
    again = encode(renew=True)
    return Place(address, link, there.key, there, encode(), remove, again, encode_renewal(again), lease, owned)


def foreign(wanted: Place, address: str) -> Outcome:
    """Somebody else's address stands where this one was wanted."""
    text = f"{address} was on {wanted.link.name} before this node took the role: it is used, never removed"
    return Outcome(wanted, Standing.FOREIGN, text)


def outcome(wanted: Place, code: int, tagged: Container[Key] | None) -> Outcome:
    """What the kernel's answer to an addition means; what exists already is ours only with our tag.

    Args:
        wanted: what was to be added.
        code: errno, 0 where it was.
        tagged: what carries our tag by now; None where nobody could tell.
    """
    if code == errno.EEXIST and tagged is None:
        code = errno.EBUSY  # nobody could tell whose it is: asked again
    if code == 0 or (code == errno.EEXIST and wanted.key in (tagged or ())):
        return Outcome(wanted, Standing.HELD, new=code == 0)
    if code == errno.EEXIST:
        return foreign(wanted, str(wanted.address.address))
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
