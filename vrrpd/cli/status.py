"""`vrrpd status`: who is active, since when, why, and does anything need a person?

Owns the questions to the agent, what counts as a change while watching, and the exit status. What people read is made
in `status_text`, which is imported only for them: a script that reads JSON gets it before a table library is loaded.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from typing import Any, Final, cast

import click

from vrrpd.cli.options import control_socket
from vrrpd.control.client import Connection, NoAgentError

HEALTHY: Final = 0
NEEDS_A_PERSON: Final = 1
NO_AGENT: Final = 3

_PERIOD = 0.5  # seconds between two looks of --watch
_PASSING = frozenset({"generated_at", "uptime_s", "counters", "last_advert_s", "lateness"})

_EPILOG = """\b
Examples:
  vrrpd status                           a picture of this node
  vrrpd status --watch                   the same, redrawn while it changes
  vrrpd status --json | jq .routers      for programs; the keys are stable

Exit status: 0 all is well, 1 there is an alarm or a router in fault, 3 no agent runs.
"""


@click.command(epilog=_EPILOG)
@click.option("--json", "as_json", is_flag=True, help="Print the JSON object instead of text.")
@click.option("--watch", is_flag=True, help="Go on, and show every change, until interrupted.")
@control_socket
@click.pass_context
def status(ctx: click.Context, control: str, *, as_json: bool, watch: bool) -> None:
    """Show who is active, since when, and why."""
    code = HEALTHY
    try:
        with Connection(control) as connection:
            for latest in _shown(connection, as_json=as_json, watch=watch):
                code = latest
                sys.stdout.flush()
    except NoAgentError as error:
        click.echo(f"vrrpd: {error}", err=True)
        code = NO_AGENT
    except KeyboardInterrupt:  # how --watch is meant to end
        click.echo(err=True)
    ctx.exit(code)


def _shown(connection: Connection, *, as_json: bool, watch: bool) -> Iterator[int]:
    """Show the status once or again and again; yields the exit status that each one stands for."""
    seen = _statuses(connection) if watch else iter([connection.request({"command": "status"})])
    if as_json:
        for found in changes(seen):
            click.echo(json.dumps(found, separators=(",", ":")) if watch else json.dumps(found, indent=2))
            yield exit_status(found)
        return
    from vrrpd.cli import status_text  # noqa: PLC0415 - see the module's chapter

    if watch and sys.stdout.isatty():
        for found in status_text.redrawn(seen):
            yield exit_status(found)
        return
    for found in changes(seen):
        status_text.show(found)
        yield exit_status(found)


def _statuses(connection: Connection) -> Iterator[dict[str, Any]]:
    """The status again and again, on one connection."""
    while True:
        yield connection.request({"command": "status"})
        time.sleep(_PERIOD)


def changes(seen: Iterator[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Those that differ from the one before in more than what moves all the time (clocks, counts, check details)."""
    before: object = None
    for found in seen:
        now = _lasting(found)
        if now != before:
            before = now
            yield found


def _lasting(value: Any, key: str = "") -> Any:
    """A status without what moves all the time."""
    match value:
        case list():
            return [_lasting(entry, key) for entry in cast("list[Any]", value)]
        case dict():
            passing = _PASSING | {"detail"} if key == "checks" else _PASSING
            entries = cast("dict[str, Any]", value).items()
            return {name: _lasting(entry, name) for name, entry in entries if name not in passing}
        case _:
            return value


def exit_status(found: dict[str, Any]) -> int:
    """0 where all is well, 1 where something needs a person."""
    routers = found.get("routers", [])
    troubled = any(router.get("alarms") or router.get("state") == "fault" for router in routers)
    return NEEDS_A_PERSON if found.get("alarms") or troubled else HEALTHY
