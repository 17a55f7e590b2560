"""The table of the kinds of health checks.

A new kind is one file, one line here and one test file that runs the contract every kind keeps. The configuration is
handed `kinds()` and so validates options without knowing any kind; the daemon asks `inspect()` before it starts and
builds checks with `build()`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from pydantic import TypeAdapter

from vrrpd.checks import exec as exec_
from vrrpd.checks import file, haproxy, http, link, ping, process, tcp
from vrrpd.checks.base import Check, Host


def _nothing(_: Any) -> None:
    """No options are wrong on any host."""


def _none(_: Any) -> Sequence[Mapping[str, Any]]:
    """Nothing is asked of the launcher."""
    return ()


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of check.

    Attributes:
        options: validates what stands under the kind's name in the file; the result is comparable with `==`.
        build: makes a check of validated options; opens nothing and does not block.
        inspect: says what keeps this very host from running such a check, None where nothing does; may block.
        errands: what the launcher does for such a check (`programs.LauncherClient.promise`).
    """

    options: TypeAdapter[Any]
    build: Callable[[Any, Host], Check]
    inspect: Callable[[Any], str | None] = _nothing
    errands: Callable[[Any], Sequence[Mapping[str, Any]]] = _none


def _alone(make: Callable[[Any], Check]) -> Callable[[Any, Host], Check]:
    """Builds a check that uses nothing of the agent."""
    return lambda options, _: make(options)


KINDS: Mapping[str, Kind] = MappingProxyType(
    {
        "http": Kind(http.OPTIONS, http.HttpCheck, http.inspect, http.errands),
        "tcp": Kind(tcp.OPTIONS, _alone(tcp.TcpCheck)),
        "haproxy": Kind(haproxy.OPTIONS, _alone(haproxy.HaproxyCheck), haproxy.inspect),
        "process": Kind(process.OPTIONS, _alone(process.ProcessCheck), process.inspect),
        "exec": Kind(exec_.OPTIONS, exec_.ExecCheck, exec_.inspect, exec_.errands),
        "ping": Kind(ping.OPTIONS, _alone(ping.PingCheck), ping.inspect),
        "link": Kind(link.OPTIONS, link.LinkCheck),
        "file": Kind(file.OPTIONS, _alone(file.FileCheck), file.inspect),
    }
)


def kinds() -> Mapping[str, TypeAdapter[Any]]:
    """The validator of the options of each kind, by the kind's name in the configuration."""
    return {name: kind.options for name, kind in KINDS.items()}


def build(kind: str, options: Any, host: Host) -> Check:
    """Make a check of a kind from options that the kind's own validator returned."""
    return KINDS[kind].build(options, host)


def inspect(kind: str, options: Any) -> str | None:
    """What keeps this host from running a check with these options, for people; None where nothing does. May block."""
    return KINDS[kind].inspect(options)


def errands(kind: str, options: Any) -> Sequence[Mapping[str, Any]]:
    """What a check with these options has the launcher do, as `programs.LauncherClient.promise` takes it."""
    return KINDS[kind].errands(options)
