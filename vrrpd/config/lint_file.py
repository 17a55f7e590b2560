"""Mistakes that show in the file as a whole: nodes, checks, and what routers have in common.

Owns the judgement of everything but a single router (`lint_router`), a group (`lint_groups`), what failures lead to
(`lint_outcome`), and what differs between nodes (`members`).
A finding is `what is wrong; what would be right`, at the place where a reader would change something.

Must not do: look at the host, or judge a part of which something was lost: what is absent there may have been meant.
"""

from __future__ import annotations

from collections.abc import Mapping

from vrrpd.config import lint_router
from vrrpd.config.file import Report
from vrrpd.config.groups import groups
from vrrpd.config.lint_groups import lint_groups
from vrrpd.config.lint_movers import lint_movers
from vrrpd.config.lint_outcome import lint_outcome
from vrrpd.config.priority import MOST_NODES
from vrrpd.config.routers import FAMILY_NAMES, Router, family_of, routers
from vrrpd.config.scalars import written
from vrrpd.config.tree import Path
from vrrpd.config.words import did_you_mean, listed, quote
from vrrpd.proto.settings import OWNER, Address, Family


def lint_file(report: Report) -> None:
    """Judge a whole file, without the host and for no node in particular."""
    file = report.file
    all_routers = routers(file)
    if not all_routers and file.sound("routers"):
        report.wrong(("routers",), "there are no routers", "add one under 'routers', with 'vrid' and 'addresses'")
    _lint_nodes(report)
    _lint_checks(report, all_routers)
    for router in all_routers:
        lint_router.lint_router(report, router)
    _lint_shared_addresses(report, all_routers)
    lint_movers(report, all_routers)
    lint_groups(report)
    if file.sound("groups"):
        for group in groups(file):
            lint_outcome(report, group)


def _lint_nodes(report: Report) -> None:
    keys = report.file.keys
    _lint_node_addresses(report, ("nodes",), keys.nodes)
    for path, own in [
        (("defaults", "nodes"), keys.defaults.nodes),
        *((("routers", name, "nodes"), router.nodes) for name, router in keys.routers.items()),
    ]:
        if own is not None:
            _lint_node_addresses(report, path, own)
            _lint_node_names(report, path, own)
    if len(keys.nodes) > MOST_NODES:
        report.wrong(("nodes",), f"{len(keys.nodes)} nodes cannot all differ in priority", f"list up to {MOST_NODES}")
    if keys.node is not None and keys.nodes and keys.node not in keys.nodes and report.file.sound("nodes"):
        report.wrong(
            ("node",),
            f"{quote(keys.node)} is not one of the nodes",
            did_you_mean(keys.node, keys.nodes, f"write {listed(keys.nodes, 'or')}, or add it to 'nodes'"),
        )


def _lint_node_addresses(report: Report, path: Path, nodes: Mapping[str, tuple[Address, ...]]) -> None:
    """Each address is one node's, and a node has one of each family."""
    holders: dict[Address, str] = {}
    for name, addresses in nodes.items():
        families: dict[Family, Address] = {}
        for index, address in enumerate(addresses):
            here = (*path, name, index)
            family = family_of(address)
            if holders.get(address) == name:
                report.wrong(here, f"{address} is listed twice", "remove one of them")
            elif address in holders:
                report.wrong(
                    here, f"{address} is the address of {quote(holders[address])} already", "give each node its own"
                )
            elif family in families:
                report.wrong(
                    here,
                    f"{quote(name)} has a second {FAMILY_NAMES[family]} address beside {families[family]}",
                    "keep the one it sends from",
                )
            holders.setdefault(address, name)
            families.setdefault(family, address)


def _lint_node_names(report: Report, path: Path, own: Mapping[str, object]) -> None:
    """A router's own nodes are the nodes of the file, all of them."""
    if not report.file.sound("nodes"):
        return
    nodes = report.file.keys.nodes
    if not nodes:
        report.wrong(
            path, "these nodes have no order, since there are no top-level 'nodes'", "move them there", key=True
        )
        return
    lint_router.lint_names(report, path, own, nodes)


def _lint_checks(report: Report, all_routers: list[Router]) -> None:
    file = report.file
    tracked = {entry.check for router in all_routers for entry in router.keys.track}
    whole = not any(lost[:1] in {(), ("routers",)} and len(lost) <= 2 for lost in file.lost)  # no router was lost
    all_known = whole and all(router.sound("track") for router in all_routers)
    for name, check in file.keys.checks.items():
        path = ("checks", name)
        kinds = list(file.options.get(name, {}))
        if not kinds and file.sound(*path):
            offer = listed(sorted(file.kinds.checks), "or") if file.kinds.checks else "a kind"
            report.wrong(path, f"the check {quote(name)} has no kind, so nothing would be checked", f"add {offer}")
        for kind in kinds[1:]:
            report.wrong(
                (*path, kind),
                f"{quote(name)} is a check of kind {quote(kinds[0])} already",
                "keep one kind, and make a second check of the other",
                key=True,
            )
        if check.timeout is not None and check.timeout > check.interval and file.sound(*path, "interval"):
            report.wrong(
                (*path, "timeout"),
                f"a timeout of {written(check.timeout)} is longer than the interval of {written(check.interval)}",
                "write no more than the interval, or a longer interval",
            )
        if name not in tracked and all_known:
            report.wrong(
                path,
                f"no router tracks the check {quote(name)}, so it could never cause a failover",
                f"add 'track: [{name}]' to a router, or remove the check",
                key=True,
            )


def _lint_shared_addresses(report: Report, all_routers: list[Router]) -> None:
    """An address is shared by one router, and belongs to no node but the owner."""
    taken: dict[Address, str] = {}
    for router in all_routers:
        for entry in router.addresses:
            address = entry.address.ip
            other = taken.setdefault(address, router.name)
            if other != router.name and not address.is_link_local:  # link-local: the same on each link is no clash
                report.wrong(
                    entry.path,
                    f"{address} is shared by router {quote(other)} already",
                    "list an address in one router only",
                )
            _lint_owner(report, router, entry.path, address)


def _lint_owner(report: Report, router: Router, path: Path, address: Address) -> None:
    """RFC 9568 5.2.4: the one node whose own address is shared has priority 255."""
    if not router.nodes_sound or not router.sound("priority"):
        return
    file = report.file
    for node in [*router.nodes] or [""]:
        mine = (*router.own_addresses(node), *file.keys.nodes.get(node, ()))
        if address in mine and router.priorities.get(node, OWNER) != OWNER:
            whose = f"node {quote(node)}" if node else "this node"
            report.wrong(
                path,
                f"{address} is the own address of {whose}, which would lose it to the others",
                "share an address that no node has, or give that node priority 255 (the owner)",
            )
