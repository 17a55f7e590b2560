"""Golden conversations: what the nodes do in the situations that users care about, as a person would read it.

Times are milliseconds after the event that a test names; a datagram flies for 0.1 ms. A changed line is a changed
behaviour: look at it, then change the text.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from tests.proto.builders import DEFAULT, ms
from tests.proto.network import Agent, Network, cluster
from vrrpd.proto.timers import CENTISECOND, SECOND


def nodes(number: int = 3, interval: int = SECOND, priorities: tuple[int, ...] = (250, 240, 230)) -> list[Agent]:
    """Nodes of which the first has just advertised, and has been Active for a while."""
    agents = cluster(Network(), number, replace(DEFAULT, interval=interval), priorities=priorities)
    for agent in agents:
        agent.start()
    network = agents[0].network
    network.run(10 * interval)
    network.run(network.history[-1].at + interval - network.now)
    return agents


def story(agent: Agent, event: Callable[[], None], duration: int) -> str:
    """What is done from the event on."""
    since = agent.network.now
    event()
    agent.network.run(duration)
    return "\n" + agent.network.transcript(since) + "\n"


def test_a_planned_stop_of_the_active() -> None:
    lb1, *_ = nodes()

    told = story(lb1, lb1.stop, ms(1100))

    expected = """
    0.000  lb1  says 250
    0.000  lb1  says 0
    0.000  lb1  active -> active: handing over: agent stops
    1.000  lb1  says 0
   10.000  lb1  says 0
   20.000  lb1  says 0
   62.600  lb2  says 240
   62.600  lb2  adds the addresses
   62.600  lb2  announces
   62.600  lb2  backup -> active: 10.0.0.11 fell silent or left
  262.700  lb1  removes the addresses
  262.700  lb1  active -> init: handed over
 1062.600  lb2  says 240
"""
    assert told == expected


def test_the_active_dies() -> None:
    lb1, *_ = nodes()

    told = story(lb1, lb1.crash, ms(5000))

    expected = """
    0.000  lb1  says 250
    0.000  lb1  removes the addresses
 3062.600  lb2  says 240
 3062.600  lb2  adds the addresses
 3062.600  lb2  announces
 3062.600  lb2  backup -> active: 10.0.0.11 fell silent or left
 4062.600  lb2  says 240
"""
    assert told == expected


def test_a_preferred_node_comes_back() -> None:
    lb1, *_ = nodes()
    lb1.crash()
    lb1.network.run(ms(3500))

    told = story(lb1, lb1.start, ms(4100))

    expected = """
    0.000  lb1  init -> backup: started
  562.600  lb2  says 240
 1562.600  lb2  says 240
 2562.600  lb2  says 240
 3023.438  lb1  says 250
 3023.438  lb1  adds the addresses
 3023.438  lb1  announces
 3023.438  lb1  backup -> active: 10.0.0.12 advertises priority 240, ours is 250
 3023.537  lb2  says 240
 3023.537  lb2  active -> active: handing over: 10.0.0.11 advertises priority 250, ours is 240
 3023.637  lb1  says 250
 3023.637  lb1  announces
 3223.537  lb2  removes the addresses
 3223.537  lb2  active -> backup: handed over
 4023.438  lb1  says 250
"""
    assert told == expected


def test_a_check_fails_on_the_active() -> None:
    lb1, *_ = nodes()

    told = story(lb1, lambda: lb1.check_result(healthy=False), ms(1100))

    expected = """
    0.000  lb1  says 250
    0.000  lb1  says 0
    0.000  lb1  active -> active: handing over: haproxy failed
    1.000  lb1  says 0
   10.000  lb1  says 0
   20.000  lb1  says 0
   62.600  lb2  says 240
   62.600  lb2  adds the addresses
   62.600  lb2  announces
   62.600  lb2  backup -> active: 10.0.0.11 fell silent or left
  262.700  lb1  removes the addresses
  262.700  lb1  active -> backup: handed over
 1062.600  lb2  says 240
"""
    assert told == expected


def test_a_check_fails_where_nobody_else_is() -> None:
    (lb1,) = nodes(1)

    told = story(lb1, lambda: lb1.check_result(healthy=False), ms(2100))

    expected = """
    0.000  lb1  says 250
    0.000  lb1  says 0
    0.000  lb1  active -> active: handing over: haproxy failed
    1.000  lb1  says 0
   10.000  lb1  says 0
   20.000  lb1  says 0
  992.188  lb1  says 1
  992.188  lb1  announces
  992.188  lb1  active -> active: nobody else took the role: kept
 1992.188  lb1  says 1
"""
    assert told == expected


def test_two_backups_contest_the_role_at_10_ms() -> None:
    lb1, lb2, lb3 = nodes(interval=CENTISECOND, priorities=(250, 240, 239))
    network = lb1.network
    network.delays |= {(lb2.name, lb3.name): ms(0.3), (lb3.name, lb2.name): ms(0.3)}

    told = story(lb1, lb1.crash, ms(50))

    expected = """
    0.000  lb1  says 250
    0.000  lb1  removes the addresses
   30.725  lb2  says 240
   30.725  lb2  adds the addresses
   30.725  lb2  announces
   30.725  lb2  backup -> active: 10.0.0.11 fell silent or left
   30.764  lb3  says 239
   30.764  lb3  adds the addresses
   30.764  lb3  announces
   30.764  lb3  backup -> active: 10.0.0.11 fell silent or left
   31.025  lb3  removes the addresses
   31.025  lb3  says 239
   31.025  lb3  active -> backup: 10.0.0.12 advertises priority 240, ours is 239
   31.064  lb2  says 240
   31.064  lb2  announces
   31.325  lb2  announces
   40.725  lb2  says 240
"""
    assert told == expected


def test_a_partition_heals() -> None:
    lb1, *_ = nodes()
    network = lb1.network
    network.partition(["lb1"], ["lb2", "lb3"])
    network.run(8 * SECOND)

    told = story(lb1, network.cuts.clear, ms(1100))

    expected = """
    0.000  lb1  says 250
   62.600  lb2  says 240
   62.700  lb1  says 250
   62.700  lb1  announces
   62.800  lb2  says 240
   62.800  lb2  active -> active: handing over: 10.0.0.11 advertises priority 250, ours is 240
   62.900  lb1  announces
  262.800  lb2  removes the addresses
  262.800  lb2  active -> backup: handed over
 1000.000  lb1  says 250
"""
    assert told == expected
