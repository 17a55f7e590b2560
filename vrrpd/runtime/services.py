"""What all routers share: the parts of the runtime that a router is handed, and what it may ask of the supervisor."""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from vrrpd.config.spec import MoverSpec
from vrrpd.proto.settings import Address
from vrrpd.runtime.addresses import Addresses
from vrrpd.runtime.announcer import Announcer
from vrrpd.runtime.claims import Claims
from vrrpd.runtime.health import CheckState
from vrrpd.runtime.kernel import Guardian
from vrrpd.runtime.lateness import Lateness
from vrrpd.runtime.links import Links
from vrrpd.runtime.moving import Moving
from vrrpd.runtime.ports import Port, Ports
from vrrpd.runtime.vigil import Vigil

if TYPE_CHECKING:
    from vrrpd.runtime.routers import Router


@dataclass(frozen=True, slots=True)
class Services:
    """What all routers share.

    Attributes:
        links: the mirror of the kernel's links and addresses.
        addresses: moves addresses.
        announcer: tells the link.
        claims: hears who else says that an address is his.
        ports: the raw sockets.
        shared: every shared address of every router; none may be a source.
        own: every address of this host and every shared one; a packet from one of them is a loop.
        checks: the last word of each check, by name.
        now: the clock, nanoseconds.
        wall: UTC, nanoseconds; for signatures.
        read: hands over what has come in by a port, unless that has just been done.
        renew: takes note that a router's deadline moved.
        later: does something when nothing is urgent, in order.
        guardian: lets go in our place when we cannot.
        vigil: told when something begins to be held.
        lateness: told of each regular advertisement that has left.
        mover: makes a mover of a router; see `moving.Start`.
        listen: starts to ask whether the network carries frames, for one member of a router.
    """

    links: Links
    addresses: Addresses
    announcer: Announcer
    claims: Claims
    ports: Ports
    shared: Container[Address]
    own: Container[Address]
    checks: Mapping[str, CheckState]
    now: Callable[[], int]
    wall: Callable[[], int]
    read: Callable[[Port], None]
    renew: Callable[[Router], None]
    later: Callable[[Callable[[], None]], None]
    listen: Callable[[Router, int], None]
    guardian: Guardian
    vigil: Vigil
    lateness: Lateness
    mover: Callable[[Router, MoverSpec, Callable[[], None]], Moving]
