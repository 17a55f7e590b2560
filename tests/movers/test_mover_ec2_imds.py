"""The metadata service as the movers of EC2 use it, and credentials that come from it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import trio
from botocore.exceptions import ClientError  # pyright: ignore[reportMissingTypeStubs]
from trio.testing import MockClock

from netns_lab.cloud.ec2 import FakeEc2
from netns_lab.cloud.server import Answer, Request, listen
from netns_lab.cloud.world import Card, World
from tests.movers.ec2_nodes import Cloud, host
from vrrpd.movers.base import InvalidError, UnauthenticatedError, UnreachableError
from vrrpd.movers.ec2.imds import Imds

KIND = "ec2-elastic-ip"
EIP: dict[str, Any] = {"allocation_id": "eipalloc-1"}
REGION = "placement/region"


class TestToken:
    async def test_one_is_enough_for_many_questions(self, ec2: Cloud) -> None:
        ec2.act_as("n1")
        imds = Imds()
        for _ in range(3):
            assert await imds.get(REGION) == "eu-west-1"
        assert ec2.fake.metadata.tokens == 1
        await imds.aclose()

    async def test_one_that_ran_out_early_is_renewed_once(self, ec2: Cloud) -> None:
        ec2.act_as("n1")
        imds = Imds()
        await imds.get(REGION)
        ec2.fake.metadata = replace(ec2.fake.metadata, _ends={})
        assert await imds.get(REGION) == "eu-west-1"
        assert ec2.fake.metadata.tokens == 2
        await imds.aclose()

    async def test_it_is_renewed_an_hour_before_it_runs_out(self, mock_clock: MockClock, ec2: Cloud) -> None:
        ec2.act_as("n1")
        imds = Imds()
        await imds.get(REGION)
        mock_clock.jump(4.9 * 3600)
        await imds.get(REGION)
        assert ec2.fake.metadata.tokens == 1
        mock_clock.jump(0.2 * 3600)
        await imds.get(REGION)
        assert ec2.fake.metadata.tokens == 2
        await imds.aclose()

    async def test_a_service_that_never_takes_one_is_not_asked_for_ever(
        self, nursery: trio.Nursery, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        puts: list[str] = []

        async def handle(request: Request) -> Answer:
            puts.append(request.method)
            return Answer(200, b"token") if request.method == "PUT" else Answer(401)

        port = await listen(nursery, handle)
        monkeypatch.setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", f"http://127.0.0.1:{port}/")
        imds = Imds()
        with pytest.raises(UnreachableError, match=r"answers 401; set 'region' and 'network_interface_id'"):
            await imds.get(REGION)
        assert puts == ["PUT", "GET", "PUT", "GET"]
        await imds.aclose()


class TestWhatGoesWrong:
    async def test_a_container_behind_a_hop_limit_of_one_is_told_so(self, mock_clock: MockClock, ec2: Cloud) -> None:
        ec2.fake.world.machines["n1"].hops = 2
        mock_clock.rate = 20
        mover = ec2.make(KIND, **EIP)
        with pytest.raises(
            UnreachableError, match=r"hop limit is 1, .*; set HttpPutResponseHopLimit of the instance to 2"
        ):
            await mover.prepare()

    async def test_a_machine_that_is_none_of_ec2_is_told_so(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", "http://127.0.0.1:1")
        imds = Imds()
        with pytest.raises(
            UnreachableError, match=r"no metadata service: .*, or set 'region' and 'network_interface_id'"
        ):
            await imds.get(REGION)
        await imds.aclose()

    async def test_a_service_that_says_nothing_is_given_up_after_a_second(
        self, mock_clock: MockClock, nursery: trio.Nursery, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async def handle(request: Request) -> Answer:
            await trio.sleep_forever()
            raise AssertionError(request)

        mock_clock.rate = 20
        port = await listen(nursery, handle)
        monkeypatch.setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", f"http://127.0.0.1:{port}")
        imds = Imds()
        with pytest.raises(UnreachableError, match=r"does not answer within a second; set 'region'"):
            await imds.get(REGION)
        await imds.aclose()

    @pytest.mark.parametrize(
        ("status", "complaint"), [(403, "is off for this instance; switch it on"), (404, "gives no token .404.")]
    )
    async def test_a_refused_token_is_told_by_its_status(
        self, nursery: trio.Nursery, monkeypatch: pytest.MonkeyPatch, status: int, complaint: str
    ) -> None:
        async def handle(request: Request) -> Answer:
            del request
            return Answer(status)

        port = await listen(nursery, handle)
        monkeypatch.setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", f"http://127.0.0.1:{port}")
        imds = Imds()
        with pytest.raises(UnreachableError, match=complaint):
            await imds.get(REGION)
        await imds.aclose()


class TestIdentity:
    async def test_of_several_cards_the_one_with_the_routers_mac_address_is_ours(self, ec2: Cloud) -> None:
        world = ec2.fake.world
        world.cards["eni-21"] = Card("02:88:00:00:00:ff", "subnet-1", ["10.0.0.21"])
        world.machines["n1"].cards.append("eni-21")
        mover = await ec2.ready(KIND, told=host("n1", card="02:88:00:00:00:ff"), **EIP)
        await mover.acquire(None)
        assert world.elastic["eipalloc-1"].card == "eni-21"

    async def test_a_card_that_is_none_of_ec2_is_named(self, ec2: Cloud) -> None:
        mover = ec2.make(KIND, told=host("n1", card="52:54:00:00:00:01"), **EIP)
        with pytest.raises(InvalidError, match=r"MAC address 52:54:00:00:00:01; set 'network_interface_id', or"):
            await mover.prepare()

    async def test_without_an_interface_there_is_none_to_look_for(self, ec2: Cloud) -> None:
        mover = ec2.make(KIND, told=host("n1", card=""), **EIP)
        with pytest.raises(UnreachableError, match=r"interface does not exist; create it, or"):
            await mover.prepare()


class TestCredentials:
    async def test_none_behind_a_hop_limit_of_one_is_no_matter_of_a_role(
        self, mock_clock: MockClock, ec2: Cloud, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        ec2.fake.world.machines["n1"].hops = 2
        mover = ec2.make(KIND, region="eu-west-1", network_interface_id="eni-11", **EIP)
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            monkeypatch.delenv(name)

        def none(_: object) -> None:  # after a second that botocore waits for it
            return None

        monkeypatch.setattr("vrrpd.movers.ec2.chain.Chain.ask", none)
        mock_clock.rate = 20
        with pytest.raises(
            UnauthenticatedError, match=r"HttpPutResponseHopLimit .*, or put AWS_ACCESS_KEY_ID"
        ) as caught:
            await mover.prepare()
        assert "attach an IAM role" not in str(caught.value)

    async def test_a_source_that_fails_in_its_own_way_is_said_and_ends_nothing(
        self, ec2: Cloud, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        mover = ec2.make(KIND, **EIP)
        denied = {"Error": {"Code": "AccessDenied", "Message": "not authorized to assume it"}}
        failures: list[tuple[Exception, str]] = [
            (ClientError(denied, "AssumeRoleWithWebIdentity"), "not authorized to assume it"),
            (AttributeError("s3cr3t"), "cannot be had: AttributeError$"),
        ]
        for failure, said in failures:

            def fail(_: object, failure: Exception = failure) -> None:
                raise failure

            monkeypatch.setattr("vrrpd.movers.ec2.chain.Session.get_credentials", fail)
            with pytest.raises(UnauthenticatedError, match=said):
                await mover.prepare()

    async def test_those_of_the_instances_role_are_used(self, ec2: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
        mover = ec2.make(KIND, **EIP)
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            monkeypatch.delenv(name)
        await mover.prepare()
        await mover.acquire(None)
        assert ec2.fake.requests[-1].node == "n1"

    async def test_they_are_renewed_before_they_run_out_and_never_by_a_mutation(
        self, ec2: Cloud, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        mover = ec2.make(KIND, **EIP)
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            monkeypatch.delenv(name)
        # As if their last quarter of an hour had come: botocore goes by the wall clock.
        monkeypatch.setattr("botocore.credentials.RefreshableCredentials._advisory_refresh_timeout", 24 * 3600)
        await mover.prepare()
        tokens = ec2.fake.metadata.tokens
        await mover.acquire(None)
        assert ec2.fake.metadata.tokens == tokens
        await mover.prepare()
        assert ec2.fake.metadata.tokens > tokens

    async def test_without_any_it_is_said_where_they_could_come_from(
        self, ec2: Cloud, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        mover = ec2.make(KIND, **EIP)
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            monkeypatch.delenv(name)
        ec2.fake.world.machines["n1"].key = ""
        with pytest.raises(
            UnauthenticatedError, match=r"no credentials for AWS; attach an IAM role to the instance, or"
        ):
            await mover.prepare()

    async def test_half_of_them_are_named(self, ec2: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
        mover = ec2.make(KIND, **EIP)
        monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
        with pytest.raises(UnauthenticatedError, match=r"cannot be had: .*AWS_SECRET_ACCESS_KEY"):
            await mover.prepare()

    async def test_those_that_are_refused_are_asked_for_anew(self, ec2: Cloud) -> None:
        mover = ec2.make(KIND, **EIP)
        right = ec2.fake.world.keys.pop("KEY-n1")
        with pytest.raises(UnauthenticatedError):
            await mover.prepare()
        ec2.fake.world.keys["KEY-n2"] = right
        ec2.act_as("n2")
        await mover.prepare()
        assert ec2.fake.requests[-1].node == "n2"


async def test_the_metadata_service_of_a_world_is_reached_by_the_standard_variable(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with FakeEc2(World.of(("n1", "n2"))) as fake:
        monkeypatch.setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", f"{fake.metadata_url('n2')}/")
        imds = Imds()
        assert await imds.get("mac") == "02:88:00:00:00:0c"
        assert await imds.get("no/such/thing") is None
        await imds.aclose()
