"""The table of all cells at the end of a session: what was tried with whom, and how long each change took."""

from __future__ import annotations

import pytest

from tests.interop.cells import CELLS, PREFERRED

_COLUMNS = ("peer", "packets on the wire", "preferred", "killed: taken", "stopped: taken", "on both", "seen", "")
_OUTCOMES = {"passed": "ok", "failed": "FAILED", "error": "FAILED"}


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    rows: dict[int, tuple[str, ...]] = {}
    for outcome, word in _OUTCOMES.items():
        for report in terminalreporter.getreports(outcome):
            for name, value in getattr(report, "user_properties", ()):
                if name == "cell":
                    rows[int(value["number"])] = _row(value, word)
    if not rows:
        return
    good = sum(row[-1] == "ok" for row in rows.values())
    terminalreporter.section(f"interoperation: {good} of {len(CELLS)} cells")
    table = [_COLUMNS, *(row for _, row in sorted(rows.items()))]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    for row in table:
        padded = (text.ljust(width) for text, width in zip(row, widths, strict=True))
        terminalreporter.write_line("  ".join(padded).rstrip())


def _row(measured: dict[str, str], word: str) -> tuple[str, ...]:
    cell = CELLS[int(measured["number"])]
    wire = f"{'IPv6' if cell.family == 'ipv6' else 'IPv4'} v{cell.version} {cell.transport} {cell.interval_ms} ms"
    found = (measured.get(key, "") for key in ("killed", "stopped", "both", "packets"))
    return cell.peer, wire, cell.kind(PREFERRED), *found, word
