"""Mistakes in the shared addresses of one router.

Owns what can be said about them without the host: that each is one address that a host can take, that they fit into
one packet, and what version and transport ask of them. Addresses that several routers list, or that a node has, are
`lint_file`'s; prefixes and devices that the host lacks are `members`'.

Sources: RFC 9568 sections 5.2.5 and 5.2.9 (erratum 8300), RFC 4291 section 2.6.1 (subnet-router anycast).
"""

from __future__ import annotations

from vrrpd.config.file import Report
from vrrpd.config.routers import FAMILY_NAMES, Listed, Router, link_local
from vrrpd.config.words import quote
from vrrpd.proto.settings import Address, Family

_MTU = 1500
"""Ethernet's; the packet is never fragmented."""

_OVERHEAD = {
    (Family.IPV4, 3): 20 + 8,  # IP header, VRRP header
    (Family.IPV4, 2): 20 + 8 + 8,  # and the authentication data of RFC 3768 5.3.10
    (Family.IPV6, 3): 40 + 8,
}
_TRAILER = 28  # of a signed packet
_SIZE = {Family.IPV4: 4, Family.IPV6: 16}


def lint_addresses(report: Report, router: Router) -> None:
    """Judge the shared addresses of a router."""
    seen: set[Address] = set()
    for entry in router.addresses:
        if entry.address.ip in seen:
            report.wrong(entry.path, f"{entry.address.ip} is listed twice", "remove one of them")
        seen.add(entry.address.ip)
        _lint_host_part(report, entry)
        if entry.keys.label is not None and entry.address.version == 6:
            report.wrong(
                (*entry.path, "label"),
                f"{entry.address.ip} is IPv6, and the kernel labels IPv4 only",
                "remove the label",
            )
    if router.sound("version", "addresses"):
        for family in router.families:
            _lint_packet(report, router, family)


def _lint_host_part(report: Report, entry: Listed) -> None:
    """Refuse the network written in place of an address in it."""
    address, network = entry.address.ip, entry.address.network
    if network.max_prefixlen - network.prefixlen < 2:  # RFC 3021, RFC 6164: both addresses of a pair are hosts
        return
    if address == network.network_address:
        what = "the network itself" if network.version == 4 else "the subnet-router anycast address of the network"
    elif address.version == 4 and address == network.broadcast_address:
        what = "the broadcast address of its network"
    else:
        return
    report.wrong(entry.path, f"{entry.address} is {what}", "write the address of one host in it")


def _lint_packet(report: Report, router: Router, family: Family) -> None:
    """What one advertisement can carry, and what it must."""
    entries, name = router.of_family(family), FAMILY_NAMES[family]
    version = router.keys.version
    if (family, version) not in _OVERHEAD:
        path, what = (entries[0].path, entries[0].address.ip) if entries else (router.path("movers"), "this router")
        report.wrong(path, f"{what} is IPv6, which version 2 does not know", "use version 3")
        return
    if not entries:
        return  # one placeholder is advertised
    advertised = [entry for entry in entries if entry.keys.advertise]
    if not advertised:
        report.wrong(
            entries[0].path,
            f"no {name} address of router {quote(router.name)} is advertised, and a packet carries at least one",
            "leave 'advertise' away from one of them",
        )
        return
    signed = router.keys.auth is not None and router.keys.auth.hmac is not None
    room = _MTU - _OVERHEAD[family, version] - (_TRAILER if signed else 0)
    limit = min(room // _SIZE[family], 255)
    if len(advertised) > limit:
        report.wrong(
            advertised[limit].path,
            f"{len(advertised)} {name} addresses do not fit into one packet",
            f"list up to {limit}, set 'advertise: false' for the rest, or make another router",
        )
    first = advertised[0]
    if family is Family.IPV6 and not router.unicast and not first.address.is_link_local and router.sound("transport"):
        derived = f" ({link_local(router.keys.vrid).ip})" if router.keys.vrid is not None else ""
        report.wrong(
            first.path,
            f"in multicast the first IPv6 address is a link-local one, and {first.address.ip} is not",
            f"put auto{derived} before it",
        )
