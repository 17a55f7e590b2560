from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import asdict
from datetime import timedelta
from typing import Any, cast

import boto3  # pyright: ignore[reportMissingTypeStubs]
import httpx2
import pytest
import trio
from botocore.config import Config  # pyright: ignore[reportMissingTypeStubs]
from trio.testing import MockClock

from netns_lab.cloud.ec2 import CONTROL, FakeEc2
from netns_lab.cloud.rules import Rule
from netns_lab.cloud.world import World
from tests.lab.clouds import Caller, caller

EIP = {"AllocationId": "eipalloc-1", "NetworkInterfaceId": "eni-11"}
OTHER = {**EIP, "NetworkInterfaceId": "eni-12"}
ROUTE = {"RouteTableId": "rtb-1", "NetworkInterfaceId": "eni-11", "DestinationCidrBlock": "10.99.0.1/32"}
VIP = "10.0.0.100"


@pytest.fixture
async def fake() -> AsyncIterator[FakeEc2]:
    async with FakeEc2(World.of(("n1", "n2"))) as served:
        yield served


@pytest.fixture
async def n1(fake: FakeEc2) -> AsyncIterator[Caller]:
    async with caller(fake) as client:
        yield client


@pytest.fixture
async def n2(fake: FakeEc2) -> AsyncIterator[Caller]:
    async with caller(fake, "n2") as client:
        yield client


def moved(fake: FakeEc2) -> list[tuple[str, str, str]]:
    return [(remap.node, remap.what, remap.holder) for remap in fake.remaps]


async def test_an_elastic_address_moves_to_whoever_asks_last(fake: FakeEc2, n1: Caller, n2: Caller) -> None:
    assert await n1("AssociateAddress", **EIP) == ""
    assert await n1.holder() == "eni-11"
    assert await n2("AssociateAddress", **OTHER) == ""
    assert await n1.holder() == "eni-12"
    assert moved(fake) == [("n1", "eipalloc-1", "n1"), ("n2", "eipalloc-1", "n2")]


async def test_the_same_again_moves_nothing_and_keeps_the_association(fake: FakeEc2, n1: Caller) -> None:
    await n1("AssociateAddress", **EIP)
    association = fake.world.elastic["eipalloc-1"].association
    assert await n1("AssociateAddress", **EIP) == ""
    assert fake.world.elastic["eipalloc-1"].association == association
    assert len(fake.remaps) == 1
    assert len(fake.requests) == 2


async def test_what_is_held_stays_where_reassociation_is_ruled_out(fake: FakeEc2, n1: Caller, n2: Caller) -> None:
    await n1("AssociateAddress", **EIP)
    assert await n2("AssociateAddress", AllowReassociation="false", **OTHER) == "Resource.AlreadyAssociated"
    assert fake.world.elastic["eipalloc-1"].card == "eni-11"


async def test_a_stale_association_frees_nothing(fake: FakeEc2, n1: Caller, n2: Caller) -> None:
    await n1("AssociateAddress", **EIP)
    stale = fake.world.elastic["eipalloc-1"].association or ""
    await n2("AssociateAddress", **OTHER)
    assert await n1("DisassociateAddress", AssociationId=stale) == ""
    assert fake.world.elastic["eipalloc-1"].card == "eni-12"
    assert await n1("DisassociateAddress", PublicIp="203.0.113.7") == ""
    assert fake.world.elastic["eipalloc-1"].card is None
    assert await n1("DisassociateAddress", AssociationId="eipassoc-9") == "InvalidAssociationID.NotFound"


async def test_an_elastic_address_travels_with_its_private_address(fake: FakeEc2, n1: Caller, n2: Caller) -> None:
    assert await n1("AssignPrivateIpAddresses", NetworkInterfaceId="eni-11", PrivateIpAddress__1=VIP) == ""
    assert await n1("AssociateAddress", PrivateIpAddress=VIP, **EIP) == ""
    taking = {"NetworkInterfaceId": "eni-12", "PrivateIpAddress__1": VIP}
    assert await n2("AssignPrivateIpAddresses", **taking) == "InvalidParameterValue"
    assert await n2("AssignPrivateIpAddresses", AllowReassignment="true", **taking) == ""
    assert await n2.holder() == "eni-12"
    assert moved(fake)[-2:] == [("n2", VIP, "n2"), ("n2", "eipalloc-1", "n2")]


async def test_primary_and_foreign_private_addresses_do_not_move(fake: FakeEc2, n1: Caller) -> None:
    everybody = {"NetworkInterfaceId": "eni-11", "AllowReassignment": "true"}
    for address in ("10.0.0.12", "192.0.2.1"):
        assert await n1("AssignPrivateIpAddresses", PrivateIpAddress__1=address, **everybody) == "InvalidParameterValue"
    for address in ("10.0.0.11", VIP):
        said = {"NetworkInterfaceId": "eni-11", "PrivateIpAddress__1": address}
        assert await n1("UnassignPrivateIpAddresses", **said) == "InvalidParameterValue"
    assert not fake.remaps


async def test_an_ipv6_address_has_to_be_let_go_before_it_is_taken(fake: FakeEc2, n1: Caller, n2: Caller) -> None:
    vip = {"Ipv6Addresses__1": "2001:db8::100"}
    assert await n1("AssignIpv6Addresses", NetworkInterfaceId="eni-11", **vip) == ""
    assert await n2("AssignIpv6Addresses", NetworkInterfaceId="eni-12", **vip) == "InvalidIPAddress.InUse"
    assert await n2("UnassignIpv6Addresses", NetworkInterfaceId="eni-11", **vip) == ""
    assert await n2("AssignIpv6Addresses", NetworkInterfaceId="eni-12", **vip) == ""
    assert fake.world.cards["eni-12"].ipv6 == ["2001:db8::100"]


async def test_a_route_is_replaced_only_where_there_is_one(fake: FakeEc2, n1: Caller) -> None:
    assert await n1("ReplaceRoute", **ROUTE) == ""
    assert await n1("ReplaceRoute", **{**ROUTE, "DestinationCidrBlock": "10.99.0.2/32"}) == "InvalidParameterValue"
    assert await n1("CreateRoute", **ROUTE) == "RouteAlreadyExists"
    assert fake.world.tables == {"rtb-1": {"10.99.0.1/32": "eni-11"}, "rtb-2": {"10.99.0.1/32": "eni-66"}}


@pytest.mark.parametrize(
    ("action", "said", "code"),
    [
        ("AssociateAddress", {**EIP, "AllocationId": "eipalloc-9"}, "InvalidAllocationID.NotFound"),
        ("AssociateAddress", {**EIP, "NetworkInterfaceId": "eni-9"}, "InvalidNetworkInterfaceID.NotFound"),
        ("AssociateAddress", {**EIP, "PrivateIpAddress": VIP}, "InvalidParameterValue"),
        ("AssociateAddress", {"AllocationId": "eipalloc-1"}, "MissingParameter"),
        ("DescribeAddresses", {"PublicIp.1": "203.0.113.70"}, "InvalidAddress.NotFound"),
        ("ReplaceRoute", {**ROUTE, "RouteTableId": "rtb-9"}, "InvalidRouteTableID.NotFound"),
        ("AssignPrivateIpAddresses", {"NetworkInterfaceId": "eni-11", "PrivateIpAddress.1": VIP, "DryRun": "true"},
         "UnknownParameter"),
        ("AssociateAdress", {}, "InvalidAction"),
    ],
)  # fmt: skip
async def test_mistakes_have_their_own_codes(n1: Caller, action: str, said: dict[str, str], code: str) -> None:
    assert await n1(action, **said) == code
    assert n1.status == 400


async def test_a_dry_run_says_whether_it_is_allowed_and_changes_nothing(fake: FakeEc2, n1: Caller) -> None:
    assert await n1("AssociateAddress", DryRun="true", **EIP) == "DryRunOperation"
    assert n1.status == 412
    fake.world.keys["KEY-n1"] = ["Describe*"]
    assert await n1("AssociateAddress", DryRun="true", **EIP) == "UnauthorizedOperation"
    assert n1.status == 403
    assert not fake.remaps
    assert fake.world.elastic["eipalloc-1"].card is None


