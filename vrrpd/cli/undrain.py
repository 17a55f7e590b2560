"""`vrrpd undrain`: take part again after a drain."""

from __future__ import annotations

from typing import Any

import click

from vrrpd.cli.drain import PATIENCE_S, called, show
from vrrpd.cli.options import control_socket
from vrrpd.cli.status import NO_AGENT
from vrrpd.control.client import NoAgentError, request

_EPILOG = """\b
Examples:
  vrrpd undrain        every router of this node
  vrrpd undrain web    one router; one of a group takes the whole group with it

Whether this node becomes Active again is then up to its priority and to preempt.

Exit status: 0 takes part, also where it was not drained; 3 no agent runs.
"""


@click.command(epilog=_EPILOG)
@click.argument("router", required=False)
@control_socket
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.pass_context
def undrain(ctx: click.Context, router: str | None, control: str, *, as_json: bool) -> None:
    """Let ROUTER (all, without one) take part again."""
    try:
        found = request(control, {"command": "undrain", "router": router}, PATIENCE_S)
    except NoAgentError as error:
        click.echo(f"vrrpd: {error}", err=True)
        ctx.exit(NO_AGENT)
    show(found, [_line(each) for each in found["routers"]], as_json=as_json)


def _line(router: dict[str, Any]) -> str:
    if not router["routers"]:
        return f"{router['name']}: its drain is forgotten; the configuration names it no longer"
    words = click.style("takes part again", fg="green") if router["was_drained"] else "was not drained; takes part"
    return f"{called(router)}: {words}"
