"""The policy that is printed for movers of EC2: enough, and nothing too much."""

from __future__ import annotations

from typing import Any

import pytest

from tests.movers.ec2_nodes import Cloud
from vrrpd.movers.base import ForbiddenError
from vrrpd.movers.ec2.policy import policy
from vrrpd.movers.registry import KINDS

NAMED: dict[str, Any] = {"region": "eu-west-1", "network_interface_id": {"n1": "eni-11", "n2": "eni-12"}}
CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "elastic address": ("ec2-elastic-ip", {"allocation_id": "eipalloc-1"}),
    "elastic address, ids in the file": ("ec2-elastic-ip", {"allocation_id": "eipalloc-1", **NAMED}),
    "elastic address, compared": ("ec2-elastic-ip", {"allocation_id": "eipalloc-1", "takeover": "compare"}),
    "elastic address, given up": ("ec2-elastic-ip", {"allocation_id": "eipalloc-1", "release": "on_stop"}),
    "private address": ("ec2-private-ip", {"private_ip": "10.0.0.100"}),
    "private address, given up": ("ec2-private-ip", {"private_ip": "10.0.0.100", "release": "on_stop"}),
    "ipv6": ("ec2-ipv6", {"ipv6_address": "2001:db8::100"}),
    "route": ("ec2-route", {"route_table_ids": ["rtb-1", "rtb-2"], "destination": "10.99.0.1/32"}),
}


def printed(kind: str, options: dict[str, Any]) -> dict[str, Any]:
    found = policy([(kind, KINDS[kind].options.validate_python(options))])
    assert found is not None
    return dict(found)


def actions(found: dict[str, Any]) -> list[str]:
    return [action.removeprefix("ec2:") for statement in found["Statement"] for action in statement["Action"]]


async def cycle(ec2: Cloud, kind: str, options: dict[str, Any]) -> None:
    """All that movers of a kind do: n1 has it, n2 takes it and gives it up where it may."""
    for card in ("eni-11", "eni-12"):
        ec2.fake.world.cards[card].checked = False
    for node in ("n1", "n2"):
        mover = await ec2.ready(kind, node, **options)
        seen = await mover.holder()
        await mover.acquire(seen if options.get("takeover") == "compare" else None)
        await mover.prepare()
        if options.get("release") and node == "n2":
            await mover.release(await mover.holder())


@pytest.mark.parametrize("case", CASES)
async def test_it_is_enough_and_each_action_of_it_is_needed(ec2: Cloud, case: str) -> None:
    kind, options = CASES[case]
    allowed = actions(printed(kind, options))
    for node in ("n1", "n2"):
        ec2.fake.world.keys[f"KEY-{node}"] = allowed
    await cycle(ec2, kind, options)
    for one in allowed:
        for node in ("n1", "n2"):
            ec2.fake.world.keys[f"KEY-{node}"] = [action for action in allowed if action != one]
        with pytest.raises(ForbiddenError, match=f"allow ec2:{one} "):
            await cycle(ec2, kind, options)


def test_what_changes_is_narrowed_to_what_the_file_names() -> None:
    assert printed(*CASES["elastic address, ids in the file"]) == {
        "Version": "2012-10-17",
        "Statement": [
            {"Effect": "Allow", "Action": ["ec2:DescribeAddresses", "ec2:DescribeNetworkInterfaces"], "Resource": "*"},
            {
                "Effect": "Allow",
                "Action": ["ec2:AssociateAddress"],
                "Resource": [
                    "arn:aws:ec2:eu-west-1:*:elastic-ip/eipalloc-1",
                    "arn:aws:ec2:eu-west-1:*:instance/*",
                    "arn:aws:ec2:eu-west-1:*:network-interface/eni-11",
                    "arn:aws:ec2:eu-west-1:*:network-interface/eni-12",
                ],
            },
        ],
    }


@pytest.mark.parametrize(
    ("region", "partition"),
    [("eu-west-1", "aws"), ("cn-north-1", "aws-cn"), ("us-gov-west-1", "aws-us-gov"), ("eusc-de-east-1", "aws-eusc")],
)
def test_the_partition_is_that_of_the_region(region: str, partition: str) -> None:
    options = {"route_table_ids": ["rtb-1"], "destination": "10.99.0.1/32", "region": region}
    resources = [statement["Resource"] for statement in printed("ec2-route", options)["Statement"]]
    assert resources[1] == [f"arn:{partition}:ec2:{region}:*:route-table/rtb-1"]


def test_several_movers_share_one_policy_and_other_clouds_need_none_of_it() -> None:
    kinds = [CASES["elastic address"], CASES["route"], CASES["private address"]]
    found = policy([(kind, KINDS[kind].options.validate_python(options)) for kind, options in kinds] + [("exec", None)])
    assert found is not None
    assert found["Statement"][0]["Action"] == [
        "ec2:DescribeAddresses",
        "ec2:DescribeNetworkInterfaces",
        "ec2:DescribeRouteTables",
    ]
    assert len(found["Statement"]) == 4
    assert policy([("exec", None)]) is None
