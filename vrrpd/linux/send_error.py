"""Why the kernel did not send a packet, as a value with a sentence for the person on call.

Owns the one table from errno to cause and mend for everything that goes out: adverts and announcements. Nothing of
this is an exception: a firewall, a missing route or a pulled cable is the network's condition, which the agent lives
through and reports. The errno is kept beside the sentence, for counters and for telling one condition from another.

Sources: raw(7), ip(7), ipv6(7), packet(7), and the kernel's own use of these numbers.
"""

from __future__ import annotations

import errno
import os
from dataclasses import dataclass

_SENTENCES = {
    errno.EPERM: "the firewall of this host refused it; accept IP protocol 112 (vrrp) in its output chain",
    errno.EACCES: "a route of this host prohibits the destination; look at `ip route get`",
    # The kernel also says so where the source or the interface is not there, or the interface is down.
    errno.ENETUNREACH: "no route, or the source is not on this host; see `ip addr show dev {interface}` and `ip route`",
    errno.EHOSTUNREACH: "the destination does not answer ARP or neighbour discovery; is it up and on this link?",
    errno.ENETDOWN: "the interface is down; `ip link set dev {interface} up`",
    errno.ENODEV: "the interface does not exist any more",
    errno.ENXIO: "the interface does not exist any more",
    errno.EINVAL: "the source is not a usable address of the interface (not there, or still tentative)",
    errno.EADDRNOTAVAIL: "the source is not a usable address of the interface (not there, or still tentative)",
    errno.ENOBUFS: "the interface's queue is full",
    errno.EAGAIN: "the socket's send buffer is full",
    errno.ENOMEM: "the kernel has no memory for it now",
    errno.EMSGSIZE: "it is longer than the path's MTU; use fewer addresses or a larger MTU",
}


@dataclass(frozen=True, slots=True)
class SendError:
    """A packet that was not sent.

    Attributes:
        errno: the kernel's reason, for example `errno.EPERM`.
        text: one sentence: what could not be sent where, the cause, and the mend where there is one.
    """

    errno: int
    text: str


def send_error(error: OSError, what: str, interface: str) -> SendError:
    """The value for a failed send.

    Args:
        error: what the system call raised.
        what: what was to be sent, with its destination where it has one: `an advert to 10.0.0.12`.
        interface: name of the interface.
    """
    code = error.errno or errno.EIO
    sentence = _SENTENCES.get(code, os.strerror(code)).format(interface=interface)
    return SendError(code, f"cannot send {what} on {interface}: {sentence}")
