"""The actions of the fake EC2: which parameters each has, what it does to a `World`, what it answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from netns_lab.cloud import answers
from netns_lab.cloud.rules import RefusedError
from netns_lab.cloud.world import Move, World


class Said:
    """The parameters of a request, by their names without case, as EC2 takes them.

    Args:
        said: all of them.
        known: the names of those that the action has.
    """

    def __init__(self, said: Mapping[str, str], known: Sequence[str]) -> None:
        self._said = {name.lower(): value for name, value in said.items()}
        allowed = {"action", "version", *(one.lower() for one in known)}
        for name in said:
            if name.lower().split(".")[0] not in allowed:
                raise RefusedError("UnknownParameter", f"The parameter {name} is not recognized")

    def get(self, name: str) -> str | None:
        """A value, None where it is not given."""
        return self._said.get(name.lower())

    def need(self, name: str) -> str:
        """A value that must be given."""
        if value := self.get(name):
            return value
        raise RefusedError("MissingParameter", f"The request must contain the parameter {name}")

    def flag(self, name: str, absent: str = "false") -> bool:
        """A truth value."""
        return (self.get(name) or absent).lower() == "true"

    def many(self, name: str) -> list[str]:
        """The values of a list."""
        start = f"{name.lower()}."
        return [value for key, value in self._said.items() if key.startswith(start) and key.count(".") == 1]

    def some(self, name: str) -> list[str]:
        """The values of a list that must be given."""
        if values := self.many(name):
            return values
        raise RefusedError("MissingParameter", f"The request must contain the parameter {name}")

    def filters(self) -> dict[str, list[str]]:
        """The filters: name -> values."""
        found: dict[str, list[str]] = {}
        for key, value in self._said.items():
            if key.startswith("filter.") and key.endswith(".name"):
                start = key.removesuffix("name") + "value."
                found[value] = [one for name, one in self._said.items() if name.startswith(start)]
        return found


@dataclass(frozen=True, slots=True)
class Act:
    """An action.

    Attributes:
        do: what it does to a world: the content of its answer, and what moved.
        known: its parameters; lists without their numbers.
        reads: it changes nothing.
    """

    do: Callable[[World, Said], tuple[Mapping[str, Any], list[Move]]]
    known: Sequence[str]
    reads: bool = False


def _associate(world: World, said: Said) -> tuple[Mapping[str, Any], list[Move]]:
    number, elastic = world.allocation(said.get("AllocationId"), said.get("PublicIp"))
    card = said.get("NetworkInterfaceId") or _only_card(world, said.need("InstanceId"))
    # It moves unless that is ruled out in so many words.
    again = said.flag("AllowReassociation", "true")
    moves = world.associate(number, elastic, card, said.get("PrivateIpAddress"), reassociate=again)
    return {"return": True, "associationId": elastic.association}, moves


def _only_card(world: World, instance: str) -> str:
    for machine in world.machines.values():
        if machine.id == instance:
            if len(machine.cards) > 1:
                text = (
                    f"There are multiple interfaces attached to instance '{instance}'. Please specify an interface ID"
                )
                raise RefusedError("InvalidInstanceID", f"{text} for the operation instead.")
            return machine.cards[0]
    raise RefusedError("InvalidInstanceID.NotFound", f"The instance ID '{instance}' does not exist")


def _disassociate(world: World, said: Said) -> tuple[Mapping[str, Any], list[Move]]:
    if not said.get("PublicIp"):
        said.need("AssociationId")
    return {}, world.disassociate(said.get("AssociationId"), said.get("PublicIp"))


def _assign(world: World, said: Said) -> tuple[Mapping[str, Any], list[Move]]:
    card, addresses = said.need("NetworkInterfaceId"), said.some("PrivateIpAddress")
    moves = world.assign(card, addresses, reassign=said.flag("AllowReassignment"))
    assigned = [{"privateIpAddress": one} for one in addresses]
    return {"return": True, "networkInterfaceId": card, "assignedPrivateIpAddressesSet": assigned}, moves


def _unassign(world: World, said: Said) -> tuple[Mapping[str, Any], list[Move]]:
    return {}, world.unassign(said.need("NetworkInterfaceId"), said.some("PrivateIpAddress"))


def _assign_ipv6(world: World, said: Said) -> tuple[Mapping[str, Any], list[Move]]:
    card, addresses = said.need("NetworkInterfaceId"), said.some("Ipv6Addresses")
    moves = world.assign_ipv6(card, addresses)
    return {"networkInterfaceId": card, "assignedIpv6Addresses": addresses}, moves


def _unassign_ipv6(world: World, said: Said) -> tuple[Mapping[str, Any], list[Move]]:
    card, addresses = said.need("NetworkInterfaceId"), said.some("Ipv6Addresses")
    moves = world.unassign_ipv6(card, addresses)
    return {"networkInterfaceId": card, "unassignedIpv6Addresses": addresses}, moves


def _route(world: World, said: Said, *, replace: bool) -> tuple[Mapping[str, Any], list[Move]]:
    destination = said.get("DestinationIpv6CidrBlock") or said.need("DestinationCidrBlock")
    table, card = said.need("RouteTableId"), said.need("NetworkInterfaceId")
    return {}, world.set_route(table, destination, card, replace=replace)


def _modify_card(world: World, said: Said) -> tuple[Mapping[str, Any], list[Move]]:
    world.card(said.need("NetworkInterfaceId")).checked = said.need("SourceDestCheck.Value").lower() == "true"
    return {}, []


def _addresses(world: World, said: Said) -> tuple[Mapping[str, Any], list[Move]]:
    found = answers.addresses(world, said.many("AllocationId"), said.many("PublicIp"), said.filters())
    return {"addressesSet": found}, []


def _cards(world: World, said: Said) -> tuple[Mapping[str, Any], list[Move]]:
    return {"networkInterfaceSet": answers.cards(world, said.many("NetworkInterfaceId"), said.filters())}, []


def _tables(world: World, said: Said) -> tuple[Mapping[str, Any], list[Move]]:
    return {"routeTableSet": answers.tables(world, said.many("RouteTableId"), said.filters())}, []


_ROUTE = ("RouteTableId", "DestinationCidrBlock", "DestinationIpv6CidrBlock", "NetworkInterfaceId", "DryRun")
_SECONDARY = ("NetworkInterfaceId", "PrivateIpAddress")
_IPV6 = ("NetworkInterfaceId", "Ipv6Addresses")
ACTIONS: Mapping[str, Act] = {
    "AssociateAddress": Act(
        _associate,
        (
            "AllocationId",
            "PublicIp",
            "NetworkInterfaceId",
            "InstanceId",
            "PrivateIpAddress",
            "AllowReassociation",
            "DryRun",
        ),
    ),
    "DisassociateAddress": Act(_disassociate, ("AssociationId", "PublicIp", "DryRun")),
    # Assigning and unassigning addresses have no dry run.
    "AssignPrivateIpAddresses": Act(_assign, (*_SECONDARY, "AllowReassignment")),
    "UnassignPrivateIpAddresses": Act(_unassign, _SECONDARY),
    "AssignIpv6Addresses": Act(_assign_ipv6, _IPV6),
    "UnassignIpv6Addresses": Act(_unassign_ipv6, _IPV6),
    "ReplaceRoute": Act(lambda world, said: _route(world, said, replace=True), _ROUTE),
    "CreateRoute": Act(lambda world, said: _route(world, said, replace=False), _ROUTE),
    "ModifyNetworkInterfaceAttribute": Act(_modify_card, ("NetworkInterfaceId", "SourceDestCheck", "DryRun")),
    "DescribeAddresses": Act(_addresses, ("AllocationId", "PublicIp", "Filter", "DryRun"), reads=True),
    "DescribeNetworkInterfaces": Act(_cards, ("NetworkInterfaceId", "Filter", "DryRun"), reads=True),
    "DescribeRouteTables": Act(_tables, ("RouteTableId", "Filter", "DryRun"), reads=True),
}
