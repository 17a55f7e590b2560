"""Routes of this host that come and go with a role, changed in the thread that changes addresses, and in its order.

**Ours is what we added**, as with addresses: the tag tells. A route that somebody else has put in the place is an error
for whoever wants it, and stays; one of ours that is not wanted is what a dead agent left, and goes at the start.

The guardian is told of a route before it is added, and takes it away when we cannot. What a frozen agent had still to
add is not added when it wakes up.
"""

from __future__ import annotations

import errno
from collections.abc import Awaitable, Callable

from vrrpd.linux.netlink import KernelRoute, encode_route, encode_route_removal, route_error
from vrrpd.linux.netlink.routes import GONE, place_of
from vrrpd.linux.route import Route
from vrrpd.runtime.kernel import AddressCommands, Kernel
from vrrpd.runtime.links import Links


class HostRoutes:
    """The routes that this agent has put there; what movers are handed as `Host.routes`."""

    def __init__(self, kernel: Kernel, links: Links, settled: Callable[[], Awaitable[None]]) -> None:
        """Put nothing yet.

        Args:
            kernel: whose routes.
            links: the mirror of its links.
            settled: waits until the addresses that are wanted are there, as far as the kernel lets them.
        """
        self._kernel = kernel
        self._links = links
        self._settled = settled
        self._held: dict[Route, bytes] = {}  # with the request that removes it

    @property
    def busy(self) -> bool:
        """True while a route of ours is there, or on its way there."""
        return bool(self._held)

    async def put(self, route: Route) -> None:
        """Have a route there, in place of one of ours to the same destination in the same table with the same metric.

        Raises:
            NetlinkError: the kernel refuses; EEXIST where somebody else's is in the place.
        """
        if route.source is not None:  # which may move with the role, and has to be there
            await self._settled()
        index = self._index(route)
        if route not in self._held:
            self._held[route] = encode_route_removal(route, answered=False)
            self._kernel.guardian.route(self._held[route])
        await self._kernel.worker.run(lambda: self._add(route, index))

    async def remove(self, route: Route) -> None:
        """Take it away again, where it is ours; no error where it is not there.

        Raises:
            NetlinkError: the kernel refuses.
        """
        await self._kernel.worker.run(lambda: _remove(self._kernel.commands, route))
        removal = self._held.pop(route, None)
        if removal is not None:
            self._kernel.guardian.route_gone(removal)

    async def present(self, *routes: Route) -> bool:
        """Whether all of them are there, as we would put them, and ours.

        Raises:
            NetlinkError: the kernel cannot be asked.
        """
        indexes = {route: self._index(route) for route in routes}
        there = {each.place: each for each in await self._kernel.worker.run(self._kernel.commands.routes)}
        found = {route: there.get(place_of(route)) for route in routes}
        return all(each is not None and each.same(route, indexes[route]) for route, each in found.items())

    def _index(self, route: Route) -> int:
        """Number of the interface; looked up each time, because one that comes back has another.

        Raises:
            NetlinkError: there is none of that name.
        """
        if not route.device:
            return 0
        link = self._links.link(route.device)
        if link is None:
            raise route_error(errno.ENODEV)
        return link.index

    def _add(self, route: Route, index: int) -> None:
        """In the worker thread: add it, unless it is there."""
        if self._kernel.guardian.acted:
            raise route_error(errno.ECANCELED)
        commands = self._kernel.commands
        adding = encode_route(route, index)
        (code,) = commands.apply([adding])
        if code == errno.EEXIST:
            in_place = [each for each in commands.routes() if each.in_place_of(route)]
            if any(each.same(route, index) for each in in_place):
                return
            if in_place:
                _remove(commands, route)
                (code,) = commands.apply([adding])
        if code:
            raise route_error(code)


def remove_orphans(commands: AddressCommands) -> list[tuple[KernelRoute, int]]:
    """Remove every route that carries our tag: what dead agents left. Blocks.

    Returns:
        Each with the errno of its removal, 0 where it is gone.

    Raises:
        NetlinkError: the kernel cannot be asked.
    """
    found = commands.routes()
    removals = [encode_route_removal(Route(each.destination, table=each.table, metric=each.metric)) for each in found]
    return list(zip(found, commands.apply(removals), strict=True))


def _remove(commands: AddressCommands, route: Route) -> None:
    any_metric = route.destination.version == 4 and not route.metric  # is what a removal means by that
    if any_metric and not any(each.in_place_of(route) for each in commands.routes()):
        return
    (code,) = commands.apply([encode_route_removal(route)])
    if code not in GONE:
        raise route_error(code)
