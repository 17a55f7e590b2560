"""The driver of movers: how often it tries, when what fails, and what it tells of that."""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Callable, Sequence
from typing import Never

import pytest
import trio

from tests.movers.cloud import Cloud, CloudMover
from tests.movers.nodes import PRIORITY, Node, at_work, node, until
from vrrpd.movers.base import (
    CommonOptions,
    ForbiddenError,
    HalfDoneError,
    InvalidError,
    MoverError,
    ThrottledError,
    UnauthenticatedError,
    UnavailableError,
    UnreachableError,
)


def apart(times: Sequence[float]) -> list[float]:
    return [b - a for a, b in itertools.pairwise(times)]


async def active(cloud: Cloud, nursery: trio.Nursery, seed: int = 0, **options: str) -> tuple[Node, float]:
    """A node that is prepared; and when it will have become active."""
    it = node(cloud, seed=seed, **options)
    await at_work(nursery, it)
    return it, trio.current_time()


def failing_until(when: float, error: Callable[[], MoverError]) -> Callable[[], MoverError | None]:
    return lambda: error() if trio.current_time() < when else None


class TestThrottled:
    @pytest.mark.parametrize("seed", range(20))
    async def test_three_seconds_of_it_cost_less_than_four_and_a_half_and_few_requests(
        self, seed: int, cloud: Cloud, nursery: trio.Nursery
    ) -> None:
        it, start = await active(cloud, nursery, seed)
        it.mover.failing["acquire"] = failing_until(start + 3, lambda: ThrottledError("too many calls"))
        it.want(True)
        await trio.sleep(30)
        sent = it.mover.sent()
        assert cloud.moves[-1][0] - start <= 4.5
        assert len(sent) <= 8
        assert min(apart(sent)) >= 0.1

    async def test_the_service_says_when(self, cloud: Cloud, nursery: trio.Nursery) -> None:
        it, _ = await active(cloud, nursery)
        it.mover.failing["acquire"] = deque([ThrottledError("slow down", retry_after=7)])
        it.want(True)
        await trio.sleep(30)
        assert apart(it.mover.sent()) == [7]

    async def test_it_is_never_asked_more_than_once_in_five_seconds_for_long(
        self, cloud: Cloud, nursery: trio.Nursery
    ) -> None:
        it, _ = await active(cloud, nursery)
        it.mover.failing["acquire"] = lambda: ThrottledError("too many calls")
        it.want(True)
        await trio.sleep(600)
        assert all(5 <= wait <= 6 for wait in apart(it.mover.sent())[4:])


