from __future__ import annotations

import ssl
from collections.abc import AsyncIterator
from typing import Any, cast

import httpx2
import pytest
import trio
import trustme
from trio.testing import MockClock

from netns_lab.cloud.ec2 import FakeEc2
from netns_lab.cloud.proxy import FaultProxy
from netns_lab.cloud.rules import Rule
from netns_lab.cloud.world import World
from tests.lab.clouds import Caller, caller

EIP = {"AllocationId": "eipalloc-1", "NetworkInterfaceId": "eni-11"}
RTT = 0.02


@pytest.fixture
async def fake() -> AsyncIterator[FakeEc2]:
    async with FakeEc2(World.of(("n1",))) as served:
        yield served


async def test_a_kept_connection_costs_one_round_trip_and_a_new_one_three(
    fake: FakeEc2, autojump_clock: MockClock
) -> None:
    authority = trustme.CA()
    theirs, ours = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.create_default_context()
    cast("Any", authority.issue_cert("127.0.0.1")).configure_cert(theirs)
    cast("Any", authority).configure_trust(ours)
    async with FaultProxy(fake.url, tls=theirs, rtt=RTT, idle=60) as proxy, httpx2.AsyncClient(verify=ours) as client:
        for wait, trips, connections in ((0, 3, 1), (1, 1, 1), (61, 3, 2)):
            await trio.sleep(wait)
            started = trio.current_time()
            assert (await client.post(proxy.url, data={"Action": "DescribeAddresses"})).status_code == 403
            assert trio.current_time() - started == pytest.approx(trips * RTT, abs=0.002)
            assert proxy.connections == connections


async def test_what_the_service_says_comes_through(fake: FakeEc2) -> None:
    async with FaultProxy(fake.url) as proxy, Caller(proxy.url) as n1:
        assert await n1("AssociateAddress", **EIP) == ""
        assert await n1.holder() == "eni-11"
        assert await n1("AssociateAddress", **{**EIP, "AllocationId": "x"}) == "InvalidAllocationID.NotFound"
        assert n1.status == 400


async def test_a_service_without_faults_gets_them_from_the_proxy(fake: FakeEc2) -> None:
    async with FaultProxy(fake.url) as proxy, Caller(proxy.url) as n1, caller(fake) as directly:
        proxy.faults.rules += [Rule("lost_ack", "AssociateAddress", n=1), Rule("error", "Describe*", "KEY-n1")]
        with pytest.raises(httpx2.RemoteProtocolError):
            await n1("AssociateAddress", **EIP)
        assert await n1("DescribeAddresses") == "RequestLimitExceeded"
        assert await directly.holder() == "eni-11"
