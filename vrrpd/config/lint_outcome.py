"""Mistakes in what a failed check leads to: one that could never move the role, and weights that leave it open.

Owns the exact rule behind "a check that could never change the outcome is a configuration error", without running
anything (`simulate` does). A check without a weight takes its node out of the election, so it matters where there is
another node. A weight matters if, with the other checks in some state on each node, it changes which of two nodes is
ahead. All states are tried, so that weights which work only together are right; a sum is what counts, and the sums are
few. Where a weight matters only after other nodes have died, that is odd and said.

Two nodes that meet in priority are decided by address (RFC 9568 6.4.3), which nobody reads out of a list of names, so
that is said, too: for all checks up, and for one check down on one node.

Must not do: judge a file that does not name all nodes. Who is not in it may have any priority.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator
from functools import cached_property
from itertools import islice

from vrrpd.config.file import Report
from vrrpd.config.groups import Group
from vrrpd.config.routers import NUMBER, Router
from vrrpd.config.scalars import HEAVIEST
from vrrpd.config.tree import Path
from vrrpd.config.words import listed, quote
from vrrpd.proto.settings import OWNER, UNHEALTHY, Address, OnAllFailed

_MOST_SUMS = 1024
"""More sums of weights than this are not tried; such a file gets the benefit of the doubt."""

_Sum = tuple[int, ...]
"""What checks add to the priority, in each router of a group."""


def lint_outcome(report: Report, group: Group) -> None:
    """Judge what the checks of one group can do."""
    if not _judgeable(report, group):
        return
    if group.complete and len(group.nodes) == 1:
        _lint_alone(report, group)
        return
    if (group.complete or not group.nodes) and _owned(group) and len(group.nodes) < 3:
        _lint_owner(report, group)
    elif group.complete and not any(router.numbers for router in group.routers):
        contest = _Contest(group)
        idle = {check for check in group.weights if not _lint_weight(report, contest, check)}
        _lint_meeting(report, contest, idle)


def _judgeable(report: Report, group: Group) -> bool:
    """Whether nothing was lost of what the outcome depends on."""
    keys = ("track", "priority", "nodes", "transport", "unicast", "advert_interval", "version", "on_all_failed")
    known = all(router.sound(*keys) and router.nodes_sound for router in group.routers)
    checks = {entry.check for router in group.routers for entry in router.keys.track}
    ranked = all(router.priority(node) is not None for router in group.routers for node in group.nodes or ("",))
    return known and ranked and all(report.file.kind(check) and report.file.sound("checks", check) for check in checks)


def _owned(group: Group) -> bool:
    """Whether one of the nodes is the owner of the address."""
    return any(OWNER in router.priorities.values() for router in group.routers)


def _entries(group: Group) -> Iterator[tuple[Router, Path, str, int | None]]:
    """Every tracked check with its place, name and weight."""
    for router in group.routers:
        for index, entry in enumerate(router.keys.track):
            yield router, (*router.path("track"), index), entry.check, entry.weight


def _lint_alone(report: Report, group: Group) -> None:
    """One node: in multicast, where others may be heard that the file does not name."""
    if any(router.unicast for router in group.routers):
        return  # a node with nobody to send to has been reported
    add = "add the other nodes, also those that run another agent"
    report.odd(("nodes",), "there is one node only, so nothing can ever fail over", add, key=True)
    for router, path, check, _ in _entries(group):
        if router.keys.on_all_failed is OnAllFailed.KEEP or check not in router.releasing:
            what = f"there is one node only, so the check {quote(check)} could never cause a failover"
            report.wrong(path, what, f"{add}, or remove it")


def _lint_owner(report: Report, group: Group) -> None:
    """An owner ignores weights, and its own address cannot leave it."""
    for router, path, check, weight in _entries(group):
        node = next((n for n, p in router.priorities.items() if p == OWNER), None)
        own = {entry.address.ip for entry in router.addresses} & set(router.own_addresses(node or ""))
        if own and weight is None and report.file.kind(check) != NUMBER:
            what = f"{min(own, key=str)} is {node}'s own address and cannot leave it"
            report.wrong(path, f"{what}, so {quote(check)} could move nothing", "share another address, or remove it")
    for _, path, check, weight in _entries(group):
        if weight is not None or report.file.kind(check) == NUMBER:
            adds = f"the number of {quote(check)}" if weight is None else f"the weight of {quote(check)}"
            report.wrong(
                path,
                f"an owner (255) ignores weights, so {adds} could never change who is Active",
                "remove it" if weight is None else "track the check without a weight, or remove it",
            )


class _Contest:
    """How the nodes of a group compare, whatever their checks say.

    Attributes:
        group: whose nodes.
    """

    def __init__(self, group: Group) -> None:
        self.group = group
        first = group.routers[0]
        self._addresses = {node: first.source(node, family) for family in first.families[:1] for node in group.nodes}

    def priority(self, node: str, *added: _Sum) -> int:
        """The priority of a node with some weights."""
        priority = self.group.priority(node, _total(added, len(self.group.routers)))
        assert priority is not None, "every node was seen to have one"
        return priority

    @cached_property
    def well(self) -> dict[str, int]:
        """The priority of each node while all checks are up."""
        return {node: self.priority(node, self.added()) for node in self.group.nodes}

    def added(self, *, down: str = "", without: str = "") -> _Sum:
        """The sum of the weights that count while at most one check is down; one may be left out."""
        weights = {name: each for name, each in self.group.weights.items() if name != without}
        counted = [_counted(each, down=name == down) for name, each in weights.items()]
        return _total(counted, len(self.group.routers))

    def sums(self, without: str) -> frozenset[_Sum] | None:
        """Every sum that checks can come to, one of them left out; None where they are too many."""
        found = {(0,) * len(self.group.routers)}
        for name, weights in self.group.weights.items():
            if name != without:
                found = {_total((each, state), len(weights)) for each in found for state in _states(weights)}
            if len(found) > _MOST_SUMS:
                return None
        return frozenset(found)

    def highest(self, among: Iterable[str]) -> str | None:
        """Of nodes with equal priority the one that wins; None where an address is not known."""
        addresses: list[tuple[Address, str]] = []
        for node in among:
            address = self._addresses.get(node)
            if address is None:
                return None
            addresses.append((address, node))
        return max(addresses, key=lambda item: int(item[0]))[1]


def _counted(weights: _Sum, *, down: bool) -> _Sum:
    """Of the weights of one check those that count: negative ones while it is down, positive ones while it is up."""
    return tuple(weight if (weight < 0) is down else 0 for weight in weights)


def _states(weights: _Sum) -> tuple[_Sum, _Sum]:
    """What one check adds while it is up, and while it is down."""
    return _counted(weights, down=False), _counted(weights, down=True)


def _total(sums: Iterable[_Sum], width: int) -> _Sum:
    return tuple(map(sum, zip((0,) * width, *sums, strict=True)))


def _lint_weight(report: Report, contest: _Contest, check: str) -> bool:
    """Judge one weight; return whether it could change anything."""
    group = contest.group
    others, every = contest.sums(check), contest.sums("")
    if others is None or every is None:
        return True
    reach = {node: {contest.priority(node, added) for added in every} for node in group.nodes}
    least = {n: UNHEALTHY if any(r.releasing for r in group.routers) else min(reach[n]) for n in group.nodes}
    up, down = _states(group.weights[check])
    moves = {
        node: {(contest.priority(node, added, up), contest.priority(node, added, down)) for added in others}
        for node in group.nodes
    }

    def matters(*, all_alive: bool) -> bool:
        for node, pairs in moves.items():
            rivals = [other for other in group.nodes if other != node]
            floor = max(least[other] for other in rivals) if all_alive else UNHEALTHY
            met = [(other, sorted(value for value in reach[other] if value >= floor)) for other in rivals]
            if any(_passes(contest, node, pair, *each) for pair in pairs for each in met):
                return True
        return False

    if matters(all_alive=True):
        return True
    later = matters(all_alive=False)
    if not (later and _owned(group)):  # an owner is ahead of all anyway, and the others are there for its death
        _report_idle(report, contest, check, later=later)
    return later


def _passes(contest: _Contest, node: str, moved: tuple[int, int], other: str, values: list[int]) -> bool:
    """Whether a node that moves from one priority to another passes one that the other node can have."""
    low, high = sorted(moved)
    met = values[bisect_left(values, low) : bisect_right(values, high)]
    return any(_order(contest, node, low, other, v) is not _order(contest, node, high, other, v) for v in met)


def _order(contest: _Contest, node: str, priority: int, other: str, theirs: int) -> bool | None:
    """Whether a node is ahead of another one; None where the file does not tell."""
    if priority != theirs:
        return priority > theirs
    if priority == UNHEALTHY:
        return None  # of two last resorts the one that serves stays
    winner = contest.highest((node, other))
    return None if winner is None else winner == node


def _place(group: Group, check: str) -> tuple[Router, Path]:
    """Where a check was given its weight, in the first router that has one."""
    return next(
        (router, (*path, "weight")) for router, path, name, weight in _entries(group) if name == check and weight
    )


def _report_idle(report: Report, contest: _Contest, check: str, *, later: bool) -> None:
    """Say that a weight moves nothing, and which one would."""
    group = contest.group
    router, path = _place(group, check)
    others = contest.added(without=check)
    calm = {node: contest.priority(node, others) for node in group.nodes}
    first, second = sorted((node for node in calm if calm[node] != OWNER), key=lambda node: -calm[node])[:2]
    ahead = (router.priority(first) or 0) + others[group.routers.index(router)] - calm[second]
    said = f"the weight {router.weights[check]} of {quote(check)}"
    enough = f"write {-ahead - 1} or below, so that {second} takes over from {first}"
    right = enough if ahead < HEAVIEST else "track the check without a weight"
    if later:
        report.odd(path, f"{said} moves nothing while all nodes are alive", right)
    else:
        report.wrong(path, f"{said} could never change who is Active", f"{right}, or remove it")


def _lint_meeting(report: Report, contest: _Contest, idle: set[str]) -> None:
    """Say where nodes meet at the top, and who wins there."""
    best = max(contest.well.values())
    top = [node for node, priority in contest.well.items() if priority == best]
    if len(top) > 1:
        raising = (check for check, weights in contest.group.weights.items() if max(weights) > 0 and check not in idle)
        for check in islice(raising, 1):
            _report_meeting(report, contest, check, top, "with all checks up")
        return
    second = max(priority for node, priority in contest.well.items() if node != top[0])
    met = [node for node, priority in contest.well.items() if priority == second]
    for check in contest.group.weights:
        if check not in idle and contest.priority(top[0], contest.added(down=check)) == second:
            _report_meeting(report, contest, check, [*top, *met], f"while {quote(check)} is down on {top[0]} alone")


def _report_meeting(report: Report, contest: _Contest, check: str, nodes: list[str], when: str) -> None:
    winner, priority = contest.highest(nodes), contest.well[nodes[-1]]
    who = f"{winner} wins, which has the higher address" if winner else "the higher address wins"
    if priority == UNHEALTHY:
        who = "the one that serves stays, as a last resort does"
    report.odd(
        _place(contest.group, check)[1],
        f"{when}, {listed(nodes)} meet at priority {priority}, and {who}",
        "write a weight that keeps them apart, unless that is meant",
    )