class TestUnreachable:
    async def test_it_is_told_at_once_and_tried_every_two_seconds_at_most(
        self, cloud: Cloud, nursery: trio.Nursery
    ) -> None:
        it, start = await active(cloud, nursery)
        it.mover.takes["acquire"] = 1
        it.mover.failing["acquire"] = lambda: UnreachableError("api.example cannot be reached")
        it.want(True)
        await trio.sleep(300)
        told = it.first(lambda report: "cannot be reached" in report.detail)
        assert told is not None
        assert told - start <= 1.2
        assert max(apart(it.mover.sent())) <= 1 + 2
        assert len(it.mover.sent()) < 200

    @pytest.mark.parametrize("seed", range(10))
    async def test_it_is_here_three_seconds_after_the_network_returns(
        self, seed: int, cloud: Cloud, nursery: trio.Nursery
    ) -> None:
        it, start = await active(cloud, nursery, seed)

        def dropped() -> MoverError | None:
            it.mover.takes["acquire"] = 1 if trio.current_time() < start + 20 else 0
            return UnreachableError("no answer") if trio.current_time() < start + 20 else None

        it.mover.takes["acquire"] = 1
        it.mover.failing["acquire"] = dropped
        it.want(True)
        await trio.sleep(60)
        assert cloud.moves[-1][0] - start <= 23

    async def test_after_the_deadline_there_is_an_alarm_and_attempts_go_on(
        self, cloud: Cloud, nursery: trio.Nursery, caplog: pytest.LogCaptureFixture
    ) -> None:
        it, start = await active(cloud, nursery)
        it.mover.failing["acquire"] = failing_until(start + 60, lambda: UnreachableError("no route"))
        it.want(True)
        await trio.sleep(29.9)
        assert it.report.troubles == {}
        await trio.sleep(10)
        assert it.report.troubles == {"mover_failed": "could not be brought here in 30 s: no route"}
        assert (it.report.state, it.report.aside) == ("failed", None)
        await trio.sleep(30)
        assert (it.report.state, it.report.troubles) == ("held", {})
        assert len(caplog.records) == 1

    async def test_who_yields_offers_the_role_once_and_is_a_last_resort_for_30_seconds(
        self, cloud: Cloud, nursery: trio.Nursery
    ) -> None:
        it, start = await active(cloud, nursery, on_deadline="yield")
        it.mover.failing["acquire"] = lambda: UnreachableError("no route")
        it.want(True)
        await trio.sleep(120)
        gone = it.first(lambda report: report.yields)
        assert gone == pytest.approx(start + 30)
        assert it.first(lambda report: report.aside) is None
        back = next(when for when, report in it.reports if when > start + 31 and report.yields is None)
        assert back == pytest.approx(start + 60)
        assert max(it.mover.sent()) <= start + 30
        assert it.report.state == "idle"
        alarm = next(report for _, report in it.reports if report.yields).troubles["mover_yielded"]
        assert alarm == (
            "could not be brought here in 30 s: no route; the role is offered to the other nodes, "
            "and this one is a last resort for 30 s"
        )

    async def test_who_yields_and_is_left_with_the_role_goes_on_trying(
        self, cloud: Cloud, nursery: trio.Nursery
    ) -> None:
        it, start = await active(cloud, nursery, on_deadline="yield")
        it.mover.failing["acquire"] = failing_until(start + 40, lambda: UnreachableError("no route"))
        it.want(True)
        await until(lambda: it.report.yields)
        await trio.sleep(1)
        it.want(True)  # kept: nobody answered
        await trio.sleep(15)
        assert cloud.holder == "low"
        assert cloud.moves[-1][0] <= start + 43
        assert it.report.yields is None
        assert it.report.troubles == {}

    async def test_who_yields_again_stays_out_twice_as_long_until_that_is_forgiven(
        self, cloud: Cloud, nursery: trio.Nursery
    ) -> None:
        it, _ = await active(cloud, nursery, on_deadline="yield", deadline="5s")
        it.mover.failing["acquire"] = lambda: UnreachableError("no route")
        out: list[float] = []
        for quiet in (1, 1, 1, 601, 1):
            it.want(True)
            began = await until(lambda: it.report.yields)
            out.append(round(await until(lambda: not it.report.yields) - began))
            await trio.sleep(quiet)
        assert out == [30, 60, 120, 240, 30]


