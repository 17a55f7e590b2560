"""How the agent comes to have few rights: what it takes while it has more, and when it gives them away.

    root, or a service manager's user
      │  launcher started, file and keys read, checks looked at (as the user that will use them)
      │  lock, control socket, directories; real-time priority, locked memory
      ▼  give_rights_away
    vrrpd, or whoever else it was      CAP_NET_ADMIN, CAP_NET_RAW, nothing that a program could add

Everything here happens before there is a second thread, an event loop or a packet from the network. What the agent
needs root for later (programs, files that only root reads) it asks the launcher for.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence

import trio

from vrrpd.checks.paths import obstacle
from vrrpd.config import CheckSpec, MoverSpec
from vrrpd.control.holder import holder_of
from vrrpd.errors import VrrpdError
from vrrpd.kinds import errands, inspect, ports
from vrrpd.linux.memory import lock_memory
from vrrpd.linux.ports import trouble
from vrrpd.linux.real_time import take_real_time
from vrrpd.rights import NETWORK, OWN_USER, Account, acting_as, agent_account, own_account, settle


def own_user(user: str | None) -> Account:
    """Who this agent is going to be.

    Args:
        user: as the command line names it, None where it does not.

    Raises:
        VrrpdError: there is no such user, it may not be chosen, or it cannot read the program that runs here.
    """
    try:
        who = agent_account(user)
    except LookupError as error:
        raise VrrpdError(str(error)) from None
    # All that is imported late, be it for a traceback, is read by that user.
    program = [os.path.realpath(each) for each in (sys.executable, os.__file__, trio.__file__, __file__)]
    with acting_as(who, NETWORK):
        wrong = next((found for each in program if (found := obstacle(each, os.R_OK))), None)
    if wrong:
        raise VrrpdError(f"{who.name} cannot run this agent: {wrong}; or install it elsewhere, or name another --user")
    return who


def inspect_as(who: Account) -> Callable[[CheckSpec | MoverSpec], str | None]:
    """Looks at a check or a mover with the rights of whoever will do the looking when it runs."""

    def look(spec: CheckSpec | MoverSpec) -> str | None:
        if isinstance(spec, MoverSpec) and (taken := _taken(ports(spec))):
            return taken
        if errands(spec):
            return inspect(spec)  # the launcher will, with rights of its own
        with acting_as(who, NETWORK):
            return inspect(spec)

    return look


def _taken(wanted: Sequence[tuple[str, int]]) -> str | None:
    """What keeps an agent from its ports; one that runs here may have them."""
    for each in wanted:
        found = trouble(*each)
        if found and each not in holder_of().ports:
            return found
    return None


def give_rights_away(who: Account) -> tuple[str, list[str]]:
    """Take what needs more rights than the agent keeps, then keep those.

    Returns:
        What was done, empty where root did not start us, and what could not be had and why: real-time priority and
        locked memory are no conditions.

    Raises:
        VrrpdError: the kernel does not let us become that user.
    """
    by_root = own_account().uid == 0
    refused = [trouble for trouble in (take_real_time(), lock_memory()) if trouble]
    try:
        settle(who, NETWORK)
    except PermissionError as error:
        raise VrrpdError(f"{error}, or name another --user") from None
    return _said(who) if by_root else "", refused


def _said(who: Account) -> str:
    """The line for whoever started the agent as root."""
    alone = "with CAP_NET_ADMIN and CAP_NET_RAW alone"
    if who.uid:
        return f"started as root: runs as {who.name} from now on, {alone}"
    return f"started as root: stays root, {alone}; make a user {OWN_USER!r} for fewer rights still"
