"""Whose rights a process has, and how it gives them away: users, groups, capabilities.

An agent of root's is three processes. The agent itself and the guardian become an ordinary user (`vrrpd`, where there
is one) and keep two capabilities: to change the network and to use raw sockets. The launcher stays root, with no more
capabilities than its work takes. Where a service manager starts the agent as a user of its own, nobody changes users,
and each keeps as much of what was granted as it needs.

Capabilities belong to threads, so all of this happens before there is a second one. What is given away cannot be had
back: the bounding set shrinks as well, and no program can bring anything new (no_new_privs). The launcher keeps both,
because what programs with a `user` may do is theirs to know; the others are forbidden to have more.

Standard library only, and little of it: the launcher is forked for every program.

Sources: capabilities(7), capget(2), credentials(7), prctl(2).
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import pwd
from collections.abc import Generator
from enum import IntFlag
from typing import Final, NamedTuple

UNPRIVILEGED: Final = ("vrrpd", "nobody")
"""Whose rights a program gets: of the first that exists."""

OWN_USER: Final = "vrrpd"
"""Whose rights an agent of root's takes, where that user exists."""

_VERSION: Final = 0x20080522  # _LINUX_CAPABILITY_VERSION_3
_PR_CAPBSET_DROP, _PR_SET_KEEPCAPS, _PR_SET_NO_NEW_PRIVS = 24, 8, 38  # linux/prctl.h
_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL = 47, 4
_MOST: Final = 64  # capabilities that fit into a set

_libc = ctypes.CDLL(None, use_errno=True)


class Capability(IntFlag):
    """Those that matter here, as bits of a set."""

    DAC_READ_SEARCH = 1 << 2
    KILL = 1 << 5
    SETGID = 1 << 6
    SETUID = 1 << 7
    SETPCAP = 1 << 8
    NET_ADMIN = 1 << 12
    NET_RAW = 1 << 13
    SYS_NICE = 1 << 23


NETWORK: Final = Capability.NET_ADMIN | Capability.NET_RAW
"""What agent and guardian keep: to move addresses, to send and receive VRRP."""

_CHANGING: Final = Capability.SETUID | Capability.SETGID

EVERYTHING: Final = (1 << 64) - 1
"""All capabilities that there are."""

OTHER_USERS: Final = _CHANGING | Capability.KILL
"""What it takes to run programs as another user, and to end them."""

LAUNCHING: Final = OTHER_USERS | Capability.DAC_READ_SEARCH | NETWORK | Capability.SYS_NICE
"""What the launcher keeps: the last three are for the guardian that it forks."""


class Account(NamedTuple):
    """A user with its groups.

    Attributes:
        name: of the user, or its number where it has none.
        uid: user id.
        gid: primary group.
        groups: all groups.
    """

    name: str
    uid: int
    gid: int
    groups: tuple[int, ...]


# -------------------------------------------------------------------- users


def agent_account(user: str | None) -> Account:
    """Who the agent is to be.

    Args:
        user: the name that is asked for; None for `vrrpd` where root starts an agent, that user exists and root may
            become it, else whoever starts the agent.

    Raises:
        LookupError: it cannot be done; the text names the cause and the mend.
    """
    own = own_account()
    if user is not None:
        return own if user == own.name else _other(user, own, _CHANGING)
    if own.uid == 0 and _exists(OWN_USER) and not _CHANGING & ~held():
        return _named(OWN_USER)
    return own


def account(user: str | None, *, by_root: bool) -> Account:
    """Whose rights a program gets.

    Args:
        user: the name that is asked for; None for one without privileges: `vrrpd` or `nobody` where root starts it,
            else whoever starts it.
        by_root: whether root starts the agent.

    Raises:
        LookupError: it cannot be done; the text names the cause and the mend.
    """
    if by_root:
        return _named(user or next(filter(_exists, UNPRIVILEGED), UNPRIVILEGED[-1]))
    own = own_account()
    return own if user in {None, own.name} else _other(str(user), own, OTHER_USERS)


def _other(user: str, own: Account, needed: Capability) -> Account:
    """Somebody else."""
    if missing := needed & ~held():
        raise LookupError(
            f"{own.name}, who runs the agent, may not become another user without {_words(missing)}; "
            f"grant {'it' if missing.bit_count() == 1 else 'them'}, or leave user {user!r} out"
        )
    return _named(user)


