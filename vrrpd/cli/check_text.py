"""What every single failure would lead to, as people read it: a table for each router or group.

Owns the words and the colours; `vrrpd.config.simulate` has tried it out. Times are the longest that a failure can take
on a network that loses nothing. Colour follows rich's rules: none in a pipe, none where NO_COLOR is set.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from vrrpd.config.groups import Group
from vrrpd.config.scalars import written
from vrrpd.config.simulate import Failure
from vrrpd.proto.timers import MS

_HEADS = ("what fails", "on", "then", "noticed within", "taken over after", "down for at most")
_SHOWN = MS // 10  # finer than this nobody reads
_PIPE_WIDTH = 1000  # columns where there is no terminal: nobody wants lines broken for a screen that is not there


def show(groups: Iterable[Group], tried: Sequence[Failure]) -> None:
    """Print what was tried."""
    console = Console(highlight=False, emoji=False, markup=False)
    if not console.is_terminal:
        console = Console(highlight=False, emoji=False, markup=False, width=_PIPE_WIDTH)
    for group in groups:
        rows = [failure for failure in tried if failure.moves == group.name]
        console.print()
        console.print(_title(group, rows))
        if rows:
            console.print(_table(rows))


def _title(group: Group, rows: Sequence[Failure]) -> Text:
    what = "router" if len(group.routers) == 1 else "group"
    if not rows:
        said = ": the file does not name all nodes, so who takes over cannot be said"
    else:
        said = f", every single failure: while all is well {rows[0].before} is Active"
    return Text.assemble(f"{what} ", (group.name, "bold"), said)


def _table(rows: Sequence[Failure]) -> Table:
    table = Table.grid(padding=(0, 3))
    table.add_row(*(Text(head, "dim") for head in ("", *_HEADS)))
    for failure in rows:
        what = "the node" if failure.check is None else f"check {failure.check}"
        times = (failure.noticed if failure.check else None, failure.takeover, failure.down)
        table.add_row("", what, failure.node, _then(failure), *(_time(time) for time in times))
    return table


def _then(failure: Failure) -> Text:
    """Who serves after it."""
    if failure.after is None:
        return Text("nobody serves", "bold red")
    if failure.after != failure.before:
        return Text(f"{failure.after} takes over", "green")
    if failure.node == failure.before:
        return Text(f"{failure.after} stays, there is nobody better", "yellow")
    return Text(f"{failure.after} stays", "dim")


def _time(time: int | None) -> str:
    if time is None:
        return ""
    return written(round(time / _SHOWN) * _SHOWN) if time else "at once"
