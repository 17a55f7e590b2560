"""The mover `ec2-private-ip`, against the fake EC2."""

from __future__ import annotations

from ipaddress import IPv4Address
from typing import Any

import pytest
from pydantic import ValidationError

from netns_lab.cloud.rules import Rule
from tests.movers.ec2_nodes import Cloud, host, seen
from vrrpd.movers.base import ForbiddenError, InvalidError, OutcomeUnknownError, Who
from vrrpd.movers.registry import KINDS

KIND = "ec2-private-ip"
VIP: dict[str, Any] = {"private_ip": "10.0.0.100"}


async def test_it_is_brought_here_by_one_call_on_a_connection_that_was_open(ec2: Cloud) -> None:
    mover = await ec2.ready(KIND, **VIP)
    before = ec2.fake.requests[-1].connection
    ec2.fake.requests.clear()
    await mover.acquire(None)
    assert ec2.actions == ["AssignPrivateIpAddresses"]
    assert ec2.fake.requests[0].connection == before
    assert ec2.fake.world.cards["eni-11"].private == ["10.0.0.11", "10.0.0.100"]
    assert seen(await mover.holder()) == ("me", "eni-11", None)


async def test_getting_ready_changes_nothing(ec2: Cloud) -> None:
    mover = await ec2.ready(KIND, **VIP)
    await mover.prepare()
    assert ec2.changes == []
    assert seen(await mover.holder()) == ("nobody", None, None)


async def test_it_is_taken_from_another_node_and_an_elastic_address_travels_along(ec2: Cloud) -> None:
    first = await ec2.ready(KIND, **VIP)
    second = await ec2.ready(KIND, "n2", **VIP)
    await first.acquire(None)
    elastic = ec2.fake.world.elastic["eipalloc-1"]
    ec2.fake.world.associate("eipalloc-1", elastic, "eni-11", "10.0.0.100", reassociate=True)
    assert seen(await second.holder()) == ("peer", "eni-11", "n1")
    await second.acquire(None)
    assert seen(await first.holder()) == ("peer", "eni-12", "n2")
    assert (elastic.card, elastic.private) == ("eni-12", "10.0.0.100")


async def test_a_stranger_is_none_of_the_nodes(ec2: Cloud) -> None:
    mover = await ec2.ready(KIND, **VIP)
    ec2.fake.world.assign("eni-66", ["10.0.0.100"], reassign=True)
    assert seen(await mover.holder()) == ("foreign", "eni-66", None)


async def test_the_routers_own_addresses_move_where_none_is_named(ec2: Cloud) -> None:
    mover = await ec2.ready(KIND, told=host(shared=("10.0.0.100", "2001:db8::100", "10.0.0.101")))
    await mover.acquire(None)
    assert ec2.fake.world.cards["eni-11"].private[1:] == ["10.0.0.100", "10.0.0.101"]


async def test_several_are_held_by_who_has_them_all(ec2: Cloud) -> None:
    mover = await ec2.ready(KIND, private_ip=["10.0.0.100", "10.0.0.101"])
    ec2.fake.world.assign("eni-11", ["10.0.0.100"], reassign=True)
    assert (await mover.holder()).who is Who.NOBODY
    ec2.fake.world.assign("eni-12", ["10.0.0.101"], reassign=True)
    assert seen(await mover.holder()) == ("peer", "eni-12", "n2")
    await mover.acquire(None)
    assert (await mover.holder()).who is Who.ME


async def test_this_host_sees_them_by_itself(ec2: Cloud) -> None:
    mover = await ec2.ready(KIND, private_ip=["10.0.0.10", "10.0.0.101"])
    ec2.fake.world.assign("eni-11", ["10.0.0.10"], reassign=True)
    assert await mover.local_verify() is False
    await mover.acquire(None)
    assert await mover.local_verify() is True


async def test_they_are_given_up_unless_they_have_left(ec2: Cloud) -> None:
    first = await ec2.ready(KIND, release="on_stop", **VIP)
    second = await ec2.ready(KIND, "n2", **VIP)
    await first.acquire(None)
    ours = await first.holder()
    await first.release(ours)
    assert (await second.holder()).who is Who.NOBODY
    await second.acquire(None)
    with pytest.raises(InvalidError):
        await first.release(ours)
    assert (await second.holder()).who is Who.ME


async def test_a_primary_address_never_moves(ec2: Cloud) -> None:
    with pytest.raises(InvalidError, match=r"10\.0\.0\.12 is the primary address of eni-12, which never moves; choose"):
        await ec2.ready(KIND, private_ip="10.0.0.12")


async def test_a_router_without_an_address_has_nothing_to_move(ec2: Cloud) -> None:
    with pytest.raises(InvalidError, match=r"router web has no IPv4 address to move; add one, or set 'private_ip'"):
        await ec2.ready(KIND, told=host(shared=("2001:db8::100",)))


async def test_an_address_outside_the_subnet_is_said_to_be_there(ec2: Cloud) -> None:
    mover = await ec2.ready(KIND, private_ip="10.9.0.1")
    with pytest.raises(InvalidError, match=r"AssignPrivateIpAddresses: Address does not fall within the subnet's"):
        await mover.acquire(None)


async def test_a_missing_right_is_named(ec2: Cloud) -> None:
    ec2.fake.world.keys["KEY-n1"] = ["DescribeNetworkInterfaces"]
    mover = await ec2.ready(KIND, **VIP)
    with pytest.raises(ForbiddenError, match=r"allow ec2:AssignPrivateIpAddresses"):
        await mover.acquire(None)


async def test_a_lost_answer_leaves_the_outcome_unknown(ec2: Cloud) -> None:
    mover = await ec2.ready(KIND, **VIP)
    ec2.fake.add(Rule("lost_ack", "Assign*"))
    with pytest.raises(OutcomeUnknownError):
        await mover.acquire(None)
    assert (await mover.holder(fresh=True)).who is Who.ME


def test_the_addresses_that_are_named_are_put_on_the_system() -> None:
    kind = KINDS[KIND]
    assert list(kind.addresses(kind.options.validate_python(VIP))) == [IPv4Address("10.0.0.100")]
    assert list(kind.addresses(kind.options.validate_python({}))) == []


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"private_ip": "2001:db8::1"}, "'2001:db8::1' is of the other family; write one such as 10.0.0.100"),
        ({"private_ip": "10.0.0.100/24"}, "'10.0.0.100/24' has a prefix length; write '10.0.0.100' alone"),
        ({**VIP, "takeover": "compare"}, "EC2 can move this on no condition; leave 'takeover' out"),
    ],
)
def test_mistakes_are_said_in_plain_words(options: dict[str, object], complaint: str) -> None:
    with pytest.raises(ValidationError) as raised:
        KINDS[KIND].options.validate_python(options)
    (error,) = raised.value.errors()
    assert complaint in error["msg"]
