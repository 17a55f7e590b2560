"""The mover `ec2-elastic-ip`, against the fake EC2."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pytest
import trio
from pydantic import ValidationError
from trio.testing import MockClock

from netns_lab.cloud.rules import Rule
from netns_lab.cloud.server import Answer, Request, listen
from netns_lab.cloud.world import Elastic
from tests.movers.ec2_nodes import Cloud, host, seen
from vrrpd.movers.base import (
    ConflictError,
    ForbiddenError,
    HalfDoneError,
    InvalidError,
    OutcomeUnknownError,
    ThrottledError,
    UnauthenticatedError,
    UnavailableError,
    UnreachableError,
    Who,
)
from vrrpd.movers.ec2 import credentials
from vrrpd.movers.ec2.credentials import since_boot
from vrrpd.movers.registry import KINDS

KIND = "ec2-elastic-ip"
EIP: dict[str, Any] = {"allocation_id": "eipalloc-1"}


async def test_it_is_brought_here_by_one_call_on_a_connection_that_was_open(ec2: Cloud) -> None:
    mover = await ec2.ready(KIND, **EIP)
    before = ec2.fake.requests[-1].connection
    ec2.fake.requests.clear()
    await mover.acquire(None)
    assert ec2.actions == ["AssociateAddress"]
    assert ec2.fake.requests[0].connection == before
    assert ec2.fake.world.elastic["eipalloc-1"].card == "eni-11"
    assert (await mover.holder()).who is Who.ME


async def test_getting_ready_changes_nothing_and_tries_the_change(ec2: Cloud) -> None:
    mover = await ec2.ready(KIND, **EIP)
    await mover.prepare()
    assert ec2.changes == []
    assert ec2.fake.remaps == []
    assert [one.code for one in ec2.fake.requests if "DryRun" in one.parameters] == ["DryRunOperation"]


async def test_the_change_is_tried_again_every_hour(ec2: Cloud, mock_clock: MockClock) -> None:
    mover = await ec2.ready(KIND, **EIP)
    mock_clock.jump(3000)
    await mover.prepare()
    assert len([one for one in ec2.fake.requests if "DryRun" in one.parameters]) == 1
    mock_clock.jump(601)
    await mover.prepare()
    assert len([one for one in ec2.fake.requests if "DryRun" in one.parameters]) == 2


async def test_it_is_taken_from_another_node_which_is_known_by_its_private_address(ec2: Cloud) -> None:
    first = await ec2.ready(KIND, **EIP)
    second = await ec2.ready(KIND, "n2", **EIP)
    await first.acquire(None)
    assert seen(await second.holder()) == ("peer", "eni-11", "n1")
    await second.acquire(None)
    assert seen(await first.holder()) == ("peer", "eni-12", "n2")
    assert seen(await second.holder())[0] == "me"


async def test_a_stranger_is_none_of_the_nodes_and_nobody_is_nobody(ec2: Cloud) -> None:
    mover = await ec2.ready(KIND, **EIP)
    assert seen(await mover.holder()) == ("nobody", None, None)
    ec2.fake.steal()
    assert seen(await mover.holder()) == ("foreign", "eni-66", None)


async def test_who_a_peer_is_is_asked_once(ec2: Cloud) -> None:
    first = await ec2.ready(KIND, **EIP)
    second = await ec2.ready(KIND, "n2", **EIP)
    await first.acquire(None)
    await second.holder()
    ec2.fake.requests.clear()
    await second.holder()
    assert ec2.actions == ["DescribeAddresses"]


async def test_the_address_itself_names_it_as_well(ec2: Cloud) -> None:
    mover = await ec2.ready(KIND, public_ip="203.0.113.7")
    await mover.acquire(None)
    assert ec2.fake.world.elastic["eipalloc-1"].card == "eni-11"


async def test_with_the_ids_in_the_file_the_metadata_service_is_never_asked(ec2: Cloud) -> None:
    both = {"n1": "eni-11", "n2": "eni-12"}
    mover = await ec2.ready(KIND, region="eu-west-1", network_interface_id=both, **EIP)
    await mover.acquire(None)
    assert (await mover.holder()).who is Who.ME
    assert await mover.local_verify() is None
    assert ec2.fake.metadata.tokens == 0


async def test_a_map_of_the_nodes_says_whose_a_network_interface_is(ec2: Cloud) -> None:
    both = {"n1": "eni-11", "n2": "eni-12"}
    first = await ec2.ready(KIND, region="eu-west-1", network_interface_id=both, **EIP)
    second = await ec2.ready(KIND, "n2", region="eu-west-1", network_interface_id=both, **EIP)
    await second.acquire(None)
    assert seen(await first.holder()) == ("peer", "eni-12", "n2")
    ec2.fake.steal()
    assert seen(await first.holder()) == ("foreign", "eni-66", None)


async def test_this_host_sees_it_by_itself(ec2: Cloud) -> None:
    mover = await ec2.ready(KIND, **EIP)
    assert await mover.local_verify() is False
    await mover.acquire(None)
    assert await mover.local_verify() is True
    ec2.fake.steal()
    assert await mover.local_verify() is False


async def test_this_host_sees_it_on_the_network_interface_that_the_file_names(ec2: Cloud) -> None:
    other = host(card="02:88:00:00:00:99")  # the router lives elsewhere
    mover = await ec2.ready(KIND, told=other, network_interface_id="eni-11", **EIP)
    await mover.acquire(None)
    assert await mover.local_verify() is True


async def test_an_address_that_only_begins_alike_is_another(ec2: Cloud) -> None:
    mover = await ec2.ready(KIND, **EIP)
    ec2.fake.world.elastic["eipalloc-1"].public = "203.0.113.70"
    await mover.acquire(None)
    assert await mover.local_verify() is False


class TestSecondaryAddress:
    async def test_it_goes_with_the_private_address_that_is_named(self, ec2: Cloud) -> None:
        ec2.fake.world.assign("eni-11", ["10.0.0.21"], reassign=False)
        mover = await ec2.ready(KIND, private_ip={"n1": "10.0.0.21", "n2": "10.0.0.22"}, **EIP)
        await mover.acquire(None)
        assert ec2.fake.world.elastic["eipalloc-1"].private == "10.0.0.21"
        assert (await mover.holder()).who is Who.ME

    async def test_with_another_of_ours_it_is_nobodys(self, ec2: Cloud) -> None:
        ec2.fake.world.assign("eni-11", ["10.0.0.21"], reassign=False)
        mover = await ec2.ready(KIND, private_ip="10.0.0.21", **EIP)
        elastic = ec2.fake.world.elastic["eipalloc-1"]
        ec2.fake.world.associate("eipalloc-1", elastic, "eni-11", None, reassociate=True)
        assert (await mover.holder()).who is Who.NOBODY
        await mover.acquire(None)
        assert (await mover.holder()).who is Who.ME


class TestCompare:
    async def test_it_is_taken_from_the_holder_that_was_seen(self, ec2: Cloud) -> None:
        first = await ec2.ready(KIND, **EIP)
        await first.acquire(None)
        second = await ec2.ready(KIND, "n2", takeover="compare", **EIP)
        ec2.fake.requests.clear()
        await second.acquire(await second.holder())
        assert ec2.changes == ["DisassociateAddress", "AssociateAddress"]
        assert ec2.fake.world.elastic["eipalloc-1"].card == "eni-12"

    async def test_whoever_was_overtaken_is_refused(self, ec2: Cloud) -> None:
        first = await ec2.ready(KIND, takeover="compare", **EIP)
        second = await ec2.ready(KIND, "n2", takeover="compare", **EIP)
        earlier = await first.holder()
        await second.acquire(await second.holder())
        with pytest.raises(ConflictError):
            await first.acquire(earlier)
        assert ec2.fake.world.elastic["eipalloc-1"].card == "eni-12"

    async def test_what_is_with_nobody_because_of_us_is_tried_for_again_whatever_is_wrong(self, ec2: Cloud) -> None:
        first = await ec2.ready(KIND, **EIP)
        await first.acquire(None)
        second = await ec2.ready(KIND, "n2", takeover="compare", **EIP)
        ec2.fake.add(Rule("error", "AssociateAddress", n=2, status=400, code="InvalidNetworkInterfaceID.NotFound"))
        for _ in range(2):
            with pytest.raises(HalfDoneError, match="nobody has it"):
                await second.acquire(await second.holder())
        await second.acquire(await second.holder())
        assert ec2.fake.world.elastic["eipalloc-1"].card == "eni-12"

    async def test_the_right_to_undo_an_association_is_tried_too(self, ec2: Cloud) -> None:
        first = await ec2.ready(KIND, **EIP)
        await first.acquire(None)
        ec2.fake.world.keys["KEY-n2"] = [
            "Describe*",
            "DescribeAddresses",
            "DescribeNetworkInterfaces",
            "AssociateAddress",
        ]
        with pytest.raises(ForbiddenError, match=r"ec2:DisassociateAddress"):
            await ec2.ready(KIND, "n2", takeover="compare", **EIP)


class TestAnotherPublicAddress:
    @pytest.fixture
    def own(self, ec2: Cloud) -> Elastic:
        """The node's own public address, with its primary private one."""
        own = ec2.fake.world.elastic["eipalloc-own"] = Elastic("198.51.100.11")
        ec2.fake.world.associate("eipalloc-own", own, "eni-11", None, reassociate=True)
        return own

    @pytest.mark.parametrize("takeover", ["steal", "compare"])
    async def test_it_is_not_displaced(self, ec2: Cloud, own: Elastic, takeover: str) -> None:
        with pytest.raises(InvalidError, match=r"would displace 198\.51\.100\.11 from .*'private_ip'"):
            await ec2.ready(KIND, takeover=takeover, **EIP)
        assert own.card == "eni-11"
        assert ec2.changes == []

    async def test_it_stays_beside_the_one_that_moves(self, ec2: Cloud, own: Elastic) -> None:
        ec2.fake.world.assign("eni-11", ["10.0.0.21"], reassign=False)
        mover = await ec2.ready(KIND, private_ip="10.0.0.21", **EIP)
        await mover.acquire(None)
        await mover.prepare()
        assert own.card == "eni-11"
        assert (await mover.holder()).who is Who.ME

    async def test_one_that_has_gone_since_is_no_obstacle(self, ec2: Cloud, own: Elastic) -> None:
        mover = ec2.make(KIND, **EIP)
        with pytest.raises(InvalidError):
            await mover.prepare()
        ec2.fake.world.disassociate(own.association, None)
        await mover.prepare()
        await mover.acquire(None)
        assert (await mover.holder()).who is Who.ME


