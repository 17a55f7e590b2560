"""`vrrpd check`: is the file right, and what would this host do with it?

Owns the words around the findings of `vrrpd.config`, which finds them. Reads the host over netlink, without privileges,
and changes nothing. A mistake is `FILE:LINE:COL: what is wrong; what would be right`, the form editors and CI systems
know how to click on; a warning is the same with the word in front of its text.

On a host that is one of the nodes (or is told so) it answers what `vrrpd run` would answer there. On any other it
checks the file for every node, and says in one line what it left out.

Exit status: 0 where an agent would start, 1 where it would not, 2 for a wrong command line.
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any

import click

from vrrpd.checks.registry import kinds
from vrrpd.config import AgentSpec, Examination, File, examine, json_schema, read
from vrrpd.config.routers import Router, routers
from vrrpd.config.scalars import written
from vrrpd.errors import Mistake
from vrrpd.linux.netlink import Netlink
from vrrpd.runtime.links import host_facts

_SKIPPED = "skipped, because it needs the host: interfaces, own addresses, networks of the shared addresses"

_EPILOG = """\b
Examples:
  vrrpd check                                  the file of this host
  vrrpd check -c vrrpd.yaml                    any file; on a desk, for all its nodes
  vrrpd check -c vrrpd.yaml --node lb2         as this host would see it, being lb2
  vrrpd check --json | jq .mistakes            for a program
  vrrpd check --schema > vrrpd.schema.json     for an editor

Exit status: 0 good, 1 mistakes found, 2 wrong usage.
"""


@click.command(epilog=_EPILOG)
@click.option(
    "-c",
    "--config",
    "path",
    metavar="FILE",
    default="/etc/vrrpd/vrrpd.yaml",
    show_default=True,
    help="The configuration file.",
)
@click.option("--node", metavar="NAME", help="Which node of the file this host is.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.option("--schema", is_flag=True, help="Print the JSON Schema of the file and end.")
def check(path: str, node: str | None, as_json: bool, schema: bool) -> None:
    """Check a configuration file and list all its mistakes."""
    if schema:
        click.echo(json.dumps(json_schema(kinds()), indent=2))
        return
    file = read(path, kinds())
    with Netlink() as netlink:
        found = examine(file, host_facts(netlink.dump()), node)
    if as_json:
        click.echo(json.dumps(_as_object(file, found), indent=2))
    else:
        _print(file, found)
    if found.mistakes:
        sys.exit(1)


def _as_object(file: File, found: Examination) -> dict[str, Any]:
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
    }


def _router_object(router: Router, spec: AgentSpec | None) -> dict[str, Any]:
    return {
        "name": router.name,
        "vrid": router.keys.vrid,
        "transport": "unicast" if router.unicast else "multicast",
        "addresses": [str(entry.address) for entry in router.addresses],
        "interfaces": _interfaces(router, spec),
        "order": [{"node": node, "priority": priority} for node, priority in _order(router)],
    }


def _order(router: Router) -> list[tuple[str, int]]:
    """Who would be Active, who after it, and so on."""
    return sorted(router.priorities.items(), key=lambda item: -item[1])


def _interfaces(router: Router, spec: AgentSpec | None) -> list[str]:
    """Where the router is on this host; empty on another host."""
    members = [member for of in spec.routers if of.name == router.name for member in of.members] if spec else []
    return list(dict.fromkeys(member.interface for member in members if member.interface))


def _print(file: File, found: Examination) -> None:
    """The findings for a person; colours on a terminal only (https://no-color.org)."""
    colour = False if os.environ.get("NO_COLOR") else None

    def say(text: str) -> None:
        click.echo(text, color=colour)

    for mistake in found.mistakes:
        say(f"{_place(file, mistake)} {mistake.text}")
    for warning in found.warnings:
        say(f"{_place(file, warning)} {click.style('warning', fg='yellow')}: {warning.text}")
    if found.mistakes:
        count = len(found.mistakes)
        say(
            click.style(
                f"{count} mistake{'s' if count > 1 else ''} found; no agent would start with this file", fg="red"
            )
        )
        return
    good = f"{file.path} is good{', with warnings' if found.warnings else ''}"
    say(click.style(good, fg="green", bold=True))
    say(_whose(file, found))
    for router in routers(file):
        for line in _router_lines(router, found.spec):
            say(line)


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
        f"  addresses  {', '.join(str(entry.address) for entry in router.addresses)}",
    ]
    order = _order(router)
    if router.nodes:
        lines.append(f"  active     {', else '.join(f'{node} ({priority})' for node, priority in order)}")
    else:
        lines.append(f"  priority   {order[0][1]}")
    if keys.track:
        lines.append(f"  tracks     {', '.join(keys.track)}")
    return lines
