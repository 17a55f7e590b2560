"""How near the movers of EC2 come to the limit: one round trip on a connection that is open, and nothing before it."""

from __future__ import annotations

import json
import os
import ssl
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import trio
import trustme

from netns_lab.cloud.proxy import FaultProxy
from tests.movers.ec2_nodes import Cloud, bare_posts

KIND = "ec2-elastic-ip"
RTT = 0.1


async def test_it_takes_a_few_times_what_a_bare_post_takes(ec2: Cloud) -> None:
    mover = await ec2.ready(KIND, allocation_id="eipalloc-1")
    ours: list[float] = []
    for _ in range(50):
        ec2.fake.steal()
        asked = len(ec2.fake.requests)
        started = time.perf_counter()
        await mover.acquire(None)
        ours.append(time.perf_counter() - started)
        assert [one.action for one in ec2.fake.requests[asked:]] == ["AssociateAddress"]
    floor = await trio.to_thread.run_sync(bare_posts, ec2.fake.url, 50)
    assert statistics.median(ours) <= 8 * statistics.median(floor)


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> tuple[ssl.SSLContext, str]:
    """A server's context, and the file of the authority that vouches for it."""
    authority = trustme.CA()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(context)  # pyright: ignore[reportUnknownMemberType]
    ca = tmp_path_factory.mktemp("authority") / "ca.pem"
    authority.cert_pem.write_to_path(str(ca))
    return context, str(ca)


async def test_far_away_it_takes_one_round_trip(ec2: Cloud, tls: tuple[ssl.SSLContext, str]) -> None:
    async with FaultProxy(ec2.fake.url, tls=tls[0], rtt=RTT) as proxy:
        mover = await ec2.ready(KIND, endpoint_url=proxy.url, ca=tls[1], allocation_id="eipalloc-1")
        opened = proxy.connections
        started = trio.current_time()
        await mover.acquire(None)
        assert RTT <= trio.current_time() - started < 2 * RTT
        assert proxy.connections == opened
        await mover.aclose()


async def test_a_connection_that_the_server_has_closed_costs_round_trips_and_no_error(
    ec2: Cloud, tls: tuple[ssl.SSLContext, str]
) -> None:
    async with FaultProxy(ec2.fake.url, tls=tls[0], rtt=RTT, idle=4 * RTT) as proxy:
        mover = await ec2.ready(KIND, endpoint_url=proxy.url, ca=tls[1], allocation_id="eipalloc-1")
        opened = proxy.connections
        await trio.sleep(8 * RTT)
        started = trio.current_time()
        await mover.acquire(None)
        assert trio.current_time() - started < 4 * RTT
        assert proxy.connections == opened + 1
        assert ec2.fake.world.elastic["eipalloc-1"].card == "eni-11"
        await mover.aclose()


async def test_a_route_in_several_tables_takes_one_round_trip(ec2: Cloud, tls: tuple[ssl.SSLContext, str]) -> None:
    ec2.fake.world.cards["eni-11"].checked = False
    async with FaultProxy(ec2.fake.url, tls=tls[0], rtt=RTT) as proxy:
        both: dict[str, Any] = {"route_table_ids": ["rtb-1", "rtb-2"], "destination": "10.99.0.1/32"}
        mover = await ec2.ready("ec2-route", endpoint_url=proxy.url, ca=tls[1], **both)
        opened = proxy.connections
        started = trio.current_time()
        await mover.acquire(None)
        assert trio.current_time() - started < 2 * RTT
        assert proxy.connections == opened
        await mover.aclose()


_SCRIPT = """
import json, os, sys
import trio
from netns_lab.cloud.ec2 import FakeEc2
from netns_lab.cloud.world import World
from tests.movers.ec2_nodes import build, host

async def main():
    async with FakeEc2(World.of(("n1", "n2"))) as fake:
        os.environ["AWS_EC2_METADATA_SERVICE_ENDPOINT"] = fake.metadata_url("n1")
        mover = build("ec2-elastic-ip", {"allocation_id": "eipalloc-1", "endpoint_url": fake.url}, host("n1"))
        before = set(sys.modules)
        await mover.prepare()
        await mover.acquire(None)
        await mover.holder(fresh=True)
        await mover.local_verify()
        print(json.dumps(sorted(set(sys.modules) - before)))
        await mover.aclose()

trio.run(main)
"""


def test_nothing_is_imported_once_the_agent_runs(tmp_path: Path) -> None:
    root = Path(__file__).parents[2]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    environment |= {"AWS_CONFIG_FILE": str(tmp_path / "none"), "AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "none")}
    environment["PYTHONPATH"] = f"{root}:{root / 'netns-lab'}"
    done = subprocess.run([sys.executable, "-c", _SCRIPT], env=environment, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == []
