"""The movers of EC2 against moto, which is the referee of the wire format, of signatures and of rights.

moto checks signatures and policies as AWS does (`reset-auth`), by actions alone: it knows no resources in policies, so
that these are widened here. What it has wrong about EC2 (who had a private address keeps it, a private address of an
association is ignored) is left to the fake.
"""

# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import httpx2
import pytest
import trio

from netns_lab.cloud.proxy import FaultProxy
from netns_lab.cloud.rules import Rule
from tests.movers.ec2_nodes import build, host
from vrrpd.movers.base import (
    ForbiddenError,
    Holder,
    OutcomeUnknownError,
    UnauthenticatedError,
    UnavailableError,
    Who,
)
from vrrpd.movers.ec2.policy import policy
from vrrpd.movers.registry import KINDS

REGION = "eu-west-1"
BOTH = ("n1", "n2")


@dataclass
class Referee:
    """moto with two network interfaces and one of everything that moves, and as an independent reader boto3."""

    url: str
    client: Any
    iam: Any
    cards: dict[str, str]
    allocation: str
    table: str

    def options(self, kind: str) -> dict[str, Any]:
        """The options of a mover of a kind, with all ids in them, as moto's metadata service knows none."""
        of: dict[str, dict[str, Any]] = {
            "ec2-elastic-ip": {"allocation_id": self.allocation, "takeover": "compare", "release": "on_stop"},
            "ec2-private-ip": {"private_ip": "10.0.0.100", "release": "on_stop"},
            "ec2-ipv6": {"ipv6_address": "2001:db8::100", "release": "on_stop"},
            "ec2-route": {"route_table_ids": [self.table], "destination": "10.99.0.1/32"},
        }
        return {**of[kind], "network_interface_id": self.cards, "region": REGION, "endpoint_url": self.url}

    def user(self, name: str, rights: object) -> tuple[str, str]:
        """The access key and the secret of a new user with a policy."""
        self.iam.create_user(UserName=name)
        self.iam.put_user_policy(UserName=name, PolicyName="movers", PolicyDocument=json.dumps(rights))
        key = self.iam.create_access_key(UserName=name)["AccessKey"]
        return key["AccessKeyId"], key["SecretAccessKey"]

    def read_address(self) -> Any:
        """The elastic address as boto3 reads it."""
        return self.client.describe_addresses(AllocationIds=[self.allocation])["Addresses"][0]

    def reader(self) -> Any:
        """boto3, with rights of its own."""
        statement = {"Effect": "Allow", "Action": "*", "Resource": "*"}
        key, secret = self.user("reader", {"Version": "2012-10-17", "Statement": [statement]})
        return boto3.client(
            "ec2",
            region_name=REGION,
            endpoint_url=self.url,
            aws_access_key_id=key,
            aws_secret_access_key=secret,
        )

    def enforce(self) -> None:
        """From now on signatures and rights count."""
        httpx2.post(f"{self.url}/moto-api/reset-auth", content=b"0", headers={"Content-Type": "text/plain"})


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return listening.getsockname()[1]


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """moto, started once for all tests."""
    port = _free_port()
    environment = {**os.environ, "PYTHONWARNINGS": "ignore"}
    argv = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    child = subprocess.Popen(argv, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            try:
                socket.create_connection(("127.0.0.1", port)).close()
                break
            except ConnectionRefusedError:
                time.sleep(0.05)
        yield f"http://127.0.0.1:{port}"
    finally:
        child.kill()
        child.wait()


@pytest.fixture
def moto(server: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Referee:
    """A new world in moto, whose signatures and rights do not count yet."""
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "none"))
    httpx2.post(f"{server}/moto-api/reset")
    httpx2.post(f"{server}/moto-api/reset-auth", content=b"inf", headers={"Content-Type": "text/plain"})
    known = {"region_name": REGION, "endpoint_url": server}
    known |= {"aws_access_key_id": "any", "aws_secret_access_key": "any"}
    client: Any = boto3.client("ec2", **known)
    vpc = client.create_vpc(CidrBlock="10.0.0.0/16", AmazonProvidedIpv6CidrBlock=True)["Vpc"]["VpcId"]
    subnet = client.create_subnet(VpcId=vpc, CidrBlock="10.0.0.0/24")["Subnet"]["SubnetId"]
    cards = {
        node: client.create_network_interface(SubnetId=subnet, PrivateIpAddress=f"10.0.0.1{number}")
        for number, node in enumerate(BOTH, 1)
    }
    ids = {node: card["NetworkInterface"]["NetworkInterfaceId"] for node, card in cards.items()}
    for each in ids.values():
        client.modify_network_interface_attribute(NetworkInterfaceId=each, SourceDestCheck={"Value": False})
    allocation = client.allocate_address(Domain="vpc")["AllocationId"]
    table = client.create_route_table(VpcId=vpc)["RouteTable"]["RouteTableId"]
    client.create_route(RouteTableId=table, DestinationCidrBlock="10.99.0.1/32", NetworkInterfaceId=ids["n2"])
    return Referee(server, client, boto3.client("iam", **known), ids, allocation, table)


def be(monkeypatch: pytest.MonkeyPatch, key: str, secret: str) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", key)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", secret)


