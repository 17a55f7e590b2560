"""Nodes with keys on one network: wrong keys, wrong clocks, strangers and recordings, and never two Actives."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.proto.builders import ms
from tests.proto.network import Agent, Network, cluster
from tests.proto.signed import HMAC, OTHER, SIGNED, number, signed
from vrrpd.proto.clock import LONGEST_DISBELIEF
from vrrpd.proto.credentials import AntiReplay, Hmac, Mode, Secret
from vrrpd.proto.datagram import Datagram
from vrrpd.proto.settings import Address, Settings
from vrrpd.proto.timers import SECOND
from vrrpd.proto.validate import Reason

DOWN = ms(3062.5)
"""Active_Down_Interval of lb2."""

HOUR = 3600 * SECOND
STRANGE = (1, Secret(OTHER))


def made(number: int = 2, settings: Settings = SIGNED, **more: Hmac | None) -> list[Agent]:
    """Nodes that are not started yet; `lb2=...` gives one other rules than the rest."""
    agents = cluster(Network(), number, settings, families=1)
    for agent in agents:
        if agent.name in more:
            give(agent, more[agent.name])
    return agents


def running(number: int = 2, settings: Settings = SIGNED, **more: Hmac | None) -> list[Agent]:
    agents = made(number, settings, **more)
    for agent in agents:
        agent.start()
    agents[0].network.run(10 * SECOND)
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


def test_a_peer_that_follows_a_jump_is_waited_for_once_and_then_no_longer() -> None:
    """keepalived follows its clock; so do we, an hour after a jump that nobody mended."""
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
    lb1.clock_error = 0
    keys.clock.follow(lb1.instant)
    network.run(3 * SECOND)
    assert network.holders() == ["lb1"], "two are Active only as long as the clock is wrong"


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
