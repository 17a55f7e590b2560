"""The movers of EC2 at work: driven as the agent drives them, against the fake EC2, on time that runs faster."""

from __future__ import annotations

import logging
from collections.abc import Callable
from ipaddress import ip_address
from itertools import pairwise
from random import Random
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from netns_lab.cloud.ec2 import Asked
from netns_lab.cloud.rules import Rule
from tests.movers.ec2_nodes import NODES, Cloud
from vrrpd.movers.base import CommonOptions
from vrrpd.movers.contention import Ranks
from vrrpd.movers.driver import MoverDriver
from vrrpd.movers.registry import KINDS
from vrrpd.movers.report import Report, State

PRIORITY = {"n1": 250, "n2": 240}
FASTER = 4
KINDS_AND_OPTIONS: dict[str, dict[str, Any]] = {
    "ec2-elastic-ip": {"allocation_id": "eipalloc-1"},
    "ec2-private-ip": {"private_ip": "10.0.0.100"},
    "ec2-ipv6": {"ipv6_address": "2001:db8::100"},
    "ec2-route": {"route_table_ids": ["rtb-1", "rtb-2"], "destination": "10.99.0.1/32"},
}
EIP = KINDS_AND_OPTIONS["ec2-elastic-ip"]


@pytest.fixture
def faster() -> MockClock:
    """The clock of a test that names it."""
    return MockClock(rate=FASTER)


@pytest.fixture
async def at_work(ec2: Cloud, nursery: trio.Nursery) -> Callable[..., MoverDriver]:
    """Sets a node to work: `at_work(kind, node, **options)`."""
    for card in ("eni-11", "eni-12"):
        ec2.fake.world.cards[card].checked = False

    def start(kind: str = "ec2-elastic-ip", node: str = "n1", **options: Any) -> MoverDriver:
        said = {**KINDS_AND_OPTIONS[kind], **options}
        mover = ec2.make(kind, node, **said)
        common: CommonOptions = KINDS[kind].options.validate_python({**said, "endpoint_url": ec2.fake.url})
        peers = {name: (PRIORITY[name], ip_address(address)) for name, address in NODES.items() if name != node}
        driver = MoverDriver(
            kind,
            mover,
            common,
            Ranks(ip_address(NODES[node]), peers),
            changed=lambda: None,
            look=lambda: None,
            log=logging.getLogger(f"vrrpd.{node}"),
            random=Random(1),
        )
        nursery.start_soon(driver.run)
        return driver

    return start


async def until(driver: MoverDriver, so: Callable[[Report], object], limit: float = 30) -> None:
    """Wait until a report is so."""
    with trio.fail_after(limit):
        while not so(driver.report):  # noqa: ASYNC110 - the driver's owner is told by a call, not by an event
            await trio.sleep(0.01)


def held(report: Report) -> bool:
    return report.state is State.HELD


def ready(report: Report) -> bool:
    """Prepared, and the holder is known."""
    return report.ready and report.holder is not None


def since(ec2: Cloud, when: float) -> list[Asked]:
    """What was asked from a time on, dry runs apart."""
    return [one for one in ec2.fake.requests if one.t >= when and "DryRun" not in one.parameters]


@pytest.mark.parametrize("kind", KINDS_AND_OPTIONS)
async def test_with_the_role_the_first_that_is_sent_is_the_change(
    ec2: Cloud, faster: MockClock, at_work: Callable[..., MoverDriver], kind: str
) -> None:
    driver = at_work(kind)
    await until(driver, ready)
    now = trio.current_time()
    driver.want(True, PRIORITY["n1"])
    await until(driver, held)
    assert not since(ec2, now)[0].action.startswith("Describe")
    assert {move.holder for move in ec2.fake.remaps} == {"n1"}


async def test_it_goes_to_and_fro_with_the_role(
    ec2: Cloud, faster: MockClock, at_work: Callable[..., MoverDriver]
) -> None:
    first = at_work()
    await until(first, ready)
    second = at_work(node="n2")
    await until(second, ready)
    for gains, loses, name in ((first, second, "n1"), (second, first, "n2"), (first, second, "n1")):
        loses.want(False, 100)
        gains.want(True, 200)
        await until(gains, held)
        assert ec2.fake.remaps[-1].holder == name
    assert len(ec2.fake.remaps) == 3


