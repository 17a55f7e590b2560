"""Nodes with keys on one network: wrong keys, wrong clocks, strangers and recordings, and never two Actives."""

from __future__ import annotations

from dataclasses import replace
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.proto.builders import advert, ms
from tests.proto.network import Agent, Network, cluster
from tests.proto.signed import HMAC, OTHER, SIGNED, number, signed
from vrrpd.proto.clock import LONGEST_DISBELIEF
from vrrpd.proto.credentials import AntiReplay, Hmac, Mode, Secret
from vrrpd.proto.datagram import Datagram
from vrrpd.proto.effects import Release
from vrrpd.proto.settings import OWNER, Address, Settings
from vrrpd.proto.timers import SECOND
from vrrpd.proto.validate import Reason

DOWN = ms(3062.5)
"""Active_Down_Interval of lb2."""

HOUR = 3600 * SECOND
STRANGE = (1, Secret(OTHER))


def made(number: int = 2, settings: Settings = SIGNED, **more: Hmac | None) -> list[Agent]:
    """Nodes that are not started yet; `lb2=...` gives one other rules than the rest."""
    return ruled(cluster(Network(), number, settings), **more)


def running(number: int = 2, settings: Settings = SIGNED, **more: Hmac | None) -> list[Agent]:
    agents = made(number, settings, **more)
    for agent in agents:
        agent.start()
    agents[0].network.run(10 * SECOND)
    return agents


def ruled(agents: list[Agent], **more: Hmac | None) -> list[Agent]:
    """The same nodes, some of them with other rules."""
    for agent in agents:
        if agent.name in more:
            give(agent, more[agent.name])
    return agents


def give(agent: Agent, rules: Hmac | None) -> None:
    """Another configuration for the next start."""
    agent.settings = tuple(replace(each, auth=rules) for each in agent.settings)


# ---------------------------------------------------------------- nothing changes where all is right


def test_nodes_with_the_same_keys_do_what_nodes_without_do() -> None:
    lb1, *_ = running(3)
    network = lb1.network
    assert network.holders() == ["lb1"]
    since = network.now

    lb1.stop()
    network.run(5 * SECOND)
    assert network.holders() == ["lb2"]
    assert network.dark(since=since) == 0
    lb1.start()
    network.run(10 * SECOND)

    assert network.holders() == ["lb1"]
    assert network.dark(since=since) == 0
    assert all(not host.refused for host in network.hosts.values() if isinstance(host, Agent))


@pytest.mark.parametrize(
    "modes", [(Mode.PERMISSIVE, Mode.RECEIVE_ONLY, Mode.PERMISSIVE), (Mode.ENFORCE, Mode.PERMISSIVE, Mode.ENFORCE)]
)
def test_neighbouring_modes_and_both_keys_of_a_rotation_live_together(modes: tuple[Mode, ...]) -> None:
    ring = (*HMAC.ring, (2, Secret(OTHER)))
    rules = [Hmac(ring, active, mode) for active, mode in zip((2, 1, 2), modes, strict=True)]
    agents = running(3, lb1=rules[0], lb2=rules[1], lb3=rules[2])
    network = agents[0].network
    assert network.holders() == ["lb1"]

    agents[0].crash()
    network.run(10 * SECOND)

    assert network.holders() == ["lb2"]
    assert network.doubled() == 0


# ---------------------------------------------------------------- keys


def test_a_node_with_the_wrong_key_never_becomes_a_second_active() -> None:
    lb1, lb2 = running(lb2=replace(HMAC, ring=(STRANGE,)))
    network = lb1.network

    network.run(60 * SECOND)

    assert network.holders() == ["lb1"]
    assert network.doubled() == 0
    assert {drop.reason for drop in lb2.refused} == {Reason.INVALID_HMAC}


@pytest.mark.parametrize("name", ["lb1", "lb2"])
@pytest.mark.parametrize(
    "wrong", [replace(HMAC, ring=(STRANGE,)), replace(HMAC, ring=((7, Secret(OTHER)),), active_key=7)]
)
def test_a_node_that_comes_back_with_the_wrong_key_takes_nothing(name: str, wrong: Hmac) -> None:
    agents = running()
    network = agents[0].network
    returning = next(agent for agent in agents if agent.name == name)

    returning.crash()
    network.run(6 * SECOND)
    [serving] = network.holders()
    since = network.now
    give(returning, wrong)
    returning.start()
    network.run(60 * SECOND)

    assert network.holders() == [serving]
    assert network.doubled(since=since) == 0


def test_it_takes_over_all_the_same_when_the_other_falls_silent() -> None:
    lb1, lb2 = running(lb2=replace(HMAC, ring=(STRANGE,)))
    network = lb1.network

    lb1.crash()
    since = network.now
    network.run(3 * DOWN)

    assert network.holders() == ["lb2"]
    assert network.dark(since=since) <= 2 * DOWN
    assert lb2.group.members[0].counters.adverts_received == 0


