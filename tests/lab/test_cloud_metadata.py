from __future__ import annotations

from collections.abc import AsyncIterator

import httpx2
import pytest
import trio
from trio.testing import MockClock

from netns_lab.cloud.ec2 import FakeEc2
from netns_lab.cloud.world import World

TOKEN = "/latest/api/token"
TTL = "X-aws-ec2-metadata-token-ttl-seconds"
MAC = "02:88:00:00:00:0c"


@pytest.fixture
async def fake() -> AsyncIterator[FakeEc2]:
    async with FakeEc2(World.of(("n1", "n2"))) as served:
        yield served


@pytest.fixture
async def n2(fake: FakeEc2) -> AsyncIterator[httpx2.AsyncClient]:
    async with httpx2.AsyncClient(base_url=fake.metadata_url("n2"), timeout=None) as client:
        yield client


async def read(client: httpx2.AsyncClient, token: str, path: str) -> str:
    answer = await client.get(f"/latest/{path}", headers={"X-aws-ec2-metadata-token": token})
    return answer.text if answer.status_code == 200 else str(answer.status_code)


async def test_a_machine_is_told_what_it_is(fake: FakeEc2, n2: httpx2.AsyncClient) -> None:
    token = (await n2.put(TOKEN, headers={TTL: "60"})).text
    fake.world.associate("eipalloc-1", fake.world.elastic["eipalloc-1"], "eni-12", None, reassociate=True)
    fake.world.assign("eni-12", ["10.0.0.100"], reassign=False)
    assert await read(n2, token, "meta-data/instance-id") == "i-12"
    assert await read(n2, token, "meta-data/placement/region") == "eu-west-1"
    card = f"meta-data/network/interfaces/macs/{MAC}"
    assert await read(n2, token, "meta-data/network/interfaces/macs/") == f"{MAC}/"
    assert await read(n2, token, f"{card}/interface-id") == "eni-12"
    assert await read(n2, token, f"{card}/local-ipv4s") == "10.0.0.12\n10.0.0.100"
    assert await read(n2, token, f"{card}/public-ipv4s") == "203.0.113.7"
    assert await read(n2, token, f"{card}/ipv6s") == "404"
    role = await read(n2, token, "meta-data/iam/security-credentials/")
    assert '"KEY-n2"' in await read(n2, token, f"meta-data/iam/security-credentials/{role}")


async def test_nothing_is_told_without_a_good_token(fake: FakeEc2, n2: httpx2.AsyncClient) -> None:
    async with httpx2.AsyncClient(base_url=fake.metadata_url("n1")) as n1:
        stolen = (await n1.put(TOKEN, headers={TTL: "60"})).text
    for token in ("", "made-up", stolen):
        assert await read(n2, token, "meta-data/instance-id") == "401"
    assert (await n2.put(TOKEN)).status_code == 400
    assert (await n2.put(TOKEN, headers={TTL: "21601"})).status_code == 400
    assert (await n2.get(TOKEN)).status_code == 405


async def test_a_token_ends(n2: httpx2.AsyncClient, autojump_clock: MockClock) -> None:
    token = (await n2.put(TOKEN, headers={TTL: "1"})).text
    assert await read(n2, token, "meta-data/mac") == MAC
    await trio.sleep(1.1)
    assert await read(n2, token, "meta-data/mac") == "401"


async def test_in_a_container_a_token_request_is_not_answered_and_a_read_refused(
    fake: FakeEc2, n2: httpx2.AsyncClient, autojump_clock: MockClock
) -> None:
    fake.world.machines["n2"].hops = 2
    with trio.move_on_after(30) as patience:
        await n2.put(TOKEN, headers={TTL: "60"})
    assert patience.cancelled_caught
    assert await read(n2, "", "meta-data/mac") == "401"
    fake.world.machines["n2"].hop_limit = 2
    assert (await n2.put(TOKEN, headers={TTL: "60"})).status_code == 200
