"""The mover `ec2-ipv6`, against the fake EC2."""

from __future__ import annotations

from ipaddress import IPv6Address
from typing import Any

import pytest
from pydantic import ValidationError

from netns_lab.cloud.rules import Rule
from tests.movers.ec2_nodes import Cloud, host, seen
from vrrpd.movers.base import ForbiddenError, HalfDoneError, InvalidError, OutcomeUnknownError, Who
from vrrpd.movers.registry import KINDS

KIND = "ec2-ipv6"
VIP: dict[str, Any] = {"ipv6_address": "2001:db8::100"}


async def test_a_free_one_is_brought_here_by_one_call(ec2: Cloud) -> None:
    mover = await ec2.ready(KIND, **VIP)
    assert ec2.changes == []
    ec2.fake.requests.clear()
    await mover.acquire(None)
    assert ec2.actions == ["AssignIpv6Addresses"]
    assert ec2.fake.world.cards["eni-11"].ipv6 == ["2001:db8::100"]
    assert seen(await mover.holder()) == ("me", "eni-11", None)


async def test_it_is_taken_off_who_had_it_at_the_last_look_and_nothing_is_asked_before(ec2: Cloud) -> None:
    first = await ec2.ready(KIND, **VIP)
    await first.acquire(None)
    second = await ec2.ready(KIND, "n2", **VIP)
    assert seen(await second.holder()) == ("peer", "eni-11", "n1")
    ec2.fake.requests.clear()
    await second.acquire(None)
    assert ec2.actions == ["UnassignIpv6Addresses", "AssignIpv6Addresses"]
    assert ec2.fake.world.cards["eni-12"].ipv6 == ["2001:db8::100"]


async def test_what_is_with_nobody_because_of_us_is_tried_for_again_whatever_is_wrong(ec2: Cloud) -> None:
    first = await ec2.ready(KIND, **VIP)
    await first.acquire(None)
    second = await ec2.ready(KIND, "n2", **VIP)
    await second.holder()
    ec2.fake.add(Rule("error", "AssignIpv6*", n=3, status=400, code="PrivateIpAddressLimitExceeded"))
    for _ in range(2):
        with pytest.raises(HalfDoneError, match="nobody has it"):
            await second.acquire(None)
    await second.acquire(None)
    assert ec2.fake.world.cards["eni-12"].ipv6 == ["2001:db8::100"]


async def test_whoever_has_taken_it_since_the_last_look_is_looked_for_then(ec2: Cloud) -> None:
    second = await ec2.ready(KIND, "n2", **VIP)
    first = await ec2.ready(KIND, **VIP)
    await first.acquire(None)
    ec2.fake.requests.clear()
    await second.acquire(None)
    assert ec2.actions[:2] == ["AssignIpv6Addresses", "DescribeNetworkInterfaces"]
    assert ec2.fake.world.cards["eni-12"].ipv6 == ["2001:db8::100"]


async def test_who_has_let_go_of_it_since_the_last_look_is_no_obstacle(ec2: Cloud) -> None:
    ec2.fake.world.assign_ipv6("eni-66", ["2001:db8::100"])
    mover = await ec2.ready(KIND, **VIP)
    ec2.fake.world.unassign_ipv6("eni-66", ["2001:db8::100"])
    await mover.acquire(None)
    assert (await mover.holder()).who is Who.ME


async def test_the_routers_own_addresses_move_where_none_is_named(ec2: Cloud) -> None:
    mover = await ec2.ready(KIND, told=host(shared=("10.0.0.100", "2001:db8::100", "fe80::1", "2001:db8::101")))
    await mover.acquire(None)
    assert ec2.fake.world.cards["eni-11"].ipv6 == ["2001:db8::100", "2001:db8::101"]


async def test_of_several_those_that_are_here_stay(ec2: Cloud) -> None:
    ec2.fake.world.assign_ipv6("eni-11", ["2001:db8::100"])
    ec2.fake.world.assign_ipv6("eni-12", ["2001:db8::101"])
    mover = await ec2.ready(KIND, ipv6_address=["2001:db8::100", "2001:db8::101"])
    assert seen(await mover.holder()) == ("peer", "eni-12", "n2")
    await mover.acquire(None)
    assert [(move.what, move.holder) for move in ec2.fake.remaps] == [("2001:db8::101", ""), ("2001:db8::101", "n1")]
    assert (await mover.holder()).who is Who.ME


async def test_a_spelling_of_an_address_is_not_another_address(ec2: Cloud) -> None:
    mover = await ec2.ready(KIND, ipv6_address="2001:0DB8:0::100")
    await mover.acquire(None)
    assert (await mover.holder()).who is Who.ME
    assert await mover.local_verify() is True


async def test_it_is_given_up(ec2: Cloud) -> None:
    mover = await ec2.ready(KIND, release="on_stop", **VIP)
    await mover.acquire(None)
    await mover.release(await mover.holder())
    assert ec2.fake.world.cards["eni-11"].ipv6 == []


async def test_an_address_outside_the_subnet_is_refused_once(ec2: Cloud) -> None:
    mover = await ec2.ready(KIND, ipv6_address="2001:db8:9::1")
    with pytest.raises(InvalidError, match=r"does not fall within the subnet's IPv6 address range"):
        await mover.acquire(None)
    assert ec2.changes == ["AssignIpv6Addresses"]


async def test_a_missing_right_is_named(ec2: Cloud) -> None:
    ec2.fake.world.assign_ipv6("eni-66", ["2001:db8::100"])
    ec2.fake.world.keys["KEY-n1"] = ["DescribeNetworkInterfaces", "AssignIpv6Addresses"]
    mover = await ec2.ready(KIND, **VIP)
    with pytest.raises(ForbiddenError, match=r"allow ec2:UnassignIpv6Addresses"):
        await mover.acquire(None)


async def test_a_lost_answer_in_the_middle_leaves_the_outcome_unknown(ec2: Cloud) -> None:
    ec2.fake.world.assign_ipv6("eni-66", ["2001:db8::100"])
    mover = await ec2.ready(KIND, **VIP)
    ec2.fake.add(Rule("lost_ack", "UnassignIpv6Addresses"))
    with pytest.raises(OutcomeUnknownError):
        await mover.acquire(None)
    assert ec2.changes == ["UnassignIpv6Addresses"]


def test_the_addresses_that_are_named_are_put_on_the_system() -> None:
    kind = KINDS[KIND]
    assert list(kind.addresses(kind.options.validate_python(VIP))) == [IPv6Address("2001:db8::100")]


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"ipv6_address": "10.0.0.1"}, "'10.0.0.1' is of the other family; write one such as 2001:db8::100"),
        ({**VIP, "takeover": "compare"}, "EC2 can move this on no condition; leave 'takeover' out"),
    ],
)
def test_mistakes_are_said_in_plain_words(options: dict[str, object], complaint: str) -> None:
    with pytest.raises(ValidationError) as raised:
        KINDS[KIND].options.validate_python(options)
    (error,) = raised.value.errors()
    assert complaint in error["msg"]
