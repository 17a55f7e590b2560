"""`vrrpd check`: is the file right, and what would this host do with it?

Owns the words around the findings of `vrrpd.config`, which finds them. Reads the host over netlink, without privileges,
and changes nothing; root is told what holds for the user that an agent of root's becomes. A mistake is
`FILE:LINE:COL: what is wrong; what would be right`, the form editors and CI systems know how to click on; a warning is
the same with the word in front of its text.

On a host that is one of the nodes (or is told so) it answers what `vrrpd run` would answer there. On any other it
checks the file for every node, and says in one line what it left out. With `--explain` it tries every single failure
on the nodes of the file (`config.simulate`) and shows who takes over, and when.

With `--ready` it asks every mover of this node whether it could take over now (`cli.ready`).

Exit status: 0 where an agent would start, 1 where it would not (or is not ready), 2 for a wrong command line.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from vrrpd.cli.options import config_file
from vrrpd.config import AgentSpec, Examination, File, examine, json_schema, read
from vrrpd.config.groups import groups
from vrrpd.config.model import TrackKeys
from vrrpd.config.routers import Router, routers
from vrrpd.config.scalars import written
from vrrpd.config.words import listed
from vrrpd.errors import Mistake
from vrrpd.kinds import kinds
from vrrpd.linux.netlink import Netlink, Snapshot
from vrrpd.privileges import inspect_as, own_user
from vrrpd.runtime.links import host_facts

if TYPE_CHECKING:
    from vrrpd.cli.ready import Verdict
    from vrrpd.config.simulate import Failure

_SKIPPED = "skipped, because it needs the host: interfaces, own addresses, networks of the shared addresses"

_FORGIVES: Mapping[str, str] = {"process": "grace", "link": "down_delay"}
"""Kinds of checks that hear of a failure by themselves, and the option that says for how long they forgive it."""

_EPILOG = """\b
Examples:
  vrrpd check                                  the file of this host
  vrrpd check -c vrrpd.yaml                    any file; on a desk, for all its nodes
  vrrpd check -c vrrpd.yaml --node lb2         as this host would see it, being lb2
  vrrpd check --explain                        what every single failure would lead to
  vrrpd check --ready                          could this node take over what moves in the cloud, now?
  vrrpd check --json | jq .mistakes            for a program
  vrrpd check --schema > vrrpd.schema.json     for an editor

