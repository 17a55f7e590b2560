"""Properties over random schedules: nodes start, stop, crash, fail checks, are cut off; packets are lost and late.

While a schedule runs, the network itself checks every host (addresses held exactly while Active or Leaving, no timer
that spins, no exception). Then the faults end, and there must be one Active in each connected part.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.proto.builders import DEFAULT, MULTICAST, V2, ms
from tests.proto.network import Agent, Network, cluster
from tests.proto.plain import Plain, like
from vrrpd.proto.effects import Acquire, Release
from vrrpd.proto.events import Drain
from vrrpd.proto.settings import OnAllFailed, Settings
from vrrpd.proto.timers import CENTISECOND, SECOND

HEALING = 30  # intervals, beside the delays that do not depend on them


@dataclass(frozen=True)
class Step:
    """What happens next, how long after the last thing, to which node."""

    after: int
    what: str
    who: int
    number: int


ACTIONS: dict[str, Callable[[Network, Agent, int], None]] = {
    "start": lambda _, agent, __: agent.start(),
    "stop": lambda _, agent, __: agent.stop(),
    "second signal": lambda _, agent, __: agent.second_signal(),
    "crash": lambda _, agent, __: agent.crash(),
    "fail": lambda _, agent, __: agent.check_result(healthy=False),
    "pass": lambda _, agent, __: agent.check_result(healthy=True),
    "drain": lambda _, agent, __: agent.drain_or_not(Drain.ASK),
    "force out": lambda _, agent, __: agent.drain_or_not(Drain.FORCE),
    "undrain": lambda _, agent, __: agent.drain_or_not(Drain.NO),
    "weigh": lambda _, agent, number: agent.weigh(1 + number % 254),
    "isolate": lambda network, agent, _: network.isolate(agent.name),
    "deafen": lambda network, agent, _: network.cut(network.hosts, [agent.name]),
    "mute": lambda network, agent, _: network.cut([agent.name], network.hosts),
    "half cut": lambda network, agent, number: network.isolate(agent.name, [number % 2]),
    "mend": lambda network, _, __: network.cuts.clear(),
    "lose": lambda network, _, number: setattr(network, "loss", number % 50 / 100),
}

steps = st.builds(
    Step,
    after=st.integers(0, 4000),
    what=st.sampled_from(sorted(ACTIONS)),
    who=st.integers(0, 4),
    number=st.integers(0, 10**6),
)
schedules = st.lists(steps, max_size=25)
kinds = st.sampled_from(
    [
        DEFAULT,
        MULTICAST,
        V2,
        replace(DEFAULT, interval=CENTISECOND),
        replace(DEFAULT, preempt=False),
        replace(DEFAULT, preempt_delay=3 * SECOND, hear_first=2 * SECOND),
        replace(DEFAULT, on_all_failed=OnAllFailed.RELEASE, interval=10 * CENTISECOND),
    ]
)


def play(network: Network, agents: list[Agent], schedule: list[Step]) -> None:
    """Run a schedule; a step waits thousandths of an interval, so that it means the same at every interval."""
    unit = agents[0].settings[0].interval // 1000
    for agent in agents:
        agent.start()
    for step in schedule:
        network.run(step.after * unit)
        ACTIONS[step.what](network, agents[step.who % len(agents)], step.number)


def heal(network: Network, parts: list[list[str]], kind: Settings) -> None:
    """End every fault but this clean partition, and let time pass."""
    network.loss = 0.0
    network.partition(*parts)
    network.run(HEALING * kind.interval + kind.preempt_delay + (kind.hear_first or 0) + SECOND // 2)


def expected_holders(agents: list[Agent], part: list[str]) -> int:
    """How many of these nodes hold the addresses once all is quiet."""
    return int(any(a.name in part and a.alive and a.group.deadline is not None for a in agents))


@st.composite
def partitions(draw: st.DrawFn, number: int) -> list[list[str]]:
    """Nodes in one part or in two."""
    side = [draw(st.booleans()) for _ in range(number)]
    names = [f"lb{i + 1}" for i in range(number)]
    return [[name for name, s in zip(names, side, strict=True) if s is which] for which in (True, False)]


@given(st.data(), kinds, st.integers(2, 5), schedules, st.integers(0, 999))
@settings(max_examples=150)
def test_after_convergence_every_connected_part_has_one_active(
    data: st.DataObject, kind: Settings, number: int, schedule: list[Step], seed: int
) -> None:
    network = Network(seed=seed, lateness=ms(1))
    agents = cluster(network, number, kind)
    for a in network.hosts:
        for b in network.hosts:
            network.delays[a, b] = network.random.randrange(1, kind.interval // 10)

    play(network, agents, schedule)
    parts = data.draw(partitions(number))
    heal(network, parts, kind)

    for part in parts:
        holders = [name for name in network.holders() if name in part]
        assert len(holders) == expected_holders(agents, part), (part, holders)
    check_alternation(network)


def check_alternation(network: Network) -> None:
    """Addresses are added and removed in turn, beginning with an addition."""
    for name in network.hosts:
        for link in range(len(network.hosts[name].held)):
            changes = [e.effect for e in network.history if e.host == name and e.link == link]
            kinds_in_order = [c for c in changes if isinstance(c, Acquire | Release)]
            assert all(isinstance(c, Acquire if i % 2 == 0 else Release) for i, c in enumerate(kinds_in_order))


@given(st.integers(2, 5), schedules, st.integers(0, 999), st.booleans())
@settings(max_examples=80)
def test_groups_converge_too_whatever_the_order_of_their_addresses(
    number: int, schedule: list[Step], seed: int, crossed: bool
) -> None:
    network = Network(seed=seed)
    agents = cluster(network, number, DEFAULT, families=2, crossed=crossed)

    play(network, agents, schedule)
    heal(network, [list(network.hosts)], DEFAULT)

    for link in (0, 1):
        assert len(network.holders(link)) == expected_holders(agents, list(network.hosts))
    assert network.holders(0) == network.holders(1)


@given(st.integers(2, 4), schedules, st.integers(0, 999), st.booleans())
@settings(max_examples=60)
def test_plain_rfc_peers_and_our_nodes_converge_together(
    number: int, schedule: list[Step], seed: int, answers_losers: bool
) -> None:
    network = Network(seed=seed)
    agents = cluster(network, number, MULTICAST, priorities=(250, 240, 230, 220))
    address = agents[0].sources[0] + 40
    plain = Plain(network, "plain", address, like(MULTICAST, 245, []), answers_losers=answers_losers)
    plain.start()

    play(network, agents, schedule)
    heal(network, [list(network.hosts)], MULTICAST)

    assert len(network.holders()) == 1


@given(
    st.lists(st.integers(2, 254), min_size=2, max_size=5, unique=True),
    st.sampled_from([CENTISECOND, 10 * CENTISECOND, SECOND, 5 * SECOND]),
    st.integers(0, 4),
    st.integers(0, 999),
)
@settings(max_examples=60)
def test_a_planned_stop_is_never_dark_whatever_the_priorities(
    priorities: list[int], interval: int, who: int, seed: int
) -> None:
    network = Network(seed=seed)
    agents = cluster(network, len(priorities), replace(DEFAULT, interval=interval), priorities=priorities)
    for agent in agents:
        agent.start()
    network.run(10 * interval)
    since = network.now

    agents[who % len(agents)].stop()
    network.run(2 * interval + SECOND)
    agents[who % len(agents)].start()
    network.run(6 * interval + SECOND)

    assert network.dark(since=since) == 0
    assert network.doubled(since=since) <= ms(250)
    assert len(network.holders()) == 1


def test_the_same_seed_tells_the_same_story() -> None:
    stories: list[str] = []
    for _ in range(2):
        network = Network(seed=7, loss=0.3, lateness=ms(3))
        agents = cluster(network, 4, DEFAULT)
        play(network, agents, [Step(3000, "crash", 0, 0), Step(2500, "start", 0, 0)])
        network.run(20 * SECOND)
        stories.append(network.transcript(0))

    assert stories[0] == stories[1]


@pytest.mark.parametrize("loss", [0.1, 0.3])
def test_a_lossy_network_never_leaves_the_address_dark(loss: float) -> None:
    network = Network(seed=3, loss=loss)
    agents = cluster(network, 3, DEFAULT)
    for agent in agents:
        agent.start()
    network.run(600 * SECOND)

    dark = sum(end - start for start, end, holders in network.held(0, 10 * SECOND) if holders == 0)
    assert dark == 0
