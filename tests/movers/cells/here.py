"""The movers of what is on this host alone."""

from __future__ import annotations

import errno
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from ipaddress import IPv4Address

import trio
import trio.testing

from tests.movers.bare import bare_host
from tests.movers.stage import Desk, Fault, Stage
from vrrpd.linux.netlink import route_error
from vrrpd.linux.ports import Ports
from vrrpd.linux.route import Route
from vrrpd.movers import probe as probing
from vrrpd.movers import route as routing
from vrrpd.movers.base import Interface, Serving


class Table:
    """The routes of a host, and what was done to them."""

    def __init__(self) -> None:
        self.there: list[Route] = []
        self.asked: list[str] = []
        self.refusal = 0

    async def put(self, route: Route) -> None:
        await self._judge("put")
        self.there.append(route)

    async def remove(self, route: Route) -> None:
        await self._judge("remove")
        self.there = [each for each in self.there if each != route]

    async def present(self, *routes: Route) -> bool:
        await self._judge("present")
        return all(route in self.there for route in routes)

    async def _judge(self, what: str) -> None:
        await trio.lowlevel.checkpoint()
        self.asked.append(what)
        if self.refusal:
            raise route_error(self.refusal)


@asynccontextmanager
async def route(_desk: Desk) -> AsyncGenerator[Stage]:
    table = Table()
    host = bare_host(interface=lambda: Interface("eth0", 2, ""), routes=table)
    mover = routing.RouteMover(
        routing.OPTIONS.validate_python({"destination": "10.20.0.0/16", "via": "10.0.0.1"}), host
    )

    def refuse() -> None:
        table.refusal = errno.EPERM

    yield Stage(
        mover,
        asked=lambda: table.asked,
        changes=lambda: [each for each in table.asked if each != "present"],
        faults={Fault.FORBIDDEN: refuse},
    )


@asynccontextmanager
async def probe(_desk: Desk) -> AsyncGenerator[Stage]:
    with trio.socket.socket() as found:
        await found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    with Ports() as ports:
        ports.take([("127.0.0.1", port)])
        host = bare_host(addresses=(IPv4Address("10.0.0.1"),), port=ports.port)
        mover = probing.ProbeMover(probing.OPTIONS.validate_python({"listen": f"127.0.0.1:{port}"}), host)
        async with trio.open_nursery() as nursery:
            assert isinstance(mover, Serving)
            nursery.start_soon(mover.serve)
            await trio.testing.wait_all_tasks_blocked()
            yield Stage(mover, asked=list[str], changes=list[str])
            nursery.cancel_scope.cancel()


CELLS = {"route": route, "probe": probe}
