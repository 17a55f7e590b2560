"""`vrrpd auth status`: may this node, and may the others, go one step further with keys?

Owns the command and its exit status: whether every sender that this node has heard of late signs with a key it knows.
That is the question before `mode: enforce`, and before an old key is removed. What people read is made in `auth_text`,
which is imported only for them.
"""

from __future__ import annotations

import json
from typing import Any

import click

from vrrpd.cli.options import control_socket
from vrrpd.cli.status import HEALTHY, NEEDS_A_PERSON, NO_AGENT
from vrrpd.control.client import NoAgentError, request

LATELY_S = 60
"""What was heard longer ago says nothing about now."""

_EPILOG = """\b
Examples:
  vrrpd auth status                     own mode and keys; who was heard, signed with which key
  vrrpd auth status --json | jq .routers

A Backup is silent, so ask on every node: each knows only what it heard.

Exit status: 0 everybody heard in the last minute signs with a known key, 1 somebody does not, 3 no agent runs.
"""


@click.group()
def auth() -> None:
    """Show who signs advertisements, and with which key."""


@auth.command(epilog=_EPILOG)
@click.option("--json", "as_json", is_flag=True, help="Print the JSON object instead of text.")
@control_socket
@click.pass_context
def status(ctx: click.Context, control: str, *, as_json: bool) -> None:
    """Show the own mode and keys, and how each sender signs."""
    try:
        found = request(control, {"command": "auth"})
    except NoAgentError as error:
        click.echo(f"vrrpd: {error}", err=True)
        ctx.exit(NO_AGENT)
    if as_json:
        click.echo(json.dumps(found, indent=2))
    else:
        from vrrpd.cli import auth_text  # noqa: PLC0415 - see the module's chapter

        auth_text.show(found)
    ctx.exit(exit_status(found))


def exit_status(found: dict[str, Any]) -> int:
    """0 where all senders of the last minute sign with a known key, 1 where one does not."""
    senders = [sender for router in found["routers"] for sender in router.get("senders", [])]
    doubtful = any(each["standing"] != "signed" and each["last_s"] <= LATELY_S for each in senders)
    return NEEDS_A_PERSON if doubtful else HEALTHY
