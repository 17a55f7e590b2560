"""Virtual routers that move together: the two families of one router have one role, whatever happens to one of them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.proto.builders import (
    DEFAULT,
    DEFAULT6,
    HIGHER,
    HIGHER6,
    LOWER,
    LOWER6,
    ME,
    ME6,
    heard,
    ms,
)
from tests.proto.network import Agent, Network, cluster
from vrrpd.proto.effects import Acquire, Announce, Release, Role, SendAdvert, Transition
from vrrpd.proto.events import Adjust, Received
from vrrpd.proto.group import Group
from vrrpd.proto.settings import Settings
from vrrpd.proto.states import Active, Backup, Leaving
from vrrpd.proto.timers import CENTISECOND, SECOND

NAMES = {LOWER: "lb1", LOWER6: "lb1", ME: "lb2", ME6: "lb2", HIGHER: "lb3", HIGHER6: "lb3"}
V4, V6 = 0, 1


def heard6(priority: int, *, higher: bool = True) -> Received:
    return heard(priority, HIGHER6 if higher else LOWER6, settings=DEFAULT6)


def pair(v4: Settings = DEFAULT, v6: Settings = DEFAULT6) -> Group:
    group = Group([v4, v6], NAMES)
    group.start([ME, ME6], 0)
    return group


def active_pair() -> Group:
    group = pair()
    group.tick(group.deadline or 0)
    assert group.role is Role.ACTIVE
    return group


def running(*, crossed: bool = False, priorities: tuple[int, ...] = (250, 240, 230)) -> list[Agent]:
    agents = cluster(Network(), 3, DEFAULT, families=2, crossed=crossed, priorities=priorities)
    for agent in agents:
        agent.start()
    agents[0].network.run(6 * SECOND)
    return agents


# ---------------------------------------------------------------- one priority


def test_the_lowest_priority_counts_for_all() -> None:
    group = pair(DEFAULT, replace(DEFAULT6, priority=100))

    assert [m.effective_priority for m in group.members] == [100, 100]

    group.adjust(V6, Adjust(200, healthy=True, reason="weight"), 1)
    assert [m.effective_priority for m in group.members] == [200, 200]


def test_one_unhealthy_member_makes_all_unhealthy() -> None:
    group = active_pair()

    asked = group.adjust(V6, Adjust(240, healthy=False, reason="dns failed"), 5 * SECOND)

    assert [effect for _, effect in asked if isinstance(effect, SendAdvert)] == [SendAdvert(0)] * 2
    assert all(isinstance(m.state, Leaving) for m in group.members)


def test_one_member_that_is_well_again_does_not_heal_the_others() -> None:
    group = pair()
    group.adjust(V4, Adjust(240, healthy=False, reason="web failed"), 1)
    group.adjust(V6, Adjust(240, healthy=True, reason="dns passed"), 2)

    assert not group.members[V6].standing.healthy


# ---------------------------------------------------------------- one role


def test_a_lone_router_is_a_group_of_one() -> None:
    group = Group([DEFAULT], NAMES)

    assert group.deadline is None
    assert group.role is Role.INITIALIZE
    assert group.start([ME], 0) == [(0, Transition(Role.INITIALIZE, Role.BACKUP, "started"))]
    assert group.deadline == ms(3062.5)


def test_effects_name_the_member_that_asks() -> None:
    group = pair()
    asked = group.tick(group.deadline or 0)

    assert [index for index, _ in asked] == [0, 0, 0, 0, 1, 1, 1, 1]


def test_the_role_is_taken_only_when_all_timers_have_run_out() -> None:
    group = pair()
    group.received(V6, heard6(250), SECOND)
    assert group.deadline == SECOND + ms(3062.5)

    assert group.tick(ms(3500)) == []
    assert group.split

    asked = group.tick(ms(4062.5))
    assert [(i, e) for i, e in asked if e == Acquire()] == [(0, Acquire()), (1, Acquire())]
    assert not group.split


def test_a_split_is_seen_without_a_tick_and_ends_when_the_silent_member_hears_again() -> None:
    group = pair()
    for second in range(1, 5):
        group.received(V6, heard6(250), second * SECOND)
    assert group.split

    group.received(V4, heard(250), 4 * SECOND + 1)

    assert not group.split


def test_a_stop_ends_a_split() -> None:
    group = pair()
    group.received(V6, heard6(250), SECOND)
    group.tick(ms(3500))

    group.shutdown("interface lost", ms(3600))

    assert not group.split
    assert group.role is Role.INITIALIZE


def test_a_backup_beside_a_member_that_still_leaves_takes_nothing_alone() -> None:
    fast = replace(DEFAULT, interval=CENTISECOND)
    group = pair(fast, DEFAULT6)
    group.members[V4].state = Backup(ms(50), CENTISECOND, HIGHER)
    group.members[V6].state = Leaving(ms(200), stop=False, successor=Backup(SECOND, SECOND, HIGHER6))

    assert group.deadline == ms(200)
    assert group.tick(ms(60)) == []

    group.tick(ms(200))
    assert group.deadline == SECOND
    group.tick(SECOND)
    assert [m.role for m in group.members] == [Role.ACTIVE] * 2


def test_a_stop_says_priority_0_in_every_member() -> None:
    asked = active_pair().leave("agent stops", 5 * SECOND)

    assert [(i, e) for i, e in asked if isinstance(e, SendAdvert)] == [(0, SendAdvert(0)), (1, SendAdvert(0))]


def test_an_answer_on_the_network_counts_for_its_own_member() -> None:
    group = pair(replace(DEFAULT, hear_first=SECOND * 30), replace(DEFAULT6, hear_first=SECOND * 30))
    group.network_heard(V4, 1)
    assert group.deadline == 30 * SECOND

    group.network_heard(V6, 1)

    assert group.deadline == ms(3062.5)


# ---------------------------------------------------------------- priority 0


def test_priority_0_heard_by_one_counts_for_all_that_follow_the_same_node() -> None:
    group = pair()
    group.received(V4, heard(250), SECOND)
    group.received(V6, heard6(250), SECOND)

    group.received(V4, heard(0), 2 * SECOND)

    assert group.deadline == 2 * SECOND + ms(62.5)


def test_priority_0_of_one_node_says_nothing_about_another() -> None:
    group = pair()
    group.received(V4, heard(250), SECOND)
    group.received(V6, heard6(250, higher=False), SECOND)

    group.received(V4, heard(0), 2 * SECOND)

    assert group.deadline == SECOND + ms(3062.5)


def test_priority_0_of_a_node_that_was_not_active_is_stray_for_all() -> None:
    group = pair()
    group.received(V4, heard(250), SECOND)
    group.received(V6, heard6(250), SECOND)

    group.received(V4, heard(0, LOWER), 2 * SECOND)

    assert group.members[V4].counters.stray_zero == 1
    assert group.deadline == SECOND + ms(3062.5)


def test_priority_0_counts_for_a_member_that_follows_the_node_where_the_hearer_follows_another() -> None:
    group = pair()
    group.received(V4, heard(250), SECOND)
    group.received(V6, heard6(250, higher=False), SECOND)

    group.received(V4, heard(0, LOWER), 2 * SECOND)

    assert group.members[V4].deadline == SECOND + ms(3062.5)
    assert group.members[V6].deadline == 2 * SECOND + ms(62.5)


def test_priority_0_of_a_node_without_a_name_counts_for_its_own_member() -> None:
    group = Group([DEFAULT, DEFAULT6], {})
    group.start([ME, ME6], 0)
    group.received(V4, heard(250), SECOND)
    group.received(V6, heard6(250), SECOND)

    group.received(V4, heard(0), 2 * SECOND)

    assert group.members[V4].deadline == 2 * SECOND + ms(62.5)
    assert group.members[V6].deadline == SECOND + ms(3062.5)


# ---------------------------------------------------------------- giving way


def test_a_member_that_hears_a_better_active_after_long_service_takes_all_with_it() -> None:
    group = active_pair()

    asked = group.received(V6, heard6(250), 20 * SECOND)

    assert Release() not in [effect for _, effect in asked]
    assert [m.deadline for m in group.members] == [20 * SECOND + ms(200)] * 2
    group.tick(20 * SECOND + ms(200))
    assert [type(m.state) for m in group.members] == [Backup, Backup]


def test_a_member_that_loses_a_contest_lets_all_go_at_once() -> None:
    group = active_pair()

    asked = group.received(V4, heard(250), 4 * SECOND + ms(1))

    assert [index for index, effect in asked if effect == Release()] == [0, 1]


def test_an_answer_to_one_leaving_member_is_an_answer_to_all() -> None:
    group = active_pair()
    group.leave("agent stops", 5 * SECOND)

    group.received(V4, heard(230), 5 * SECOND + ms(60))

    assert [m.deadline for m in group.members] == [5 * SECOND + ms(260)] * 2
    asked = group.tick(5 * SECOND + ms(260))
    assert [index for index, effect in asked if effect == Release()] == [0, 1]


def test_a_member_that_kept_the_role_follows_one_that_found_a_successor() -> None:
    group = active_pair()
    group.members[V6].state = Leaving(30 * SECOND, stop=False)

    asked = group.received(V6, heard6(230), 20 * SECOND)

    assert isinstance(group.members[V4].state, Leaving)
    assert SendAdvert(240) not in [effect for _, effect in asked]


# ---------------------------------------------------------------- ties


def test_a_tie_is_decided_by_the_first_member_that_hears_the_other() -> None:
    group = active_pair()
    # in IPv4 we have the higher address, in IPv6 the other node does
    group.received(V4, heard(240, LOWER), 4 * SECOND + 1)

    asked = group.received(V6, heard6(240), 4 * SECOND + 2)

    assert asked == [(1, SendAdvert(240)), (1, Announce())]
    assert group.role is Role.ACTIVE


def test_a_tie_is_decided_by_the_second_member_where_the_first_hears_nobody() -> None:
    group = active_pair()

    group.received(V6, heard6(240), 4 * SECOND + 2)

    assert isinstance(group.members[V4].state, Backup)


def test_a_tie_is_decided_by_the_second_member_once_the_first_has_not_heard_the_other_for_three_intervals() -> None:
    group = active_pair()
    group.received(V4, heard(240, LOWER), 5 * SECOND)

    group.received(V6, heard6(240), 8 * SECOND - 1)
    assert group.role is Role.ACTIVE

    group.received(V6, heard6(240), 8 * SECOND)
    assert isinstance(group.members[V4].state, Leaving)


def test_a_higher_priority_wins_in_every_member() -> None:
    group = active_pair()
    group.received(V4, heard(200), 4 * SECOND + 1)

    group.received(V6, heard6(241), 4 * SECOND + 2)

    assert isinstance(group.members[V6].state, Backup)


def test_nodes_whose_families_order_them_differently_do_not_give_way_to_each_other_for_ever() -> None:
    network = Network()
    agents = cluster(network, 2, DEFAULT, families=2, crossed=True)
    for agent in agents:
        agent.healthy = False  # both serve as last resort: equal effective priorities
        agent.start()

    network.run(10 * SECOND)

    assert network.holders(V4) == network.holders(V6) == ["lb2"]


# ---------------------------------------------------------------- on a network


@pytest.mark.parametrize("link", [V4, V6])
def test_a_cut_of_one_family_moves_nothing_and_splits_the_backups(link: int) -> None:
    agents = running()
    network, since = agents[0].network, agents[0].network.now

    network.isolate("lb1", [link])
    network.run(60 * SECOND)

    assert network.did(Acquire, since=since) == network.did(Release, since=since) == []
    assert network.holders(V4) == network.holders(V6) == ["lb1"]
    assert agents[1].group.split

    network.cuts.clear()
    network.run(3 * SECOND)
    assert not agents[1].group.split


@pytest.mark.parametrize("link", [V4, V6])
def test_a_preferred_node_cut_in_one_family_takes_both_and_does_not_play_ping_pong(link: int) -> None:
    agents = running()
    network = agents[0].network
    agents[0].crash()
    network.run(5 * SECOND)
    network.isolate("lb1", [link])

    agents[0].start()
    network.run(60 * SECOND)

    assert network.holders(V4) == network.holders(V6) == ["lb1"]
    assert len(network.did(Acquire)) == 3  # lb1, lb2, lb1


@pytest.mark.parametrize("link", [V4, V6])
def test_the_death_of_the_active_ends_a_split(link: int) -> None:
    agents = running()
    network = agents[0].network
    network.isolate("lb1", [link])
    network.run(10 * SECOND)

    agents[0].crash()
    network.run(5 * SECOND)

    assert network.holders(V4) == network.holders(V6) == ["lb2"]


def test_a_group_of_two_families_stops_without_a_dark_moment_in_either() -> None:
    agents = running()
    network, since = agents[0].network, agents[0].network.now

    agents[0].stop()
    network.run(2 * SECOND)

    for link in (V4, V6):
        assert network.dark(link=link, since=since) == 0
        assert network.doubled(link=link, since=since) <= ms(250)
        assert network.holders(link) == ["lb2"]


def test_after_a_partition_the_winner_announces_in_both_families() -> None:
    agents = running()
    network = agents[0].network
    network.partition(["lb1"], ["lb2", "lb3"])
    network.run(10 * SECOND)
    since = network.now

    network.cuts.clear()
    network.run(3 * SECOND)

    for link in (V4, V6):
        assert network.holders(link) == ["lb1"]
        assert {entry.host for entry in network.did(Announce, since=since, link=link)} == {"lb1"}


def test_members_of_a_lone_active_keep_their_own_times() -> None:
    group = pair(DEFAULT, replace(DEFAULT6, interval=2 * SECOND))
    taken = group.deadline or 0
    group.tick(taken)

    assert [m.state for m in group.members] == [Active(taken + SECOND, taken), Active(taken + 2 * SECOND, taken)]
    assert group.deadline == taken + SECOND
    assert [index for index, _ in group.tick(taken + SECOND)] == [0]


# ---------------------------------------------------------------- a machine that stood still


@pytest.mark.parametrize("late", [ms(100.1), ms(900), 3 * SECOND])
def test_who_comes_late_for_its_timer_lets_an_active_speak_that_stood_still_too(late: int) -> None:
    group = pair()
    group.received(V4, heard(250), 0)
    group.received(V6, heard6(250), 0)
    woke = (group.deadline or 0) + late

    assert group.tick(woke) == []
    assert group.deadline == woke + min(late, SECOND)

    group.received(V4, heard(250), woke + 1)
    group.received(V6, heard6(250), woke + 1)
    assert group.tick(woke + min(late, SECOND)) == []
    assert group.role is Role.BACKUP


def test_who_came_late_takes_the_role_where_the_active_stays_silent() -> None:
    group = pair()
    woke = (group.deadline or 0) + ms(200)
    group.tick(woke)

    group.tick(woke + ms(200) + ms(500))  # late again: it waits no second time

    assert group.role is Role.ACTIVE


def test_a_tick_is_in_time_until_a_tenth_of_the_interval() -> None:
    group = pair()
    group.tick((group.deadline or 0) + ms(100))

    assert group.role is Role.ACTIVE