async def test_who_asks_is_looked_at(fake: FakeEc2) -> None:
    for key, region in (("KEY-n9", "eu-west-1"), ("KEY-n1", "us-east-1")):
        async with Caller(fake.url, key, region) as wrong:
            assert await wrong("DescribeAddresses") == "AuthFailure"
            assert wrong.status == 401
    async with caller(fake) as right:
        fake.ahead = timedelta(minutes=6)
        assert await right("DescribeAddresses") == "RequestExpired"
        assert right.headers["Date"]
    async with httpx2.AsyncClient() as unsigned:
        answer = await unsigned.post(fake.url, data={"Action": "DescribeAddresses"})
        assert "MissingAuthenticationToken" in answer.text


async def test_reads_lag_behind_writes(fake: FakeEc2, n1: Caller, autojump_clock: MockClock) -> None:
    fake.lag = 3
    await n1("AssociateAddress", **EIP)
    assert await n1.holder() is None
    await trio.sleep(2.9)
    assert await n1.holder() is None
    await trio.sleep(0.2)
    assert await n1.holder() == "eni-11"


async def test_a_late_write_is_applied_though_its_caller_hung_up(fake: FakeEc2, autojump_clock: MockClock) -> None:
    fake.add(Rule("late", "AssociateAddress", "KEY-n1", n=1, delay=0.4))
    async with caller(fake) as n1, caller(fake, "n2") as n2:
        with trio.move_on_after(0.05):
            await n1("AssociateAddress", **EIP)
        assert await n2("AssociateAddress", **OTHER) == ""
        await trio.sleep(1)
    assert [remap.holder for remap in fake.remaps] == ["n2", "n1"]


async def test_a_delayed_request_is_forgotten_with_its_caller(fake: FakeEc2, autojump_clock: MockClock) -> None:
    fake.add(Rule("delay", delay=0.4))
    async with caller(fake) as n1:
        with trio.move_on_after(0.05):
            await n1("AssociateAddress", **EIP)
        await trio.sleep(1)
        assert not fake.remaps
        assert fake.requests[0].code is None
        started = trio.current_time()
        assert await n1("AssociateAddress", **EIP) == ""
        assert trio.current_time() - started == pytest.approx(0.4, abs=0.01)


async def test_a_lost_acknowledgement_was_carried_out(fake: FakeEc2, n1: Caller) -> None:
    fake.add(Rule("lost_ack", n=1))
    with pytest.raises(httpx2.RemoteProtocolError):
        await n1("AssociateAddress", **EIP)
    assert await n1.holder() == "eni-11"


async def test_a_late_acknowledgement_is_carried_out_at_once(
    fake: FakeEc2, n1: Caller, autojump_clock: MockClock
) -> None:
    fake.add(Rule("late_ack", n=1, delay=5))
    with trio.move_on_after(1) as patience:
        await n1("AssociateAddress", **EIP)
    assert patience.cancelled_caught
    assert fake.world.elastic["eipalloc-1"].card == "eni-11"


async def test_a_hanging_api_answers_nothing_and_does_nothing(
    fake: FakeEc2, n1: Caller, autojump_clock: MockClock
) -> None:
    fake.add(Rule("hang"))
    with trio.move_on_after(60) as patience:
        await n1("AssociateAddress", **EIP)
    assert patience.cancelled_caught
    assert not fake.remaps


async def test_a_throttled_caller_is_told_when_to_come_again(fake: FakeEc2, n1: Caller, n2: Caller) -> None:
    fake.add(Rule("error", "Associate*", "KEY-n1", n=1, retry_after=2))
    assert await n2("AssociateAddress", **OTHER) == ""
    assert await n1("AssociateAddress", **EIP) == "RequestLimitExceeded"
    assert (n1.status, n1.headers["Retry-After"]) == (503, "2")
    assert await n1("AssociateAddress", **EIP) == ""
    assert [asked.code for asked in fake.requests] == ["", "RequestLimitExceeded", ""]