def printed(moto: Referee, kind: str) -> dict[str, Any]:
    """The policy that is printed for a mover, as moto can judge it."""
    found = policy([(kind, KINDS[kind].options.validate_python(moto.options(kind)))])
    assert found is not None
    return {**found, "Statement": [{**statement, "Resource": "*"} for statement in found["Statement"]]}


@pytest.mark.parametrize("kind", ["ec2-elastic-ip", "ec2-route"])
async def test_the_printed_policy_is_enough_for_the_whole_cycle(
    moto: Referee, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    be(monkeypatch, *moto.user("mover", printed(moto, kind)))
    mover = build(kind, moto.options(kind), host("n1"))
    moto.enforce()
    await mover.prepare()
    await mover.acquire(None)
    ours = await mover.holder(fresh=True)
    assert ours.who is Who.ME
    await mover.prepare()
    if mover.compares:
        await mover.acquire(ours)
        await mover.release(await mover.holder())
        assert (await mover.holder()).who is Who.NOBODY
    await mover.aclose()


@pytest.mark.parametrize(("kind", "address"), [("ec2-private-ip", "10.0.0.100"), ("ec2-ipv6", "2001:db8::100")])
async def test_boto3_reads_the_address_on_our_network_interface(
    moto: Referee, kind: str, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    be(monkeypatch, *moto.user("mover", printed(moto, kind)))
    reader = moto.reader()
    mover = build(kind, moto.options(kind), host("n1"))
    moto.enforce()
    with contextlib.suppress(UnavailableError):  # moto cannot look for IPv6 addresses: HTTP 500
        await mover.prepare()
    await mover.acquire(None)
    assert address in _addresses(reader, moto.cards["n1"])
    await mover.release(Holder(Who.ME))
    assert address not in _addresses(reader, moto.cards["n1"])
    await mover.aclose()


def _addresses(reader: Any, card: str) -> set[str]:
    found = reader.describe_network_interfaces(NetworkInterfaceIds=[card])["NetworkInterfaces"][0]
    private = {one["PrivateIpAddress"] for one in found["PrivateIpAddresses"]}
    return private | {one["Ipv6Address"] for one in found["Ipv6Addresses"]}


async def test_boto3_reads_our_network_interface_after_every_acquire(
    moto: Referee, monkeypatch: pytest.MonkeyPatch
) -> None:
    be(monkeypatch, "any", "any")
    async with FaultProxy(moto.url, rtt=0.01) as proxy:
        options = {**moto.options("ec2-elastic-ip"), "endpoint_url": proxy.url}
        movers = {node: build("ec2-elastic-ip", options, host(node)) for node in BOTH}
        for node in (*BOTH, *BOTH):
            await movers[node].prepare()
            await movers[node].acquire(None)
            read = await trio.to_thread.run_sync(moto.read_address)
            assert read["NetworkInterfaceId"] == moto.cards[node]
        proxy.faults.rules.append(Rule("lost_ack", "AssociateAddress", n=1))
        with pytest.raises(OutcomeUnknownError):
            await movers["n1"].acquire(None)
        assert (await movers["n1"].holder(fresh=True)).who is Who.ME
        assert (await trio.to_thread.run_sync(moto.read_address))["NetworkInterfaceId"] == moto.cards["n1"]
        for mover in movers.values():
            await mover.aclose()


async def test_boto3_reads_our_network_interface_in_the_route(moto: Referee, monkeypatch: pytest.MonkeyPatch) -> None:
    be(monkeypatch, "any", "any")
    mover = build("ec2-route", moto.options("ec2-route"), host("n1"))
    await mover.prepare()
    await mover.acquire(None)
    read = moto.client.describe_route_tables(RouteTableIds=[moto.table])["RouteTables"][0]["Routes"]
    assert [one["NetworkInterfaceId"] for one in read if one.get("DestinationCidrBlock") == "10.99.0.1/32"] == [
        moto.cards["n1"]
    ]
    await mover.aclose()


async def test_a_wrong_secret_is_found_out_by_its_signature(moto: Referee, monkeypatch: pytest.MonkeyPatch) -> None:
    key, secret = moto.user("mover", printed(moto, "ec2-elastic-ip"))
    be(monkeypatch, key, f"{secret}x")
    mover = build("ec2-elastic-ip", moto.options("ec2-elastic-ip"), host("n1"))
    moto.enforce()
    with pytest.raises(UnauthenticatedError):
        await mover.prepare()
    be(monkeypatch, key, secret)
    await mover.prepare()  # mended without a restart
    await mover.aclose()


async def test_a_missing_right_is_found_out_before_the_takeover(moto: Referee, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = printed(moto, "ec2-elastic-ip")
    reading = [{"Effect": "Allow", "Action": "ec2:Describe*", "Resource": "*"}]
    be(monkeypatch, *moto.user("mover", {**whole, "Statement": reading}))
    mover = build("ec2-elastic-ip", moto.options("ec2-elastic-ip"), host("n1"))
    moto.enforce()
    with pytest.raises(ForbiddenError, match=r"allow ec2:AssociateAddress"):
        await mover.prepare()
    await mover.aclose()
