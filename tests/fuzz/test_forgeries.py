"""Forged datagrams of every kind, in any order, to agents at work: no role changes, no advertisement is late."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
import trio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.runtime.agents import FILE, Agent, run_cluster
from tests.runtime.lan import Lan, VirtualClock
from tests.runtime.strangers import ADVERT, LB1, LB2, STRANGER, multicast, unicast
from vrrpd.proto.datagram import Datagram
from vrrpd.proto.validate import Drop, validate

HMAC = f"""
defaults: {{auth: {{hmac: {{keys: {{1: "hex:{"ab" * 32}"}}}}}}}}
"""
GROUP = "defaults: {transport: multicast}\n"
OFTEN = settings(
    deadline=None, derandomize=True, max_examples=15, suppress_health_check=[HealthCheck.too_slow], database=None
)

priorities = st.sampled_from([0, 1, 100, 250, 254, 255])


@st.composite
def forged(draw: st.DrawFn, to: str = "lb1") -> Datagram:
    """A datagram in somebody's name, with something wrong in it or nothing."""
    mine, peer = (LB1, LB2) if to == "lb1" else (LB2, LB1)
    source = draw(st.sampled_from([peer, mine, STRANGER]))
    said = replace(ADVERT, priority=draw(priorities), interval=draw(st.sampled_from([0, 10**7, 10**9, 40950 * 10**6])))
    whole = multicast(source, said) if draw(st.booleans()) else unicast(source, mine, said)
    payload = whole.payload
    match draw(st.sampled_from(["as it is", "byte", "cut", "longer", "random", "trailer"])):
        case "byte":
            at = draw(st.integers(0, len(payload) - 1))
            payload = payload[:at] + draw(st.binary(min_size=1, max_size=1)) + payload[at + 1 :]
        case "cut":
            payload = payload[: draw(st.integers(0, len(payload)))]
        case "longer":
            payload += draw(st.binary(max_size=40))
        case "trailer":
            payload += b"\x01\x01\0\0" + draw(st.binary(min_size=24, max_size=24))
        case "random":
            payload = draw(st.binary(max_size=64))
        case _:
            pass
    return replace(whole, payload=payload, ttl=draw(st.sampled_from([255, 255, 255, 254, 64, 0])))


def refused(agent: Agent, datagram: Datagram) -> bool:
    """Whether it is one that nobody must believe, by itself; a signature is judged by the agent."""
    member = agent.router().members[0].spec.settings
    return member.auth is not None or isinstance(validate(datagram, member, agent.host.answers_for("eth0")), Drop)


@pytest.mark.parametrize("text", [FILE, FILE + GROUP, FILE + HMAC], ids=["unicast", "multicast", "hmac"])
@OFTEN
@given(
    steps=st.lists(st.tuples(st.sampled_from(["lb1", "lb2"]), forged(), forged("lb2"), st.floats(0, 0.03)), max_size=30)
)
def test_forgeries_change_nothing(text: str, steps: list[tuple[str, Datagram, Datagram, float]]) -> None:
    trio.run(_attack, text, steps, clock=VirtualClock())


async def _attack(text: str, steps: list[tuple[str, Datagram, Datagram, float]]) -> None:
    with tempfile.TemporaryDirectory() as directory:
        async with trio.open_nursery() as nursery:
            lan = Lan(Path(directory), nursery)
            nursery.start_soon(lan.deliver)
            lb1, lb2 = await run_cluster(lan, text)
            start = lan.now
            for name, to_lb1, to_lb2, pause in steps:
                agent, datagram = (lb1, to_lb1) if name == "lb1" else (lb2, to_lb2)
                if refused(agent, datagram):
                    agent.host.take("eth0", datagram)
                await trio.sleep(pause)
            await trio.sleep(2.5)
            assert (lb1.state, lb2.state) == ("active", "backup")
            assert [agent.shown()["counters"]["transitions"] for agent in (lb1, lb2)] == [2, 1]
            adverts = [at for at, _ in lan.told("lb1", "says 250", since=start)]
            assert max(after - before for before, after in pairwise(adverts)) < 1001
            nursery.cancel_scope.cancel()
