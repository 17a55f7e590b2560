"""Every kind that a file may name, of checks and of movers: what both tables answer, in one place.

The configuration is handed `kinds()` and so validates options without knowing any kind. What is asked of a check that
runs is asked of a mover in the same words: what keeps this host from running it, and what the launcher is to promise.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from vrrpd.checks import registry as checks
from vrrpd.config import CheckSpec, Kinds, MoverSpec
from vrrpd.errands import Programs
from vrrpd.movers import registry as movers

if TYPE_CHECKING:
    from vrrpd.movers.base import Interface, Mover, Routes, Watch


def kinds() -> Kinds:
    """All kinds; one is imported when it is first looked up."""
    return Kinds(checks.KINDS, movers.KINDS)


def inspect(spec: CheckSpec | MoverSpec) -> str | None:
    """What keeps this host from running it, for people; None where nothing does. May block."""
    if isinstance(spec, MoverSpec):
        return movers.KINDS[spec.kind].inspect(spec.options)
    return checks.inspect(spec.kind, spec.options)


def errands(spec: CheckSpec | MoverSpec) -> Sequence[Mapping[str, Any]]:
    """What it has the launcher do, as `programs.LauncherClient.promise` takes it."""
    if isinstance(spec, MoverSpec):
        return movers.KINDS[spec.kind].errands(spec.options)
    return checks.errands(spec.kind, spec.options)


def ports(spec: MoverSpec) -> Sequence[tuple[str, int]]:
    """The ports that a mover answers on, as `linux.ports.Ports.take` takes them."""
    return movers.KINDS[spec.kind].ports(spec.options)


def mover(
    spec: MoverSpec,
    node: str,
    interface: Callable[[], Interface | None],
    *,
    programs: Programs,
    routes: Routes,
    port: Callable[[str, int], socket.socket],
    watch: Watch,
    look: Callable[[], None],
) -> Mover:
    """Make a mover; opens nothing and does not block.

    Args:
        spec: which one.
        node: our name in `nodes`.
        interface: the card that its router lives on.
        programs: runs programs, and opens files.
        routes: changes routes.
        port: gives the sockets that were bound for it (`ports`).
        watch: guards those that accept connections.
        look: called right before each change that leaves this host.
    """
    from vrrpd.movers.base import Host  # noqa: PLC0415 - its kind has imported it

    host = Host(
        node=node,
        router=spec.router,
        addresses=spec.own,
        shared=spec.shared,
        peers=spec.peers,
        interface=interface,
        programs=programs,
        routes=routes,
        port=port,
        watch=watch,
        look=look,
    )
    return movers.KINDS[spec.kind].build(spec.options, host)
