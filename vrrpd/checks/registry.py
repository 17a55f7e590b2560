"""The table of the kinds of health checks.

A new kind is one file, one line here and one test file that runs the contract every kind keeps. The configuration is
handed `KINDS` and so validates options without knowing any kind; the daemon asks `inspect()` before it starts and
builds checks with `build()`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from vrrpd.config import Table

if TYPE_CHECKING:
    from vrrpd.checks.base import Check, Host, Kind

MODULES: Final = MappingProxyType(
    {
        "http": "vrrpd.checks.http",
        "tcp": "vrrpd.checks.tcp",
        "haproxy": "vrrpd.checks.haproxy",
        "process": "vrrpd.checks.process",
        "exec": "vrrpd.checks.exec",
        "ping": "vrrpd.checks.ping",
        "link": "vrrpd.checks.link",
        "file": "vrrpd.checks.file",
    }
)
"""Where each kind lives."""

KINDS: Final[Table[Kind]] = Table(MODULES)
"""All kinds by name."""


def build(kind: str, options: Any, host: Host) -> Check:
    """Make a check of a kind from options that the kind's own validator returned."""
    return KINDS[kind].build(options, host)


def inspect(kind: str, options: Any) -> str | None:
    """What keeps this host from running a check with these options, for people; None where nothing does. May block."""
    return KINDS[kind].inspect(options)


def errands(kind: str, options: Any) -> Sequence[Mapping[str, Any]]:
    """What a check with these options has the launcher do, as `programs.LauncherClient.promise` takes it."""
    return KINDS[kind].errands(options)
