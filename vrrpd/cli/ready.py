"""Would this node take over? What `vrrpd check --ready` asks of every mover, in the way in which the agent asks.

A standby that cannot reach the API of its cloud, or may not use it, looks well until the day it is needed. So each
mover of this node is made, told to get ready, asked who has what it moves, and closed: all at the same time, none for
longer than `LIMIT_S`, with the rights that the agent will have. Nothing is changed anywhere.

No agent is needed for that, and one that runs here is not disturbed: it has the ports of its probes, and where none
runs they are free again after a look, for one that starts meanwhile.
"""

from __future__ import annotations

import errno
import os
import socket
import sys
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial

import click
import trio

from vrrpd import launcher as launching
from vrrpd.config import AgentSpec, MoverSpec
from vrrpd.control.holder import holder_of
from vrrpd.kinds import errands, mover, ports
from vrrpd.linux.netlink import Netlink, Snapshot, route_error
from vrrpd.linux.route import Route
from vrrpd.movers.base import Interface, Mover, MoverError
from vrrpd.privileges import own_user
from vrrpd.programs import LauncherClient
from vrrpd.rights import NETWORK, acting_as

LIMIT_S = 20.0
"""How long one mover may take, in seconds; a cloud that takes longer is none to wait for in a failover."""

_GOODBYE_S = 1.0


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether this node could take over what one mover moves.

    Attributes:
        router: name of the router.
        mover: name of the mover in it.
        why: why it could not; None where it could.
        holder: who has it now, for people; None where that is not known.
    """

    router: str
    mover: str
    why: str | None
    holder: str | None = None

    @property
    def ready(self) -> bool:
        """Whether it could."""
        return self.why is None


class _Looking:
    """Routes and ports as who only looks has them: read as they are, and never changed."""

    def __init__(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot
        self._unbound = socket.socket()

    def close(self) -> None:
        self._unbound.close()

    def port(self, host: str, port: int) -> socket.socket:
        """One for them all, that is bound to none."""
        del host, port
        return self._unbound

    def look(self) -> None:
        """There is no role to lose here."""

    def listens(self, who: str, listener: socket.socket) -> None:
        raise AssertionError(f"nothing is changed: {who} {listener}")

    def refuses(self, who: str) -> None:
        """It never listened."""

    async def put(self, route: Route) -> None:
        raise AssertionError(f"nothing is changed: {route}")

    async def remove(self, route: Route) -> None:
        raise AssertionError(f"nothing is changed: {route}")

    async def present(self, *routes: Route) -> bool:
        with Netlink() as netlink:
            there = netlink.routes()
        return all(any(each.same(route, self._index(route)) for each in there) for route in routes)

    def _index(self, route: Route) -> int:
        if not route.device:
            return 0
        found = next((link.index for link in self._snapshot.links if link.name == route.device), None)
        if found is None:
            raise route_error(errno.ENODEV)
        return found


def ask(spec: AgentSpec, snapshot: Snapshot) -> list[Verdict]:
    """Ask all movers of this node; on a terminal it shows how many have answered.

    Args:
        spec: what this node is to do.
        snapshot: the interfaces of this host.

    Returns:
        What each says, in the order of the file.
    """
    if not spec.movers:
        return []
    launcher = launching.start()
    try:
        with closing(_Looking(snapshot)) as looking:
            said = [_has_port(each) for each in spec.movers]
            programs = LauncherClient(launcher)
            programs.promise([errand for each in spec.movers for errand in errands(each)])
            with acting_as(own_user(None), NETWORK):
                use = partial(
                    mover, programs=programs, routes=looking, port=looking.port, watch=looking, look=looking.look
                )
                asked = [
                    verdict or use(each, spec.node, partial(_card, spec, snapshot, each))
                    for each, verdict in zip(spec.movers, said, strict=True)
                ]
                return trio.run(_ask_all, spec.movers, asked, programs)
    finally:
        launcher.channel.close()
        os.waitpid(launcher.pid, 0)


def _has_port(spec: MoverSpec) -> Verdict | None:
    """The answer, where the agent that runs here has the port of a mover; that it is free was seen with the file."""
    wanted = ports(spec)
    holder = holder_of() if wanted else None
    if holder is not None and holder.ports.issuperset(wanted):
        return Verdict(spec.router, spec.name, None, f"the agent that runs here ({holder.who})")
    return None


def _card(spec: AgentSpec, snapshot: Snapshot, of: MoverSpec) -> Interface | None:
    """The interface that the router of a mover is on."""
    names = [each.interface for router in spec.routers for each in router.members if each.router == of.router]
    links = (link for link in snapshot.links if link.name in names)
    return next((Interface(link.name, link.index, link.mac.hex(":")) for link in links), None)


async def _ask_all(
    specs: Sequence[MoverSpec], asked: Sequence[Mover | Verdict], programs: LauncherClient
) -> list[Verdict]:
    said = {index: each for index, each in enumerate(asked) if isinstance(each, Verdict)}

    async def ask_one(index: int, each: Mover) -> None:
        said[index] = await _ask(specs[index], each)
        _show(len(said), len(asked))

    async with trio.open_nursery() as background:
        background.start_soon(programs.listen)
        async with trio.open_nursery() as nursery:
            for index, each in enumerate(asked):
                if not isinstance(each, Verdict):
                    nursery.start_soon(ask_one, index, each)
        background.cancel_scope.cancel()
    return [said[index] for index in range(len(asked))]


async def _ask(spec: MoverSpec, asked: Mover) -> Verdict:
    verdict = partial(Verdict, spec.router, spec.name)
    try:
        with trio.fail_after(LIMIT_S):
            await asked.prepare()
            return verdict(None, str(await asked.holder()))
    except MoverError as error:
        return verdict(str(error))
    except trio.TooSlowError:
        return verdict(f"no answer within {LIMIT_S:g}s")
    finally:
        with trio.move_on_after(_GOODBYE_S, shield=True):
            await asked.aclose()


def _show(answered: int, number: int) -> None:
    """One line that is written over and over, on a terminal."""
    if sys.stderr.isatty():
        end = "\n" if answered == number else ""
        click.echo(f"\r{answered} of {number} movers have answered{end}", err=True, nl=False)
