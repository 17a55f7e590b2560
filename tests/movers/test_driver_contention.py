"""The driver of movers: who has it in the end, when several want it."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import pytest
import trio

from tests.movers.cloud import Cloud
from tests.movers.nodes import ADDRESS, PRIORITY, Node, at_work, node, until
from vrrpd.movers.base import Holder, ThrottledError, Who
from vrrpd.movers.contention import Ranks

TRIALS = 40


def hears_high(low: Node) -> None:
    """The lower one hears that the higher one is Active now."""
    low.driver.heard("high", PRIORITY["high"])
    low.heard["high"] = PRIORITY["high"]


def between_nodes(cloud: Cloud) -> int:
    """How often the thing went from one of the nodes to the other."""
    hands = [who for _, who in cloud.moves]
    return sum({a, b} == {"low", "high"} for a, b in itertools.pairwise(hands))


class TestTwoActiveNodes:
    """Both are active for 30 s, and neither hears the other."""

    @pytest.mark.parametrize("takeover", ["steal", "compare"])
    @pytest.mark.parametrize("later", [0.0, 0.001, 0.3, 2.0, -0.001, -0.3, -2.0])
    @pytest.mark.parametrize("seed", range(10))
    async def test_the_higher_ranked_one_has_it_after_two_moves_at_most(
        self, seed: int, later: float, takeover: str, cloud: Cloud, nursery: trio.Nursery
    ) -> None:
        low, high = (node(cloud, name, seed=seed + i, takeover=takeover) for i, name in enumerate(("low", "high")))
        cloud.delay.update(low=0.02, high=0.02)
        await at_work(nursery, low, high)
        first, second = (high, low) if later > 0 else (low, high)
        first.want(True)
        await trio.sleep(abs(later))
        second.want(True)
        await trio.sleep(30)
        assert cloud.holder == "high"
        assert between_nodes(cloud) <= 2
        assert high.report.state == "held"
        assert low.report.state == "idle"
        assert any("ranks higher" in (report.aside or "") for _, report in low.reports)

    async def test_an_active_node_that_has_it_gets_it_back_from_one_that_ranks_lower(
        self, cloud: Cloud, nursery: trio.Nursery
    ) -> None:
        low, high = node(cloud, "low"), node(cloud, "high", seed=1)
        await at_work(nursery, low, high)
        high.want(True)
        await trio.sleep(60)
        low.want(True)
        await trio.sleep(32)
        assert cloud.holder == "high"
        assert between_nodes(cloud) == 2
        assert "low (low) has taken it while the role is here" in high.report.troubles["mover_stolen"]

    @pytest.mark.parametrize("after", [4, 5, 8, 12])
    async def test_one_that_was_active_for_seconds_only_keeps_what_it_was_seen_to_have(
        self, after: float, cloud: Cloud, nursery: trio.Nursery
    ) -> None:
        low, high = node(cloud, "low"), node(cloud, "high", seed=1)
        await at_work(nursery, low, high)
        high.want(True)
        hears_high(low)
        await trio.sleep(after)
        low.want(True)
        await trio.sleep(30)
        assert cloud.holder == "high"
        assert between_nodes(cloud) == 2

    @pytest.mark.parametrize("after", [2, 4, 6, 8, 12])
    async def test_nor_is_it_thrown_about_after_a_role_that_was_handed_over_seconds_ago(
        self, after: float, cloud: Cloud, nursery: trio.Nursery
    ) -> None:
        low, high = node(cloud, "low"), node(cloud, "high", seed=1)
        await at_work(nursery, low, high)
        low.want(True)
        await trio.sleep(30)
        low.want(False)
        high.want(True)
        hears_high(low)
        await trio.sleep(after)
        before = between_nodes(cloud)
        low.want(True)
        await trio.sleep(40)
        assert cloud.holder == "high"
        assert between_nodes(cloud) - before == 2

    async def test_a_dead_node_that_nobody_could_name_is_not_given_way_to(
        self, cloud: Cloud, nursery: trio.Nursery
    ) -> None:
        low = node(cloud, "low")
        await at_work(nursery, low)
        low.driver.heard("fe80::2", PRIORITY["high"])
        await trio.sleep(0.5)
        low.want(True)
        await trio.sleep(0.3)
        cloud.give("high")  # what it had under way when it died
        await trio.sleep(30)
        assert (cloud.holder, low.report.aside) == ("low", None)

    async def test_a_backup_looks_once_for_each_new_active(self, cloud: Cloud, nursery: trio.Nursery) -> None:
        low = node(cloud, "low")
        await at_work(nursery, low)
        looks = len(low.mover.sent("holder"))
        for _ in range(100):
            low.driver.heard("high", PRIORITY["high"])
            await trio.sleep(0.1)
        assert len(low.mover.sent("holder")) - looks == 1

    async def test_who_cannot_ask_does_not_ask_sooner_for_a_new_active(
        self, cloud: Cloud, nursery: trio.Nursery
    ) -> None:
        low = node(cloud, "low")
        low.mover.failing["prepare"] = lambda: ThrottledError("slow down", retry_after=300)
        await at_work(nursery, low)
        asked = len(low.mover.calls)
        low.driver.heard("high", PRIORITY["high"])
        await trio.sleep(200)
        assert len(low.mover.calls) == asked

    async def test_a_backup_looks_soon_what_a_new_active_has_brought_about(
        self, cloud: Cloud, nursery: trio.Nursery
    ) -> None:
        low = node(cloud, "low")
        await at_work(nursery, low)
        assert low.report.holder != "high (high)"
        cloud.give("high")
        low.driver.heard("high", PRIORITY["high"])
        await trio.sleep(3)
        assert low.report.holder == "high (high)"

    async def test_who_takes_over_from_a_dead_node_of_a_higher_rank_does_not_give_way_to_it(
        self, cloud: Cloud, nursery: trio.Nursery
    ) -> None:
        cloud.give("high")
        cloud.lag = 3
        low = node(cloud, "low")
        await at_work(nursery, low)
        low.want(True)
        await trio.sleep(60)
        assert (low.report.state, len(cloud.changes)) == ("held", 1)

    async def test_nor_where_its_own_change_is_not_answered(self, cloud: Cloud, nursery: trio.Nursery) -> None:
        low = node(cloud, "low")
        await at_work(nursery, low)
        cloud.give("high")  # since the last look
        low.mover.takes["acquire"] = 1000
        low.want(True)
        await trio.sleep(5)
        low.mover.takes["acquire"] = 0
        await trio.sleep(30)
        assert (low.report.state, cloud.holder) == ("held", "low")

    async def test_who_reads_out_of_date_answers_does_not_give_way_to_a_dead_node(
        self, cloud: Cloud, nursery: trio.Nursery
    ) -> None:
        low = node(cloud, "low")
        await at_work(nursery, low)
        cloud.give("high")  # since the last look
        cloud.lag = 3
        low.want(True)
        await trio.sleep(30)
        assert (low.report.state, len(cloud.changes)) == ("held", 1)

    async def test_who_loses_a_conditional_change_to_a_node_of_a_higher_rank_gives_way(
        self, cloud: Cloud, nursery: trio.Nursery
    ) -> None:
        low = node(cloud, "low", takeover="compare")
        await at_work(nursery, low)
        cloud.delay["low"] = 0.1
        low.want(True)
        await until(lambda: cloud.changes)
        cloud.give("high")
        await trio.sleep(20)
        assert (cloud.holder, len(cloud.changes)) == ("high", 1)
        assert low.report.aside == "high (high) has it and ranks higher, and does not hear us"

    async def test_a_role_that_stays_comes_back_when_the_time_out_of_the_election_is_over(
        self, cloud: Cloud, nursery: trio.Nursery
    ) -> None:
        low = node(cloud, "low")
        low.obedient = False
        await at_work(nursery, low)
        low.want(True)
        await trio.sleep(20)
        cloud.give("high")
        await trio.sleep(40)
        assert low.report.aside is not None
        assert cloud.holder == "high"
        await trio.sleep(30)
        assert cloud.holder == "low"


class TestStandingAside:
    """A node has made room for another one that has the thing and ranks higher."""

    @staticmethod
    async def aside(cloud: Cloud, nursery: trio.Nursery) -> Node:
        low = node(cloud, "low")
        await at_work(nursery, low)
        low.want(True)
        await trio.sleep(20)
        cloud.give("high")
        await until(lambda: low.report.aside)
        return low

    async def test_it_listens_again_as_soon_as_it_hears_that_node(self, cloud: Cloud, nursery: trio.Nursery) -> None:
        low = await self.aside(cloud, nursery)
        low.driver.heard("high", PRIORITY["high"])
        assert (low.report.aside, low.report.troubles) == (None, {})
        assert len(cloud.changes) == 1

    async def test_one_that_ranks_lower_is_no_reason(self, cloud: Cloud, nursery: trio.Nursery) -> None:
        low = await self.aside(cloud, nursery)
        low.driver.heard("high", PRIORITY["low"] - 1)
        assert low.report.aside is not None

    @pytest.mark.parametrize("now", ["eni-9", None])
    async def test_it_is_over_when_that_node_has_it_no_longer(
        self, now: str | None, cloud: Cloud, nursery: trio.Nursery
    ) -> None:
        low = await self.aside(cloud, nursery)
        await until(lambda: not low.report.aside)
        low.want(True)
        await trio.sleep(20)
        cloud.give("high")
        began = await until(lambda: low.report.aside)  # this time for a minute
        cloud.give(now)
        over = await until(lambda: not low.report.aside)
        assert over - began <= 31


class TestALateWrite:
    """A node loses its role while its change is delayed in the cloud, and another one takes over."""

    @staticmethod
    async def race(
        cloud: Cloud, nursery: trio.Nursery, trial: int, takeover: str, names: tuple[str, str]
    ) -> tuple[Node, float]:
        loser, winner = (node(cloud, name, seed=trial + i, takeover=takeover) for i, name in enumerate(names))
        await at_work(nursery, loser, winner)
        cloud.delay[loser.name] = 0.05 + 0.35 * trial / (TRIALS - 1)
        loser.want(True)
        winner.heard[loser.name] = PRIORITY[loser.name]
        await trio.sleep(0.05)
        winner.heard[loser.name] = 0
        loser.want(False)
        winner.want(True)
        begun = trio.current_time()
        await trio.sleep(30)
        assert winner.first(lambda report: report.aside) is None
        return winner, begun

    @pytest.mark.parametrize("names", [("low", "high"), ("high", "low")], ids=" to ".join)
    @pytest.mark.parametrize("trial", range(TRIALS))
    async def test_with_steal_it_is_the_winners_for_good_within_two_seconds(
        self, trial: int, names: tuple[str, str], cloud: Cloud, nursery: trio.Nursery
    ) -> None:
        winner, begun = await self.race(cloud, nursery, trial, "steal", names)
        assert (cloud.holder, winner.report.state) == (winner.name, "held")
        assert cloud.moves[-1][0] - begun <= 2
        assert len(cloud.changes) <= 3

    @pytest.mark.parametrize("names", [("low", "high"), ("high", "low")], ids=" to ".join)
    @pytest.mark.parametrize("trial", range(TRIALS))
    async def test_with_compare_it_is_refused(
        self, trial: int, names: tuple[str, str], cloud: Cloud, nursery: trio.Nursery
    ) -> None:
        winner, _ = await self.race(cloud, nursery, trial, "compare", names)
        assert (cloud.holder, winner.report.state) == (winner.name, "held")
        hands = [who for _, who in cloud.moves]
        assert names[0] not in hands[hands.index(winner.name) :]

    @pytest.mark.parametrize("delay", [0.3, 0.6, 1.2, 3.0])
    async def test_a_role_that_flips_and_comes_back_is_not_lost_to_the_late_write(
        self, delay: float, cloud: Cloud, nursery: trio.Nursery
    ) -> None:
        low = node(cloud, "low")
        await at_work(nursery, low)
        low.want(True)
        await trio.sleep(20)
        low.want(False)
        low.driver.heard("high", PRIORITY["high"])
        low.heard["high"] = PRIORITY["high"]  # and dies, without a word
        await trio.sleep(0.2)
        low.want(True)
        await trio.sleep(delay)
        cloud.give("high")
        await trio.sleep(20)
        assert low.first(lambda report: report.aside) is None
        assert (cloud.holder, low.report.state) == ("low", "held")
        assert len(cloud.changes) == 3  # at once, since the other was Active, and once more

    async def test_a_look_that_is_out_of_date_takes_nothing_from_who_was_found_to_have_it(
        self, cloud: Cloud, nursery: trio.Nursery
    ) -> None:
        low = node(cloud, "low")
        cloud.give("low")
        low.want(True)
        await at_work(nursery, low)
        low.want(False)
        await trio.sleep(0.1)
        low.want(True)
        await trio.sleep(0.4)
        cloud.give("high")
        await trio.sleep(0.2)
        cloud.give("low")
        await trio.sleep(30)
        assert low.first(lambda report: report.aside) is None
        assert cloud.changes == []

    async def test_a_person_who_points_it_at_a_node_that_has_left_is_not_obeyed(
        self, cloud: Cloud, nursery: trio.Nursery
    ) -> None:
        low = node(cloud, "low")
        low.heard["high"] = 0
        await at_work(nursery, low)
        low.want(True)
        await trio.sleep(3600)
        cloud.give("high")
        await trio.sleep(40)
        assert (cloud.holder, low.report.aside) == ("low", None)


class TestRanks:
    """Who gives way to whom."""

    @pytest.mark.parametrize(
        ("filed", "heard", "higher"),
        [
            (200, None, True),
            (50, None, False),
            (200, 90, False),
            (200, 0, False),
            (50, 101, True),
            (100, None, True),
            (None, None, True),
            (None, 99, False),
        ],
    )
    async def test_what_was_heard_counts_before_the_file_and_without_both_the_address(
        self, filed: int | None, heard: int | None, higher: bool
    ) -> None:
        ranks = Ranks(ADDRESS["low"], {"high": (filed, ADDRESS["high"])}, lambda _: heard)
        assert ranks.outranked(Holder(Who.PEER, "eni-2", "high"), 100) is higher

    async def test_without_priorities_one_of_two_gives_way(self) -> None:
        one, other = (Ranks(ADDRESS[a], {b: (None, ADDRESS[b])}) for a, b in (("low", "high"), ("high", "low")))
        assert one.outranked(Holder(Who.PEER, "eni-2", "high"), 100)
        assert not other.outranked(Holder(Who.PEER, "eni-1", "low"), 200)


class TestAThief:
    @pytest.mark.parametrize("seed", range(10))
    async def test_a_theft_is_seen_within_the_interval_and_made_good_within_three_seconds(
        self, seed: int, cloud: Cloud, nursery: trio.Nursery
    ) -> None:
        it = node(cloud, seed=seed, verify_interval="10s")
        await at_work(nursery, it)
        it.want(True)
        await trio.sleep(30 + seed)
        stolen = trio.current_time()
        cloud.give("eni-thief")
        await trio.sleep(20)
        seen = it.first(lambda report: "eni-thief" in report.troubles.get("mover_stolen", ""))
        assert seen is not None
        assert seen - stolen <= 11
        assert cloud.moves[-1][1] == "low"
        assert cloud.moves[-1][0] - seen <= 3

    @pytest.mark.parametrize("seed", range(10))
    async def test_one_that_comes_back_twice_a_second_is_not_outbid(
        self, seed: int, cloud: Cloud, nursery: trio.Nursery
    ) -> None:
        it = node(cloud, seed=seed, verify_interval="10s")
        await at_work(nursery, it)
        it.want(True)
        await trio.sleep(20)
        before = len(cloud.changes)
        begun = trio.current_time()
        for _ in range(120):
            cloud.give("eni-thief")
            await trio.sleep(0.5)
        retakes = [when for when, _ in cloud.changes[before:]]
        assert len(retakes) <= 5
        assert it.report.state == "contended"
        assert "mover_contended" in it.report.troubles
        for _ in range(600):
            cloud.give("eni-thief")
            await trio.sleep(0.5)
        retakes = [when - begun for when, _ in cloud.changes[before:]]
        assert most_within(60, retakes) <= 5
        assert most_within(59, [when for when in retakes if when > 60]) == 1

    async def test_after_two_minutes_in_peace_the_contention_is_over(
        self, cloud: Cloud, nursery: trio.Nursery, caplog: pytest.LogCaptureFixture
    ) -> None:
        it = node(cloud, verify_interval="10s")
        await at_work(nursery, it)
        it.want(True)
        await trio.sleep(20)
        for _ in range(120):
            cloud.give("eni-thief")
            await trio.sleep(0.5)
        await trio.sleep(61)
        assert (it.report.state, "mover_contended" in it.report.troubles) == ("held", True)
        await trio.sleep(181)
        assert "mover_contended" not in it.report.troubles
        await trio.sleep(300)
        assert it.report.troubles == {}
        assert len(caplog.records) == 2

    async def test_what_nobody_has_is_taken_again_without_an_alarm(self, cloud: Cloud, nursery: trio.Nursery) -> None:
        it = node(cloud)
        await at_work(nursery, it)
        it.want(True)
        await trio.sleep(60)
        cloud.give(None)
        await trio.sleep(40)
        assert (cloud.holder, it.report.troubles) == ("low", {})


class TestOutOfDate:
    @pytest.mark.parametrize("before", ["eni-dead", "high", None])
    @pytest.mark.parametrize("takeover", ["steal", "compare"])
    async def test_reads_that_lag_three_seconds_behind_move_nothing_twice(
        self, takeover: str, before: str | None, cloud: Cloud, nursery: trio.Nursery
    ) -> None:
        cloud.give(before)
        it = node(cloud, takeover=takeover)
        await at_work(nursery, it)
        cloud.lag = 3
        it.want(True)
        await trio.sleep(10)
        assert len(cloud.changes) == 1
        assert it.states()[-2:] == ["acquiring", "held"]

    async def test_one_look_that_shows_another_holder_soon_after_the_move_is_not_enough(
        self, cloud: Cloud, nursery: trio.Nursery
    ) -> None:
        it = node(cloud)
        await at_work(nursery, it)
        it.want(True)
        await trio.sleep(0.45)
        cloud.give("eni-blip")
        await trio.sleep(0.1)
        cloud.give("low")
        await trio.sleep(60)
        assert len(cloud.changes) == 1


def most_within(window: float, times: Sequence[float]) -> int:
    return max((sum(a <= b < a + window for b in times) for a in times), default=0)
