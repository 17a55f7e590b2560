"""Several nodes on one network: who serves, how long nobody does, how long two do.

Every bound here is one that users are promised. Nothing is lost or late in these networks unless a test says so; what
happens on bad networks is in `test_schedules.py`.
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.proto.builders import DEFAULT, MULTICAST, V2, ms
from tests.proto.network import Agent, Network, cluster
from vrrpd.proto.effects import Acquire, Announce, Role, SendAdvert, Transition
from vrrpd.proto.events import NetworkHeard
from vrrpd.proto.settings import OWNER, OnAllFailed, Settings
from vrrpd.proto.timers import CENTISECOND, SECOND, active_down_interval, skew_time

FLIGHT = ms(0.1)
TWO_HOLDERS = ms(250)
FAST = replace(DEFAULT, interval=CENTISECOND)


def running(
    number: int = 3, settings: Settings = DEFAULT, priorities: tuple[int, ...] = (250, 240, 230)
) -> list[Agent]:
    """Nodes that have found their Active."""
    agents = cluster(Network(), number, settings, priorities=priorities)
    for agent in agents:
        agent.start()
    agents[0].network.run(6 * settings.interval)
    assert agents[0].network.holders() == ["lb1"]
    return agents


every_kind = pytest.mark.parametrize(
    "settings",
    [DEFAULT, MULTICAST, V2, FAST, replace(DEFAULT, interval=5 * SECOND)],
    ids=["unicast", "multicast", "version 2", "10 ms", "5 s"],
)


@every_kind
def test_a_planned_stop_is_never_dark_and_seldom_double(settings: Settings) -> None:
    lb1, *_ = running(settings=settings)
    network, since = lb1.network, lb1.network.now

    lb1.stop()
    network.run(2 * settings.interval + SECOND)

    assert network.dark(since=since) == 0
    assert network.doubled(since=since) <= TWO_HOLDERS
    assert network.holders() == ["lb2"]


@every_kind
def test_a_preferred_node_that_returns_is_never_dark_and_seldom_double(settings: Settings) -> None:
    lb1, *_ = running(settings=settings)
    network = lb1.network
    lb1.stop()
    network.run(6 * settings.interval + SECOND)
    since = network.now

    lb1.start()
    network.run(6 * settings.interval + SECOND)

    assert network.dark(since=since) == 0
    assert network.doubled(since=since) <= TWO_HOLDERS
    assert network.holders() == ["lb1"]


@every_kind
def test_a_dead_node_is_replaced_within_its_successors_down_interval(settings: Settings) -> None:
    lb1, lb2, _ = running(settings=settings)
    network, since = lb1.network, lb1.network.now

    lb1.crash()
    network.run(5 * settings.interval)

    limit = active_down_interval(settings.version, lb2.settings[0].priority, settings.interval)
    assert network.dark(since=since) <= limit
    assert network.doubled(since=since) == 0
    assert network.holders() == ["lb2"]


def test_five_nodes_survive_three_deaths_one_after_another() -> None:
    agents = running(5, priorities=(250, 240, 230, 220, 210))
    network = agents[0].network

    for agent in agents[:3]:
        agent.crash()
        network.run(5 * SECOND)

    assert network.holders() == ["lb4"]


def test_whoever_stops_last_lets_go_though_nobody_answers() -> None:
    (lb1,) = running(1)
    network, since = lb1.network, lb1.network.now

    lb1.stop()
    network.run(2 * SECOND)

    assert network.holders() == []
    assert network.longest(lambda n: n == 1, since=since) == ms(1050)
    assert [entry.effect for entry in network.did(SendAdvert, since=since)] == [SendAdvert(0)] * 4


def test_a_second_signal_ends_a_stop_at_once() -> None:
    lb1, *_ = running()
    network = lb1.network

    lb1.stop()
    lb1.second_signal()

    assert network.holders() == []


def test_two_nodes_that_stop_one_after_the_other_leave_the_third_in_charge() -> None:
    lb1, lb2, _ = running()
    network, since = lb1.network, lb1.network.now

    lb1.stop()
    network.run(ms(100))
    lb2.stop()
    network.run(2 * SECOND)

    assert network.dark(since=since) == 0
    assert network.holders() == ["lb3"]


# ---------------------------------------------------------------- checks


def test_a_failed_check_hands_over_within_the_skew_of_the_next_node() -> None:
    lb1, lb2, _ = running()
    network, since = lb1.network, lb1.network.now

    lb1.check_result(healthy=False)
    network.run(ms(400))

    (taken,) = network.did(Acquire, since=since)
    assert taken.host == "lb2"
    assert taken.at - since <= skew_time(3, lb2.settings[0].priority, SECOND) + FLIGHT
    assert network.dark(since=since) == 0
    assert network.doubled(since=since) <= TWO_HOLDERS


def test_a_node_whose_check_passes_again_takes_the_role_back() -> None:
    lb1, *_ = running()
    network = lb1.network
    lb1.check_result(healthy=False)
    network.run(10 * SECOND)
    assert network.holders() == ["lb2"]

    lb1.check_result(healthy=True)
    network.run(5 * SECOND)

    assert network.holders() == ["lb1"]


def test_failed_checks_on_all_nodes_leave_one_serving() -> None:
    agents = running()
    network, since = agents[0].network, agents[0].network.now

    for agent in agents:
        agent.check_result(healthy=False)
    network.run(10 * SECOND)

    assert network.dark(since=since) == 0
    assert len(network.holders()) == 1


def test_failed_checks_on_all_nodes_go_dark_where_that_is_wanted() -> None:
    agents = running(settings=replace(DEFAULT, on_all_failed=OnAllFailed.RELEASE))
    network = agents[0].network

    for agent in agents:
        agent.check_result(healthy=False)
    network.run(10 * SECOND)
    assert network.holders() == []

    agents[2].check_result(healthy=True)
    network.run(5 * SECOND)
    assert network.holders() == ["lb3"]


def test_a_failed_check_of_the_only_node_keeps_the_role_with_priority_1() -> None:
    (lb1,) = running(1)
    network, since = lb1.network, lb1.network.now

    lb1.check_result(healthy=False)
    network.run(3 * SECOND)

    assert network.dark(since=since) == 0
    assert network.did(Transition, since=since)[-1].effect == Transition(
        Role.ACTIVE, Role.ACTIVE, "nobody else took the role: kept"
    )
    assert lb1.group.members[0].counters.transitions == 2  # to Backup and to Active at the start
    assert network.did(SendAdvert)[-1].effect == SendAdvert(1)


@pytest.mark.parametrize("preempt", [True, False])
def test_a_healthy_node_takes_over_from_one_that_serves_as_last_resort(*, preempt: bool) -> None:
    agents = running(settings=replace(DEFAULT, preempt=preempt))
    network = agents[0].network
    for agent in agents:
        agent.check_result(healthy=False)
    network.run(10 * SECOND)
    (holder,) = network.holders()
    healthy = next(agent for agent in agents if agent.name != holder)
    since = network.now

    healthy.check_result(healthy=True)
    network.run(5 * SECOND)

    assert network.holders() == [healthy.name]
    assert network.dark(since=since) == 0


def test_a_lower_priority_starts_an_election_that_a_better_node_wins() -> None:
    lb1, *_ = running(settings=replace(DEFAULT, preempt=False))
    network, since = lb1.network, lb1.network.now

    lb1.weigh(235)
    network.run(SECOND)

    assert network.holders() == ["lb2"]
    assert network.dark(since=since) == 0


def test_an_election_that_we_win_ourselves_moves_nothing() -> None:
    lb1, *_ = running()
    network, since = lb1.network, lb1.network.now

    lb1.weigh(245)
    network.run(SECOND)

    assert network.did(Acquire, since=since) == []
    assert network.holders() == ["lb1"]
    assert [e.effect for e in network.did(SendAdvert, since=since) if e.host == "lb1"][-1] == SendAdvert(245)


def test_a_lower_priority_that_nobody_can_beat_starts_nothing() -> None:
    lb1, *_ = running(settings=replace(DEFAULT, highest_other=240))
    network, since = lb1.network, lb1.network.now

    lb1.weigh(241)
    network.run(3 * SECOND)

    assert SendAdvert(0) not in [entry.effect for entry in network.did(SendAdvert, since=since)]


# ---------------------------------------------------------------- preemption, and who is heard first


def test_without_preempt_the_preferred_node_waits() -> None:
    lb1, *_ = running(settings=replace(DEFAULT, preempt=False))
    network = lb1.network
    lb1.crash()
    network.run(5 * SECOND)

    lb1.start()
    network.run(10 * SECOND)
    assert network.holders() == ["lb2"]

    network.hosts["lb2"].crash()
    network.run(5 * SECOND)
    assert network.holders() == ["lb1"]


def test_an_owner_takes_its_address_back_at_once_even_without_preempt() -> None:
    lb1, *_ = running(settings=replace(DEFAULT, preempt=False), priorities=(OWNER, 240, 230))
    network = lb1.network
    lb1.crash()
    network.run(5 * SECOND)

    lb1.start()
    network.run(ms(1))

    assert "lb1" in network.holders()


def test_preempt_delay_is_time_in_health_before_the_role_is_taken_back() -> None:
    delay = 20 * SECOND
    lb1, *_ = running(settings=replace(DEFAULT, preempt_delay=delay))
    network = lb1.network
    lb1.crash()
    network.run(5 * SECOND)
    since = network.now

    lb1.start()
    network.run(delay + 6 * SECOND)

    (taken,) = network.did(Acquire, since=since)
    assert taken.host == "lb1"
    assert delay <= taken.at - since <= delay + 5 * SECOND


def test_preempt_delay_does_not_hold_back_a_takeover_where_no_active_is_heard() -> None:
    lb1, *_ = running(settings=replace(DEFAULT, preempt_delay=60 * SECOND))
    network = lb1.network
    lb1.crash()
    network.run(5 * SECOND)
    lb1.start()
    network.run(5 * SECOND)
    since = network.now

    network.hosts["lb2"].crash()
    network.run(4 * SECOND)

    assert network.holders() == ["lb1"]
    assert network.dark(since=since) < 4 * SECOND


def test_preempt_delay_starts_again_when_a_check_fails() -> None:
    lb1, *_ = running(settings=replace(DEFAULT, preempt_delay=10 * SECOND))
    network = lb1.network
    lb1.check_result(healthy=False)
    network.run(60 * SECOND)

    lb1.check_result(healthy=True)
    network.run(9 * SECOND)

    assert network.holders() == ["lb2"]


def test_a_deaf_node_does_not_take_the_role_before_the_limit() -> None:
    network = Network()
    (lb1,) = cluster(network, 1, replace(DEFAULT, hear_first=30 * SECOND))
    lb1.start()

    network.run(30 * SECOND - 1)
    assert network.holders() == []

    network.run(1)
    assert network.holders() == ["lb1"]


def test_a_network_that_answers_costs_no_time() -> None:
    network = Network()
    (lb1,) = cluster(network, 1, replace(DEFAULT, hear_first=30 * SECOND))
    lb1.start()

    lb1.settle(lb1.group.network_heard(0, lb1.clock))
    network.run(4 * SECOND)

    assert network.holders() == ["lb1"]


def test_an_answer_that_comes_late_makes_the_takeover_due_at_once() -> None:
    network = Network()
    (lb1,) = cluster(network, 1, replace(DEFAULT, hear_first=30 * SECOND))
    lb1.start()
    network.run(10 * SECOND)

    lb1.settle([(0, effect) for effect in lb1.group.members[0].handle(NetworkHeard(), lb1.clock)])

    assert network.holders() == ["lb1"]


def test_a_preferred_node_that_boots_deaf_does_not_serve_beside_the_active() -> None:
    lb1, *_ = running()
    network = lb1.network
    lb1.crash()
    lb1.settings = (replace(lb1.settings[0], hear_first=30 * SECOND),)
    network.run(5 * SECOND)
    network.isolate("lb1")
    since = network.now

    lb1.start()
    network.run(10 * SECOND)
    assert network.holders() == ["lb2"]
    network.cuts.clear()
    network.run(5 * SECOND)

    assert network.holders() == ["lb1"]
    assert network.dark(since=since) == 0
    assert network.doubled(since=since) <= TWO_HOLDERS


# ---------------------------------------------------------------- contests


@pytest.mark.parametrize("seed", range(20))
def test_a_contest_ends_within_two_intervals_and_the_winner_announces_last(seed: int) -> None:
    settings = replace(FAST, hear_first=None)
    agents = cluster(Network(seed=seed), 3, settings, priorities=(250, 240, 239))
    network = agents[0].network
    for agent in agents:
        agent.start()
    network.run(10 * CENTISECOND)
    network.lateness = ms(2)  # timers that are late by more than the priorities are apart
    since = network.now

    agents[0].crash()
    network.run(20 * CENTISECOND)

    assert network.doubled(since=since) <= 2 * CENTISECOND + ms(20)
    assert network.holders() == ["lb2"]
    assert network.did(Announce, since=since)[-1].host == "lb2"


def test_of_two_equal_priorities_the_higher_address_wins() -> None:
    agents = cluster(Network(), 3, DEFAULT, priorities=(200, 200, 200))
    network = agents[0].network
    for agent in agents:
        agent.start()

    network.run(10 * SECOND)

    assert network.holders() == ["lb3"]
    assert network.doubled() <= 3 * FLIGHT


def test_a_partition_that_heals_leaves_one_active_which_announces_after_the_other_was_heard() -> None:
    lb1, *_ = running()
    network = lb1.network
    network.partition(["lb1"], ["lb2", "lb3"])
    network.run(10 * SECOND)
    assert sorted(network.holders()) == ["lb1", "lb2"]
    since = network.now

    network.cuts.clear()
    network.run(3 * SECOND)

    assert network.holders() == ["lb1"]
    assert {entry.host for entry in network.did(Announce, since=since)} == {"lb1"}


def test_an_active_that_never_noticed_a_second_one_is_told_and_announces() -> None:
    # lb1 is Active all the time; lb2 goes deaf to it, serves for a moment, and hears it again
    lb1, *_ = running()
    network = lb1.network
    network.cut(["lb1"], ["lb2"])
    network.cut(["lb2"], ["lb1", "lb3"])
    network.run(ms(3500))
    assert sorted(network.holders()) == ["lb1", "lb2"]
    since = network.now

    network.cuts.clear()
    network.run(SECOND)

    assert network.holders() == ["lb1"]
    assert [entry.host for entry in network.did(Announce, since=since)] == ["lb1"]
