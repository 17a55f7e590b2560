"""Links, addresses and routes of this network namespace, by rtnetlink (rtnetlink(7), RFC 3549).

The one door to the kernel's tables. `frame` puts messages together and takes them apart; `messages` holds the values of
links and addresses and turns them into bytes and back, `routes` does the same for routes; `commands` owns the blocking
socket of one worker thread; `events` owns the multicast socket of the event loop.

Addresses and routes that vrrpd adds carry `TAG` (IFA_PROTO, Linux 5.18; RTPROT), so that what an agent left behind can
be told from what an administrator, DHCP or another daemon configured. Nothing here decides what is added or removed.
"""

from vrrpd.guardian import TAG
from vrrpd.linux.netlink.commands import Netlink
from vrrpd.linux.netlink.events import (
    AddressAdded,
    AddressRemoved,
    Event,
    Events,
    LinkChanged,
    LinkGone,
    Overrun,
)
from vrrpd.linux.netlink.messages import (
    InterfaceAddress,
    KernelAddress,
    Link,
    NetlinkError,
    Snapshot,
    encode_add,
    encode_remove,
    encode_renewal,
    reason,
)
from vrrpd.linux.netlink.routes import (
    KernelRoute,
    encode_route,
    encode_route_removal,
    route_error,
    route_reason,
)

__all__ = [
    "TAG",
    "AddressAdded",
    "AddressRemoved",
    "Event",
    "Events",
    "InterfaceAddress",
    "KernelAddress",
    "KernelRoute",
    "Link",
    "LinkChanged",
    "LinkGone",
    "Netlink",
    "NetlinkError",
    "Overrun",
    "Snapshot",
    "encode_add",
    "encode_remove",
    "encode_renewal",
    "encode_route",
    "encode_route_removal",
    "reason",
    "route_error",
    "route_reason",
]
