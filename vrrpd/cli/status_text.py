"""The status of an agent as people read it: a block for each router, colour on a terminal only.

Draws what the agent said and nothing else: "3 min ago" is counted from the moment the agent wrote the status, so that
the clock of whoever reads it does not matter. What is not known is called unknown. Colour follows rich's rules: none
in a pipe, none where NO_COLOR is set.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

_GOOD, _BAD, _DIM = "green", "bold red", "dim"
_STYLES = {"active": "bold green", "backup": "cyan", "init": "yellow", "fault": "bold red", "drained": "bold yellow"}
_MOVER_STYLES = {"idle": _DIM, "acquiring": "yellow", "held": _GOOD, "contended": "bold red", "failed": "bold red"}
UNKNOWN = "an unknown time"
_PIPE_WIDTH = 1000  # columns where there is no terminal: nobody wants lines broken for a screen that is not there


def show(found: dict[str, Any]) -> None:
    """Print a status."""
    _console().print(picture(found))


def redrawn(seen: Iterator[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Draw each status over the one before; passes them on."""
    with Live(console=_console(), auto_refresh=False) as live:
        for found in seen:
            live.update(picture(found), refresh=True)
            yield found


def picture(found: dict[str, Any]) -> Group:
    """A status as something that rich prints."""
    now = str(found.get("generated_at", ""))
    head = Text.assemble(
        (_plain(found.get("node")), "bold"),
        f"  vrrpd {_plain(found.get('version'))}, running for {duration(found.get('uptime_s'))}",
    )
    blocks: list[Text | Table] = [head]
    routers = found.get("routers", [])
    lateness = found.get("lateness", {})
    if lateness.get("adverts"):
        blocks.append(Text.assemble((f"  {'lateness':<11}", _DIM), _lateness(lateness, routers)))
    if alarms := found.get("alarms"):
        table = _table()
        _add_alarms(table, alarms, now)
        blocks.append(table)
    for router in routers:
        blocks += [Text(), _title(router, now), _router(router, now)]
    if not routers:
        blocks.append(Text("no routers", _DIM))
    return Group(*blocks, Text())


def _title(router: dict[str, Any], now: str) -> Text:
    state = _plain(router.get("state"))
    if state == "backup" and router.get("drained"):  # it is no backup to anybody
        state = "drained"
    return Text.assemble(
        (f"{_plain(router.get('name'))}/{_plain(router.get('family'))}", "bold"),
        "  ",
        (state.upper(), _STYLES.get(state, "")),
        f"  since {ago(router.get('since'), now)}",
        f": {_plain(router['reason'])}" if router.get("reason") else "",
    )


def _router(router: dict[str, Any], now: str) -> Table:
    table = _table()
    place = f"vrid {_plain(router.get('vrid'))} on {_plain(router.get('interface'))}"
    table.add_row("  router", place, "", _priority(router))
    if router.get("drained"):
        table.add_row("", "drained", "", _end_of_drain(router.get("drained_until"), now))
    if router.get("state") != "active":
        table.add_row("  active", _plain(router.get("active_address")), "", "")
    _add_rows(table, "addresses", [_address(entry) for entry in router.get("addresses", [])])
    _add_rows(table, "checks", [_check(entry, now) for entry in router.get("checks", [])])
    _add_rows(table, "movers", [row for entry in router.get("movers", []) for row in _mover(entry)])
    _add_rows(table, "peers", [_peer(entry) for entry in router.get("peers", [])])
    _add_alarms(table, router.get("alarms", []), now)
    return table


def _table() -> Table:
    table = Table.grid(padding=(0, 2))
    table.add_column(style=_DIM, no_wrap=True, min_width=11)
    for _ in range(3):
        table.add_column()
    return table


def _add_rows(table: Table, label: str, rows: list[tuple[str, Text, str]]) -> None:
    """One row for each entry, the label on the first."""
    for subject, state, detail in rows:
        table.add_row(f"  {label}", subject, state, detail)
        label = ""


def _add_alarms(table: Table, alarms: list[dict[str, Any]], now: str) -> None:
    rows = [
        (
            _plain(alarm.get("code")),
            Text("alarm", _BAD),
            f"{_plain(alarm.get('detail'))} ({ago(alarm.get('since'), now)})",
        )
        for alarm in alarms
    ]
    _add_rows(table, "alarms", rows)


def _end_of_drain(until: object, now: str) -> str:
    if until is None:
        return "takes no part until undrained"
    return f"takes part again in {_between(now, until)}, at {_plain(until)}"


