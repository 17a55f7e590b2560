"""A host for movers: what a mover is told of its node and may use of the agent, with nothing behind it."""

from __future__ import annotations

import socket
from collections.abc import Mapping, Sequence
from typing import Any

from vrrpd.errands import Finished
from vrrpd.linux.route import Route
from vrrpd.movers.base import Host


class Bare:
    """An agent that does nothing for anybody: what is not replaced in a test must not be used.

    Attributes:
        guarded: names of the ports that the guardian was told of.
    """

    def __init__(self) -> None:
        self.guarded: list[str] = []

    async def run(
        self, argv: Sequence[str], *, user: str | None = None, environment: Mapping[str, str] | None = None
    ) -> Finished:
        raise NotImplementedError(argv, user, environment)

    async def open(self, path: str) -> int:
        raise NotImplementedError(path)

    async def put(self, route: Route) -> None:
        raise NotImplementedError(route)

    async def remove(self, route: Route) -> None:
        raise NotImplementedError(route)

    async def present(self, *routes: Route) -> bool:
        raise NotImplementedError(routes)

    def port(self, host: str, port: int) -> socket.socket:
        raise NotImplementedError(host, port)

    def listens(self, who: str, listener: socket.socket) -> None:
        """Note it."""
        assert not listener.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN) or who in self.guarded
        if who not in self.guarded:
            self.guarded.append(who)

    def refuses(self, who: str) -> None:
        """Note that it is over."""
        if who in self.guarded:
            self.guarded.remove(who)

    def look(self) -> None:
        """The role is where it was."""


def bare_host(node: str = "lb1", **given: Any) -> Host:
    """A host of the router `web`, with what is given in place of nothing."""
    agent = Bare()
    told: dict[str, Any] = {
        "router": "web",
        "addresses": (),
        "shared": (),
        "peers": (),
        "interface": lambda: None,
        "programs": agent,
        "routes": agent,
        "port": agent.port,
        "watch": agent,
        "look": agent.look,
    }
    return Host(node=node, **{**told, **given})
