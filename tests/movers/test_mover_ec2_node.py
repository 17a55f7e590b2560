"""Whose a network interface of EC2 is, where addresses alone do not say it."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from netns_lab.cloud.world import Card as FakeCard
from netns_lab.cloud.world import Subnet
from tests.movers.ec2_nodes import Cloud, host, seen
from vrrpd.movers.base import Holder, Who
from vrrpd.movers.ec2.elastic_ip import ElasticIpOptions
from vrrpd.movers.ec2.node import Card, Node, together


@pytest.fixture
async def node(ec2: Cloud) -> AsyncIterator[Node]:
    ec2.act_as("n1")
    made = Node(ElasticIpOptions.model_validate({"allocation_id": "eipalloc-1", "endpoint_url": ec2.fake.url}), host())
    await made.prepare()
    yield made
    await made.aclose()


def described(vpc: str, address: str) -> Card:
    addresses = frozenset({"10.0.0.77", address})
    return Card("eni-77", "02:88:00:00:00:77", vpc, "subnet-7", "10.0.0.77", addresses, {}, checked=True)


async def test_a_peers_address_in_our_network_is_the_peers(node: Node) -> None:
    assert seen(await node.whose_card(described("vpc-1", "10.0.0.12"))) == ("peer", "eni-77", "n2")
    assert seen(await node.whose("eni-77")) == ("peer", "eni-77", "n2")


async def test_a_peers_address_in_another_network_is_somebody_elses(node: Node) -> None:
    assert seen(await node.whose_card(described("vpc-2", "10.0.0.12"))) == ("foreign", "eni-77", None)


async def test_an_address_that_only_begins_alike_is_nobodys_of_ours(node: Node) -> None:
    assert seen(await node.whose_card(described("vpc-1", "10.0.0.121"))) == ("foreign", "eni-77", None)


async def test_what_is_no_network_interface_is_not_asked_for(ec2: Cloud, node: Node) -> None:
    asked = len(ec2.fake.requests)
    assert seen(await node.whose("igw-1")) == ("foreign", "igw-1", None)
    assert len(ec2.fake.requests) == asked


async def test_one_that_is_gone_is_somebody_elses(node: Node) -> None:
    assert seen(await node.whose("eni-404")) == ("foreign", "eni-404", None)


async def test_the_same_address_in_another_subnet_is_another_address(ec2: Cloud) -> None:
    ec2.fake.world.subnets["subnet-2"] = Subnet("eu-west-1b", "10.0.0.0/24", "2001:db8:2::/64")
    ec2.fake.world.cards["eni-77"] = FakeCard("02:88:00:00:00:77", "subnet-2", ["10.0.0.77", "10.0.0.100"])
    mover = await ec2.ready("ec2-private-ip", private_ip="10.0.0.100")
    assert seen(await mover.holder()) == ("nobody", None, None)


def test_several_things_are_held_together_by_who_has_them_all() -> None:
    me, nobody, peer = Holder(Who.ME, "a"), Holder(Who.NOBODY), Holder(Who.PEER, "b", "n2")
    assert together([me, me]) is me
    assert together([me, nobody]) is nobody
    assert together([nobody, me, peer]) is peer