def own_account() -> Account:
    """The one we have ourselves; a container may run us as a number that has no name."""
    uid = os.getuid()
    try:
        name = pwd.getpwuid(uid).pw_name
    except KeyError:
        name = str(uid)
    return Account(name, uid, os.getgid(), tuple(os.getgroups()))


def _exists(user: str) -> bool:
    try:
        pwd.getpwnam(user)
    except KeyError:
        return False
    return True


def _named(user: str) -> Account:
    try:
        entry = pwd.getpwnam(user)
    except KeyError:
        raise LookupError(f"there is no user {user!r} on this host; name one that exists") from None
    return Account(user, entry.pw_uid, entry.pw_gid, tuple(os.getgrouplist(user, entry.pw_gid)))


def _words(capabilities: Capability) -> str:
    names = [f"CAP_{each.name}" for each in capabilities]
    return " and ".join([*([", ".join(names[:-1])] if names[1:] else []), *names[-1:]])


# -------------------------------------------------------------------- giving rights away


def become(who: Account) -> None:
    """Be this user for good, if we are not; says nothing about capabilities.

    Raises:
        PermissionError: the kernel does not let us; the text names the mend.
    """
    own = own_account()
    if who[1:] == own[1:]:
        return
    try:
        os.setgroups(who.groups)
        os.setresgid(who.gid, who.gid, who.gid)
        os.setresuid(who.uid, who.uid, who.uid)
    except PermissionError:
        raise PermissionError(f"{own.name} may not become {who.name} here; grant CAP_SETUID and CAP_SETGID") from None


def settle(who: Account, capabilities: Capability) -> None:
    """Be this user for good, and have at most these capabilities from now on. Call it while there is one thread.

    Raises:
        PermissionError: as `become`.
    """
    if held() & Capability.SETPCAP:
        with contextlib.suppress(OSError):  # the first number that the kernel does not know
            for number in range(_MOST):
                if not capabilities >> number & 1:
                    _prctl(_PR_CAPBSET_DROP, number)
    _prctl(_PR_SET_KEEPCAPS, 1)
    become(who)
    keep(capabilities)
    forbid_more()


def forbid_more() -> None:
    """Have no program of ours, or of theirs, add rights to what it is started with, be it setuid or otherwise."""
    _prctl(_PR_SET_NO_NEW_PRIVS, 1)


def keep(capabilities: Capability) -> None:
    """Have at most these capabilities from now on, and pass none of them to programs; those of root's get them anew."""
    kept = held() & capabilities
    _capset(kept, kept)
    with contextlib.suppress(OSError):  # a kernel without ambient capabilities has none to clear
        _prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL)


@contextlib.contextmanager
def acting_as(who: Account, capabilities: int) -> Generator[None]:
    """Look at files, or make them, as this user with these capabilities would. Call it while there is one thread."""
    own, before = own_account(), held()
    changes = who[1:] != own[1:]
    if changes:
        os.setgroups(who.groups)
        os.setegid(who.gid)
        os.seteuid(who.uid)
    _capset(before & capabilities, before)
    try:
        yield
    finally:
        _capset(before, before)
        if changes:
            os.seteuid(own.uid)
            os.setegid(own.gid)
            os.setgroups(own.groups)
        _capset(before, before)  # coming back changes the effective set, too


def held() -> Capability:
    """The capabilities that this process could use (its permitted set)."""
    head, sets = _arguments()
    _call("capget", head, sets)
    return Capability(sets[1] | sets[4] << 32)


def _capset(effective: int, permitted: int) -> None:
    head, sets = _arguments()
    low = 0xFFFFFFFF
    sets[:] = [effective & low, permitted & low, 0, effective >> 32, permitted >> 32, 0]
    _call("capset", head, sets)


def _arguments() -> tuple[ctypes.Array[ctypes.c_uint32], ctypes.Array[ctypes.c_uint32]]:
    """What capget and capset take: a header that means this process, and two structures of three sets."""
    return (ctypes.c_uint32 * 2)(_VERSION, 0), (ctypes.c_uint32 * 6)()


def _call(name: str, *arguments: object) -> None:
    if getattr(_libc, name)(*arguments):
        raise OSError(ctypes.get_errno(), name)


def _prctl(*arguments: int) -> None:
    padded = [*arguments, 0, 0, 0, 0][:5]
    _call("prctl", *(ctypes.c_ulong(each) for each in padded))
