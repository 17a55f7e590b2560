"""Mistakes in the groups: routers that move together, or would pull apart.

Owns what the routers of one group must have in common. They have one role (`proto.group`), so whatever decides when a
role is taken, kept or given away must say the same in all of them:

- the order of the nodes (keepalived's sync groups with crossed priorities throw the role to and fro for ever);
- `advert_interval`: a node that asks whether anybody is better waits for its Skew_Time in each router, while the others
  take over only when the timers of all have run out, so with unequal Skew_Times the shortest keeps a role that should
  move (in version 2 Skew_Time counts in seconds whatever the interval, so the version can make the same difference);
- `preempt`, `preempt_delay`, `hear_first`, `on_all_failed`: a role that one router would keep and another give away;
- no owner: it takes its role at once and alone.

Must not do: judge what failed checks lead to (`lint_outcome`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from vrrpd.config.file import Report
from vrrpd.config.groups import Group, groups
from vrrpd.config.routers import Router
from vrrpd.config.scalars import written
from vrrpd.config.words import did_you_mean, listed, quote
from vrrpd.proto.settings import OWNER
from vrrpd.proto.timers import skew_time


def _time(nanoseconds: int) -> str:
    return written(nanoseconds) if nanoseconds else "off"


_ALIKE: Mapping[str, Callable[[Router], str]] = {
    "advert_interval": lambda router: written(router.keys.advert_interval),
    "preempt": lambda router: "true" if router.keys.preempt else "false",
    "preempt_delay": lambda router: written(router.keys.preempt_delay),
    "hear_first": lambda router: _time(router.keys.hear_first),
    "on_all_failed": lambda router: router.keys.on_all_failed,
}
"""Keys that must say the same in all routers of a group, and how a reader knows their values."""


def lint_groups(report: Report) -> None:
    """Judge all groups of a file."""
    file = report.file
    _lint_names(report)
    for group in groups(file) if file.sound("groups") else ():
        if len(group.routers) > 1:
            _lint_together(report, group)


def _lint_names(report: Report) -> None:
    keys = report.file.keys
    first: dict[str, str] = {}
    for group, members in keys.groups.items():
        path = ("groups", group)
        if group in keys.routers and group not in members:
            report.wrong(
                path,
                f"{quote(group)} is the name of a router that is not in this group",
                "give the group another name, or add the router",
                key=True,
            )
        for index, member in enumerate(members):
            here = (*path, index)
            if member not in keys.routers and report.file.sound("routers", member):
                right = did_you_mean(member, keys.routers, "add it under 'routers'")
                report.wrong(here, f"there is no router {quote(member)}", right)
            elif first.get(member) == group:
                report.wrong(here, f"{quote(member)} is listed twice", "remove one of them")
            elif member in first:
                report.wrong(
                    here, f"{quote(member)} is in the group {quote(first[member])} already", "leave it in one of them"
                )
            first.setdefault(member, group)
        if len(members) == 1 and report.file.sound(*path):
            report.odd(path, f"the group {quote(group)} has one router only", "add another, or remove the group")


def _lint_together(report: Report, group: Group) -> None:
    """What the routers of one group must have in common; each is held against the first."""
    first, *others = group.routers
    for router in group.routers:
        _lint_owner(report, group, router)
    for router in others:
        for key, say in _ALIKE.items():
            if router.sound(key) and first.sound(key) and say(router) != say(first):
                _apart(report, group, router, key, f"{key} is {say(router)}", say(first))
        _lint_skew(report, group, router)
        _lint_order(report, group, router)
        _lint_same_check(report, group, router)


def _apart(report: Report, group: Group, router: Router, key: str, has: str, other: object, why: str = "") -> None:
    """Report what a router says otherwise than the first of its group."""
    first = group.routers[0]
    report.wrong(
        router.path(key),
        f"{has} in router {quote(router.name)} and {other} in {quote(first.name)}, "
        f"which move together in group {quote(group.name)}{why}",
        "write the same in both, or take one out of the group",
    )


def _lint_owner(report: Report, group: Group, router: Router) -> None:
    owner = next((node for node, priority in router.priorities.items() if priority == OWNER), None)
    if owner is not None:
        others = [quote(other.name) for other in group.routers if other is not router]
        report.wrong(
            (*router.path("priority"), owner),
            f"an owner (255) takes router {quote(router.name)} at once, and {listed(others)} would not move with it, "
            f"though they are in one group, {quote(group.name)}",
            "write 254 or less, or take the router out of the group",
        )


def _lint_skew(report: Report, group: Group, router: Router) -> None:
    """With equal intervals Skew_Time differs where the versions do (RFC 3768 6.1 counts it in seconds)."""
    first, interval = group.routers[0].keys, router.keys.advert_interval
    alike = interval == first.advert_interval and router.sound("version", "advert_interval")
    if alike and skew_time(first.version, 1, interval) != skew_time(router.keys.version, 1, interval):
        _apart(report, group, router, "version", f"the version is {router.keys.version}", first.version)


def _lint_order(report: Report, group: Group, router: Router) -> None:
    first = group.routers[0]
    if not router.nodes or not (router.sound("priority") and first.sound("priority") and router.nodes_sound):
        return
    mine, theirs = (sorted(each.nodes, key=lambda node: -each.priorities.get(node, 0)) for each in (router, first))
    if mine != theirs:
        has = f"the order of the nodes is {', '.join(mine)}"
        why = ": each would pull the role another way"
        _apart(report, group, router, "priority", has, ", ".join(theirs), why)


def _lint_same_check(report: Report, group: Group, router: Router) -> None:
    """A check that releases one of them releases all, and its weight in another means nothing."""
    before = group.routers[: group.routers.index(router)]
    for index, entry in enumerate(router.keys.track):
        mine = entry.check in router.releasing
        for other in before:
            theirs = {e.check: e.check in other.releasing for e in other.keys.track}.get(entry.check, mine)
            if mine != theirs:
                releases, weighs = (router, other) if mine else (other, router)
                report.wrong(
                    (*router.path("track"), index),
                    f"{quote(entry.check)} releases router {quote(releases.name)}, and with it {quote(weighs.name)}, "
                    f"where it has a weight: they move together in group {quote(group.name)}",
                    "track it in the same way in both",
                )
