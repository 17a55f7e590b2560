"""The movers of EC2, on the fake one."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

from netns_lab.cloud.ec2 import FakeEc2
from netns_lab.cloud.rules import Rule
from netns_lab.cloud.world import World
from tests.movers.ec2_nodes import Cloud
from tests.movers.stage import Cell, Desk, Fault, Stage
from vrrpd.movers.base import Who

EIP, VIP, VIP6, FAR = "eipalloc-1", "10.0.0.100", "2001:db8::100", "10.99.0.1/32"
SECRET = "secret-key-of-this-node"
_KEYS = ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")

RULES: Mapping[Fault, Rule] = {
    Fault.UNAVAILABLE: Rule("error", status=503, code="ServiceUnavailable"),
    Fault.THROTTLED: Rule("error", status=503, code="RequestLimitExceeded"),
    Fault.FORBIDDEN: Rule("error", status=403, code="UnauthorizedOperation"),
    Fault.UNAUTHENTICATED: Rule("error", status=401, code="AuthFailure"),
    Fault.CUT: Rule("lost_ack"),
    Fault.SILENT: Rule("hang"),
}


def _elastic(world: World, card: str | None) -> None:
    if card is None:
        world.disassociate(None, "203.0.113.7")
    else:
        world.associate(EIP, world.elastic[EIP], card, None, reassociate=True)


def _private(world: World, card: str | None) -> None:
    if card is None:
        holder = next((name for name, one in world.cards.items() if VIP in one.private), None)
        if holder:
            world.unassign(holder, [VIP])
    else:
        world.assign(card, [VIP], reassign=True)


def _ipv6(world: World, card: str | None) -> None:
    for name, one in world.cards.items():
        if VIP6 in one.ipv6:
            world.unassign_ipv6(name, [VIP6])
    if card is not None:
        world.assign_ipv6(card, [VIP6])


def _route(world: World, card: str | None) -> None:
    assert card is not None, "a route always has a holder"
    world.set_route("rtb-1", FAR, card, replace=True)


def _cell(
    kind: str, options: dict[str, Any], hand: Callable[[World, str | None], None], *, nobody: bool = True
) -> Cell:
    @asynccontextmanager
    async def cell(desk: Desk) -> AsyncGenerator[Stage]:
        for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
            desk.patch.setenv(name, str(desk.folder / "none"))
        for name in _KEYS:
            desk.patch.delenv(name, raising=False)
        async with FakeEc2(World.of(("n1", "n2"))) as fake:
            world = fake.world
            for card in ("eni-11", "eni-12"):
                world.cards[card].checked = False
            cloud = Cloud(fake, desk.patch)
            cloud.act_as("n1", SECRET)
            give = {Who.PEER: lambda: hand(world, "eni-12"), Who.FOREIGN: lambda: hand(world, "eni-66")}
            if nobody:
                give[Who.NOBODY] = lambda: hand(world, None)
            yield Stage(
                cloud.make(kind, **options),
                asked=lambda: cloud.actions,
                changes=lambda: cloud.changes,
                give=give,
                faults={fault: lambda rule=rule: fake.add(rule) for fault, rule in RULES.items()},
                secrets=(SECRET,),
            )
            for mover in cloud.made:
                await mover.aclose()

    return cell


CELLS = {
    "ec2-elastic-ip": _cell("ec2-elastic-ip", {"allocation_id": EIP}, _elastic),
    "ec2-private-ip": _cell("ec2-private-ip", {"private_ip": VIP}, _private),
    "ec2-ipv6": _cell("ec2-ipv6", {"ipv6_address": VIP6}, _ipv6),
    "ec2-route": _cell("ec2-route", {"route_table_ids": ["rtb-1"], "destination": FAR}, _route, nobody=False),
}
