"""How a router comes by its movers: what knows one service, and what drives it.

Imported where a file has movers.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial
from ipaddress import IPv4Address
from random import Random

from vrrpd.config.spec import MoverSpec
from vrrpd.guard import Guard
from vrrpd.kinds import mover
from vrrpd.linux.ports import Ports
from vrrpd.movers.base import Interface
from vrrpd.movers.contention import Ranks
from vrrpd.movers.driver import MoverDriver
from vrrpd.programs import LauncherClient
from vrrpd.runtime.routers import Router
from vrrpd.runtime.supervisor import MakeMover, Runtime


def movers(node: str, programs: LauncherClient, ports: Ports, guard: Guard) -> MakeMover:
    """What makes them.

    Args:
        node: our name in `nodes`.
        programs: runs programs, and opens files.
        ports: has the sockets of health probes.
        guard: refuses on those when we cannot.
    """

    def make(runtime: Runtime, router: Router, spec: MoverSpec, changed: Callable[[], None]) -> MoverDriver:
        card = partial(_card, router, spec.router)
        use = partial(mover, programs=programs, routes=runtime.routes, port=ports.port, watch=guard, look=runtime.look)
        peers = {peer.name: (peer.priority, peer.addresses[0]) for peer in spec.peers}
        names = {peer.name: peer.addresses for peer in spec.peers}

        def heard(name: str) -> int | None:
            return router.heard_from(names[name])

        ranks = Ranks(next(iter(spec.own), IPv4Address(0)), peers, heard)
        return MoverDriver(
            spec.name,
            use(spec, node, card),
            spec.options,
            ranks,
            changed=changed,
            look=runtime.look,
            log=logging.getLogger(f"vrrpd.{spec.router}"),
            random=Random(),  # noqa: S311 - spreads attempts, guards nothing
        )

    return make


def _card(router: Router, name: str) -> Interface | None:
    """The card that a router of the file stands on."""
    footings = (member.footing for member in router.members if member.spec.router == name)
    link = next((footing.link for footing in footings if footing), None)
    return Interface(link.name, link.index, link.mac.hex(":")) if link else None
