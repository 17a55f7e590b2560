"""The tables of the fake EC2: who has which address, and what each action changes in them.

Every action checks first and changes afterwards, so that a refused one has changed nothing. What moves is told once,
as a `Move`, by what the action does, however it was asked for.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import ip_address, ip_network
from typing import Any, Self, cast

from netns_lab.cloud.rules import RefusedError


@dataclass(frozen=True, slots=True)
class Move:
    """Something that another card has from now on.

    Attributes:
        what: id of an allocation, an address, or `TABLE DESTINATION`.
        card: who has it now; None: nobody.
        before: who had it.
    """

    what: str
    card: str | None
    before: str | None


@dataclass(slots=True)
class Subnet:
    """A network of addresses in one zone."""

    zone: str
    ipv4: str
    ipv6: str


@dataclass(slots=True)
class Card:
    """A network interface.

    Attributes:
        mac: lower case.
        subnet: id of its subnet.
        private: its private addresses, the primary first.
        ipv6: its IPv6 addresses.
        checked: whether packets for addresses that are not its own are dropped (SourceDestCheck).
    """

    mac: str
    subnet: str
    private: list[str]
    ipv6: list[str] = field(default_factory=list[str])
    checked: bool = True


@dataclass(slots=True)
class Machine:
    """An instance.

    Attributes:
        id: i-...
        cards: ids of its network interfaces.
        source: the address from which it asks the metadata service, where that tells it apart; else "".
        key: the access key that its role hands out, and that it is known by.
        hops: how many hops away from the metadata service its programs are; 2 in a container.
        hop_limit: how many hops an answer to a token request lives.
    """

    id: str
    cards: list[str]
    source: str = ""
    key: str = ""
    hops: int = 1
    hop_limit: int = 1


@dataclass(slots=True)
class Elastic:
    """An elastic address, and what it is associated with."""

    public: str
    association: str | None = None
    card: str | None = None
    private: str | None = None


@dataclass(slots=True)
class World:
    """All there is in one account and region.

    Attributes:
        region: its name.
        subnets: by id.
        machines: by the name that the lab calls them; those of others as well.
        cards: by id.
        elastic: by the id of their allocation.
        tables: route tables by id: destination -> id of a card.
        keys: access key -> the actions that it may do, `*` for all.
        associations: how many there ever were.
    """

    region: str = "eu-west-1"
    subnets: dict[str, Subnet] = field(default_factory=dict[str, Subnet])
    machines: dict[str, Machine] = field(default_factory=dict[str, Machine])
    cards: dict[str, Card] = field(default_factory=dict[str, Card])
    elastic: dict[str, Elastic] = field(default_factory=dict[str, Elastic])
    tables: dict[str, dict[str, str]] = field(default_factory=dict[str, dict[str, str]])
    keys: dict[str, list[str]] = field(default_factory=dict[str, list[str]])
    associations: int = 0

    @classmethod
    def of(cls, nodes: Sequence[str], *, network: str = "10.0.0", sources: Mapping[str, str] | None = None) -> Self:
        """A world with a machine for each node, a stranger, and one of everything that can move.

        The first node is 10.0.0.11 with the card eni-11, and so on; the stranger's card is eni-66. There are
        eipalloc-1 (203.0.113.7) and the route tables rtb-1 and rtb-2 with a route to 10.99.0.1/32 by eni-66. The
        access key of n1 is KEY-n1.

        Args:
            nodes: names of the nodes.
            network: the first three parts of private addresses.
            sources: the addresses from which nodes ask the metadata service.
        """
        world = cls()
        world.subnets["subnet-1"] = Subnet("eu-west-1a", f"{network}.0/24", "2001:db8::/64")
        for number, name in [*enumerate(nodes, start=11), (66, "stranger")]:
            card = f"eni-{number}"
            world.cards[card] = Card(f"02:88:00:00:00:{number:02x}", "subnet-1", [f"{network}.{number}"])
            key = f"KEY-{name}"
            world.machines[name] = Machine(f"i-{number}", [card], (sources or {}).get(name, ""), key)
            world.keys[key] = ["*"]
        world.elastic["eipalloc-1"] = Elastic("203.0.113.7")
        world.tables = {table: {"10.99.0.1/32": "eni-66"} for table in ("rtb-1", "rtb-2")}
        return world

    @classmethod
    def load(cls, said: Mapping[str, Any]) -> Self:
        """A world from plain values; what is written by `dataclasses.asdict` comes back as it was."""
        kinds = {"subnets": Subnet, "machines": Machine, "cards": Card, "elastic": Elastic}
        plain = {name: value for name, value in said.items() if name not in kinds}
        made = {
            name: {key: kind(**one) for key, one in cast("Mapping[str, Any]", said.get(name, {})).items()}
            for name, kind in kinds.items()
        }
        return cls(**plain, **cast("Any", made))

    def machine_of(self, card: str | None) -> tuple[str, Machine] | None:
        """Name and machine that a card is in; None for none."""
        return next(((name, machine) for name, machine in self.machines.items() if card in machine.cards), None)

    def name_of(self, card: str | None) -> str:
        """What the lab calls the machine that a card is in; the card's id where it is in none, "" for no card."""
        found = self.machine_of(card)
        return found[0] if found else card or ""

    def card(self, number: str) -> Card:
        """A card by its id."""
        if number not in self.cards:
            raise RefusedError(
                "InvalidNetworkInterfaceID.NotFound", f"The networkInterface ID '{number}' does not exist"
            )
        return self.cards[number]

    def allocation(self, allocation: str | None, public: str | None) -> tuple[str, Elastic]:
        """Id and state of an elastic address, found by its id or by the address."""
        if allocation:
            if allocation not in self.elastic:
                text = f"The allocation ID '{allocation}' does not exist"
                raise RefusedError("InvalidAllocationID.NotFound", text)
            return allocation, self.elastic[allocation]
        for number, elastic in self.elastic.items():
            if elastic.public == public:
                return number, elastic
        raise RefusedError("InvalidAddress.NotFound", f"Address '{public}' not found.")

    def associate(
        self, number: str, elastic: Elastic, card: str, private: str | None, *, reassociate: bool
    ) -> list[Move]:
        """Associate an elastic address with a private address of a card.

        Args:
            number: id of its allocation.
            elastic: it.
            card: id of the card.
            private: which of the card's; None for the primary.
            reassociate: take it from whoever has it, and let the private address's own go.
        """
        private = private or self.card(card).private[0]
        if private not in self.card(card).private:
            text = f"Value ({private}) for parameter privateIpAddress is invalid. It is not assigned to {card}"
            raise RefusedError("InvalidParameterValue", text)
        if (elastic.card, elastic.private) == (card, private):
            return []
        others = {id_: one for id_, one in self.elastic.items() if (one.card, one.private) == (card, private)}
        if not reassociate and (elastic.card or others):
            held = elastic.association or next(iter(others.values())).association
            text = f"resource {number} is already associated with associate-id {held}"
            raise RefusedError("Resource.AlreadyAssociated", text)
        moves = [self._free(id_, one) for id_, one in others.items()]
        before = elastic.card
        self.associations += 1
        elastic.association = f"eipassoc-{self.associations}"
        elastic.card, elastic.private = card, private
        return [*moves, Move(number, card, before)]

    def disassociate(self, association: str | None, public: str | None) -> list[Move]:
        """Free an elastic address: that of an association, or whoever has the public address."""
        if public and not association:
            number, elastic = self.allocation(None, public)
            return [self._free(number, elastic)] if elastic.card else []
        for number, elastic in self.elastic.items():
            if elastic.association == association:
                return [self._free(number, elastic)]
        known = range(1, self.associations + 1)
        if association in {f"eipassoc-{one}" for one in known}:
            return []  # repeating it is no error
        raise RefusedError("InvalidAssociationID.NotFound", f"The association ID '{association}' does not exist")

    def _free(self, number: str, elastic: Elastic) -> Move:
        before, elastic.card = elastic.card, None
        elastic.association = elastic.private = None
        return Move(number, None, before)

    def assign(self, card: str, addresses: Sequence[str], *, reassign: bool) -> list[Move]:
        """Give a card secondary private addresses; elastic addresses associated with them travel along."""
        own = self.card(card)
        network = ip_network(self.subnets[own.subnet].ipv4)
        for address in addresses:
            if ip_address(address) not in network:
                text = f"Address does not fall within the subnet's address range: {address}"
                raise RefusedError("InvalidParameterValue", text)
            holder = self._holder(address)
            if holder not in {None, card} and (not reassign or self.cards[holder or ""].private[0] == address):
                text = f"Some of [{address}] addresses are assigned, but move is not allowed."
                raise RefusedError("InvalidParameterValue", text)
        return [move for address in addresses for move in self._assign(card, address)]

    def _assign(self, card: str, address: str) -> list[Move]:
        before = self._holder(address)
        if before == card:
            return []
        if before is not None:
            self.cards[before].private.remove(address)
        self.cards[card].private.append(address)
        moves = [Move(address, card, before)]
        for number, elastic in self.elastic.items():
            if elastic.private == address and elastic.card == before is not None:
                elastic.card = card
                moves.append(Move(number, card, before))
        return moves

    def _holder(self, address: str) -> str | None:
        return next((number for number, card in self.cards.items() if address in card.private), None)

    def unassign(self, card: str, addresses: Sequence[str]) -> list[Move]:
        """Take secondary private addresses from a card, and the elastic addresses that are associated with them."""
        own = self.card(card)
        for address in addresses:
            if address not in own.private:
                text = f"Some of the specified addresses are not assigned to interface {card}"
                raise RefusedError("InvalidParameterValue", text)
            if address == own.private[0]:
                raise RefusedError("InvalidParameterValue", f"{address} is the primary address of interface {card}")
        moves: list[Move] = []
        for address in addresses:
            own.private.remove(address)
            held = [(n, one) for n, one in self.elastic.items() if (one.card, one.private) == (card, address)]
            moves += [Move(address, None, card), *(self._free(*one) for one in held)]
        return moves

    def assign_ipv6(self, card: str, addresses: Sequence[str]) -> list[Move]:
        """Give a card IPv6 addresses that nobody has."""
        own = self.card(card)
        network = ip_network(self.subnets[own.subnet].ipv6)
        for address in addresses:
            if ip_address(address) not in network:
                text = f"{address} does not fall within the subnet's IPv6 address range"
                raise RefusedError("InvalidParameterValue", text)
            if any(address in other.ipv6 for other in self.cards.values() if other is not own):
                raise RefusedError("InvalidIPAddress.InUse", f"The address {address} is in use")
        new = [address for address in addresses if address not in own.ipv6]
        own.ipv6 += new
        return [Move(address, card, None) for address in new]

    def unassign_ipv6(self, card: str, addresses: Sequence[str]) -> list[Move]:
        """Take IPv6 addresses from a card."""
        own = self.card(card)
        for address in addresses:
            if address not in own.ipv6:
                raise RefusedError("InvalidParameterValue", f"{address} is not assigned to interface {card}")
        for address in addresses:
            own.ipv6.remove(address)
        return [Move(address, None, card) for address in addresses]

    def table(self, number: str) -> dict[str, str]:
        """A route table by its id."""
        if number not in self.tables:
            raise RefusedError("InvalidRouteTableID.NotFound", f"The routeTable ID '{number}' does not exist")
        return self.tables[number]

    def set_route(self, table: str, destination: str, card: str, *, replace: bool) -> list[Move]:
        """Point a route at a card: one that is there (`replace`), or a new one."""
        routes = self.table(table)
        self.card(card)
        before = routes.get(destination)
        if replace and before is None:
            text = f"There is no route defined for '{destination}' in the route table. Use CreateRoute instead."
            raise RefusedError("InvalidParameterValue", text)
        if not replace and before is not None:
            raise RefusedError("RouteAlreadyExists", f"The route identified by {destination} already exists.")
        routes[destination] = card
        return [] if before == card else [Move(f"{table} {destination}", card, before)]
