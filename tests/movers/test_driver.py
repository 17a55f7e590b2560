"""The driver of movers: what it sends when the role comes and goes."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from itertools import pairwise
from random import Random
from typing import Never

import pytest
import trio

from tests.movers.cloud import Cloud, CloudMover
from tests.movers.nodes import Node, at_work, node, until
from vrrpd.movers.base import Holder, InvalidError, UnavailableError, UnreachableError, Who
from vrrpd.movers.report import State


class TestTheRoleComes:
    async def test_the_change_is_the_first_thing_sent_and_at_once(self, cloud: Cloud, nursery: trio.Nursery) -> None:
        it = node(cloud)
        await at_work(nursery, it)
        before = len(it.mover.calls)
        now = trio.current_time()
        it.want(True)
        await trio.sleep(0.1)
        assert it.mover.calls[before] == (now, "acquire")
        assert (it.report.state, it.report.holder) == ("held", "this node")

    async def test_it_does_not_wait_for_a_preparation_that_is_under_way(
        self, cloud: Cloud, nursery: trio.Nursery
    ) -> None:
        it = node(cloud)
        await at_work(nursery, it)
        it.mover.takes["prepare"] = 5
        now = await until(lambda: len(it.mover.sent("prepare")) == 2)
        it.want(True)
        await trio.sleep(0.1)
        assert it.mover.sent() == [now]

    async def test_the_report_says_what_happened_and_how_long_it_took(
        self, cloud: Cloud, nursery: trio.Nursery
    ) -> None:
        it = node(cloud)
        await at_work(nursery, it)
        cloud.delay["low"] = 0.003
        it.want(True)
        await trio.sleep(0.1)
        assert it.report.detail == "moved here in 3 ms, from eni-dead, which is none of the nodes"
        assert it.report.ms == pytest.approx(3)
        assert (it.report.attempts, it.report.epoch) == (1, 1)
        assert it.states() == ["idle", "acquiring", "held"]

    async def test_at_boot_a_dead_node_has_it_and_it_is_taken(self, cloud: Cloud, nursery: trio.Nursery) -> None:
        it = node(cloud)
        it.want(True)
        await at_work(nursery, it)
        assert cloud.holder == "low"
        assert [name for _, name in it.mover.calls[:3]] == ["prepare", "holder", "acquire"]

    async def test_at_boot_it_is_here_already_and_nothing_is_sent(self, cloud: Cloud, nursery: trio.Nursery) -> None:
        cloud.give("low")
        it = node(cloud)
        it.want(True)
        await at_work(nursery, it)
        assert (it.report.state, it.report.detail) == ("held", "it was here already")
        await trio.sleep(600)
        assert cloud.changes == []

    async def test_the_first_preparation_is_not_begun_anew_when_the_role_comes(
        self, cloud: Cloud, nursery: trio.Nursery
    ) -> None:
        it = node(cloud)
        it.mover.takes["prepare"] = 2
        nursery.start_soon(it.driver.run)
        await trio.sleep(1.9)
        it.want(True)
        await trio.sleep(0.2)
        assert it.mover.sent("prepare") == [0]
        assert [name for _, name in it.mover.calls] == ["prepare", "holder", "acquire"]

    async def test_a_role_that_is_kept_moves_nothing(self, cloud: Cloud, nursery: trio.Nursery) -> None:
        it = node(cloud)
        await at_work(nursery, it)
        it.want(True)
        await trio.sleep(20)
        it.want(False)
        await trio.sleep(0.2)
        it.want(True)
        await trio.sleep(20)
        assert len(cloud.changes) == 1
        assert it.report.state == "held"

    async def test_a_role_that_comes_back_after_another_node_had_it_takes_it_back_at_once(
        self, cloud: Cloud, nursery: trio.Nursery
    ) -> None:
        it = node(cloud)
        await at_work(nursery, it)
        it.want(True)
        await trio.sleep(20)
        it.want(False)
        cloud.give("high")
        await trio.sleep(2)
        before = len(it.mover.calls)
        it.want(True)
        await trio.sleep(0.1)
        assert it.mover.calls[before][1] == "acquire"

    async def test_another_priority_is_no_new_role(self, cloud: Cloud, nursery: trio.Nursery) -> None:
        it = node(cloud)
        await at_work(nursery, it)
        it.want(True)
        await trio.sleep(1)
        it.driver.want(True, 80)
        await trio.sleep(1)
        assert it.report.epoch == 1
        assert len(cloud.changes) == 1

    async def test_who_sees_in_the_last_moment_that_the_role_is_gone_sends_nothing(
        self, cloud: Cloud, nursery: trio.Nursery
    ) -> None:
        it = node(cloud)
        await at_work(nursery, it)
        it.look = lambda: it.want(False)
        it.want(True)
        await trio.sleep(30)
        assert it.mover.sent() == []
        assert it.report.state == "idle"


class TestTheRoleGoes:
    @pytest.mark.parametrize("seed", range(20))
    async def test_a_second_attempt_is_cut_off_and_no_third_one_follows(
        self, seed: int, cloud: Cloud, nursery: trio.Nursery
    ) -> None:
        it = node(cloud, seed=seed)
        await at_work(nursery, it)
        it.mover.failing["acquire"] = deque([UnavailableError("500")])
        cloud.delay["low"] = 1
        it.want(True)
        await until(lambda: cloud.changes)
        await trio.sleep(seed * 0.05)
        it.want(False)
        lost = trio.current_time()
        await trio.sleep(10)
        idle = next(when for when, report in it.reports if when >= lost and report.state is State.IDLE)
        assert idle - lost < 0.05
        assert len(it.mover.sent()) == 2
        assert it.mover.closed == 1

    async def test_a_late_write_is_looked_for_and_told(
        self, cloud: Cloud, nursery: trio.Nursery, caplog: pytest.LogCaptureFixture
    ) -> None:
        it = node(cloud)
        await at_work(nursery, it)
        cloud.delay["low"] = 3
        it.want(True)
        await trio.sleep(1)
        it.want(False)
        lost = trio.current_time()
        await trio.sleep(6)
        looks = [when - lost for when in it.mover.sent("holder") if when > lost]
        assert looks[:2] == pytest.approx([1, 5])
        assert it.report.detail == "a late write brought it here after the role was gone"
        assert "a late write" in caplog.text

    async def test_the_answer_of_an_old_role_counts_for_nothing(self, cloud: Cloud, nursery: trio.Nursery) -> None:
        it = node(cloud)
        await at_work(nursery, it)
        acquire = it.mover.acquire

        async def lose_with_the_answer(seen: Holder | None) -> None:
            await acquire(seen)
            it.want(False)

        it.mover.acquire = lose_with_the_answer
        it.want(True)
        await trio.sleep(0.1)
        assert "held" not in it.states()

    async def test_by_default_nothing_is_given_up(self, cloud: Cloud, nursery: trio.Nursery) -> None:
        it = node(cloud)
        it.want(True)
        await stop(it)
        assert it.mover.sent("release") == []
        assert cloud.holder == "low"

    async def test_it_is_given_up_at_a_clean_stop_where_the_file_says_so(self, cloud: Cloud) -> None:
        it = node(cloud, release="on_stop")
        it.want(True)
        await stop(it)
        assert cloud.holder is None

    async def test_a_stop_leaves_what_another_node_took_meanwhile(self, cloud: Cloud, nursery: trio.Nursery) -> None:
        it = node(cloud, release="on_stop")
        it.want(True)
        it.mover.takes["release"] = 0.1

        async def overtake() -> None:
            await until(lambda: it.mover.sent("release"))
            cloud.give("high")

        nursery.start_soon(overtake)
        await stop(it)
        assert cloud.holder == "high"

    @pytest.mark.parametrize("seed", range(100))
    async def test_whenever_another_node_takes_it_during_the_stop_it_keeps_it(
        self, seed: int, cloud: Cloud, nursery: trio.Nursery
    ) -> None:
        random = Random(seed)
        it = node(cloud, release="on_stop")
        it.want(True)
        it.mover.takes["holder"] = random.uniform(0, 0.1)
        it.mover.takes["release"] = random.uniform(0, 0.1)
        cloud.delay["low"] = random.uniform(0, 0.1)
        with trio.move_on_after(5):
            await it.driver.run()

        async def overtake() -> None:
            await trio.sleep(random.uniform(0, 0.3))
            cloud.give("high")

        nursery.start_soon(overtake)
        await it.driver.release()
        await trio.sleep(1)
        assert cloud.holder == "high"

    async def test_the_mover_is_closed_at_the_end(self, cloud: Cloud) -> None:
        it = node(cloud)
        with trio.move_on_after(5):
            await it.driver.run()
        assert it.mover.closed == 1


async def stop(it: Node) -> None:
    """Run a node until it has what it wants, then stop it cleanly, as a router does."""
    with trio.move_on_after(5):
        await it.driver.run()
    await it.driver.release()


class TestOnThisHost:
    """What a mover moves on this host itself is let go of with the role."""

    async def test_it_is_let_go_of_when_the_role_goes(self, cloud: Cloud, nursery: trio.Nursery) -> None:
        it = node(cloud)
        it.mover.local = True
        await at_work(nursery, it)
        it.want(True)
        await trio.sleep(1)
        it.want(False)
        await trio.sleep(0.01)
        assert cloud.holder is None

    async def test_what_a_dead_agent_left_is_let_go_of_at_the_start(self, cloud: Cloud, nursery: trio.Nursery) -> None:
        cloud.give("low")
        it = node(cloud)
        it.mover.local = True
        await at_work(nursery, it)
        assert cloud.holder is None

    async def test_it_is_let_go_of_while_it_is_still_being_put_there(self, cloud: Cloud, nursery: trio.Nursery) -> None:
        it = node(cloud)
        it.mover.local = True
        await at_work(nursery, it)
        it.mover.takes["acquire"] = 1
        it.want(True)
        await trio.sleep(0.5)
        lost = trio.current_time()
        it.want(False)
        await trio.sleep(0.01)
        assert it.mover.sent("release")[-1] == lost

    async def test_what_a_mover_does_by_itself_goes_on_as_long_as_the_driver_does(self, cloud: Cloud) -> None:
        it = node(cloud)
        serving = ServingMover(cloud, "low")
        it = Node("low", serving, it.options)
        with trio.move_on_after(5):
            await it.driver.run()
        assert serving.served == 5

    async def test_what_cannot_be_taken_away_is_an_alarm_and_tried_until_it_is_gone(
        self, cloud: Cloud, nursery: trio.Nursery
    ) -> None:
        it = node(cloud)
        it.mover.local = True
        await at_work(nursery, it)
        it.want(True)
        await trio.sleep(1)
        lost = trio.current_time()
        it.mover.failing["release"] = lambda: UnavailableError("busy") if trio.current_time() < lost + 10 else None
        it.want(False)
        await trio.sleep(5)
        assert it.report.troubles == {"mover_failed": "it is still on this host, and cannot be taken away: busy"}
        await trio.sleep(10)
        assert (cloud.holder, it.report.state, it.report.troubles) == (None, "idle", {})
        tries = len(it.mover.sent("release"))
        await trio.sleep(60)
        assert len(it.mover.sent("release")) == tries

    async def test_it_is_let_go_of_at_the_end(self, cloud: Cloud) -> None:
        it = node(cloud)
        it.mover.local = True
        it.want(True)
        with trio.move_on_after(5):
            await it.driver.run()
        assert cloud.holder is None


class TestReadiness:
    async def test_nobody_was_asked_yet(self, cloud: Cloud) -> None:
        it = node(cloud)
        assert (it.report.ready, it.report.why, it.report.state) == (False, "not asked yet", "idle")

    async def test_a_backup_is_kept_ready_every_30_seconds(self, cloud: Cloud, nursery: trio.Nursery) -> None:
        it = node(cloud)
        await at_work(nursery, it)
        await trio.sleep(290)
        asked = it.mover.sent("prepare")
        assert 10 <= len(asked) <= 13
        assert all(24 <= b - a <= 30 for a, b in pairwise(asked))
        assert (it.report.ready, it.report.why) == (True, "")

    async def test_an_active_is_kept_ready_too(self, cloud: Cloud, nursery: trio.Nursery) -> None:
        it = node(cloud, verify_interval="1h")
        it.want(True)
        await at_work(nursery, it)
        await trio.sleep(290)
        assert 10 <= len(it.mover.sent("prepare")) <= 13

    async def test_a_backup_that_cannot_reach_the_service_says_so_within_35_seconds(
        self, cloud: Cloud, nursery: trio.Nursery
    ) -> None:
        it = node(cloud)
        await at_work(nursery, it)
        broken = trio.current_time()
        it.mover.takes["prepare"] = 1
        it.mover.failing["prepare"] = lambda: UnreachableError("api.example cannot be reached: no route to host")
        await trio.sleep(60)
        unready = it.first(lambda report: "no route" in report.why)
        assert unready is not None
        assert unready - broken <= 35
        assert it.report.troubles["mover_unready"].startswith("not ready to take over: api.example cannot be reached")

    async def test_two_failures_lower_the_priority_of_a_backup_and_one_success_raises_it(
        self, cloud: Cloud, nursery: trio.Nursery
    ) -> None:
        it = node(cloud)
        it.mover.failing["prepare"] = deque([UnreachableError("no route")])
        await at_work(nursery, it)
        assert {report.weight for _, report in it.reports} == {0}
        it.mover.failing["prepare"] = deque([UnreachableError("no route")] * 4)
        await trio.sleep(60)
        assert distinct([report.weight for _, report in it.reports]) == [0, -20, 0]
        assert (it.report.ready, it.report.troubles) == (True, {})

    async def test_a_weight_that_is_off_lowers_nothing(self, cloud: Cloud, nursery: trio.Nursery) -> None:
        it = node(cloud, unready_weight="off")
        it.mover.failing["prepare"] = lambda: UnreachableError("no route")
        await at_work(nursery, it)
        assert it.report.weight == 0
        assert "mover_unready" in it.report.troubles

    async def test_an_active_that_holds_it_is_never_lowered(self, cloud: Cloud, nursery: trio.Nursery) -> None:
        it = node(cloud)
        it.want(True)
        await at_work(nursery, it)
        it.mover.failing["prepare"] = lambda: UnreachableError("no route")
        await trio.sleep(120)
        assert (it.report.ready, it.report.why, it.report.state) == (False, "no route", "held")
        assert {report.weight for _, report in it.reports} == {0}

    async def test_a_preparation_that_hangs_is_ended(self, cloud: Cloud, nursery: trio.Nursery) -> None:
        it = node(cloud)
        it.mover.takes["prepare"] = 1000
        await at_work(nursery, it)
        await trio.sleep(1)
        assert it.report.why == "no answer within 10 s"

    async def test_trouble_is_logged_once_and_its_end_once(
        self, cloud: Cloud, nursery: trio.Nursery, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level("INFO")
        it = node(cloud)
        it.mover.failing["prepare"] = deque([UnreachableError("no route")] * 20)
        await at_work(nursery, it)
        await trio.sleep(120)
        assert [record.getMessage() for record in caplog.records] == [
            "eip: not ready to take over: no route",
            "eip: ready to take over again",
        ]


class TestAMendedCloud:
    async def test_a_request_that_cannot_succeed_is_not_repeated(self, cloud: Cloud, nursery: trio.Nursery) -> None:
        it = node(cloud)
        await at_work(nursery, it)
        it.mover.failing["acquire"] = lambda: InvalidError("there is no eni-1; correct network_interface_id")
        it.want(True)
        await trio.sleep(600)
        assert len(it.mover.sent()) == 1
        assert it.report.state == "failed"
        assert "there is no eni-1" in it.report.troubles["mover_failed"]

    async def test_when_the_cloud_shows_something_else_it_is_tried_again(
        self, cloud: Cloud, nursery: trio.Nursery
    ) -> None:
        it = node(cloud)
        await at_work(nursery, it)
        it.mover.failing["acquire"] = deque([InvalidError("eipalloc-1 does not exist")])
        it.mover.failing["holder"] = deque([InvalidError("eipalloc-1 does not exist")] * 5)
        it.want(True)
        await trio.sleep(200)
        assert it.report.state == "held"
        assert it.report.troubles == {}
        assert len(it.mover.sent()) == 2

    async def test_when_somebody_brings_it_here_it_is_held(self, cloud: Cloud, nursery: trio.Nursery) -> None:
        it = node(cloud)
        await at_work(nursery, it)
        it.mover.failing["acquire"] = lambda: InvalidError("no")
        it.want(True)
        await trio.sleep(60)
        cloud.give("low")
        await trio.sleep(31)
        assert it.report.state == "held"

    async def test_what_preparing_finds_wrong_is_looked_at_again(self, cloud: Cloud, nursery: trio.Nursery) -> None:
        it = node(cloud)
        it.mover.failing["prepare"] = deque([InvalidError("source/dest check is on; turn it off")] * 3)
        it.want(True)
        await at_work(nursery, it)
        assert it.report.state == "failed"
        await trio.sleep(120)
        assert it.report.state == "held"


class TestTheHolder:
    @pytest.mark.parametrize(
        ("holder", "said"),
        [("high", "high (high)"), ("eni-9", "eni-9, which is none of the nodes"), (None, "nobody")],
    )
    async def test_a_backup_says_who_has_it(
        self, holder: str | None, said: str, cloud: Cloud, nursery: trio.Nursery
    ) -> None:
        cloud.give(holder)
        it = node(cloud)
        await at_work(nursery, it)
        assert (it.report.holder, it.report.detail) == (said, f"the cloud says {said}")

    async def test_of_what_is_on_this_host_no_cloud_says_anything(self, cloud: Cloud, nursery: trio.Nursery) -> None:
        cloud.give(None)
        it = node(cloud)
        it.mover.local = True
        await at_work(nursery, it)
        assert it.report.detail == "it is not here"

    async def test_unknown_is_no_holder(self, cloud: Cloud, nursery: trio.Nursery) -> None:
        it = node(cloud)
        it.mover.holder = unknown
        it.want(True)
        await at_work(nursery, it)
        await trio.sleep(600)
        assert (len(cloud.changes), it.report.state) == (1, "held")


class ServingMover(CloudMover):
    """Has work of its own."""

    served = 0.0

    async def serve(self) -> Never:
        began = trio.current_time()
        try:
            await trio.sleep_forever()
        finally:
            self.served = trio.current_time() - began


async def unknown(*, fresh: bool = False) -> Holder:
    """A service that does not know."""
    await trio.lowlevel.checkpoint()
    return Holder(Who.UNKNOWN)


def distinct(values: Sequence[int]) -> list[int]:
    """Each value that is not the one before."""
    return [value for i, value in enumerate(values) if i == 0 or value != values[i - 1]]
