"""Nine clouds by name, each against a fake that behaves as its documentation says."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import trio
from pydantic import ValidationError
from trio.testing import MockClock

from tests.movers.fakes.harness import Tried, trying, written
from tests.movers.fakes.providers import (
    SECRETS,
    AzureRoute,
    DigitalOcean,
    Fault,
    GcpRoute,
    Hetzner,
    HetznerRobot,
    OpenStack,
    Provider,
    Vultr,
    all_providers,
)
from tests.movers.fakes.server import Response
from vrrpd.movers.base import (
    ConflictError,
    ForbiddenError,
    HalfDoneError,
    Holder,
    InvalidError,
    MoverError,
    OutcomeUnknownError,
    ThrottledError,
    UnauthenticatedError,
    UnavailableError,
    Who,
)
from vrrpd.movers.http.engine import HttpMover
from vrrpd.movers.http.presets import KINDS
from vrrpd.movers.http.service import BusyError
from vrrpd.proto.timers import SECOND

Make = Callable[[], Provider]


def but(*others: type[Provider]) -> pytest.MarkDecorator:
    """Runs a test for each cloud but a few."""
    makes = [make for make in all_providers() if make not in others]
    return pytest.mark.parametrize("make", makes, ids=lambda make: make.kind)


nine = but()
READ = ("GET", "PUT /v1/token", "POST /v3/auth/tokens")
"""Requests that change nothing: questions, and those for a token."""


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


async def failed(tried: Tried, error: type[MoverError], seen: Holder | None = None) -> MoverError:
    with pytest.raises(error) as caught:
        await tried.mover.acquire(seen)
    return caught.value


def test_there_are_nine() -> None:
    assert [make.kind for make in all_providers()] == [*KINDS]


@nine
async def test_it_is_moved_here_and_seen_here(make: Make, tmp_path: Path) -> None:
    async with trying(make(), tmp_path) as tried:
        await tried.mover.prepare()
        assert await tried.mover.holder() == Holder(Who.PEER, tried.cloud.peer, "lb2", token_of(tried))
        await tried.mover.acquire(None)
        assert tried.cloud.holder == tried.cloud.me
        assert (await tried.mover.holder()).who is Who.ME


def token_of(tried: Tried) -> str | None:
    """What a conditional change would name."""
    match tried.cloud:
        case OpenStack() as cloud:
            return str(cloud.revision)
        case AzureRoute() as cloud:
            return f'W/"{cloud.etag}"'
        case _:
            return None


@nine
async def test_the_change_is_the_first_thing_on_a_connection_that_is_warm(make: Make, tmp_path: Path) -> None:
    async with trying(make(), tmp_path) as tried:
        await tried.mover.prepare()
        tried.forget()
        await tried.mover.acquire(None)
        assert tried.asked[0] == tried.cloud.first
        assert tried.server.connections == 1


@nine
async def test_preparing_changes_nothing(make: Make, tmp_path: Path) -> None:
    async with trying(make(), tmp_path, ids=make is OpenStack) as tried:
        for _ in range(2):
            await tried.mover.prepare()
            await tried.mover.holder()
        assert tried.cloud.moves == []
        assert all(request.startswith(READ) for request in tried.asked)


@nine
async def test_preparing_and_asking_for_the_holder_is_one_question(make: Make, tmp_path: Path) -> None:
    async with trying(make(), tmp_path) as tried:
        await tried.mover.prepare()
        question = tried.asked[-1]
        await tried.mover.holder()
        assert tried.asked.count(question) == 1


@but(OpenStack)
async def test_a_node_finds_out_itself_what_it_is_called(make: Make, tmp_path: Path) -> None:
    async with trying(make(), tmp_path, ids=False) as tried:
        tried.cloud.holder = tried.cloud.me
        await tried.mover.prepare()
        assert (await tried.mover.holder()).who is Who.ME


@nine
async def test_with_ids_in_the_file_the_metadata_service_is_not_asked(make: Make, tmp_path: Path) -> None:
    async with trying(make(), tmp_path) as tried:
        await tried.mover.prepare()
        paths = {"/hetzner/v1/metadata/instance-id", "/metadata/v1/id", "/v1/instance", "/v1.json", "/conf"}
        assert not paths & {request.path for request in tried.server.asked}


@nine
@pytest.mark.parametrize("who", [Who.NOBODY, Who.FOREIGN, Who.PEER, Who.ME])
async def test_the_holder_is_told_apart(make: Make, who: Who, tmp_path: Path) -> None:
    async with trying(make(), tmp_path) as tried:
        cloud = tried.cloud
        cloud.holder = {Who.NOBODY: None, Who.FOREIGN: cloud.foreign, Who.PEER: cloud.peer, Who.ME: cloud.me}[who]
        await tried.mover.prepare()
        assert (await tried.mover.holder()).who is who


@nine
async def test_it_is_taken_where_nobody_has_it(make: Make, tmp_path: Path) -> None:
    async with trying(make(), tmp_path) as tried:
        tried.cloud.holder = None
        await tried.mover.prepare()
        await tried.mover.acquire(None)
        assert tried.cloud.moves == [tried.cloud.me]


@nine
async def test_wrong_credentials_are_said_with_their_place_and_without_themselves(make: Make, tmp_path: Path) -> None:
    async with trying(make(), tmp_path) as tried:
        tried.cloud.refuses = True
        with pytest.raises(UnauthenticatedError) as caught:
            await tried.mover.prepare()
        text = str(caught.value)
        assert "refuses the credentials" in text
        assert (f"check file:{tried.secret}" if tried.cloud.secret_option else "rights of this machine") in text
        assert not any(secret in text for secret in (*SECRETS, "k3yst0n3"))
        assert caught.value.__cause__ is None
        assert (caught.value.pause is not None) == (tried.cloud.kind == "hetzner-robot")


@nine
async def test_a_token_that_was_rotated_is_read_again(make: Make, tmp_path: Path) -> None:
    async with trying(make(), tmp_path) as tried:
        await tried.mover.prepare()
        tried.cloud.secret = SECRETS[1]
        tried.secret.write_text(SECRETS[1])
        await tried.mover.acquire(None)
        assert tried.cloud.moves[-1] == tried.cloud.me


@nine
@pytest.mark.parametrize(
    ("response", "error"),
    [
        (Response(403, {"message": "no"}), ForbiddenError),
        (Response(403, {"error": {"code": "RATE_LIMIT_EXCEEDED"}}), ThrottledError),
        (Response(429, {"message": "slow down"}), ThrottledError),
        (Response(404, {"message": "no such thing"}), InvalidError),
        (Response(422, {"message": "no such server"}), InvalidError),
        (Response(409, {"message": "other"}), ConflictError),
        (Response(409, {"message": "AnotherOperationInProgress"}), BusyError),
        (Response(400, {"error": {"errors": [{"reason": "resourceNotReady"}]}}), BusyError),
        (Response(422, {"error": {"code": "FAILOVER_LOCKED"}}), BusyError),
        (Response(423, {"message": "the item is locked"}), UnavailableError),
        (Response(500, "oops"), UnavailableError),
        (Response(502, "oops"), OutcomeUnknownError),
        (Response(301, "", {"Location": "/"}), InvalidError),
        (None, OutcomeUnknownError),
    ],
    ids=lambda value: value.status if isinstance(value, Response) else None,
)
async def test_a_refused_change_is_an_error_of_its_kind(
    make: Make, response: Response | None, error: type[MoverError], tmp_path: Path
) -> None:
    async with trying(make(), tmp_path) as tried:
        await tried.mover.prepare()
        tried.cloud.faults.append(Fault(tried.cloud.bringing, response))
        if error is InvalidError and tried.cloud.bringing != tried.cloud.first:
            error = HalfDoneError  # nobody has it by then, and it cannot be left so
        caught = await failed(tried, error)
        assert type(caught) is error
        assert str(caught).isprintable()
        await tried.mover.acquire(None)
        assert tried.cloud.moves[-1] == tried.cloud.me


@nine
async def test_a_throttled_call_says_when_to_come_again(make: Make, tmp_path: Path) -> None:
    async with trying(make(), tmp_path) as tried:
        await tried.mover.prepare()
        for status in (429, 503):
            tried.cloud.faults = [Fault(tried.cloud.first, Response(status, "", {"Retry-After": "7"}))]
            caught = await failed(tried, ThrottledError)
            assert isinstance(caught, ThrottledError)
            assert caught.retry_after == 7


@nine
async def test_the_role_lost_on_the_way_sends_nothing_more(make: Make, tmp_path: Path) -> None:
    async with trying(make(), tmp_path) as tried:
        await tried.mover.prepare()
        tried.forget()
        tried.server.heard = trio.Event()
        with trio.CancelScope() as scope:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(tried.mover.acquire, None)
                await tried.server.heard.wait()
                scope.cancel()
        sent = len(tried.asked)
        await trio.sleep(0.08)
        assert len(tried.asked) == sent


async def test_a_role_found_gone_between_two_changes_sends_no_second_one(tmp_path: Path) -> None:
    looks = 0
    scope = trio.CancelScope()

    def look() -> None:
        nonlocal looks
        looks += 1
        if looks == 2:
            scope.cancel()

    async with trying(Vultr(), tmp_path, look=look) as tried:
        await tried.mover.prepare()
        tried.forget()
        with scope:
            await tried.mover.acquire(None)
        assert len(tried.asked) == 1


@nine
async def test_it_can_be_closed_and_used_again(make: Make, tmp_path: Path) -> None:
    async with trying(make(), tmp_path) as tried:
        await tried.mover.prepare()
        await tried.mover.aclose()
        await tried.mover.aclose()
        await tried.mover.acquire(None)
        assert tried.cloud.moves[-1] == tried.cloud.me
        assert tried.server.connections == 2


@nine
async def test_a_fresh_question_has_a_connection_of_its_own(make: Make, tmp_path: Path) -> None:
    async with trying(make(), tmp_path) as tried:
        await tried.mover.prepare()
        await tried.mover.holder(fresh=True)
        assert tried.server.connections == 2


@pytest.mark.parametrize("make", [Hetzner, DigitalOcean, AzureRoute, GcpRoute], ids=lambda make: make.kind)
async def test_an_action_that_fails_is_said_and_can_be_tried_again(make: Make, tmp_path: Path) -> None:
    async with trying(make(), tmp_path) as tried:
        await tried.mover.prepare()
        tried.cloud.failing = 1
        caught = await failed(tried, UnavailableError)
        assert "says that it failed" in str(caught)
        assert tried.cloud.moves == []
        await tried.mover.acquire(None)
        assert tried.cloud.holder == tried.cloud.me


@pytest.mark.parametrize("make", [Hetzner, DigitalOcean, AzureRoute], ids=lambda make: make.kind)
@pytest.mark.parametrize("response", [Response(500, ""), Response(404, ""), None])
async def test_an_action_that_cannot_be_looked_at_may_have_happened(
    make: Make, response: Response | None, tmp_path: Path
) -> None:
    async with trying(make(), tmp_path) as tried:
        await tried.mover.prepare()
        tried.cloud.faults.append(Fault("GET", response))
        await failed(tried, OutcomeUnknownError)


async def test_vultr_attaches_again_and_does_not_detach_again(tmp_path: Path) -> None:
    async with trying(Vultr(), tmp_path) as tried:
        await tried.mover.prepare()
        tried.cloud.faults.append(Fault(Vultr.attach, Response(500, "oops"), times=2))
        tried.forget()
        for _ in range(2):
            await failed(tried, UnavailableError)
        await tried.mover.acquire(None)
        assert tried.asked == [Vultr.first, Vultr.attach, Vultr.attach, Vultr.attach]
        assert tried.cloud.holder == tried.cloud.me


async def test_vultr_detaches_again_where_another_node_was_faster(tmp_path: Path) -> None:
    async with trying(Vultr(), tmp_path) as tried:
        await tried.mover.prepare()
        tried.cloud.faults.append(Fault(Vultr.attach, Response(500, "oops")))
        await failed(tried, UnavailableError)
        tried.cloud.holder = tried.cloud.peer
        caught = await failed(tried, ConflictError)
        assert "another node may have been faster" in str(caught)
        await tried.mover.acquire(None)
        assert tried.cloud.holder == tried.cloud.me


async def test_vultr_attaches_where_another_node_detached(tmp_path: Path) -> None:
    async with trying(Vultr(), tmp_path) as tried:
        await tried.mover.prepare()
        tried.cloud.holder = None
        await tried.mover.acquire(None)
        assert tried.cloud.moves == [tried.cloud.me]


async def test_gcp_makes_the_route_again_and_does_not_delete_it_again(tmp_path: Path) -> None:
    async with trying(GcpRoute(), tmp_path) as tried:
        await tried.mover.prepare()
        tried.cloud.faults.append(Fault(GcpRoute.insert, Response(503, "oops")))
        await failed(tried, UnavailableError)
        tried.forget()
        await tried.mover.acquire(None)
        assert tried.asked[0] == GcpRoute.insert
        assert tried.cloud.holder == tried.cloud.me


async def test_gcp_makes_the_route_where_it_was_deleted_meanwhile(tmp_path: Path) -> None:
    async with trying(GcpRoute(), tmp_path) as tried:
        await tried.mover.prepare()
        tried.cloud.holder = None
        await tried.mover.acquire(None)
        assert tried.cloud.moves == [tried.cloud.me]


async def test_what_is_locked_by_a_person_is_refused_for_good(tmp_path: Path) -> None:
    for said in ("ScopeLocked", "the account is blocked"):
        async with trying(AzureRoute(), tmp_path) as tried:
            await tried.mover.prepare()
            tried.cloud.faults.append(Fault(tried.cloud.first, Response(400, {"error": {"code": said}})))
            assert type(await failed(tried, InvalidError)) is InvalidError


async def test_gcp_looks_after_a_conflict_and_deletes_what_another_node_made(tmp_path: Path) -> None:
    async with trying(GcpRoute(), tmp_path) as tried:
        tried.cloud.holder = None
        await tried.mover.prepare()
        tried.cloud.holder = tried.cloud.peer
        tried.forget()
        assert "another node may have been faster" in str(await failed(tried, ConflictError))
        await tried.mover.acquire(None)
        assert tried.asked[:3] == [GcpRoute.insert, f"GET {GcpRoute.route}", GcpRoute.first]
        assert tried.cloud.holder == tried.cloud.me


async def test_gcp_leaves_its_own_route_where_the_answer_to_it_was_lost(tmp_path: Path) -> None:
    async with trying(GcpRoute(), tmp_path) as tried:
        tried.cloud.holder = None
        await tried.mover.prepare()
        tried.cloud.holder = tried.cloud.me
        await failed(tried, ConflictError)
        tried.forget()
        await tried.mover.acquire(None)
        assert tried.asked == [f"GET {GcpRoute.route}"]


class TestAServiceThatLocksAccounts:
    """Three movers of one account of Hetzner Robot, which locks it after three refusals."""

    @staticmethod
    async def prepared(*movers: HttpMover) -> list[str]:
        """Prepare all at the same time; what they fail with."""
        failures: list[str] = []

        async def prepare(mover: HttpMover) -> None:
            try:
                await mover.prepare()
                await mover.holder(fresh=True)
            except UnauthenticatedError as error:
                failures.append(str(error))

        async with trio.open_nursery() as nursery:
            for mover in movers:
                nursery.start_soon(prepare, mover)
        for mover in movers:
            await mover.aclose()
        return failures

    async def test_a_wrong_password_is_refused_once(self, tmp_path: Path) -> None:
        async with trying(HetznerRobot(), tmp_path) as tried:
            tried.secret.write_text("wrong\n")
            movers = [tried.mover, *(tried.another() for _ in range(2))]
            failures = await self.prepared(*movers)
            assert len(failures) == 3
            assert len(tried.asked) == 1
            tried.secret.write_text("also wrong\n")
            await self.prepared(*movers)
            assert len(tried.asked) == 2
            tried.secret.write_text(tried.cloud.secret)
            assert await self.prepared(*movers) == []

    async def test_a_password_that_was_changed_is_refused_once(self, tmp_path: Path) -> None:
        async with trying(HetznerRobot(), tmp_path) as tried:
            movers = [tried.mover, *(tried.another() for _ in range(2))]
            assert await self.prepared(*movers) == []
            tried.cloud.secret = SECRETS[1]
            tried.secret.write_text(SECRETS[1])
            tried.forget()
            for mover in movers:
                await mover.holder(fresh=True)
            assert tried.cloud.refusals == 1
            tried.cloud.secret = SECRETS[0]
            tried.secret.write_text(SECRETS[0])
            assert await self.prepared(*movers) == []
            assert tried.cloud.refusals == 1


async def test_a_gcp_route_keeps_its_priority_and_its_tags(tmp_path: Path) -> None:
    google = GcpRoute()
    async with trying(google, tmp_path, priority="200", tags=["web", "proxy"]) as tried:
        await tried.mover.prepare()
        await tried.mover.acquire(None)
    assert (google.priority, google.instance_tags) == (200, ["web", "proxy"])


async def test_a_gcp_route_to_something_else_than_an_address_is_a_strangers(tmp_path: Path) -> None:
    async with trying(GcpRoute(), tmp_path) as tried:
        other = Response(200, {"name": "r", "nextHopInstance": "projects/p/zones/z/instances/i"})
        tried.cloud.faults.append(Fault(f"GET {GcpRoute.route}", other))
        await tried.mover.prepare()
        holder = await tried.mover.holder()
        assert holder.who is Who.FOREIGN
        assert str(holder) == "something without nextHopIp, which is none of the nodes"
        await tried.mover.acquire(None)
        assert tried.cloud.holder == tried.cloud.me


async def test_vultr_never_detaches_its_own(tmp_path: Path) -> None:
    async with trying(Vultr(), tmp_path) as tried:
        await tried.mover.prepare()
        tried.cloud.faults.append(Fault(Vultr.attach, None, applied=True))
        await failed(tried, OutcomeUnknownError)
        await failed(tried, ConflictError)
        await tried.mover.acquire(None)
        await tried.mover.acquire(None)
        assert tried.cloud.moves == ["None", tried.cloud.me]


async def test_what_nobody_has_because_of_us_is_tried_for_again_whatever_is_wrong(tmp_path: Path) -> None:
    async with trying(Vultr(), tmp_path) as tried:
        await tried.mover.prepare()
        tried.cloud.faults.append(Fault(Vultr.attach, Response(422, {"error": "the instance is stopped"}), times=3))
        for _ in range(3):
            await failed(tried, HalfDoneError)
        await tried.mover.acquire(None)
        assert tried.cloud.moves == ["None", tried.cloud.me]


async def test_a_401_behind_an_accepted_change_repeats_the_refused_call_alone(tmp_path: Path) -> None:
    async with trying(Vultr(), tmp_path) as tried:
        await tried.mover.prepare()
        tried.secret.write_text(SECRETS[0] + "\n")
        tried.cloud.faults.append(Fault(Vultr.attach, Response(401, "")))
        tried.forget()
        await failed(tried, UnauthenticatedError)
        tried.cloud.holder = tried.cloud.peer
        await tried.mover.holder(fresh=True)
        tried.cloud.faults.append(Fault(Vultr.attach, Response(401, "")))
        tried.secret.write_text(SECRETS[1])
        tried.forget()
        await failed(tried, UnauthenticatedError)
        assert tried.asked == [Vultr.first, Vultr.attach, Vultr.attach]


async def test_a_look_that_is_refused_behind_a_change_leaves_the_outcome_unknown(tmp_path: Path) -> None:
    async with trying(Hetzner(), tmp_path) as tried:
        await tried.mover.prepare()
        tried.cloud.faults.append(Fault("GET /v1/actions", Response(401, "")))
        tried.forget()
        await failed(tried, OutcomeUnknownError)
        assert tried.asked.count(Hetzner.first) == 1


async def test_hetzner_is_freed_first_where_it_is_not_taken_from_another(tmp_path: Path) -> None:
    cloud = Hetzner()
    cloud.keeps = True
    async with trying(cloud, tmp_path) as tried:
        await tried.mover.prepare()
        await failed(tried, ConflictError)
        tried.forget()
        await tried.mover.acquire(None)
        changes = [asked for asked in tried.asked if asked.startswith("POST")]
        assert changes == [Hetzner.unassign, Hetzner.first]
        assert tried.cloud.holder == tried.cloud.me


async def test_hetzner_that_is_ours_already_is_not_freed(tmp_path: Path) -> None:
    async with trying(Hetzner(), tmp_path) as tried:
        await tried.mover.prepare()
        tried.cloud.holder = tried.cloud.me
        await tried.mover.acquire(None)
        assert tried.cloud.moves == []


async def test_robot_is_left_alone_once_it_refused_us(tmp_path: Path) -> None:
    async with trying(HetznerRobot(), tmp_path) as tried:
        tried.cloud.refuses = True
        for attempt in (tried.mover.prepare, tried.mover.prepare, tried.mover.holder):
            with pytest.raises(UnauthenticatedError) as caught:
                await attempt()
            assert caught.value.pause == pytest.approx(600, abs=5)
        caught = await failed(tried, UnauthenticatedError)
        assert len(tried.asked) == 1


async def test_a_service_that_says_our_header_back_shows_no_password(tmp_path: Path) -> None:
    async with trying(HetznerRobot(), tmp_path) as tried:
        await tried.mover.prepare()
        header = tried.server.asked[-1].headers["authorization"]
        tried.cloud.faults.append(Fault(HetznerRobot.first, Response(400, {"error": {"message": f"what is {header}"}})))
        caught = await failed(tried, MoverError)
        assert "what is Basic ***" in str(caught)


async def test_robot_is_asked_again_with_another_password(tmp_path: Path) -> None:
    async with trying(HetznerRobot(), tmp_path) as tried:
        tried.cloud.secret = SECRETS[1]
        with pytest.raises(UnauthenticatedError):
            await tried.mover.prepare()
        tried.secret.write_text(SECRETS[1])
        await tried.mover.prepare()
        await tried.mover.acquire(None)
        assert tried.cloud.holder == tried.cloud.me


async def test_robot_is_not_asked_more_often_than_it_allows(tmp_path: Path, mock_clock: MockClock) -> None:
    async with trying(HetznerRobot(), tmp_path) as tried:
        for _ in range(10):
            await tried.mover.prepare()
            await tried.mover.holder()
            mock_clock.jump(30)
        assert len(tried.asked) == 4  # after 0, 90, 180 and 270 s


async def test_robot_is_left_alone_for_ten_minutes(tmp_path: Path, mock_clock: MockClock) -> None:
    async with trying(HetznerRobot(), tmp_path) as tried:
        tried.cloud.refuses = True
        for _ in range(40):
            with pytest.raises(UnauthenticatedError):
                await tried.mover.prepare()
            mock_clock.jump(30)
        assert len(tried.asked) == 2  # in 20 minutes


async def test_robot_is_switched_less_than_fifty_times_an_hour(tmp_path: Path, mock_clock: MockClock) -> None:
    async with trying(HetznerRobot(), tmp_path, patient=True) as tried:
        await tried.mover.prepare()
        busy = Response(409, {"error": {"code": "FAILOVER_LOCKED", "message": "locked"}})
        tried.cloud.faults.append(Fault(HetznerRobot.first, busy, times=1000))
        tried.forget()
        await failed(tried, UnavailableError)
        for _ in range(360):
            caught = await failed(tried, MoverError)
            if isinstance(caught, ThrottledError):
                assert caught.retry_after is not None
                mock_clock.jump(max(10.0, caught.retry_after))
            if mock_clock.current_time() > 3600:
                break
        assert 40 <= tried.asked.count(HetznerRobot.first) < 50


async def test_robot_says_how_many_calls_it_takes(tmp_path: Path) -> None:
    async with trying(HetznerRobot(), tmp_path) as tried:
        await tried.mover.prepare()
        limit = {"code": "RATE_LIMIT_EXCEEDED", "max_request": 50, "interval": 3600}
        tried.cloud.faults.append(Fault(HetznerRobot.first, Response(403, {"error": limit})))
        caught = await failed(tried, ThrottledError)
        assert isinstance(caught, ThrottledError)
        assert caught.retry_after == 72


async def test_robot_already_there_is_there(tmp_path: Path) -> None:
    async with trying(HetznerRobot(), tmp_path) as tried:
        tried.cloud.holder = tried.cloud.me
        await tried.mover.prepare()
        await tried.mover.acquire(None)


@pytest.mark.parametrize("make", [OpenStack, AzureRoute], ids=lambda make: make.kind)
async def test_compare_takes_it_only_as_it_was_seen(make: Make, tmp_path: Path) -> None:
    async with trying(make(), tmp_path, takeover="compare") as tried:
        assert tried.mover.compares
        await tried.mover.prepare()
        seen = await tried.mover.holder()
        await tried.mover.acquire(seen)
        assert tried.cloud.holder == tried.cloud.me
        tried.cloud.holder = tried.cloud.peer
        await failed(tried, ConflictError, seen)
        assert tried.cloud.holder == tried.cloud.peer


@pytest.mark.parametrize("make", [OpenStack, AzureRoute], ids=lambda make: make.kind)
async def test_steal_sends_no_condition(make: Make, tmp_path: Path) -> None:
    async with trying(make(), tmp_path) as tried:
        await tried.mover.prepare()
        await tried.mover.acquire(None)
        assert not any("if-match" in request.headers for request in tried.server.asked)


async def test_compare_without_a_revision_to_name_is_no_steal(tmp_path: Path) -> None:
    async with trying(OpenStack(), tmp_path, takeover="compare") as tried:
        await tried.mover.prepare()
        tried.forget()
        await failed(tried, InvalidError, Holder(Who.PEER, tried.cloud.peer, "lb2"))
        assert tried.asked == []


async def test_openstack_gives_it_up_only_while_it_is_ours(tmp_path: Path) -> None:
    async with trying(OpenStack(), tmp_path, release="on_stop") as tried:
        await tried.mover.prepare()
        await tried.mover.acquire(None)
        seen = await tried.mover.holder()
        tried.cloud.move(tried.cloud.peer)
        with pytest.raises(ConflictError):
            await tried.mover.release(seen)
        assert tried.cloud.holder == tried.cloud.peer
        tried.cloud.move(tried.cloud.me)
        await tried.mover.release(await tried.mover.holder(fresh=True))
        assert tried.cloud.holder is None


async def test_openstack_gets_a_new_token_before_the_old_one_runs_out(tmp_path: Path, mock_clock: MockClock) -> None:
    async with trying(OpenStack(), tmp_path) as tried:
        for _ in range(10):
            await tried.mover.prepare()
            mock_clock.jump(30)
        assert tried.asked.count("POST /v3/auth/tokens") == 2  # after 0 and 240 s


@but(OpenStack, AzureRoute)
@pytest.mark.parametrize("option", [{"takeover": "compare"}, {"release": "on_stop"}], ids=["compare", "release"])
def test_what_a_cloud_cannot_do_on_condition_is_a_mistake(make: Make, option: dict[str, Any], tmp_path: Path) -> None:
    cloud = make()
    with pytest.raises(ValidationError, match=r"compare|on_stop"):
        KINDS[cloud.kind].options.validate_python(written(cloud, tmp_path / "t", **option))


@but(AzureRoute, GcpRoute)
def test_an_inline_secret_is_refused_and_not_shown(make: Make, tmp_path: Path) -> None:
    cloud = make()
    for wrong in ("s3cr3t", "s3cr3t:more", ["s3cr3t"], {"s3cr3t": "s3cr3t"}, {"value": "s3cr3t"}):
        with pytest.raises(ValidationError) as caught:
            KINDS[cloud.kind].options.validate_python(written(cloud, tmp_path / "t") | {cloud.secret_option: wrong})
        assert "s3cr3t" not in str(caught.value)
        assert "file:/path" in str(caught.value)


@nine
def test_the_launcher_and_the_file_know_of_nodes_and_secrets(make: Make, tmp_path: Path) -> None:
    cloud, secret = make(), tmp_path / "secret"
    kind = KINDS[cloud.kind]
    options = kind.options.validate_python(written(cloud, secret))
    assert kind.errands(options) == ([{"open": str(secret)}] if cloud.secret_option else [])
    assert kind.names(options) == ({} if cloud.by_address else {cloud.node_option: ("lb1", "lb2")})
    wrong = kind.inspect(options)
    assert wrong is None if not cloud.secret_option else "no such file" in str(wrong)


@nine
def test_options_describe_themselves_to_editors(make: Make) -> None:
    schema = KINDS[make.kind].options.json_schema()  # pyright: ignore[reportFunctionMemberAccess]
    assert {"takeover", "timeout", "call_timeout"} <= set(schema["properties"])
    assert all("description" in option for option in schema["properties"].values())


@pytest.mark.parametrize("make", [HetznerRobot, AzureRoute, GcpRoute], ids=lambda make: make.kind)
def test_slow_clouds_have_time(make: Make, tmp_path: Path) -> None:
    cloud = make()
    options = KINDS[cloud.kind].options.validate_python(written(cloud, tmp_path / "t"))
    robot = make is HetznerRobot  # answers after three minutes at worst
    assert (options.timeout, options.deadline) == (
        (200 * SECOND, 300 * SECOND) if robot else (60 * SECOND, 120 * SECOND)
    )


def test_robot_may_take_three_minutes_to_answer(tmp_path: Path) -> None:
    options = KINDS["hetzner-robot"].options.validate_python(written(HetznerRobot(), tmp_path / "t"))
    assert 180 * SECOND < options.call_timeout < options.timeout