Exit status: 0 good, 1 mistakes found or not ready, 2 wrong usage.
"""


@click.command(epilog=_EPILOG)
@config_file
@click.option("--node", metavar="NAME", help="Which node of the file this host is.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.option("--explain", is_flag=True, help="Try every single failure: who takes over, and when.")
@click.option("--ready", is_flag=True, help="Ask every mover of this node whether it could take over now.")
@click.option("--schema", is_flag=True, help="Print the JSON Schema of the file and end.")
def check(path: str, node: str | None, as_json: bool, explain: bool, ready: bool, schema: bool) -> None:
    """Check a configuration file and list all its mistakes."""
    if schema:
        click.echo(json.dumps(json_schema(kinds()), indent=2))
        return
    file = read(path, kinds())
    with Netlink() as netlink:
        snapshot = netlink.dump()
    found = examine(file, host_facts(snapshot), node, inspect_as(own_user(None)))
    tried = _try(file) if explain and not found.mistakes else None
    asked = _ask(found.spec, snapshot) if ready and found.spec else None
    if as_json:
        click.echo(json.dumps(_as_object(file, found, tried, asked), indent=2))
    else:
        _print(file, found)
        if tried is not None:
            _show(file, tried)
        if ready and not found.mistakes:
            _print_ready(asked)
    if found.mistakes or (ready and (asked is None or not all(verdict.ready for verdict in asked))):
        sys.exit(1)


def _ask(spec: AgentSpec, snapshot: Snapshot) -> list[Verdict]:
    from vrrpd.cli.ready import ask  # noqa: PLC0415 - brings trio, which nothing else needs

    return ask(spec, snapshot)


def _try(file: File) -> list[Failure]:
    from vrrpd.config.simulate import failures  # noqa: PLC0415 - brings the protocol core, which nothing else needs

    def at_once(kind: str, options: Any) -> int | None:
        return getattr(options, _FORGIVES[kind]) if kind in _FORGIVES else None

    return [*failures(file, at_once)]


def _show(file: File, tried: list[Failure]) -> None:
    from vrrpd.cli.check_text import show  # noqa: PLC0415 - rich takes longer to import than a check takes

    show(groups(file), tried)


def _as_object(
    file: File, found: Examination, tried: list[Failure] | None, asked: list[Verdict] | None
) -> dict[str, Any]:
    """The findings for a program."""

    def items(mistakes: tuple[Mistake, ...]) -> list[dict[str, Any]]:
        return [{"line": mistake.line, "column": mistake.column, "text": mistake.text} for mistake in mistakes]

    return {
        "file": file.path,
        "ok": not found.mistakes,
        "node": found.spec.node if found.spec else None,
        "mistakes": items(found.mistakes),
        "warnings": items(found.warnings),
        "skipped": _SKIPPED if found.elsewhere else None,
        "routers": [] if found.mistakes else [_router_object(router, found.spec) for router in routers(file)],
        "groups": {group.name: [r.name for r in group.routers] for group in groups(file) if len(group.routers) > 1},
        "failures": None if tried is None else [_failure_object(failure) for failure in tried],
        "ready": None if asked is None else [_verdict_object(verdict) for verdict in asked],
    }


def _router_object(router: Router, spec: AgentSpec | None) -> dict[str, Any]:
    return {
        "name": router.name,
        "vrid": router.keys.vrid,
        "transport": "unicast" if router.unicast else "multicast",
        "addresses": [str(entry.address) for entry in router.addresses],
        "interfaces": _interfaces(router, spec),
        "order": [{"node": node, "priority": priority} for node, priority in _order(router)],
        "movers": [mover.name for mover in router.movers],
    }


def _failure_object(failure: Failure) -> dict[str, Any]:
    def seconds(time: int | None) -> float | None:
        return None if time is None else round(time / 1e9, 4)

    return {
        "moves": failure.moves,
        "check": failure.check,
        "node": failure.node,
        "active_before": failure.before,
        "active_after": failure.after,
        "noticed_s": seconds(failure.noticed),
        "takeover_s": seconds(failure.takeover),
        "down_s": seconds(failure.down),
    }


def _verdict_object(verdict: Verdict) -> dict[str, Any]:
    return {
        "router": verdict.router,
        "mover": verdict.mover,
        "ready": verdict.ready,
        "why": verdict.why,
        "holder": verdict.holder,
    }


def _order(router: Router) -> list[tuple[str, int]]:
    """Who would be Active, who after it, and so on."""
    return sorted(router.priorities.items(), key=lambda item: -item[1])


def _interfaces(router: Router, spec: AgentSpec | None) -> list[str]:
    """Where the router is on this host; empty on another host."""
    members = [member for of in spec.routers for member in of.members if member.router == router.name] if spec else []
    return list(dict.fromkeys(member.interface for member in members if member.interface))


def _say(text: str) -> None:
    click.echo(text, color=False if os.environ.get("NO_COLOR") else None)


def _print_ready(asked: list[Verdict] | None) -> None:
    """What the movers have answered."""
    if asked is None:
        _say("ready to take over: unknown; the movers are asked on the host of a node, which --node can name")
        return
    if not asked:
        _say("ready to take over: yes; nothing moves but addresses, which needs nobody's leave")
    for verdict in asked:
        yes = click.style("yes", fg="green") if verdict.ready else click.style("no", fg="red")
        more = f"; now with {verdict.holder}" if verdict.ready else f", {verdict.why}"
        _say(f"router {verdict.router}, {verdict.mover}: ready to take over: {yes}{more}")


def _print(file: File, found: Examination) -> None:
    """The findings for a person; colours on a terminal only (https://no-color.org)."""
    for mistake in found.mistakes:
        _say(f"{_place(file, mistake)} {mistake.text}")
    for warning in found.warnings:
        _say(f"{_place(file, warning)} {click.style('warning', fg='yellow')}: {warning.text}")
    if found.mistakes:
        count = len(found.mistakes)
        _say(
            click.style(
                f"{count} mistake{'s' if count > 1 else ''} found; no agent would start with this file", fg="red"
            )
        )
        return
    good = f"{file.path} is good{', with warnings' if found.warnings else ''}"
    _say(click.style(good, fg="green", bold=True))
    _say(_whose(file, found))
    for router in routers(file):
        for line in _router_lines(router, found.spec):
            _say(line)
    for group in groups(file):
        if len(group.routers) > 1:
            _say(f"group {click.style(group.name, bold=True)}: {listed(r.name for r in group.routers)} move together")


def _place(file: File, mistake: Mistake) -> str:
    return click.style(f"{file.path}:{mistake.line}:{mistake.column}:", bold=True)


def _whose(file: File, found: Examination) -> str:
    """Which node this host is."""
    names = list(file.keys.nodes)
    if found.spec is None:
        who = (
            f"none of its nodes ({', '.join(names)}), so it was checked for each" if names else "not the one it is for"
        )
        return f"this host is {who}; {_SKIPPED}"
    if not names:
        return "the file names no nodes; it is for this host alone"
    return f"this host is {found.spec.node}, number {names.index(found.spec.node) + 1} of {len(names)} nodes"


def _router_lines(router: Router, spec: AgentSpec | None) -> list[str]:
    """One router, for a person."""
    keys = router.keys
    where = _interfaces(router, spec)
    on = f" on {' and '.join(where)}" if where else ""
    how = "unicast" if router.unicast else "multicast"
    head = f"router {click.style(router.name, bold=True)}{on}: VRID {keys.vrid}, version {keys.version}, {how}"
    lines = [
        f"{head}, an advertisement every {written(keys.advert_interval)}",
        f"  addresses  {', '.join(str(entry.address) for entry in router.addresses) or 'none'}",
    ]
    order = _order(router)
    if router.nodes:
        lines.append(f"  active     {', else '.join(f'{node} ({priority})' for node, priority in order)}")
    else:
        lines.append(f"  priority   {order[0][1]}")
    if keys.track:
        lines.append(f"  tracks     {', '.join(_tracked(entry) for entry in keys.track)}")
    if router.movers:
        lines.append(f"  moves      {', '.join(mover.name for mover in router.movers)}")
    return lines


def _tracked(entry: TrackKeys) -> str:
    return entry.check if entry.weight is None else f"{entry.check} ({entry.weight:+})"
