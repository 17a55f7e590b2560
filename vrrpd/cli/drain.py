"""`vrrpd drain`: give the role away, stay out, and say what came of it.

The agent does the work and answers when there is an outcome. This end turns `--for` into seconds, waits long enough,
and puts the outcomes into words and an exit status.
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any

import click

from vrrpd.cli.options import control_socket
from vrrpd.cli.status import HEALTHY, NEEDS_A_PERSON, NO_AGENT
from vrrpd.control.client import Connection, NoAgentError

PATIENCE_S = 20.0
"""Longest wait for the agent, in seconds: 5 for somebody who takes the role, and twice 5 for a slow disk."""

_COLOURS = {"handed over": "green", "out": "green", "left": "yellow", "kept": "red", "broken off": "red"}
_GIVEN_UP = {"kept", "broken off"}

_EPILOG = """\b
Examples:
  vrrpd drain                   every router of this node
  vrrpd drain web --for 2h      one router; it takes part again after two hours
  vrrpd drain web --force       also where nobody else can take over

A drained node stays out, also after a reboot, until vrrpd undrain or the end of --for. A router of a group takes the
whole group with it.

Exit status: 0 another node took over, or this node was not Active anyway; 1 nobody took over and the role was kept
(with --force the node leaves all the same, which is 0); 3 no agent runs.
"""


def _seconds(ctx: click.Context, param: click.Parameter, value: str | None) -> float | None:
    """A time as the configuration writes it, such as 90s, 30m or 2h."""
    if value is None:
        return None
    from vrrpd.config.scalars import nanoseconds  # noqa: PLC0415 - it imports much, and few drains have an end

    time = nanoseconds(value)
    if time is None:
        raise click.BadParameter(f"{value!r} is no time; write one such as 90s, 30m or 2h", ctx, param)
    return time / 1e9


@click.command(epilog=_EPILOG)
@click.argument("router", required=False)
@click.option("--for", "length", callback=_seconds, metavar="TIME", help="Take part again by itself after this time.")
@click.option("--force", is_flag=True, help="Leave even where nobody else takes over: the address goes dark.")
@control_socket
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.pass_context
def drain(
    ctx: click.Context, router: str | None, length: float | None, control: str, *, force: bool, as_json: bool
) -> None:
    """Give the role of ROUTER (of all, without one) to another node, and stay out."""
    asked = {"command": "drain", "router": router, "for_s": length, "force": force}
    try:
        with Connection(control, PATIENCE_S) as connection:
            if sys.stderr.isatty():
                click.echo("waiting for another node to take over ...", err=True)
            found = connection.request(asked)
    except NoAgentError as error:
        click.echo(f"vrrpd: {error}", err=True)
        ctx.exit(NO_AGENT)
    show(found, [_line(each) for each in found["routers"]], as_json=as_json)
    ctx.exit(NEEDS_A_PERSON if any(each["outcome"] in _GIVEN_UP for each in found["routers"]) else HEALTHY)


def show(found: dict[str, Any], lines: list[str], *, as_json: bool) -> None:
    """Print an answer of the agent: as it is, or as lines for people; what went wrong beside it on standard error."""
    if as_json:
        click.echo(json.dumps(found, indent=2))
        return
    for line in lines:
        click.echo(line, color=False if os.environ.get("NO_COLOR") else None)
    if found["problem"]:
        click.echo(f"vrrpd: {found['problem']}", err=True)


def called(router: dict[str, Any]) -> str:
    """The name of a router; of a group with all that moves with it."""
    name, routers = router["name"], router["routers"]
    return f"{name}, the group of {' and '.join(routers)}" if routers not in ([name], []) else name


def _line(router: dict[str, Any]) -> str:
    outcome = router["outcome"]
    until = f"until {router['until']}" if router["until"] else "until undrained"
    words = {
        "handed over": f"{router['active']} took over; drained {until}",
        "out": f"this node was not active; drained {until}",
        "left": f"nobody took over, and this node left all the same: nobody serves it; drained {until}",
        "kept": "nobody took over, so the role was kept and nothing is drained; --force leaves all the same",
        "broken off": "the agent ended, or gave this router up, before there was an outcome; nothing is drained",
    }
    return f"{called(router)}: {click.style(words[outcome], fg=_COLOURS[outcome])}"
