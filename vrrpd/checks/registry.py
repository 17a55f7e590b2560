"""The table of the kinds of health checks.

A new kind is one file, one line here and one test file that runs the contract every kind keeps. The configuration is
handed `kinds()` and so validates options without knowing any kind; the daemon builds checks with `build()`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from pydantic import TypeAdapter

from vrrpd.checks import exec as exec_
from vrrpd.checks import http, process, tcp
from vrrpd.checks.base import Check


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of check.

    Attributes:
        options: validates what stands under the kind's name in the file; the result is comparable with `==`.
        build: makes a check of validated options; opens nothing and does not block.
    """

    options: TypeAdapter[Any]
    build: Callable[[Any], Check]


KINDS: Mapping[str, Kind] = MappingProxyType(
    {
        "http": Kind(http.OPTIONS, http.HttpCheck),
        "tcp": Kind(tcp.OPTIONS, tcp.TcpCheck),
        "process": Kind(process.OPTIONS, process.ProcessCheck),
        "exec": Kind(exec_.OPTIONS, exec_.ExecCheck),
    }
)


def kinds() -> Mapping[str, TypeAdapter[Any]]:
    """The validator of the options of each kind, by the kind's name in the configuration."""
    return {name: kind.options for name, kind in KINDS.items()}


def build(kind: str, options: Any) -> Check:
    """Make a check of a kind from options that the kind's own validator returned."""
    return KINDS[kind].build(options)