class TestSlow:
    @pytest.mark.parametrize("seed", range(10))
    async def test_changes_that_take_longer_than_an_attempt_arrive_all_the_same(
        self, seed: int, cloud: Cloud, nursery: trio.Nursery
    ) -> None:
        it, start = await active(cloud, nursery, seed)
        cloud.delay["low"] = 5
        it.want(True)
        await trio.sleep(30)
        assert it.mover.sent("fresh holder")[0] == pytest.approx(start + 4)
        held = it.first(lambda report: report.state == "held")
        assert held is not None
        assert held - start <= 10
        assert len(cloud.changes) <= 2

    async def test_an_acknowledgement_that_is_lost_is_asked_for_on_a_new_connection(
        self, cloud: Cloud, nursery: trio.Nursery
    ) -> None:
        it, _ = await active(cloud, nursery)
        cloud.lost = 1
        it.want(True)
        await trio.sleep(10)
        assert it.report.state == "held"
        assert (len(cloud.changes), len(it.mover.sent("fresh holder"))) == (1, 1)

    async def test_a_service_that_hangs_is_asked_three_times_before_the_change_is_sent_again(
        self, cloud: Cloud, nursery: trio.Nursery
    ) -> None:
        it, start = await active(cloud, nursery, timeout="2s")
        it.mover.takes["acquire"] = it.mover.takes["fresh holder"] = it.mover.takes["holder"] = 1000
        it.want(True)
        await trio.sleep(10)
        assert it.mover.sent("fresh holder")[0] == pytest.approx(start + 2)
        assert len(it.mover.sent("fresh holder")) == 2
        assert len([at for at in it.mover.sent("holder") if at > start]) == 1
        assert it.mover.sent()[1] == pytest.approx(start + 8, abs=0.5)

    async def test_a_change_that_arrived_is_not_sent_again_because_the_look_failed(
        self, cloud: Cloud, nursery: trio.Nursery
    ) -> None:
        it, _ = await active(cloud, nursery)
        cloud.lost = 1
        it.mover.failing["fresh holder"] = deque([UnavailableError("503"), UnavailableError("503")])
        it.want(True)
        await trio.sleep(10)
        assert (it.report.state, len(cloud.changes)) == ("held", 1)

    async def test_what_this_host_sees_is_enough(self, cloud: Cloud, nursery: trio.Nursery) -> None:
        it, _ = await active(cloud, nursery)
        cloud.lost = 1
        it.mover.failing["fresh holder"] = lambda: UnavailableError("503")
        it.mover.seen_locally = True
        it.want(True)
        await trio.sleep(1)
        assert (it.report.state, len(cloud.changes)) == ("held", 1)

    async def test_who_had_it_and_cannot_look_does_not_move_it_to_where_it_is(
        self, cloud: Cloud, nursery: trio.Nursery
    ) -> None:
        it, _ = await active(cloud, nursery)
        it.want(True)
        await trio.sleep(20)
        it.want(False)
        await trio.sleep(0.2)
        it.mover.failing["holder"] = deque([UnavailableError("503"), UnavailableError("503")])
        it.want(True)
        await trio.sleep(20)
        assert (it.report.state, len(cloud.changes)) == ("held", 1)

    async def test_who_may_not_look_moves_it(self, cloud: Cloud, nursery: trio.Nursery) -> None:
        it, _ = await active(cloud, nursery)
        cloud.lost = 1
        it.mover.failing["fresh holder"] = lambda: ForbiddenError("ec2:DescribeAddresses is not allowed; add it")
        it.want(True)
        await trio.sleep(1)
        assert (it.report.state, len(cloud.changes)) == ("held", 2)


class TestCredentials:
    async def test_refused_credentials_are_renewed_once_and_then_tried_every_five_seconds(
        self, cloud: Cloud, nursery: trio.Nursery
    ) -> None:
        it, start = await active(cloud, nursery)
        it.mover.failing["acquire"] = lambda: UnauthenticatedError("the key is wrong")
        it.want(True)
        await trio.sleep(1)
        assert [name for when, name in it.mover.calls if when >= start] == ["acquire", "prepare", "acquire"]
        assert it.report.troubles == {"mover_failed": "could not be brought here: the key is wrong"}
        await trio.sleep(60)
        assert min(apart(it.mover.sent())[1:]) >= 5

    async def test_credentials_that_ran_out_cost_one_renewal_and_no_alarm(
        self, cloud: Cloud, nursery: trio.Nursery
    ) -> None:
        it, start = await active(cloud, nursery)
        it.mover.failing["acquire"] = deque([UnauthenticatedError("the token has run out")])
        it.want(True)
        await trio.sleep(1)
        assert [name for when, name in it.mover.calls if when >= start][:3] == ["acquire", "prepare", "acquire"]
        assert it.report.state == "held"
        assert not any(report.troubles for _, report in it.reports)

    async def test_a_mover_that_leaves_its_service_alone_is_asked_twice_a_minute_for_another_secret(
        self, cloud: Cloud, nursery: trio.Nursery
    ) -> None:
        it = node(cloud)
        it.mover.failing["prepare"] = lambda: UnauthenticatedError("wrong password", pause=600)
        await at_work(nursery, it)
        assert it.report.weight == -20
        it.want(True)
        await trio.sleep(300)
        waits = apart(it.mover.sent("prepare")[1:])
        assert min(waits) >= 30
        assert max(waits) <= 36
        assert {name for _, name in it.mover.calls} == {"prepare"}
        it.mover.failing.clear()
        await trio.sleep(36)
        assert it.report.state == "held"

    async def test_the_deadline_counts_where_the_secret_is_wrong_and_another_node_was_heard(
        self, cloud: Cloud, nursery: trio.Nursery
    ) -> None:
        it = node(cloud, deadline="20s", on_deadline="yield")
        it.mover.failing["prepare"] = lambda: UnauthenticatedError("wrong password", pause=600)
        await at_work(nursery, it)
        it.driver.heard("high", PRIORITY["high"])
        await trio.sleep(5)
        it.want(True)
        await trio.sleep(21)
        assert it.first(lambda report: "mover_failed" in report.troubles)
        assert it.first(lambda report: report.yields)

    async def test_what_is_forbidden_is_tried_every_30_seconds_and_an_alarm_at_once(
        self, cloud: Cloud, nursery: trio.Nursery
    ) -> None:
        it, _ = await active(cloud, nursery)
        it.mover.failing["acquire"] = lambda: ForbiddenError("ec2:AssociateAddress is not allowed; add it")
        it.want(True)
        await trio.sleep(0.01)
        assert it.report.troubles["mover_failed"].endswith("ec2:AssociateAddress is not allowed; add it")
        await trio.sleep(300)
        assert min(apart(it.mover.sent())) >= 30


