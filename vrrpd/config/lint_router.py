"""Mistakes in one router: what its keys mean together, for the protocol and for the packet.

Owns the judgement of everything in a router that does not depend on the host or on which node this is. What makes a
router impossible is a mistake; what makes a key useless is a warning.

Must not do: judge a key of which something was lost; each check first asks whether the keys it needs are sound.
Sources: RFC 9568 sections 5.2 and 6.1 with errata 8299 to 8301, RFC 3768 section 5.3.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from vrrpd.config.file import Report
from vrrpd.config.lint_addresses import lint_addresses
from vrrpd.config.lint_auth import lint_auth
from vrrpd.config.model import UnicastKeys, names_nodes
from vrrpd.config.routers import FAMILY_NAMES, NUMBER, Router, family_of
from vrrpd.config.scalars import written
from vrrpd.config.tree import Path
from vrrpd.config.words import did_you_mean, listed, quote
from vrrpd.proto.settings import OWNER, Address, Checksum, Family
from vrrpd.proto.timers import CENTISECOND, SECOND

LONGEST = 4095 * CENTISECOND
"""The longest interval that fits the 12 bits of the packet (RFC 9568 5.2.7)."""


def lint_router(report: Report, router: Router) -> None:
    """Judge one router."""
    here = ("routers", router.name)
    if router.keys.vrid is None and router.sound("vrid"):
        report.wrong(here, f"router {quote(router.name)} has no 'vrid'", "add one of 1..255, the same on all nodes")
    if not router.keys.addresses and not router.keys.movers and router.sound("addresses", "movers"):
        report.wrong(
            router.path("addresses"),
            f"router {quote(router.name)} has no addresses",
            "list at least one in 'addresses', or what moves in a cloud in 'movers'",
        )
    _lint_interval(report, router)
    _lint_transport(report, router)
    lint_addresses(report, router)
    _lint_priority(report, router)
    _lint_interface(report, router)
    _lint_track(report, router)
    lint_auth(report, router)
    _lint_idle_keys(report, router)


def _lint_interval(report: Report, router: Router) -> None:
    if not router.sound("version", "advert_interval"):
        return
    interval = router.keys.advert_interval
    path = router.path("advert_interval")
    if interval == 0:
        report.wrong(path, "an interval of 0 would never let a Backup wait", "write 1s, or 10ms and more")
    elif router.keys.version == 2:
        if interval % SECOND:
            report.wrong(
                path,
                f"{written(interval)} is no whole number of seconds, and version 2 counts in seconds",
                "write 1s..255s, or use version 3",
            )
    elif interval > LONGEST:
        report.wrong(
            path, f"{written(interval)} is longer than a packet can say", "write 10ms..40.95s, or use version 2"
        )
    elif interval % CENTISECOND:
        lower = interval // CENTISECOND * CENTISECOND
        near = [written(time) for time in (lower, lower + CENTISECOND) if 0 < time <= LONGEST]
        report.wrong(
            path,
            f"{written(interval)} is no multiple of 10ms, the unit in the packet",
            f"write {listed(near, 'or')}",
        )


def _lint_transport(report: Report, router: Router) -> None:
    """Whom the advertisements go to."""
    if not router.sound("transport", "unicast") or not router.nodes_sound:
        return
    unicast = router.keys.unicast
    if not router.unicast:
        overridden = router.path("transport")[0] == "routers" and router.path("unicast")[0] == "defaults"
        if unicast is not None and not overridden:
            report.wrong(
                router.path("unicast"),
                "'unicast' means nothing beside 'transport: multicast'",
                "remove one of the two",
                key=True,
            )
        return
    if unicast is not None:
        _lint_unicast(report, router, unicast)
    elif not router.nodes:
        report.wrong(
            router.path("transport"),
            "unicast needs somebody to send to",
            "add 'nodes', or 'unicast' with 'bind' and 'peers'",
        )
    if len(router.nodes) == 1 and (unicast is None or unicast.peers is None):
        report.wrong(
            ("nodes",),
            "there is one node only, so nobody to send to",
            "add the other nodes, or set 'transport: multicast' in the router",
            key=True,
        )
    for family in router.families:
        _lint_family(report, router, family)


def _lint_unicast(report: Report, router: Router, unicast: UnicastKeys) -> None:
    path = router.path("unicast")
    if not router.nodes:
        for key, value, meaning in (
            ("bind", unicast.bind, "this node's own address"),
            ("peers", unicast.peers, "the addresses of the other nodes"),
        ):
            if value is None:
                report.wrong(path, f"'unicast' has no {quote(key)}, and there are no 'nodes'", f"add it: {meaning}")
    if unicast.peers is not None and not unicast.peers:
        report.wrong(
            (*path, "peers"), "the list of peers is empty", "name the other nodes, or set 'transport: multicast'"
        )
    families: set[Family] = set()
    for index, address in enumerate(unicast.bind or ()):
        if family_of(address) in families:
            family = FAMILY_NAMES[family_of(address)]
            report.wrong((*path, "bind", index), f"{address} is a second {family} address", "keep the one to send from")
        families.add(family_of(address))
    seen: set[Address] = set()
    for index, address in enumerate(unicast.peers or ()):
        here = (*path, "peers", index)
        if address in seen:
            report.wrong(here, f"{address} is listed twice", "remove one of them")
        elif router.families and family_of(address) not in router.families:
            family = FAMILY_NAMES[family_of(address)]
            report.odd(here, f"{address} is never used, since the router shares no {family} address", "remove it")
        seen.add(address)


def _lint_family(report: Report, router: Router, family: Family) -> None:
    """Each virtual router needs own addresses and peers of its own family."""
    entry, name = next(iter(router.of_family(family)), None), FAMILY_NAMES[family]
    unicast = router.keys.unicast
    named = router.nodes if router.keys.nodes is None else router.keys.nodes  # one missing there has been reported
    names = [node for node in router.nodes if node in named] if unicast is None or unicast.bind is None else [""]
    without = [node for node in names if router.source(node, family) is None]
    if without and (router.nodes or names == [""]):
        who = "'bind'" if without == [""] else listed(without)
        has = "has" if len(without) == 1 else "have"
        report.wrong(
            entry.path if entry else router.path("movers"),
            f"{entry.address.ip if entry else 'a router without addresses'} is {name}, "
            f"but {who} {has} no {name} address",
            f"add an {name} address there, or set 'transport: multicast'"
            if entry
            else "give all nodes an address of one family",
        )
    if unicast is None or not unicast.peers:
        return
    for node in names or [""]:
        if not router.peers(node, family):
            report.wrong(
                (*router.path("unicast"), "peers"),
                f"without the node's own address no {name} peer is left",
                f"name the {name} addresses of the other nodes",
            )


def _lint_priority(report: Report, router: Router) -> None:
    if router.keys.priority is None or not router.sound("priority") or not router.nodes_sound:
        return
    path = router.path("priority")
    if not names_nodes(router.keys.priority):
        value = router.keys.priority[""]
        if len(router.nodes) > 1:
            what = "there would be several owners" if value == OWNER else "nobody would be preferred"
            report.wrong(
                path,
                f"{value} is the priority of all nodes, so {what}",
                "write a map of node to priority, or leave it out: then the order of 'nodes' decides",
            )
        return
    lint_names(report, path, router.keys.priority, router.nodes)
    first: dict[int, str] = {}
    for node, value in router.keys.priority.items():
        other = first.setdefault(value, node)
        if other == node:
            continue
        if value == OWNER:
            what, right = f"{quote(node)} is a second owner (255) beside {quote(other)}", "keep one owner"
        else:
            what, right = f"{quote(node)} has the priority of {quote(other)}", "give each node another one"
        report.wrong((*path, node), what, right)


def _lint_interface(report: Report, router: Router) -> None:
    if not router.sound("interface", "unicast") or not router.nodes_sound:
        return
    interface = router.keys.interface
    if interface is not None:
        if names_nodes(interface):
            lint_names(report, router.path("interface"), interface, router.nodes)
    elif not router.nodes and not (router.keys.unicast and router.keys.unicast.bind):
        report.wrong(
            ("routers", router.name),
            f"nothing says which interface router {quote(router.name)} is on",
            "add 'interface'",
        )


def lint_names(report: Report, path: Path, written_names: Iterable[str], nodes: Mapping[str, object]) -> None:
    """A map of nodes names all nodes and nothing else."""
    names = list(written_names)
    for name in names:
        if name not in nodes:
            known = f"the nodes are {listed(nodes)}" if nodes else "there are no 'nodes'"
            report.wrong((*path, name), f"{quote(name)} is no node", did_you_mean(name, nodes, known), key=True)
    missing = [name for name in nodes if name not in names]
    if missing:
        report.wrong(path, f"{quote(path[-1])} says nothing about {listed(missing)}", "name all nodes", key=True)


def _lint_track(report: Report, router: Router) -> None:
    path, checks = router.path("track"), report.file.keys.checks
    seen: set[str] = set()
    for index, entry in enumerate(router.keys.track):
        name = entry.check
        if name in seen:
            report.wrong((*path, index), f"{quote(name)} is tracked twice", "remove one of them")
        elif name not in checks and report.file.sound("checks", name):
            right = did_you_mean(name, checks, "add it under 'checks'")
            report.wrong((*path, index), f"there is no check {quote(name)}", right)
        elif entry.weight is not None and report.file.kind(name) == NUMBER:
            report.wrong(
                (*path, index, "weight"),
                f"{quote(name)} is a check of kind {quote(NUMBER)}, which brings the number that is added",
                "remove the weight",
            )
        seen.add(name)


def _lint_idle_keys(report: Report, router: Router) -> None:
    """Keys that are right and do nothing."""
    keys = router.keys
    if not keys.preempt and keys.preempt_delay and router.sound("preempt"):
        report.odd(
            router.path("preempt_delay"), "the delay is never used, since 'preempt' is false", "remove one of them"
        )
    if keys.version == 2 and keys.checksum is not Checksum.AUTO:
        report.odd(router.path("checksum"), "version 2 has one checksum only, so this is never used", "remove it")
    if list(keys.announce.at) != sorted(set(keys.announce.at)):
        report.wrong(
            (*router.path("announce"), "at"), "the times do not rise", "write each once, in rising order", key=True
        )
