"""Golden conversations: what three nodes do in the situations that users care about, as a person would read it.

A changed line is a changed behaviour: look at it, then change the text.
"""

from __future__ import annotations

from tests.proto.builders import DEFAULT, ms
from tests.proto.network import Agent, Network, cluster
from vrrpd.proto.timers import CENTISECOND


def settled(like_interval: int = DEFAULT.interval, priorities: tuple[int, ...] = (250, 240, 230)) -> list[Agent]:
    from dataclasses import replace

    network = Network()
    agents = cluster(network, 3, replace(DEFAULT, interval=like_interval), priorities=priorities)
    for agent in agents:
        agent.start()
    network.run(10 * like_interval)
    return agents


def test_x() -> None:
    lb1, lb2, lb3 = settled()
    n = lb1.network
    print(n.transcript(0))
    s = n.now
    lb1.stop()
    n.run(ms(1500))
    print(n.transcript(s))
    s = n.now
    lb2.crash()
    n.run(ms(5000))
    print(n.transcript(s))
    s = n.now
    lb1.alive = False
    lb1.start()
    n.run(ms(5000))
    print(n.transcript(s))
    s = n.now
    assert 0
