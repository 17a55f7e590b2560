"""The values of links and addresses, and their bytes on a netlink socket.

Owns what the rest of the agent may know about an interface and an address, the messages that change addresses, and
the translation both ways. A change is encoded once, and sent as often as needed (`Netlink` writes the sequence number
into a copy).

What an address looks like when vrrpd adds it:

- IPv4: local address and prefix, no broadcast address, the label and scope that the file gives.
- IPv6: `nodad` (it must answer at once, and the former holder may still have it), `noprefixroute` (the subnet's route
  belongs to whoever configured the subnet) and preferred lifetime 0 at every prefix length, so that the kernel never
  picks it as the source of a connection of the host's own (RFC 6724 5, rule 3).
- Both: `TAG`, a lifetime where one is given, and NLM_F_EXCL, so that an address that is there already is told and never
  quietly taken over. A renewal repeats all of it (one without the tag would clear the tag) with NLM_F_REPLACE; the
  kernel adds an address that it is to replace and cannot find, whatever the flags.

Sources: netlink(7), rtnetlink(7), linux/if_addr.h, linux/if_link.h.
"""

from __future__ import annotations

import errno as codes
import os
import struct
import sys
from dataclasses import dataclass
from ipaddress import IPv4Interface, IPv6Interface, ip_interface
from socket import AF_INET, AF_INET6, AF_UNSPEC
from typing import TypeAlias

from vrrpd.errors import VrrpdError
from vrrpd.guardian import TAG
from vrrpd.linux.netlink.frame import (
    ACK,
    CREATE,
    DUMP,
    EXCL,
    FLAGS_OFFSET,
    HEADER,
    REPLACE,
    REQUEST,
    as_number,
    message,
    number,
    places,
    values,
)

InterfaceAddress: TypeAlias = IPv4Interface | IPv6Interface

_ADDRESS = struct.Struct("=BBBBI")  # struct ifaddrmsg: family, length of the prefix, flags, scope, interface
_ATTRIBUTES = HEADER.size + _ADDRESS.size  # where they begin in a message about an address
_LINK = struct.Struct("=BxHiII")  # struct ifinfomsg: family, type, index, flags, what of them is to change
_LIFETIME = struct.Struct("=IIII")  # struct ifa_cacheinfo: preferred, valid, and two times that the kernel fills in
_IFA_ADDRESS, _IFA_LOCAL, _IFA_LABEL, _CACHEINFO, _IFA_FLAGS, _IFA_PROTO = 1, 2, 3, 6, 8, 11  # linux/if_addr.h
_IFLA_ADDRESS, _IFLA_NAME, _IFLA_MTU, _IFLA_EXT_MASK = 1, 3, 4, 29  # linux/if_link.h

QUIET = 1 << 31
"""In the sequence number of what adds an address, or renews one: whoever did it hears of it by the answer, or need not
hear of it, and the kernel's word to all is known by this."""

RENEWAL = 0xFFFFFFFF
"""The sequence number of every renewal, whose refusal is answered all the same."""

# linux/rtnetlink.h
RTM_NEWLINK, RTM_DELLINK, RTM_GETLINK = 16, 17, 18
RTM_NEWADDR, RTM_DELADDR, RTM_GETADDR = 20, 21, 22

# linux/if_addr.h
_SECONDARY, _NODAD, _FAILED, _DEPRECATED, _TENTATIVE, _PERMANENT, _NOPREFIXROUTE = 1, 2, 8, 0x20, 0x40, 0x80, 0x200
_FOREVER = 0xFFFFFFFF

# linux/if.h
_UP, _LOOPBACK, _RUNNING, _NOARP = 0x1, 0x8, 0x40, 0x80

_SKIP_STATISTICS = 8  # linux/rtnetlink.h, RTEXT_FILTER_SKIP_STATS: a third of a link's message

_REASONS = {
    codes.EPERM: "CAP_NET_ADMIN is missing; run as root or grant it (systemd: AmbientCapabilities=CAP_NET_ADMIN)",
    codes.EEXIST: "the address is already on the interface",
    codes.EADDRNOTAVAIL: "the address is not on the interface",
    codes.ENODEV: "the interface does not exist any more",
    codes.EACCES: "the interface has no IPv6; set net.ipv6.conf.<interface>.disable_ipv6 to 0",
    codes.EINVAL: "the kernel refuses the form; all IPv4 addresses of one subnet must have the same scope",
    codes.ENOBUFS: "the kernel has no memory for it now",
    codes.ENOMEM: "the kernel has no memory for it now",
    codes.EBUSY: "links and addresses kept changing while they were read",
    codes.ETIMEDOUT: "the kernel did not answer",
}