def _priority(router: dict[str, Any]) -> str:
    configured, effective = router.get("priority"), router.get("effective_priority")
    if configured == effective:
        return f"priority {_plain(configured)}"
    return f"priority {_plain(configured)}, now {_plain(effective)}"


def _lateness(lateness: dict[str, Any], routers: list[dict[str, Any]]) -> str:
    """How punctual our own advertisements are; of the routers the one whose peers come nearest to missing one."""
    most, worst = (_milliseconds(lateness.get(key)) for key in ("p99_ms", "max_ms"))
    said = f"99 % of {_plain(lateness.get('adverts'))} adverts at most {most}, the worst {worst}"
    router = max(routers, key=_share) if routers else dict[str, Any]()
    who = f"{_plain(router.get('name'))}/{_plain(router.get('family'))}"
    return f"{said}; {who} by up to {100 * _share(router):.0f} % of its interval" if _share(router) else said


def _share(router: dict[str, Any]) -> float:
    """The worst lateness of a router as a share of its interval."""
    return router.get("lateness", {}).get("worst_share", 0)


def _milliseconds(time: object) -> str:
    return f"{time:.1f} ms" if isinstance(time, int | float) else UNKNOWN


def _address(entry: dict[str, Any]) -> tuple[str, Text, str]:
    state = Text("held", _GOOD) if entry.get("held") else Text("not held", _DIM)
    return _plain(entry.get("address")), state, f"on {_plain(entry.get('device'))}"


def _check(entry: dict[str, Any], now: str) -> tuple[str, Text, str]:
    state = _plain(entry.get("state"))
    since = f" (since {ago(entry.get('since'), now)})"
    return _plain(entry.get("name")), Text(state, _GOOD if state == "up" else _BAD), _plain(entry.get("detail")) + since


def _mover(entry: dict[str, Any]) -> list[tuple[str, Text, str]]:
    """What a mover does, and below that whether this node could take over; of no use where it holds, and well."""
    state, ready = _plain(entry.get("state")), bool(entry.get("ready"))
    holder = f"with {_plain(entry.get('holder'))}" if state != "held" else ""
    about = "; ".join(part for part in (_plain(entry.get("detail")), holder) if part)
    rows = [(_plain(entry.get("name")), Text(state, _MOVER_STYLES.get(state, "")), about)]
    if state != "held" or not ready:
        why = "" if ready else _plain(entry.get("why"))
        rows.append(("ready to take over:", Text("yes", _GOOD) if ready else Text("no", _BAD), why))
    return rows


def _peer(entry: dict[str, Any]) -> tuple[str, Text, str]:
    heard = entry.get("last_advert_s")
    # Over plain VRRP a healthy Backup is silent, so silence says nothing about a peer.
    said = Text("silent", _DIM) if heard is None else Text("heard", _GOOD)
    return _plain(entry.get("address")), said, "" if heard is None else f"last advert {duration(heard)} ago"


def ago(since: object, now: str) -> str:
    """How long before `now` something happened; both ISO 8601."""
    length = _between(since, now)
    return length if length == UNKNOWN else f"{length} ago"


def _between(earlier: object, later: object) -> str:
    """How long from one time to another, both ISO 8601; nothing where the clock was set back."""
    try:
        seconds = (datetime.fromisoformat(str(later)) - datetime.fromisoformat(str(earlier))).total_seconds()
    except (ValueError, TypeError):  # no time, or one without a zone
        return UNKNOWN
    return duration(max(seconds, 0.0))


def duration(seconds: object) -> str:
    """A length of time in its two largest units at most: "0.4 s", "12 s", "3 min", "2 h 5 min", "4 d 3 h"."""
    if not isinstance(seconds, int | float):
        return UNKNOWN
    if seconds < 10:
        return f"{seconds:.1f} s"
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes = int(seconds // 60)
    if minutes < 60:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 24:
        return f"{hours} h {minutes} min"
    days, hours = divmod(hours, 24)
    return f"{days} d {hours} h"


def _plain(value: object) -> str:
    """A value as text that cannot move the cursor; unknown where the agent does not say."""
    if value is None:
        return "unknown"
    return "".join(c if c.isprintable() else "?" for c in str(value))


def _console() -> Console:
    console = Console(highlight=False, emoji=False, markup=False)
    return console if console.is_terminal else Console(highlight=False, emoji=False, markup=False, width=_PIPE_WIDTH)