@pytest.mark.parametrize("name", ["lb2", "lb3"])
@pytest.mark.parametrize("odd", ["key", "clock"])
def test_where_the_active_dies_without_a_word_the_odd_one_of_the_others_lets_them_go_first(name: str, odd: str) -> None:
    agents = made(3)
    network = agents[0].network
    for agent in agents:
        if agent.name == name and odd == "key":
            give(agent, replace(HMAC, ring=(STRANGE,)))
        elif agent.name == name:
            agent.clock_error = HOUR
        agent.start()
    network.run(10 * SECOND)
    assert network.holders() == ["lb1"]

    agents[0].crash()
    network.run(30 * SECOND)

    assert network.holders() == [({"lb2", "lb3"} - {name}).pop()]
    assert network.doubled() == 0


def test_a_node_that_asks_for_signatures_too_early_takes_nothing_from_one_that_does_not_sign() -> None:
    lb1, lb2 = running(lb1=None)
    network = lb1.network

    network.run(30 * SECOND)

    assert network.doubled() == 0
    assert network.holders() == ["lb1"]
    assert {drop.reason for drop in lb2.refused} == {Reason.MISSING}


WRONG = replace(HMAC, ring=(STRANGE,))


def cut(network: Network, *names: str, seconds: float) -> None:
    """These nodes hear nobody and are heard by nobody for a while."""
    pairs = {(a, b, link) for a in network.hosts for b in network.hosts for link in (0, 1) if {a, b} & set(names)}
    network.cuts |= pairs
    network.run(round(seconds * SECOND))
    network.cuts -= pairs


@pytest.mark.parametrize("families", [1, 2])
@pytest.mark.parametrize("mistaken", ["lb1", "lb2"])
@pytest.mark.parametrize("first", ["lb1", "lb2"])
def test_a_cut_between_nodes_with_different_keys_makes_no_second_active_for_good(
    mistaken: str, first: str, families: int
) -> None:
    agents = ruled(cluster(Network(), 2, SIGNED, families=families), **{mistaken: WRONG})
    network = agents[0].network
    for agent in sorted(agents, key=lambda agent: agent.name != first):
        agent.start()
        network.run(10 * SECOND)
    assert network.holders() == [first]

    for _ in range(3):
        cut(network, mistaken, seconds=7.3)
        assert network.holders() == ["lb1", "lb2"]
        since = network.now
        network.run(20 * SECOND)
        assert len(network.holders()) == 1
        assert network.doubled(since=since) <= SECOND


@pytest.mark.parametrize("families", [1, 2])
@pytest.mark.parametrize("mistaken", ["lb1", "lb2", "lb3"])
@pytest.mark.parametrize("priorities", [(250, 240, 230), (200, 200, 200)])
def test_of_three_nodes_the_one_with_another_key_gives_way_when_the_active_dies(
    mistaken: str, priorities: tuple[int, ...], families: int
) -> None:
    agents = ruled(cluster(Network(), 3, SIGNED, priorities=priorities, families=families), **{mistaken: WRONG})
    network = agents[0].network
    right = [agent for agent in agents if agent.name != mistaken]
    for agent in (*right, *(agent for agent in agents if agent not in right)):
        agent.start()
        network.run(10 * SECOND)
    [serving] = network.holders()
    since = network.now

    network.hosts[serving].crash()
    network.run(10 * SECOND)

    [next_one] = network.holders()
    assert next_one != mistaken
    assert network.doubled(since=since) <= SECOND


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("families", [1, 2])
def test_equal_nodes_with_different_keys_that_start_together_have_one_active(families: int, seed: int) -> None:
    agents = cluster(Network(), 2, SIGNED, priorities=(200, 200), families=families, crossed=True)
    give(agents[1], WRONG)
    network = agents[0].network
    network.random.seed(seed)
    for agent in agents:
        agent.start()

    network.run(30 * SECOND)

    assert len(network.holders()) == 1
    assert network.doubled() <= SECOND


@given(
    st.sampled_from(["lb1", "lb2", "lb3"]),
    st.lists(st.tuples(st.sampled_from(["lb1", "lb2", "lb3"]), st.integers(1, 90)), max_size=6),
    st.integers(1, 2),
    st.randoms(use_true_random=False),
)
def test_whatever_is_cut_there_is_one_active_afterwards_though_a_key_is_wrong(
    mistaken: str, times: list[tuple[str, int]], families: int, random: Random
) -> None:
    agents = ruled(cluster(Network(), 3, SIGNED, families=families), **{mistaken: WRONG})
    network = agents[0].network
    network.random, network.lateness = random, ms(1)
    others = sorted(agents, key=lambda agent: agent.name == mistaken)
    for agent in others:
        agent.start()
        network.run(10 * SECOND)

    for name, tenths in times:
        cut(network, name, seconds=tenths / 10)
        network.run(SECOND)
    network.run(20 * SECOND)

    assert len(network.holders()) == 1


