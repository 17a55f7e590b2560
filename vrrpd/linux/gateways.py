"""The default gateways behind one interface, read from /proc/net (proc_net(5)).

Asked once when a router starts to listen, to know who could tell us that the network carries frames; a route is never
changed here.
"""

from __future__ import annotations

import sys
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path

from vrrpd.proto.settings import Address

ROUTES_V4 = Path("/proc/net/route")
ROUTES_V6 = Path("/proc/net/ipv6_route")
RTF_GATEWAY = 0x2  # linux/route.h


def default_gateways(interface: str) -> list[Address]:
    """Gateways of the default routes that leave by `interface`, both families; empty where there are none."""
    return [*_v4(interface), *_v6(interface)]


def _v4(interface: str) -> list[Address]:
    """Columns: Iface, Destination, Gateway, Flags, ...; addresses as hexadecimal in host byte order."""
    rows = [line.split() for line in _lines(ROUTES_V4)[1:]]
    found = [r[2] for r in rows if r[0] == interface and r[1] == "00000000" and int(r[3], 16) & RTF_GATEWAY]
    return [IPv4Address(int(gateway, 16).to_bytes(4, sys.byteorder)) for gateway in found]


def _v6(interface: str) -> list[Address]:
    """Columns: destination, its length, source, its length, next hop, metric, reference, use, flags, interface."""
    rows = [line.split() for line in _lines(ROUTES_V6)]
    found = [r[4] for r in rows if r[9] == interface and r[1] == "00" and int(r[8], 16) & RTF_GATEWAY]
    return [IPv6Address(bytes.fromhex(gateway)) for gateway in found]


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text().splitlines()
    except FileNotFoundError:  # a kernel without this family
        return []
