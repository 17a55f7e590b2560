"""The mover `ec2-route`, against the fake EC2."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from ipaddress import IPv4Address, IPv6Address
from typing import Any

import pytest
import trio
from pydantic import ValidationError

from netns_lab.cloud.rules import Rule
from tests.movers.ec2_nodes import Cloud, seen
from vrrpd.movers.base import ForbiddenError, InvalidError, OutcomeUnknownError, ThrottledError, Who
from vrrpd.movers.ec2.api import Tree
from vrrpd.movers.registry import KINDS

KIND = "ec2-route"
VIP = "10.99.0.1/32"
BOTH: dict[str, Any] = {"route_table_ids": ["rtb-1", "rtb-2"], "destination": VIP}


@pytest.fixture
async def unchecked(ec2: Cloud) -> Cloud:
    """The nodes' network interfaces let through what is for other addresses."""
    for card in ("eni-11", "eni-12"):
        ec2.fake.world.cards[card].checked = False
    return ec2


async def test_all_tables_are_moved_at_once_each_on_a_connection_that_was_open(unchecked: Cloud) -> None:
    mover = await unchecked.ready(KIND, **BOTH)
    before = {one.connection for one in unchecked.fake.requests}
    unchecked.fake.requests.clear()
    unchecked.fake.add(Rule("delay", "ReplaceRoute", delay=0.05))
    await mover.acquire(None)
    assert unchecked.actions == ["ReplaceRoute", "ReplaceRoute"]
    first, second = unchecked.fake.requests
    assert second.t - first.t < 0.05  # the second did not wait for the first
    assert {first.connection, second.connection} <= before
    assert unchecked.fake.world.tables == {"rtb-1": {VIP: "eni-11"}, "rtb-2": {VIP: "eni-11"}}
    assert (await mover.holder()).who is Who.ME


async def test_getting_ready_changes_nothing_and_tries_each_change(unchecked: Cloud) -> None:
    mover = await unchecked.ready(KIND, **BOTH)
    await mover.prepare()
    assert unchecked.changes == []
    tried = [one.parameters["RouteTableId"] for one in unchecked.fake.requests if "DryRun" in one.parameters]
    assert tried == ["rtb-1", "rtb-2"]
    assert seen(await mover.holder()) == ("foreign", "eni-66", None)


async def test_another_node_is_known_by_its_private_address(unchecked: Cloud) -> None:
    first = await unchecked.ready(KIND, **BOTH)
    second = await unchecked.ready(KIND, "n2", **BOTH)
    await first.acquire(None)
    assert seen(await second.holder()) == ("peer", "eni-11", "n1")


async def test_some_tables_are_not_enough(unchecked: Cloud) -> None:
    mover = await unchecked.ready(KIND, **BOTH)
    unchecked.fake.add(Rule("error", "ReplaceRoute", n=1))
    with pytest.raises(ThrottledError):
        await mover.acquire(None)
    assert sorted(routes[VIP] for routes in unchecked.fake.world.tables.values()) == ["eni-11", "eni-66"]
    assert seen(await mover.holder()) == ("foreign", "eni-66", None)
    await mover.acquire(None)
    assert (await mover.holder()).who is Who.ME


async def test_of_several_failures_the_unknown_outcome_counts(unchecked: Cloud) -> None:
    mover = await unchecked.ready(KIND, **BOTH)
    unchecked.fake.add(Rule("error", "ReplaceRoute", n=1, code="InvalidParameterValue", status=400))
    unchecked.fake.add(Rule("lost_ack", "ReplaceRoute", n=1))
    with pytest.raises(OutcomeUnknownError):
        await mover.acquire(None)


async def test_one_table_and_an_ipv6_destination_will_do(unchecked: Cloud) -> None:
    unchecked.fake.world.tables["rtb-1"]["2001:db8:9::1/128"] = "eni-66"
    mover = await unchecked.ready(KIND, route_table_ids="rtb-1", destination="2001:DB8:9::1")
    await mover.acquire(None)
    assert unchecked.fake.world.tables["rtb-1"] == {VIP: "eni-66", "2001:db8:9::1/128": "eni-11"}
    assert (await mover.holder()).who is Who.ME
    assert await mover.local_verify() is None


async def test_a_card_that_drops_what_is_for_others_is_said_to_with_the_command_that_mends_it(unchecked: Cloud) -> None:
    unchecked.fake.world.cards["eni-11"].checked = True
    mover = unchecked.make(KIND, **BOTH)
    with pytest.raises(InvalidError, match=r"eni-11 drops .*; switch that off: aws ec2 modify-network-interface"):
        await mover.prepare()
    unchecked.fake.world.cards["eni-11"].checked = False
    await mover.prepare()