class TestVerification:
    async def test_it_is_looked_at_soon_after_the_move_and_every_interval_then(
        self, cloud: Cloud, nursery: trio.Nursery
    ) -> None:
        it, start = await active(cloud, nursery)
        it.want(True)
        await trio.sleep(300)
        looks = [when - start for when in it.mover.sent("holder") if when > start]
        assert looks[:5] == pytest.approx([0.5, 1, 2, 4, 8])
        assert all(24 <= wait <= 30 for wait in apart(looks[4:]))

    async def test_this_host_is_asked_every_five_seconds_where_it_can_tell(
        self, cloud: Cloud, nursery: trio.Nursery
    ) -> None:
        it, start = await active(cloud, nursery)
        it.mover.seen_locally = True
        it.want(True)
        await trio.sleep(300)
        looks = [when - start for when in it.mover.sent("local")]
        assert 8 < looks[0] <= 13
        assert all(4 <= wait <= 5.001 for wait in apart(looks))

    async def test_a_host_that_cannot_tell_is_asked_once(self, cloud: Cloud, nursery: trio.Nursery) -> None:
        it, _ = await active(cloud, nursery)
        it.want(True)
        await trio.sleep(300)
        assert len(it.mover.sent("local")) == 1

    async def test_what_this_host_misses_the_service_is_asked_about_at_once(
        self, cloud: Cloud, nursery: trio.Nursery
    ) -> None:
        it, _ = await active(cloud, nursery, verify_interval="1h")
        it.mover.seen_locally = True
        it.want(True)
        await trio.sleep(60)
        cloud.give("eni-thief")
        it.mover.seen_locally = False
        stolen = trio.current_time()
        await trio.sleep(10)
        assert cloud.holder == "low"
        assert cloud.moves[-1][0] - stolen < 5.5

    async def test_a_service_that_does_not_answer_takes_nothing_away(self, cloud: Cloud, nursery: trio.Nursery) -> None:
        it, _ = await active(cloud, nursery)
        it.want(True)
        await trio.sleep(60)
        it.mover.failing["holder"] = lambda: UnavailableError("503")
        asked = len(it.mover.sent("holder"))
        await trio.sleep(300)
        assert (it.report.state, it.report.ready, it.report.why) == ("held", False, "503")
        assert len(it.mover.sent("holder")) - asked <= 13
        assert len(cloud.changes) == 1


class TestBlind:
    """An Active that can no longer see whether it has it."""

    async def test_the_second_failure_is_an_alarm_and_changes_no_priority(
        self, cloud: Cloud, nursery: trio.Nursery
    ) -> None:
        it, _ = await active(cloud, nursery)
        it.want(True)
        await trio.sleep(60)
        it.mover.failing["holder"] = deque([UnavailableError("503")])
        await trio.sleep(60)
        assert not any("mover_unready" in report.troubles for _, report in it.reports)
        it.mover.failing["holder"] = lambda: UnavailableError("503")
        await trio.sleep(90)
        assert it.report.troubles == {"mover_unready": "it may be here or not, that cannot be seen: 503"}
        assert (it.report.weight, it.report.state) == (0, "held")
        del it.mover.failing["holder"]
        await trio.sleep(60)
        assert it.report.troubles == {}

    @pytest.mark.parametrize("call", ["prepare", "holder"])
    async def test_what_needs_a_person_is_an_alarm_at_once(
        self, call: str, cloud: Cloud, nursery: trio.Nursery
    ) -> None:
        it, _ = await active(cloud, nursery)
        it.want(True)
        await trio.sleep(60)
        it.mover.failing[call] = deque([ForbiddenError("not allowed")])
        await until(lambda: it.mover.failing[call] == deque())
        assert "not allowed" in it.report.troubles["mover_unready"]


