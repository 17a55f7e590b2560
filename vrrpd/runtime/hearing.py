"""Does the network carry frames yet? A question asked before the first step from Backup to Active.

A card that has carrier may be deaf for half a minute (spanning tree, link aggregation), and a node that takes silence
for the death of the Active then takes the address from a healthy one. So while a router waits (`hear_first`), the peers
and the default gateways on the link are asked by ARP or neighbour solicitation every 100 ms, from the first moment; any
answer, like any accepted advertisement, ends the wait.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from ipaddress import IPv4Address

import trio

from vrrpd.errors import VrrpdError
from vrrpd.linux.announce import arp_request, neighbour_solicitation
from vrrpd.linux.netlink import KernelAddress, Link
from vrrpd.proto.settings import Address, family_of
from vrrpd.runtime.kernel import AnswerListener, Kernel

ASK_EVERY_S = 0.1


@dataclass(frozen=True, slots=True)
class Waiting:
    """One virtual router that waits.

    Attributes:
        neighbours: whom it would ask.
        waits: False once the answer no longer matters to it.
        heard: told of the answer.
    """

    neighbours: Sequence[Address]
    waits: Callable[[], bool]
    heard: Callable[[], None]


async def hear_first(
    kernel: Kernel, link: Link, source: Address, targets: Callable[[], Sequence[Address]], waiting: Sequence[Waiting]
) -> bool | None:
    """Ask until somebody answers or nobody waits any more.

    Args:
        kernel: opens the sockets.
        link: the interface to ask on.
        source: our own address there.
        targets: who is to be asked now; looked at each time.
        waiting: who waits for the answer; may grow meanwhile.

    Returns:
        Whether anybody answered: False where nobody could be asked; None where nobody waited any more.
    """
    heard: bool | None = None

    async def wait_for_answer(listener: AnswerListener, scope: trio.CancelScope) -> None:
        nonlocal heard
        while not await _answered(listener, link.mac):
            pass
        heard = True
        scope.cancel()

    with ExitStack() as sockets:
        try:
            listener = sockets.enter_context(closing(kernel.answer_listener(family_of(source), link.name)))
            frames = sockets.enter_context(closing(kernel.frame_socket(link.name)))
        except VrrpdError:  # the interface went away meanwhile: it will start anew
            return False
        async with trio.open_nursery() as nursery:
            nursery.start_soon(wait_for_answer, listener, nursery.cancel_scope)
            while any(each.waits() for each in waiting):
                for target in targets():
                    frames.send(_question(source, target, link.mac))
                await trio.sleep(ASK_EVERY_S)
            nursery.cancel_scope.cancel()
    return heard


def on_link(candidates: Iterable[Address], addresses: Sequence[KernelAddress]) -> list[Address]:
    """Those that can be asked on the link: in one of its networks, and none of our own."""
    networks = [each.address.network for each in addresses]
    own = {each.address.ip for each in addresses}
    found = [c for c in candidates if c not in own and any(c.version == n.version and c in n for n in networks)]
    return list(dict.fromkeys(found))


async def _answered(listener: AnswerListener, mac: bytes) -> bool:
    return any(answer.mac != mac for answer in await listener.receive())


def _question(source: Address, target: Address, mac: bytes) -> bytes:
    if isinstance(source, IPv4Address):
        assert isinstance(target, IPv4Address), "one family asks"
        return arp_request(source, target, mac)
    assert not isinstance(target, IPv4Address), "one family asks"
    return neighbour_solicitation(source, target, mac)
