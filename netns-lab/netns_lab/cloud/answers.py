"""What EC2 says, in its XML: the tables of a `World` as its Describe actions show them, and how it refuses."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from ipaddress import ip_network
from itertools import count
from typing import Any, TypeAlias, cast
from xml.sax.saxutils import escape

from netns_lab.cloud.rules import RefusedError
from netns_lab.cloud.server import Answer
from netns_lab.cloud.world import Card, Elastic, World

Item: TypeAlias = "Mapping[str, Any]"
Filters: TypeAlias = Mapping[str, Sequence[str]]

OWNER = "123456789012"
_NAMESPACE = "http://ec2.amazonaws.com/doc/2016-11-15/"
_TYPE = {"Content-Type": "text/xml;charset=UTF-8"}
_numbers = count(1)


def _request_id() -> str:
    return f"00000000-0000-4000-8000-{next(_numbers):012d}"


def answer(action: str, said: Item) -> Answer:
    """A good answer: `return` true where there is nothing else to say."""
    body = _xml({"requestId": _request_id(), **(said or {"return": True})})
    whole = f'<?xml version="1.0" encoding="UTF-8"?>\n<{action}Response xmlns="{_NAMESPACE}">{body}</{action}Response>'
    return Answer(200, whole.encode(), _TYPE)


def refusal(refused: RefusedError) -> Answer:
    """A refusal."""
    error = _xml({"Errors": {"Error": {"Code": refused.code, "Message": str(refused)}}, "RequestID": _request_id()})
    body = f'<?xml version="1.0" encoding="UTF-8"?>\n<Response>{error}</Response>'
    later = {} if refused.retry_after is None else {"Retry-After": f"{refused.retry_after:g}"}
    return Answer(refused.status, body.encode(), {**_TYPE, **later})


def _xml(value: Any) -> str:
    """Mappings become elements, lists `item`s, None nothing at all."""
    if isinstance(value, Mapping):
        named = cast("Item", value)
        return "".join(f"<{name}>{_xml(one)}</{name}>" for name, one in named.items() if one is not None)
    if isinstance(value, list):
        return "".join(f"<item>{_xml(one)}</item>" for one in cast("list[Any]", value))
    return escape(str(value).lower() if isinstance(value, bool) else str(value))


def addresses(world: World, ids: Sequence[str], public: Sequence[str], filters: Filters) -> list[Item]:
    """The elastic addresses that were asked for; all of them where nothing was."""
    wanted = {world.allocation(one, None)[0] for one in ids} | {world.allocation(None, one)[0] for one in public}
    shown = {number: elastic for number, elastic in world.elastic.items() if number in wanted or not (ids or public)}
    return [_address(world, *one) for one in shown.items() if _passes(filters, _ADDRESS_FILTERS, *one)]


def _address(world: World, number: str, elastic: Elastic) -> Item:
    machine = world.machine_of(elastic.card)
    return {
        "publicIp": elastic.public,
        "allocationId": number,
        "domain": "vpc",
        "associationId": elastic.association,
        "instanceId": machine[1].id if machine else None,
        "networkInterfaceId": elastic.card,
        "networkInterfaceOwnerId": OWNER if elastic.card else None,
        "privateIpAddress": elastic.private,
        "publicIpv4Pool": "amazon",
        "networkBorderGroup": world.region,
    }


def cards(world: World, ids: Sequence[str], filters: Filters) -> list[Item]:
    """The network interfaces that were asked for; all of them where nothing was."""
    shown = {one: world.card(one) for one in ids} if ids else world.cards
    passed = {number: card for number, card in shown.items() if _passes(filters, _CARD_FILTERS, number, card)}
    return [_card(world, number, card) for number, card in passed.items()]


def _card(world: World, number: str, card: Card) -> Item:
    associations = {one.private: _association(id_, one) for id_, one in world.elastic.items() if one.card == number}
    machine = world.machine_of(number)
    private = [
        {"privateIpAddress": one, "primary": one == card.private[0], "association": associations.get(one)}
        for one in card.private
    ]
    return {
        "networkInterfaceId": number,
        "subnetId": card.subnet,
        "vpcId": "vpc-1",
        "availabilityZone": world.subnets[card.subnet].zone,
        "ownerId": OWNER,
        "status": "in-use" if machine else "available",
        "macAddress": card.mac,
        "privateIpAddress": card.private[0],
        "sourceDestCheck": card.checked,
        "attachment": {"instanceId": machine[1].id, "status": "attached"} if machine else None,
        "association": associations.get(card.private[0]),
        "privateIpAddressesSet": private,
        "ipv6AddressesSet": [{"ipv6Address": one} for one in card.ipv6],
        "interfaceType": "interface",
    }


def _association(number: str, elastic: Elastic) -> Item:
    return {
        "publicIp": elastic.public,
        "ipOwnerId": OWNER,
        "allocationId": number,
        "associationId": elastic.association,
    }


def tables(world: World, ids: Sequence[str], filters: Filters) -> list[Item]:
    """The route tables that were asked for; all of them where nothing was."""
    shown = {one: world.table(one) for one in ids} if ids else world.tables
    return [_table(world, *one) for one in shown.items() if _passes(filters, _TABLE_FILTERS, *one)]


def _table(world: World, number: str, routes: Mapping[str, str]) -> Item:
    return {
        "routeTableId": number,
        "vpcId": "vpc-1",
        "ownerId": OWNER,
        "routeSet": [_route(world, *one) for one in routes.items()],
        "associationSet": [],
    }


def _route(world: World, destination: str, card: str) -> Item:
    machine = world.machine_of(card)
    block = "destinationIpv6CidrBlock" if ip_network(destination).version == 6 else "destinationCidrBlock"
    return {
        block: destination,
        "instanceId": machine[1].id if machine else None,
        "instanceOwnerId": OWNER if machine else None,
        "networkInterfaceId": card,
        "origin": "CreateRoute",
        # A route to a card that is in no machine drops what it is given.
        "state": "active" if machine else "blackhole",
    }


def _passes(filters: Filters, known: Mapping[str, Callable[[str, Any], Iterable[str | None]]], *one: Any) -> bool:
    """Whether something is what all filters ask for."""
    for name in filters:
        if name not in known:
            raise RefusedError("InvalidParameterValue", f"The filter '{name}' is invalid")
    return all(set(values) & set(known[name](*one)) for name, values in filters.items())


_ADDRESS_FILTERS: Mapping[str, Callable[[str, Elastic], Iterable[str | None]]] = {
    "allocation-id": lambda number, _: [number],
    "association-id": lambda _, elastic: [elastic.association],
    "network-interface-id": lambda _, elastic: [elastic.card],
    "private-ip-address": lambda _, elastic: [elastic.private],
    "public-ip": lambda _, elastic: [elastic.public],
}
_CARD_FILTERS: Mapping[str, Callable[[str, Card], Iterable[str | None]]] = {
    "addresses.private-ip-address": lambda _, card: card.private,
    "private-ip-address": lambda _, card: card.private[:1],
    "ipv6-addresses.ipv6-address": lambda _, card: card.ipv6,
    "mac-address": lambda _, card: [card.mac],
    "network-interface-id": lambda number, _: [number],
    "subnet-id": lambda _, card: [card.subnet],
}
_TABLE_FILTERS: Mapping[str, Callable[[str, Mapping[str, str]], Iterable[str | None]]] = {
    "route-table-id": lambda number, _: [number],
    "route.destination-cidr-block": lambda _, routes: routes,
}