class TestAMistakeInAMover:
    """An exception that nobody foresaw: the agent goes on, and so does the mover."""

    @pytest.mark.parametrize("call", ["prepare", "holder", "acquire", "fresh holder", "local"])
    async def test_it_costs_an_attempt_and_not_the_agent(
        self, call: str, cloud: Cloud, nursery: trio.Nursery, caplog: pytest.LogCaptureFixture
    ) -> None:
        it = node(cloud)
        cloud.lost = 1  # so that every call is made
        it.mover.failing[call] = deque([KeyError("s3cr3t")])
        it.want(True)
        await at_work(nursery, it)
        await trio.sleep(60)
        assert it.report.state == "held"
        assert "KeyError" in caplog.text
        assert "cloud.py" in caplog.text
        assert "s3cr3t" not in caplog.text

    async def test_the_same_one_is_logged_once(
        self, cloud: Cloud, nursery: trio.Nursery, caplog: pytest.LogCaptureFixture
    ) -> None:
        it, _ = await active(cloud, nursery)
        it.mover.failing["acquire"] = KeyError
        it.want(True)
        await trio.sleep(60)
        assert len(it.mover.sent()) > 10
        assert sum("mistake" in record.getMessage() for record in caplog.records if record.levelname == "ERROR") == 1

    async def test_what_it_does_by_itself_is_begun_anew(self, cloud: Cloud) -> None:
        it = Node("low", Stumbling(cloud, "low"), CommonOptions())
        with trio.move_on_after(30):
            await it.driver.run()
        assert isinstance(it.mover, Stumbling)
        assert it.mover.begun > 5
        assert "its own work failed" in it.report.troubles["mover_failed"]

    async def test_it_ends_nothing_at_the_end(self, cloud: Cloud) -> None:
        it = node(cloud, release="on_stop")
        it.mover.failing["release"] = deque([KeyError()])
        it.want(True)
        with trio.move_on_after(5):
            await it.driver.run()
        await it.driver.release()
        assert it.mover.sent("release")


class Stumbling(CloudMover):
    """Its own work fails."""

    begun = 0

    async def serve(self) -> Never:
        self.begun += 1
        await trio.sleep(0.1)
        raise RuntimeError


class TestHalfDone:
    async def test_it_is_said_at_once_and_tried_again_every_five_to_thirty_seconds(
        self, cloud: Cloud, nursery: trio.Nursery
    ) -> None:
        it, _ = await active(cloud, nursery)
        it.mover.failing["acquire"] = lambda: HalfDoneError("nobody has it")
        it.want(True)
        await trio.sleep(4)
        assert it.report.troubles
        await trio.sleep(300)
        waits = apart(it.mover.sent())
        assert 5 <= waits[0] <= 6
        assert max(waits) <= 36
        it.mover.failing.clear()
        await trio.sleep(36)
        assert cloud.holder == "low"
        assert not it.report.troubles


class TestHereAllTheSame:
    async def test_a_change_that_is_refused_because_it_is_here_already_is_none(
        self, cloud: Cloud, nursery: trio.Nursery
    ) -> None:
        it, _ = await active(cloud, nursery)
        cloud.give("low")
        it.mover.failing["acquire"] = lambda: InvalidError("it is assigned already")
        it.want(True)
        await trio.sleep(2)
        assert it.report.state == "held"
        assert not it.report.troubles

    async def test_behind_an_answer_that_never_came_there_is_a_look_before_the_change_is_repeated(
        self, cloud: Cloud, nursery: trio.Nursery
    ) -> None:
        it, _ = await active(cloud, nursery)
        cloud.lost = 1
        it.mover.failing["fresh holder"] = lambda: UnreachableError("api.example cannot be reached")
        it.want(True)
        await trio.sleep(10)
        assert len(it.mover.sent()) == 1
        assert it.report.state == "held"