async def test_a_thief_comes_again_and_again_until_it_is_healed(
    fake: FakeEc2, n1: Caller, autojump_clock: MockClock
) -> None:
    await n1("AssociateAddress", **EIP)
    fake.add(Rule("steal", n=3, delay=0.5))
    await trio.sleep(0.1)
    assert await n1.holder() == "eni-66"
    for _ in range(2):
        await n1("AssociateAddress", **EIP)
        await trio.sleep(0.5)
    assert [remap.node for remap in fake.remaps] == ["n1", "stranger"] * 3
    fake.add(Rule("steal", delay=0.5))
    fake.heal()
    await n1("AssociateAddress", **EIP)
    await trio.sleep(2)
    assert await n1.holder() == "eni-11"


async def test_rules_are_put_and_deleted_over_the_control_path(fake: FakeEc2, n1: Caller) -> None:
    async with httpx2.AsyncClient(base_url=fake.url) as control:
        rule = {"kind": "error", "code": "InternalError", "status": 500}
        assert (await control.put(CONTROL, json=rule)).status_code == 200
        assert await n1("AssociateAddress", **EIP) == "InternalError"
        await control.put(CONTROL, json={"lag": 5})
        assert fake.lag == 5
        await control.delete(CONTROL)
        assert await n1("AssociateAddress", **EIP) == ""
        seen = (await control.get(CONTROL)).json()
        assert World.load(seen) == fake.world
        for wrong in ({"kind": "eror"}, {"kind": "hang", "keys": "n1"}):
            answer = await control.put(CONTROL, json=wrong)
            assert answer.status_code == 400
            assert ("eror" in answer.text) or ("keys" in answer.text)


def test_a_world_survives_its_own_json() -> None:
    world = World.of(("n1", "n2"), sources={"n1": "169.254.0.11"})
    assert World.load(json.loads(json.dumps(asdict(world)))) == world


async def test_boto3_understands_every_answer(fake: FakeEc2) -> None:
    def cycle() -> list[Any]:
        ec2 = cast("Any", boto3).client(
            "ec2",
            region_name="eu-west-1",
            endpoint_url=fake.url,
            aws_access_key_id="KEY-n1",
            aws_secret_access_key="secret",
            config=Config(retries={"total_max_attempts": 1}),
        )
        card = {"NetworkInterfaceId": "eni-11"}
        ec2.assign_private_ip_addresses(PrivateIpAddresses=[VIP], AllowReassignment=True, **card)
        ec2.associate_address(AllocationId="eipalloc-1", PrivateIpAddress=VIP, AllowReassociation=True, **card)
        ec2.assign_ipv6_addresses(Ipv6Addresses=["2001:db8::100"], **card)
        ec2.modify_network_interface_attribute(SourceDestCheck={"Value": False}, **card)
        ec2.replace_route(RouteTableId="rtb-1", DestinationCidrBlock="10.99.0.1/32", **card)
        filters = [{"Name": "association-id", "Values": ["eipassoc-1"]}]
        (address,) = ec2.describe_addresses(Filters=filters)["Addresses"]
        (shown,) = ec2.describe_network_interfaces(NetworkInterfaceIds=["eni-11"])["NetworkInterfaces"]
        (table,) = ec2.describe_route_tables(RouteTableIds=["rtb-1"])["RouteTables"]
        ec2.close()
        return [address, shown, table]

    address, card, table = await trio.to_thread.run_sync(cycle)
    assert (address["NetworkInterfaceId"], address["PrivateIpAddress"]) == ("eni-11", VIP)
    assert [one["PrivateIpAddress"] for one in card["PrivateIpAddresses"]] == ["10.0.0.11", VIP]
    assert card["PrivateIpAddresses"][1]["Association"]["PublicIp"] == "203.0.113.7"
    assert [one["Ipv6Address"] for one in card["Ipv6Addresses"]] == ["2001:db8::100"]
    assert card["SourceDestCheck"] is False
    assert table["Routes"][0]["NetworkInterfaceId"] == "eni-11"
    assert fake.requests[-1].node == "n1"