class TestRelease:
    async def test_it_is_given_up(self, ec2: Cloud) -> None:
        mover = await ec2.ready(KIND, release="on_stop", **EIP)
        await mover.acquire(None)
        await mover.release(await mover.holder())
        assert ec2.fake.world.elastic["eipalloc-1"].card is None

    async def test_it_is_left_to_a_node_that_has_taken_it_meanwhile(self, ec2: Cloud) -> None:
        first = await ec2.ready(KIND, release="on_stop", **EIP)
        second = await ec2.ready(KIND, "n2", **EIP)
        await first.acquire(None)
        ours = await first.holder()
        await second.acquire(None)
        await first.release(ours)
        assert ec2.fake.world.elastic["eipalloc-1"].card == "eni-12"


class TestWhatGoesWrong:
    async def test_an_unknown_allocation_is_named_with_the_region(self, ec2: Cloud) -> None:
        with pytest.raises(InvalidError) as raised:
            await ec2.ready(KIND, allocation_id="eipalloc-9")
        assert "eu-west-1" in str(raised.value)
        assert "'eipalloc-9' does not exist" in str(raised.value)
        assert str(raised.value).endswith(
            "; correct 'allocation_id' or 'region'; the account must be the address's own"
        )

    async def test_an_unknown_public_address_is_named(self, ec2: Cloud) -> None:
        with pytest.raises(InvalidError, match=r"'203\.0\.113\.9'.*; correct 'public_ip' or 'region'"):
            await ec2.ready(KIND, public_ip="203.0.113.9")

    async def test_an_unknown_network_interface_is_named(self, ec2: Cloud) -> None:
        with pytest.raises(
            InvalidError, match=r"'eni-99' does not exist.*; correct 'network_interface_id' or 'region'"
        ):
            await ec2.ready(KIND, network_interface_id="eni-99", **EIP)

    async def test_a_missing_right_names_the_action_and_the_command_that_prints_the_policy(self, ec2: Cloud) -> None:
        ec2.fake.world.keys["KEY-n1"] = ["DescribeAddresses", "DescribeNetworkInterfaces"]
        with pytest.raises(ForbiddenError, match=r"allow ec2:AssociateAddress .'vrrpd cloud policy'"):
            await ec2.ready(KIND, **EIP)
        assert ec2.changes == []

    async def test_wrong_credentials_are_no_secret_but_hold_none(
        self, ec2: Cloud, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level("DEBUG")
        del ec2.fake.world.keys["KEY-n1"]
        mover = ec2.make(KIND, **EIP)
        ec2.act_as("n1", secret="very-secret")
        with pytest.raises(
            UnauthenticatedError, match=r"; correct the access key and its secret, or the role"
        ) as raised:
            await mover.prepare()
        said = f"{raised.value}{raised.value.__cause__}{raised.value.__context__!r}{mover!r}{caplog.text}"
        assert "very-secret" not in said
        assert "Signature=" not in said

    async def test_a_wrong_region_is_said_to_be_one(self, ec2: Cloud) -> None:
        with pytest.raises(UnauthenticatedError, match=r"; correct 'region'"):
            await ec2.ready(KIND, region="us-east-1", **EIP)

    @pytest.mark.parametrize(
        ("rule", "kind"),
        [
            (Rule("error", "AssociateAddress"), ThrottledError),
            (Rule("error", "AssociateAddress", code="InternalError", status=500), UnavailableError),
            (Rule("error", "AssociateAddress", code="ServiceUnavailable"), UnavailableError),
            (Rule("error", "AssociateAddress", code="IncorrectInstanceState", status=400), UnavailableError),
            (Rule("error", "AssociateAddress", code="UnauthorizedOperation", status=403), ForbiddenError),
            (Rule("error", "AssociateAddress", code="ExpiredToken", status=400), UnauthenticatedError),
            (Rule("error", "AssociateAddress", code="InvalidParameterValue", status=400), InvalidError),
            (Rule("error", "AssociateAddress", code="Gateway.NotAttached", status=400), InvalidError),
            (Rule("lost_ack", "AssociateAddress"), OutcomeUnknownError),
        ],
    )
    async def test_each_refusal_is_its_own_kind_of_failure(self, ec2: Cloud, rule: Rule, kind: type[Exception]) -> None:
        mover = await ec2.ready(KIND, **EIP)
        ec2.fake.requests.clear()
        ec2.fake.add(rule)
        with pytest.raises(kind) as raised:
            await mover.acquire(None)
        assert type(raised.value) is kind
        assert ec2.changes == ["AssociateAddress"]

    async def test_when_to_come_again_is_passed_on(self, ec2: Cloud) -> None:
        mover = await ec2.ready(KIND, **EIP)
        ec2.fake.add(Rule("error", "AssociateAddress", retry_after=0.7))
        with pytest.raises(ThrottledError) as raised:
            await mover.acquire(None)
        assert raised.value.retry_after == 0.7

    async def test_a_question_without_an_answer_has_done_no_harm(self, ec2: Cloud) -> None:
        mover = await ec2.ready(KIND, **EIP)
        ec2.fake.add(Rule("lost_ack", "DescribeAddresses"))
        with pytest.raises(UnreachableError):
            await mover.holder()

    async def test_after_a_lost_answer_a_fresh_connection_is_asked(self, ec2: Cloud) -> None:
        mover = await ec2.ready(KIND, **EIP)
        before = ec2.fake.requests[-1].connection
        assert (await mover.holder(fresh=True)).who is Who.NOBODY
        assert ec2.fake.requests[-1].connection != before

    async def test_an_endpoint_that_is_no_ec2_is_said_to_be_none(self, ec2: Cloud, nursery: trio.Nursery) -> None:
        async def handle(request: Request) -> Answer:
            return Answer(404 if request.body else 200, b"<html>It works!")

        port = await listen(nursery, handle)
        mover = ec2.make(KIND, endpoint_url=f"http://127.0.0.1:{port}", region="eu-west-1", **EIP)
        with pytest.raises(UnavailableError, match=r"is not EC2's .*; correct 'endpoint_url'"):
            await mover.prepare()

    async def test_a_closed_port_is_unreachable_with_a_fix(self, ec2: Cloud) -> None:
        mover = ec2.make(KIND, endpoint_url="http://127.0.0.1:1", **EIP)
        with pytest.raises(UnreachableError, match=r"127\.0\.0\.1:1 cannot be reached: .*; correct 'region' or"):
            await mover.prepare()

    async def test_a_clock_that_is_wrong_is_corrected_and_named(self, ec2: Cloud) -> None:
        mover = ec2.make(KIND, **EIP)
        ec2.fake.ahead = timedelta(minutes=20)
        with pytest.raises(UnavailableError, match=r"clock, which is 1[12][0-9]{2} s behind; set it"):
            await mover.prepare()
        await mover.prepare()
        await mover.acquire(None)
        assert ec2.fake.world.elastic["eipalloc-1"].card == "eni-11"

    async def test_a_clock_that_was_set_meanwhile_is_right_again(self, ec2: Cloud) -> None:
        mover = ec2.make(KIND, **EIP)
        ec2.fake.ahead = timedelta(minutes=20)
        with pytest.raises(UnavailableError):
            await mover.prepare()
        ec2.fake.ahead = timedelta()
        with pytest.raises(UnavailableError):
            await mover.prepare()
        await mover.prepare()

    async def test_a_clock_that_is_set_right_costs_no_call(self, ec2: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
        mover = ec2.make(KIND, **EIP)
        ec2.fake.ahead = timedelta(minutes=20)
        with pytest.raises(UnavailableError):
            await mover.prepare()
        await mover.prepare()
        # Our clock is set 20 minutes forward; a test may set the other two back instead.
        ec2.fake.ahead = timedelta()
        monkeypatch.setattr(credentials, "since_boot", lambda: since_boot() - timedelta(minutes=20))
        await mover.acquire(None)
        assert ec2.fake.world.elastic["eipalloc-1"].card == "eni-11"

    async def test_without_botocore_it_is_said_what_to_install(
        self, ec2: Cloud, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("vrrpd.movers.ec2.credentials.chain", None)
        fix = r"botocore, which is not installed; pip install 'vrrpd\[aws\]'"
        assert re.search(fix, str(KINDS[KIND].inspect(KINDS[KIND].options.validate_python(EIP))))
        with pytest.raises(UnauthenticatedError, match=fix):
            await ec2.ready(KIND, **EIP)


class TestCancelled:
    async def test_whoever_is_cancelled_sends_nothing_more(self, ec2: Cloud) -> None:
        mover = await ec2.ready(KIND, takeover="compare", **EIP)
        ec2.fake.steal()
        before = await mover.holder()
        ec2.fake.add(Rule("hang", "DisassociateAddress"))
        ec2.fake.requests.clear()
        with trio.move_on_after(0.05):
            await mover.acquire(before)
        await mover.aclose()
        await trio.sleep(0.05)
        assert ec2.changes == ["DisassociateAddress"]

    async def test_it_works_again_after_it_was_closed(self, ec2: Cloud) -> None:
        mover = await ec2.ready(KIND, **EIP)
        await mover.aclose()
        await mover.aclose()
        await mover.acquire(None)
        assert ec2.fake.world.elastic["eipalloc-1"].card == "eni-11"


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({}, "nothing says which address; write allocation_id or public_ip, one of them"),
        (
            {**EIP, "public_ip": "203.0.113.7"},
            "the address is named twice; write allocation_id or public_ip, one of them",
        ),
        ({"allocation_id": "eni-1"}, "'eni-1' is no id of an elastic address; write one such as eipalloc-"),
        ({"public_ip": "2001:db8::1"}, "'2001:db8::1' is of the other family; write one such as 10.0.0.100"),
        ({**EIP, "network_interface_id": "i-1"}, "'i-1' is no id of a network interface; write one such as eni-"),
        ({**EIP, "region": "eu-west-1a"}, "'eu-west-1a' is an availability zone; write its region, 'eu-west-1'"),
        ({**EIP, "region": "Ireland"}, "'Ireland' is no region of AWS; write one such as eu-west-1"),
        ({**EIP, "endpoint_url": "http://ec2.example"}, "'http://ec2.example' is not encrypted; write https://"),
        ({**EIP, "endpoint_url": "https://u:p@ec2.example"}, "is no URL of an API; write one such as https://ec2."),
        ({**EIP, "ca": "ca.pem"}, "'ca.pem' is no absolute path of a file; write one that begins with /"),
    ],
)
def test_mistakes_are_said_in_plain_words(options: dict[str, object], complaint: str) -> None:
    with pytest.raises(ValidationError) as raised:
        KINDS[KIND].options.validate_python(options)
    (error,) = raised.value.errors()
    assert complaint in error["msg"]


def test_the_nodes_that_options_name_are_told() -> None:
    options = KINDS[KIND].options.validate_python(
        {**EIP, "network_interface_id": {"n1": "eni-1", "n3": "eni-3"}, "private_ip": "10.0.0.21"}
    )
    assert KINDS[KIND].names(options) == {"network_interface_id": ("n1", "n3")}
    assert KINDS[KIND].inspect(options) is None