def test_a_node_that_took_the_role_in_silence_keeps_it_whatever_is_forged() -> None:
    lb1, lb2 = made()
    network, source = lb1.network, lb2.sources[0]
    lb1.start()
    network.run(20 * SECOND)

    for i in range(300):
        packet = signed(number(network.now / SECOND), source=source, key=OTHER, said=advert(254))
        network.at(network.now + i * ms(100), lambda packet=packet: lb1.deliver(0, to(lb1, packet, source)))
    network.run(40 * SECOND)

    assert network.holders() == ["lb1"]
    assert network.did(Release) == []


def test_an_owner_never_gives_way_to_what_it_cannot_verify() -> None:
    lb1, lb2 = ruled(cluster(Network(), 2, SIGNED, priorities=(OWNER, 240)), lb1=WRONG)
    network = lb1.network
    for agent in (lb2, lb1):
        agent.start()
        network.run(10 * SECOND)

    cut(network, "lb2", seconds=10)
    network.run(10 * SECOND)

    assert lb1.held[0]
    assert {entry.host for entry in network.did(Release)} <= {"lb2"}


# ---------------------------------------------------------------- clocks


@pytest.mark.parametrize("name", ["lb1", "lb2", "lb3"])
@pytest.mark.parametrize("error", [HOUR, -HOUR, 6 * SECOND, -86400 * 365 * SECOND])
def test_a_clock_that_jumps_changes_nothing(name: str, error: int) -> None:
    agents = running(3)
    network, since = agents[0].network, agents[0].network.now

    network.hosts[name].clock_error = error
    network.run(120 * SECOND)

    assert network.holders() == ["lb1"]
    assert network.dark(since=since) == network.doubled(since=since) == 0
    agents[0].crash()
    crashed = network.now
    network.run(20 * SECOND)
    assert network.holders() == ["lb2"]
    assert network.doubled(since=crashed) == 0


@pytest.mark.parametrize("name", ["lb1", "lb2"])
@pytest.mark.parametrize("error", [HOUR, -HOUR])
def test_a_node_that_boots_with_a_wrong_clock_takes_nothing_and_is_let_in_when_it_is_right(
    name: str, error: int
) -> None:
    agents = made()
    network = agents[0].network
    network.hosts[name].clock_error = error
    other, wrong = sorted(agents, key=lambda agent: agent.name == name)
    other.start()
    network.run(10 * SECOND)
    wrong.start()
    network.run(60 * SECOND)
    assert network.holders() == [other.name]

    network.hosts[name].clock_error = 0
    network.run(20 * SECOND)

    assert network.holders() == ["lb1"]
    assert network.doubled() <= ms(250)


def test_nodes_with_different_clocks_from_the_start_have_one_active() -> None:
    agents = made(3)
    network = agents[0].network
    for agent, error in zip(agents, (0, HOUR, -HOUR), strict=True):
        agent.clock_error = error
        agent.start()

    network.run(120 * SECOND)

    assert network.holders() == ["lb1"]
    assert network.doubled() == 0