async def test_a_table_without_the_route_is_said_to_be_with_the_command_that_makes_it(unchecked: Cloud) -> None:
    del unchecked.fake.world.tables["rtb-2"][VIP]
    with pytest.raises(InvalidError) as raised:
        await unchecked.ready(KIND, **BOTH)
    assert str(raised.value) == (
        "rtb-2 has no route to 10.99.0.1/32; create it once: aws ec2 create-route --route-table-id rtb-2 "
        "--network-interface-id eni-11 --destination-cidr-block 10.99.0.1/32"
    )


async def test_a_table_with_as_many_routes_as_there_can_be_is_read(unchecked: Cloud) -> None:
    routes = {f"10.{number // 256}.{number % 256}.0/24": "eni-66" for number in range(1000)}
    unchecked.fake.world.tables["rtb-1"] = {**routes, VIP: "eni-12"}
    mover = await unchecked.ready(KIND, route_table_ids=["rtb-1"], destination=VIP)
    assert seen(await mover.holder()) == ("peer", "eni-12", "n2")


async def test_an_unknown_table_is_named(unchecked: Cloud) -> None:
    with pytest.raises(InvalidError, match=r"'rtb-9' does not exist .*; correct 'route_table_ids' or 'region'"):
        await unchecked.ready(KIND, route_table_ids=["rtb-1", "rtb-9"], destination=VIP)


async def test_a_missing_right_is_named_before_it_is_needed(unchecked: Cloud) -> None:
    unchecked.fake.world.keys["KEY-n1"] = ["DescribeNetworkInterfaces", "DescribeRouteTables"]
    with pytest.raises(ForbiddenError, match=r"allow ec2:ReplaceRoute"):
        await unchecked.ready(KIND, **BOTH)
    assert unchecked.changes == []


@pytest.mark.parametrize(
    ("destination", "addresses"),
    [
        (VIP, [IPv4Address("10.99.0.1")]),
        ("10.99.0.1", [IPv4Address("10.99.0.1")]),
        ("2001:db8:9::1/128", [IPv6Address("2001:db8:9::1")]),
        ("0.0.0.0/0", []),
    ],
)
def test_a_destination_of_one_address_is_put_on_the_system(destination: str, addresses: list[object]) -> None:
    kind = KINDS[KIND]
    options = kind.options.validate_python({"route_table_ids": ["rtb-1"], "destination": destination})
    assert list(kind.addresses(options)) == addresses


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({**BOTH, "destination": "10.99.0.1/24"}, "is no destination of a route; clear the bits behind the prefix"),
        ({**BOTH, "destination": "web"}, "'web' is no destination of a route; write one such as 10.9.9.9/32"),
        ({**BOTH, "route_table_ids": ["eni-1"]}, "'eni-1' is no id of a route table; write one such as rtb-"),
        ({**BOTH, "takeover": "compare"}, "EC2 can move this on no condition; leave 'takeover' out"),
        ({**BOTH, "release": "on_stop"}, "a route can only be replaced, whoever has it; leave 'release' out"),
    ],
)
def test_mistakes_are_said_in_plain_words(options: dict[str, object], complaint: str) -> None:
    with pytest.raises(ValidationError) as raised:
        KINDS[KIND].options.validate_python(options)
    (error,) = raised.value.errors()
    assert complaint in error["msg"]


async def test_a_long_table_lets_others_run_while_it_is_looked_through(
    unchecked: Cloud, nursery: trio.Nursery, monkeypatch: pytest.MonkeyPatch
) -> None:
    mover = await unchecked.ready(KIND, route_table_ids=["rtb-1"], destination=VIP)
    item = "<item><destinationCidrBlock>{}</destinationCidrBlock><networkInterfaceId>eni-11</networkInterfaceId></item>"
    routes = "".join(item.format(f"10.{n // 250}.{n % 250}.0/24") for n in range(1000)) + item.format(VIP)
    text = f"<r><routeTableSet><item><routeSet>{routes}</routeSet></item></routeTableSet></r>"
    table = Tree(ET.fromstring(text))
    turns = 0

    async def others() -> None:
        nonlocal turns
        while True:
            await trio.lowlevel.checkpoint()
            turns += 1

    async def call(*_: object, **__: object) -> Tree:
        return table

    monkeypatch.setattr("vrrpd.movers.ec2.api.Api.call", call)
    nursery.start_soon(others)
    assert (await mover.holder()).who is Who.ME
    assert turns >= 15
    nursery.cancel_scope.cancel()
