"""Who in our subnet has which address: for the movers of private addresses, which never leave a subnet.

Owns the question (DescribeNetworkInterfaces, by address and by our own subnet: another network of the account may use
the same addresses) and the two refusals that are better said before the role comes than after: an address that no
router has, and one that is the first of its network interface and so can never move.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from vrrpd.movers.base import Holder, InvalidError, Who
from vrrpd.movers.ec2.api import filters, question
from vrrpd.movers.ec2.node import CARDS, Card, Node, card, together
from vrrpd.proto.settings import Address

IPV4: Final = "addresses.private-ip-address"
IPV6: Final = "ipv6-addresses.ipv6-address"
"""Filters of DescribeNetworkInterfaces."""


class Subnet:
    """Some addresses that move within our subnet."""

    def __init__(self, node: Node, by: str, addresses: Sequence[Address]) -> None:
        """Look at nothing yet.

        Args:
            node: this one.
            by: the filter that finds such addresses.
            addresses: what moves.
        """
        self.addresses = [str(address) for address in addresses]
        self.last: dict[str, str] = {}
        """Address -> the network interface that had it when last looked at."""
        self._node = node
        self._by = by

    async def holder(self, *, fresh: bool = False) -> Holder:
        """Who has them all, else who keeps us from that.

        Raises:
            MoverError: that cannot be found out, or they cannot move.
        """
        found = await self._cards(fresh=fresh)
        self.last = {}
        holders: list[Holder] = []
        for address in self.addresses:
            has = next((each for each in found if address in each.addresses), None)
            if has is None:
                holders.append(Holder(Who.NOBODY))
                continue
            if has.primary == address:
                raise InvalidError(f"{address} is the primary address of {has.id}, which never moves; choose another")
            self.last[address] = has.id
            holders.append(await self._node.whose_card(has))
        return together(holders)

    async def _cards(self, *, fresh: bool) -> list[Card]:
        subnet = (await self._node.own()).subnet
        wanted = question("DescribeNetworkInterfaces", filters({self._by: self.addresses, "subnet-id": [subnet]}))
        return [card(item) for item in (await self._node.api.call(wanted, fresh=fresh)).all(CARDS)]


def chosen(written: Sequence[Address] | None, shared: Sequence[Address], version: int) -> tuple[Address, ...]:
    """The addresses that move: those that are written, else the router's own of one version of IP."""
    if written is not None:
        return tuple(written)
    return tuple(address for address in shared if address.version == version and not address.is_link_local)


def require(addresses: Sequence[object], router: str, option: str, family: str) -> None:
    """Raise where there is nothing to move.

    Raises:
        InvalidError: there is not.
    """
    if not addresses:
        raise InvalidError(f"router {router} has no {family} address to move; add one, or set {option!r}")