def test_an_active_that_follows_a_wrong_clock_after_an_hour_is_set_right_by_the_node_that_takes_over() -> None:
    """Its peer waits for it for one Active_Down_Interval more, and then its first word shows which time was right."""
    lb1, _ = running()
    network = lb1.network
    lb1.clock_error = 2 * HOUR
    network.run(LONGEST_DISBELIEF - SECOND)
    assert network.holders() == ["lb1"]
    keys = lb1.group.members[0].authenticator
    assert keys is not None
    assert keys.clock.step

    followed = network.now
    network.run(10 * SECOND)

    [takeover] = [at for at, _end, holders in network.held(0, followed) if holders == 2]
    assert DOWN < takeover - followed <= SECOND + 2 * DOWN
    assert network.doubled(since=followed) < ms(1)
    assert network.holders() == ["lb1"]
    assert keys.clock.step == 2 * HOUR, "it signs with the time before the jump again"
    network.run(HOUR // 2)
    assert network.holders() == ["lb1"]
    assert network.doubled(since=followed) < ms(1)


def test_a_backup_with_a_wrong_clock_never_follows_it_while_it_hears_the_active() -> None:
    lb1, lb2 = running()
    network, since = lb1.network, lb1.network.now
    lb2.clock_error = 2 * HOUR

    network.run(LONGEST_DISBELIEF + 60 * SECOND)
    assert not lb2.refused
    lb1.crash()
    network.run(20 * SECOND)
    lb1.start()
    network.run(20 * SECOND)

    assert network.holders() == ["lb1"], "what lb2 signed as Active was believed"
    assert network.doubled(since=since) <= ms(250)


def test_by_number_alone_a_wrong_clock_matters_to_nobody() -> None:
    monotonic = replace(HMAC, anti_replay=AntiReplay.MONOTONIC)
    agents = made(2, replace(SIGNED, auth=monotonic))
    agents[1].clock_error = -HOUR
    for agent in agents:
        agent.start()

    agents[0].network.run(60 * SECOND)

    assert agents[0].network.holders() == ["lb1"]
    assert agents[0].network.doubled() == 0


@given(st.lists(st.tuples(st.integers(0, 2), st.sampled_from([0, 30, -30, 7200, -7200])), max_size=8))
def test_whatever_the_clocks_do_for_half_an_hour_one_node_serves(jumps: list[tuple[int, int]]) -> None:
    agents = running(3)
    network, since = agents[0].network, agents[0].network.now
    for index, seconds in jumps:
        agents[index].clock_error = seconds * SECOND
        network.run(20 * SECOND)

    network.run(60 * SECOND)

    assert network.holders() == ["lb1"]
    assert network.dark(since=since) == network.doubled(since=since) == 0


# ---------------------------------------------------------------- forgeries


def inject(agent: Agent, packets: list[Datagram]) -> None:
    for packet in packets:
        agent.deliver(0, packet)


def to(agent: Agent, packet: Datagram, source: Address) -> Datagram:
    return replace(packet, destination=agent.sources[0], source=source)


def test_forged_packets_change_nothing() -> None:
    lb1, lb2 = running()
    network, since = lb1.network, lb1.network.now
    for sender, victim in ((lb1, lb2), (lb2, lb1)):
        source = sender.sources[0]
        forged = [
            signed(number(network.now / SECOND), source=source, key=OTHER),
            signed(number(network.now / SECOND), source=source, key_id=9),
            signed(number(1e6), source=source),
        ]
        inject(victim, [to(victim, packet, source) for packet in forged] * 300)
    network.run(10 * SECOND)

    assert network.holders() == ["lb1"]
    assert network.dark(since=since) == network.doubled(since=since) == 0


def test_forged_packets_of_a_dead_active_delay_nobody() -> None:
    lb1, lb2 = running()
    network, source = lb1.network, lb1.sources[0]
    lb1.crash()
    since = network.now
    for i in range(600):
        packet = signed(number(1e6 + i), source=source, key=OTHER)
        network.at(since + i * ms(10), lambda packet=packet: lb2.deliver(0, to(lb2, packet, source)))
    network.run(2 * DOWN)

    assert network.dark(since=since) <= DOWN


def recorded(network: Network) -> list[tuple[int, Datagram]]:
    """Everything that is said from now on, with its time."""
    tape: list[tuple[int, Datagram]] = []
    carry = network.carry

    def tapped(sender: object, link: int, destination: Address, payload: bytes, source: Address) -> None:
        tape.append((network.now, Datagram(payload, source, destination, 255)))
        carry(sender, link, destination, payload, source)  # type: ignore[arg-type]

    network.carry = tapped  # type: ignore[method-assign]
    return tape


@pytest.mark.parametrize("later", [SECOND, 30 * SECOND, HOUR])
def test_a_recording_of_a_dead_active_delays_nobody(later: int) -> None:
    lb1, lb2 = running()
    network = lb1.network
    tape = recorded(network)
    network.run(30 * SECOND)
    played, began = list(tape), tape[0][0]
    lb1.crash()
    since = network.now
    for when, packet in played:
        network.at(since + later - SECOND + when - began, lambda packet=packet: lb2.deliver(0, packet))
    network.run(later + 40 * SECOND)

    assert network.dark(since=since) <= DOWN
    assert network.holders() == ["lb2"]
    assert {drop.reason for drop in lb2.refused} <= {Reason.REPLAY, Reason.STALE}
    assert not any(drop.authentic for drop in lb2.refused)


def test_packets_that_were_kept_back_delay_a_takeover_by_one_down_interval_at_most() -> None:
    """The worst recorder: nobody else heard what it plays, and it plays at the pace of the recording."""
    lb1, lb2 = running()
    network = lb1.network
    source = lb1.sources[0]
    lb1.crash()
    since = network.now
    for i in range(120):
        packet = signed(number(since / SECOND + 1000 + i), source=source)
        network.at(since + i * SECOND, lambda packet=packet: lb2.deliver(0, to(lb2, packet, source)))
    network.run(60 * SECOND)

    assert DOWN < network.dark(since=since) <= 2 * DOWN
    assert network.holders() == ["lb2"]