class NetlinkError(VrrpdError, OSError):
    """The kernel refused a request; where nobody handles that, it ends a command with its text.

    Attributes:
        errno: the kernel's reason, for example `errno.EEXIST`.
        text: one sentence with the cause and, where there is one, the mend.
    """

    def __init__(self, errno: int, text: str) -> None:
        super().__init__(errno, text)
        self.text = text

    def __str__(self) -> str:
        return self.text


def reason(errno: int, detail: str = "") -> str:
    """What an errno of netlink means here, as a sentence.

    Args:
        errno: the kernel's reason.
        detail: the kernel's own words (extended acknowledgement), where it gave some.
    """
    sentence = _REASONS.get(errno, os.strerror(errno))
    return f"{sentence} (kernel: {detail})" if detail else sentence


@dataclass(frozen=True, slots=True)
class Link:
    """One interface.

    Attributes:
        name: its present name.
        index: its number, never used again after it was deleted (an interface that is re-created has another).
        up: IFF_UP: an administrator switched it on.
        running: IFF_RUNNING: it can carry frames, as far as the driver knows (carrier, not dormant).
        noarp: IFF_NOARP: announcements make no sense on it.
        mac: link-layer address; six bytes on Ethernet, empty where it has none.
        mtu: largest packet in bytes.
        loopback: IFF_LOOPBACK.
    """

    name: str
    index: int
    up: bool
    running: bool
    noarp: bool
    mac: bytes
    mtu: int
    loopback: bool


