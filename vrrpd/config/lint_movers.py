"""Mistakes in the movers: what moves with a router beside its addresses.

Owns what can be said without knowing any kind: that each entry is of one kind, that what is written for each node
names all of them, that no two movers pull at the same thing, that a node which is not ready falls behind, and what a
router without addresses cannot be. What the options of one kind mean, the kind has said before; whether this host can
do it, it says in `resolve.examine`.

Must not do: judge a list of which something was lost.
"""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import ip_address
from itertools import pairwise

from vrrpd.config.file import Report
from vrrpd.config.lint_router import lint_names
from vrrpd.config.routers import Moving, Router
from vrrpd.config.scalars import HEAVIEST
from vrrpd.config.tree import Path
from vrrpd.config.words import quote
from vrrpd.proto.settings import OWNER


def lint_movers(report: Report, all_routers: Iterable[Router]) -> None:
    """Judge the movers of all routers."""
    for path, entries in report.file.movers.items():
        for index, entry in enumerate(entries):
            _lint_entry(report, (*path, index), list(entry))
    first: dict[str, tuple[Router, Moving]] = {}
    for router in all_routers:
        for mover in router.movers:
            _lint_nodes(report, router, mover)
            _lint_things(report, router, mover, first)
            _lint_ports(report, router, mover)
            _lint_unready(report, router, mover)
        if not router.addresses and router.keys.movers:
            _lint_without_addresses(report, router)


def _lint_entry(report: Report, path: Path, kinds: list[str]) -> None:
    if not kinds and report.file.sound(*path):
        report.wrong(path, "this mover has no kind, so nothing would move", "write one, and its options under it")
    for kind in kinds[1:]:
        what = f"{quote(kind)} is a second kind beside {quote(kinds[0])}"
        report.wrong((*path, kind), what, "write '- ' before it, as before each mover", key=True)


def _lint_nodes(report: Report, router: Router, mover: Moving) -> None:
    """What an option says about single nodes, it says about all."""
    if not router.nodes_sound:
        return
    for option, names in report.file.kinds.movers[mover.kind].names(mover.options).items():
        path = (*mover.path, option)
        if "" not in names:
            lint_names(report, path, names, router.nodes)
        elif len(router.nodes) > 1:
            what = f"one {quote(option)} for all nodes can be right for one of them only"
            report.wrong(path, what, f"write {{{', '.join(f'{node}: ...' for node in router.nodes)}}}")


def _lint_things(report: Report, router: Router, mover: Moving, first: dict[str, tuple[Router, Moving]]) -> None:
    """Two movers of one thing would take it from each other; `first` has who names a thing first."""
    things = report.file.kinds.movers[mover.kind].things(mover.options)
    for thing in things:
        other, before = first.setdefault(thing, (router, mover))
        if before is not mover:
            _report_twice(report, mover, thing, other, before)
    if not things:  # the kind cannot say; two of one router that are written alike are the same
        for before in router.movers[: router.movers.index(mover)]:
            if (before.kind, before.options) == (mover.kind, mover.options):
                _report_twice(report, mover, "the same thing", router, before)
                return


def _report_twice(report: Report, mover: Moving, thing: str, other: Router, before: Moving) -> None:
    who = f"{quote(before.name)} of router {quote(other.name)}"
    right = "keep one of them; routers that move together stand in one group under 'groups'"
    if before.path == mover.path:  # in 'defaults'
        report.wrong(mover.path, f"{thing} would move with each router that these defaults are for", right)
    else:
        report.wrong(mover.path, f"{thing} is moved by {who} already", right)


def _lint_ports(report: Report, router: Router, mover: Moving) -> None:
    """A file that all nodes have names an address that all of them can have, or none."""
    for host, port in report.file.kinds.movers[mover.kind].ports(mover.options):
        address = ip_address(host or "::")
        if address.is_unspecified or address.is_loopback or not router.nodes_sound:
            continue
        owner = next((node for node in router.nodes if address in router.own_addresses(node)), None)
        everybodys = address in {listed.address.ip for listed in router.addresses}
        if owner is not None and len(router.nodes) > 1:
            what = f"{address} is {owner}'s own address, so no other node can answer there"
            report.wrong(mover.path, what, f"write the port alone, {port}, or a shared address before it")
        elif owner is None and not everybodys and router.nodes:
            what = f"{address} is neither an address of a node nor one that router {quote(router.name)} shares"
            report.odd(mover.path, what, f"write the port alone, {port}, unless it is an address of every node")


def _lint_unready(report: Report, router: Router, mover: Moving) -> None:
    """A node that could not take over has to come behind the next one that could."""
    ranked = sorted(router.priorities.items(), key=lambda item: -item[1])
    weight: int = mover.options.unready_weight
    ready_always = report.file.kinds.movers[mover.kind].ports(mover.options)  # a port was bound before anything began
    if not weight or ready_always or not router.complete or not router.sound("priority", "advert_interval", "version"):
        return
    pairs = [(one, other) for one, other in pairwise(ranked) if one[1] != OWNER and one[1] > other[1]]
    ahead, one, other = max(((a[1] - b[1], a, b) for a, b in pairs), default=(0, ("", 0), ("", 0)))
    if pairs and ahead >= -weight:
        own = "unready_weight" in mover.options.model_fields_set
        what = f"{one[0]} ({one[1]}) does not fall behind {other[0]} ({other[1]}) by an unready_weight of {weight}"
        right = f"write {-ahead - 1} or below, or off" if ahead < HEAVIEST else "write off"
        report.odd((*mover.path, "unready_weight") if own else mover.path, what, right)


def _lint_without_addresses(report: Report, router: Router) -> None:
    """Where only a cloud moves something, nothing is on an interface."""
    for node, priority in router.priorities.items():
        if priority == OWNER and router.sound("priority"):
            path = (*router.path("priority"), node) if node else router.path("priority")
            what = f"an owner (255) shares an address of its own, and router {quote(router.name)} shares none"
            report.wrong(path, what, "write 254 or less")
    for key in ("lease", "announce"):
        if router.path(key)[0] == "routers" and key in report.file.keys.routers[router.name].model_fields_set:
            report.odd(router.path(key), f"{quote(key)} is never used, since the router has no addresses", "remove it")
