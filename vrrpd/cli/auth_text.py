"""`vrrpd auth status` as people read it: a line for each router, and one for each way in which a sender signs.

Draws what the agent said and nothing else; colour on a terminal only, none where NO_COLOR is set.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import click

from vrrpd.cli.status_text import ago, duration

_COLOURS = {"signed": "green", "unsigned": "yellow", "bad": "red"}


def show(found: dict[str, Any]) -> None:
    """Print it."""
    for line in lines(found):
        click.echo(line, color=False if os.environ.get("NO_COLOR") else None)


def lines(found: dict[str, Any]) -> Iterator[str]:
    """The lines, coloured."""
    for router in found["routers"]:
        yield f"{click.style(_plain(router['name']) + '/' + _plain(router['family']), bold=True)}  {_rules(router)}"
        for sender in router.get("senders", []):
            yield _sender(sender, str(found["generated_at"]))
        if router["method"] == "hmac" and not router["senders"]:
            yield "  nobody was heard"
    if not found["routers"]:
        yield "no routers"


def _rules(router: dict[str, Any]) -> str:
    if router["method"] == "password":
        return "a password in clear text, which protects nothing"
    if router["method"] == "none":
        return "no authentication"
    keys = ", ".join(str(key) for key in router["keys"])
    signs = "signs nothing" if router["active_key"] is None else f"signs with key {router['active_key']}"
    window, step = router["time_window_s"], router["clock_step_s"]
    replay = "a rising number" if window is None else f"time, within {window:g} s"
    jumped = f"; the own clock jumped by {step:g} s" if step else ""
    return f"hmac {_plain(router['mode'])}, {signs}, knows {keys}; against replay: {replay}{jumped}"


def _sender(sender: dict[str, Any], now: str) -> str:
    who = _plain(sender["address"]) + (f" ({_plain(sender['node'])})" if sender["node"] else "")
    match sender["standing"]:
        case "signed":
            words = f"signed with key {sender['key']}"
        case "bad":
            words = f"refused: {_plain(sender['reason'])}"
        case other:
            words = _plain(other)
    standing = click.style(f"{words:22}", fg=_COLOURS.get(sender["standing"]))
    times = f"since {ago(sender['since'], now)}, last {duration(sender['last_s'])} ago"
    return f"  {who:28} {standing} {times}, {sender['count']} in all"


def _plain(value: object) -> str:
    """A value as text that cannot move the cursor."""
    return "".join(c if c.isprintable() else "?" for c in str(value))