@dataclass(frozen=True, slots=True)
class KernelAddress:
    """One address of one interface.

    Attributes:
        address: local address with its prefix length.
        index: number of the interface.
        device: name of the interface; empty in an event about one that is gone already.
        ours: it carries `TAG`.
        tentative: duplicate address detection still runs (RFC 4862 5.4); it can be no source yet.
        failed: duplicate address detection found another holder; the kernel does not use it.
        deprecated: its preferred lifetime is over, or was 0.
        secondary: IPv4: not the first of its subnet; IPv6: a temporary address (RFC 8981).
        scope: `rtnetlink(7)` scope, 0 global, 253 link, 254 host.
        label: IPv4 label, the name of the interface unless somebody gave another; None for IPv6.
        permanent: it has no lifetime; an address from DHCP or a router advertisement has one.
    """

    address: InterfaceAddress
    index: int
    device: str
    ours: bool
    tentative: bool
    failed: bool
    deprecated: bool
    secondary: bool
    scope: int
    label: str | None
    permanent: bool

    @property
    def key(self) -> tuple[int, str]:
        """How the kernel's tables name it: interface, and address with prefix length."""
        return self.index, str(self.address)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All links and addresses of the network namespace at one moment.

    Attributes:
        links: in the kernel's order, which is that of their index.
        addresses: in the kernel's order, the primary address of an IPv4 subnet before its secondaries.
    """

    links: tuple[Link, ...]
    addresses: tuple[KernelAddress, ...]


def encode_add(
    address: InterfaceAddress,
    index: int,
    *,
    label: str | None = None,
    scope: int = 0,
    lifetime: int | None = None,
    renew: bool = False,
) -> bytes:
    """The message that adds an address, tagged as ours.

    Args:
        address: address and prefix length.
        index: number of the interface.
        label: IPv4 only (an IPv6 address has none), at most 15 bytes; the kernel takes the interface's name without.
        scope: IPv4 only (the kernel derives that of an IPv6 address).
        lifetime: seconds after which the kernel removes it by itself; None for never.
        renew: let the lifetime of the address begin anew, instead of being told that it is there.

    Returns:
        A request for `Netlink.add`, `Netlink.apply` or `encode_renewal`; valid while the interface keeps its index.
    """
    valid = _FOREVER if lifetime is None else lifetime
    preferred = valid if address.version == 4 else 0
    attributes = [(_IFA_PROTO, bytes([TAG])), (_CACHEINFO, _LIFETIME.pack(preferred, valid, 0, 0))]
    if address.version == 6:
        attributes.append((_IFA_FLAGS, number(_NODAD | _NOPREFIXROUTE)))
    elif label is not None:
        attributes.append((_IFA_LABEL, label.encode() + b"\0"))
    flags = REQUEST | ACK | CREATE | (REPLACE if renew else EXCL)
    return _encode(RTM_NEWADDR, flags, address, index, scope, attributes, 0 if renew else QUIET)


def encode_renewal(change: bytes) -> bytes:
    """A message of `encode_add` that renews, for `Netlink.renew`: nobody waits for an answer."""
    renewal = bytearray(change)
    (flags,) = struct.unpack_from("=H", change, FLAGS_OFFSET)
    struct.pack_into("=HI", renewal, FLAGS_OFFSET, flags & ~ACK, RENEWAL)
    return bytes(renewal)


def encode_remove(address: InterfaceAddress, index: int) -> bytes:
    """The message that removes exactly this address: a twin with another prefix length stays.

    Args:
        address: address and prefix length.
        index: number of the interface.
    """
    return _encode(RTM_DELADDR, REQUEST | ACK, address, index, 0, [], 0)


def _encode(
    kind: int, flags: int, address: InterfaceAddress, index: int, scope: int, more: list[tuple[int, bytes]], mark: int
) -> bytes:
    family, scope = (AF_INET, scope) if address.version == 4 else (AF_INET6, 0)
    body = _ADDRESS.pack(family, address.network.prefixlen, 0, scope, index)
    # IFA_ADDRESS would be the far end of a point-to-point interface; the same as IFA_LOCAL says that there is none.
    packed = address.ip.packed
    return message(kind, flags, body, [(_IFA_LOCAL, packed), (_IFA_ADDRESS, packed), *more], mark)


def encode_dump(kind: int) -> bytes:
    """The request for all links (`RTM_GETLINK`) or all addresses (`RTM_GETADDR`)."""
    if kind == RTM_GETLINK:
        return message(
            kind, REQUEST | DUMP, _LINK.pack(AF_UNSPEC, 0, 0, 0, 0), [(_IFLA_EXT_MASK, number(_SKIP_STATISTICS))]
        )
    return message(kind, REQUEST | DUMP, _ADDRESS.pack(AF_UNSPEC, 0, 0, 0, 0))


def timeless(data: bytes) -> bytes:
    """What an RTM_NEWADDR or RTM_DELADDR message says of its address, without when that came and how long it stays."""
    said = [data[HEADER.size : _ATTRIBUTES]]
    said += [data[start:end] for kind, start, end in places(data, _ATTRIBUTES) if kind != _CACHEINFO]
    return b"".join(said)


def decode_link(data: bytes) -> Link | None:
    """The link of an RTM_NEWLINK or RTM_DELLINK message.

    Returns:
        None for messages that are not about an interface as a whole: a bridge tells about its ports, and IPv6 about
        its own settings, under the same types with another family; wireless drivers send fragments.
    """
    family, _, index, flags, _ = _LINK.unpack_from(data, HEADER.size)
    told = values(data, HEADER.size + _LINK.size)
    mtu = as_number(told.get(_IFLA_MTU))
    if family != AF_UNSPEC or mtu is None:
        return None
    return Link(
        name=_text(told[_IFLA_NAME]),
        index=index,
        up=bool(flags & _UP),
        running=bool(flags & _RUNNING),
        noarp=bool(flags & _NOARP),
        mac=told.get(_IFLA_ADDRESS, b""),
        mtu=mtu,
        loopback=bool(flags & _LOOPBACK),
    )


def _text(value: bytes) -> str:
    return value.rstrip(b"\0").decode("utf-8", "surrogateescape")


def decode_address(data: bytes) -> KernelAddress | None:
    """The address of an RTM_NEWADDR or RTM_DELADDR message, its `device` still empty.

    Returns:
        None for a family that is neither IPv4 nor IPv6.
    """
    family, length, flags, scope, index = _ADDRESS.unpack_from(data, HEADER.size)
    told = values(data, _ATTRIBUTES)
    # IPv6 sends IFA_LOCAL only where the interface has a far end, which is then in IFA_ADDRESS.
    local = told.get(_IFA_LOCAL) or told.get(_IFA_ADDRESS)
    if family not in (AF_INET, AF_INET6) or local is None:
        return None
    if _IFA_FLAGS in told:  # the header has room for eight
        flags = int.from_bytes(told[_IFA_FLAGS], sys.byteorder)
    label = told.get(_IFA_LABEL)
    return KernelAddress(
        address=ip_interface((local, length)),
        index=index,
        device="",
        ours=told.get(_IFA_PROTO) == bytes([TAG]),
        tentative=bool(flags & _TENTATIVE),
        failed=bool(flags & _FAILED),
        deprecated=bool(flags & _DEPRECATED),
        secondary=bool(flags & _SECONDARY),
        scope=scope,
        label=_text(label) if label is not None else None,
        permanent=bool(flags & _PERMANENT),
    )