async def test_fifty_times_the_first_that_is_sent_is_the_change(
    ec2: Cloud, faster: MockClock, at_work: Callable[..., MoverDriver]
) -> None:
    driver = at_work()
    await until(driver, ready)
    for _ in range(50):
        ec2.fake.steal()
        driver.heard("n2", 1)  # another node was Active: the last look says nothing
        now = trio.current_time()
        driver.want(True, PRIORITY["n1"])
        await until(driver, held)
        driver.want(False, PRIORITY["n1"])
        assert since(ec2, now)[0].action == "AssociateAddress"
        await trio.sleep(0.1)


async def test_what_points_here_already_is_not_moved_again(
    ec2: Cloud, faster: MockClock, at_work: Callable[..., MoverDriver]
) -> None:
    elastic = ec2.fake.world.elastic["eipalloc-1"]
    ec2.fake.world.associate("eipalloc-1", elastic, "eni-11", None, reassociate=True)
    driver = at_work()
    driver.want(True, PRIORITY["n1"])
    await until(driver, held)
    assert ec2.changes == []


async def test_reads_that_lag_behind_cause_no_second_move(
    ec2: Cloud, faster: MockClock, at_work: Callable[..., MoverDriver]
) -> None:
    driver = at_work()
    await until(driver, ready)
    ec2.fake.steal()
    ec2.fake.lag = 3
    driver.want(True, PRIORITY["n1"])
    await until(driver, held)
    await trio.sleep(10)
    assert ec2.changes == ["AssociateAddress"]
    assert held(driver.report)


async def test_a_change_that_takes_longer_than_it_may_is_looked_for_on_a_new_connection(
    ec2: Cloud, faster: MockClock, at_work: Callable[..., MoverDriver]
) -> None:
    driver = at_work()
    await until(driver, ready)
    ec2.fake.add(Rule("late", "AssociateAddress", delay=5))
    now = trio.current_time()
    driver.want(True, PRIORITY["n1"])
    await until(driver, held, limit=12)
    asked = since(ec2, now)
    assert asked[1].action == "DescribeAddresses"
    assert asked[1].connection != asked[0].connection
    assert 1 <= len([one for one in asked if one.action == "AssociateAddress"]) <= 2


async def test_refused_credentials_are_renewed_once_and_then_tried_every_five_seconds(
    ec2: Cloud, faster: MockClock, at_work: Callable[..., MoverDriver], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    driver = at_work()
    await until(driver, ready)
    right = ec2.fake.world.keys.pop("KEY-n1")
    now = trio.current_time()
    driver.want(True, PRIORITY["n1"])
    await trio.sleep(14)
    times = [one.t for one in since(ec2, now)]
    assert 3 <= len(times) <= 5
    assert all(later - earlier >= 5 for earlier, later in pairwise(times[1:]))
    assert driver.report.state is State.FAILED
    assert "correct the access key and its secret" in driver.report.detail
    assert "secret-" not in caplog.text
    assert "Signature" not in caplog.text
    ec2.fake.world.keys["KEY-n1"] = right
    await until(driver, held)


async def test_a_missing_right_is_tried_every_half_a_minute_and_named(
    ec2: Cloud, faster: MockClock, at_work: Callable[..., MoverDriver]
) -> None:
    driver = at_work("ec2-private-ip")
    await until(driver, ready)
    ec2.fake.world.keys["KEY-n1"] = ["DescribeNetworkInterfaces"]
    driver.want(True, PRIORITY["n1"])
    await trio.sleep(25)
    assert ec2.changes == ["AssignPrivateIpAddresses"]
    assert "allow ec2:AssignPrivateIpAddresses" in driver.report.detail


async def test_a_metadata_service_that_is_gone_hurts_nobody_with_the_ids_in_the_file(
    ec2: Cloud, faster: MockClock, at_work: Callable[..., MoverDriver]
) -> None:
    both = {"n1": "eni-11", "n2": "eni-12"}
    driver = at_work(network_interface_id=both, region="eu-west-1")
    driver.want(True, PRIORITY["n1"])
    await until(driver, held, limit=4)
    assert ec2.fake.metadata.tokens == 0
