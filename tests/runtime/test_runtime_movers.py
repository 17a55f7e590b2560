"""Routers with movers: what a mover is told of the role, and what it may ask of the election."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from ipaddress import IPv4Address
from typing import Never

import trio

from tests.runtime.agents import FILE, Agent, machine, run_agent, wanted
from tests.runtime.lan import Lan
from vrrpd.config.spec import AgentSpec, MoverSpec
from vrrpd.runtime.routers import Router
from vrrpd.runtime.supervisor import Runtime


@dataclass(frozen=True)
class Report:
    """What a mover says of itself."""

    state: str = "idle"
    detail: str = "nothing to do"
    holder: str | None = "eni-2"
    ready: bool = True
    why: str = ""
    weight: int = 0
    epoch: int = 3
    attempts: int = 2
    ms: float | None = 1.5
    aside: str | None = None
    yields: str | None = None
    troubles: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass
class FakeMover:
    """A mover that does nothing but remember what it was told, and when (milliseconds)."""

    lan: Lan
    changed: Callable[[], None]
    local: bool = False
    told: list[tuple[float, bool, int]] = field(default_factory=list[tuple[float, bool, int]])
    report: Report = Report()
    others: list[tuple[str, int]] = field(default_factory=list[tuple[str, int]])
    runs: bool = False
    released: bool = False

    def want(self, active: bool, priority: int) -> None:
        self.told.append((self.lan.now, active, priority))

    def heard(self, name: str, priority: int) -> None:
        self.others.append((name, priority))

    async def run(self) -> Never:
        self.runs = True
        try:
            await trio.sleep_forever()
        finally:
            self.runs = False
        raise AssertionError

    async def release(self) -> None:
        assert not self.runs
        await trio.sleep(0.1)
        self.released = True

    def say(self, **words: object) -> None:
        """Report something else from now on."""
        self.report = replace(self.report, **words)  # type: ignore[arg-type]
        self.changed()

    @property
    def roles(self) -> list[bool]:
        return [active for _, active, _ in self.told]


@dataclass
class Moved:
    """An agent whose router has one mover."""

    agent: Agent
    movers: list[FakeMover]

    @property
    def mover(self) -> FakeMover:
        return self.movers[-1]


def with_mover(spec: AgentSpec) -> AgentSpec:
    mover = MoverSpec("web", "ec2-elastic-ip", "ec2-elastic-ip", None)
    return replace(spec, routers=tuple(replace(each, movers=(mover,)) for each in spec.routers))


async def moved(lan: Lan, number: int, *, local: bool = False) -> Moved:
    movers: list[FakeMover] = []

    def make(_runtime: Runtime, _router: Router, _spec: MoverSpec, changed: Callable[[], None]) -> FakeMover:
        movers.append(FakeMover(lan, changed, local))
        return movers[-1]

    host = machine(lan, number)
    agent = await run_agent(host, FILE, make)
    agent.runtime.apply(with_mover(wanted(host, FILE)))
    await trio.sleep(1)
    return Moved(agent, movers)


async def serving_alone(lan: Lan, *, local: bool = False) -> Moved:
    """One node of two, which nobody answers: it waits for a sign of life first."""
    alone = await moved(lan, 1, local=local)
    await trio.sleep(40)
    assert alone.agent.state == "active"
    return alone


async def pair(lan: Lan, *, local: bool = False) -> tuple[Moved, Moved]:
    both = await moved(lan, 1, local=local), await moved(lan, 2, local=local)
    await trio.sleep(5)
    assert [each.agent.state for each in both] == ["active", "backup"]
    return both


async def test_a_mover_is_told_of_the_role_in_the_moment_of_the_first_advertisement(lan: Lan) -> None:
    one, two = await pair(lan)
    at = next(entry.at for entry in lan.story if entry.host == "lb1" and "says 250" in entry.what)
    assert [t for t, active, _ in one.mover.told if active] == [at]
    assert True not in two.mover.roles


async def test_regular_advertisements_are_no_news_for_a_mover(lan: Lan) -> None:
    one, _ = await pair(lan)
    before = len(one.mover.told)
    await trio.sleep(10)
    assert len(one.mover.told) == before


async def test_handing_over_takes_the_role_from_a_mover_at_once(lan: Lan) -> None:
    one, two = await pair(lan)
    started = lan.now
    one.agent.router().drain(force=False)
    assert one.mover.told[-1][:2] == (started, False)
    await trio.sleep(2)
    assert two.mover.roles[-1]


async def test_what_is_on_this_host_stays_as_long_as_the_addresses_do(lan: Lan) -> None:
    one, _ = await pair(lan, local=True)
    one.agent.router().drain(force=False)
    while one.agent.host.holds("10.0.0.100/24"):
        assert one.mover.roles[-1]
        await trio.sleep(0.01)
    assert one.mover.roles[-1] is False


async def test_what_is_on_this_host_stays_where_a_drain_is_kept(lan: Lan) -> None:
    alone = await serving_alone(lan, local=True)
    before = len(alone.mover.told)
    alone.agent.router().drain(force=False)
    await trio.sleep(5)
    assert alone.agent.state == "active"
    assert False not in alone.mover.roles[before:]


async def test_what_a_node_said_last_is_remembered(lan: Lan) -> None:
    one, two = await pair(lan)
    other = (IPv4Address("10.0.0.9"), IPv4Address("10.0.0.11"))
    said = two.agent.router().heard_from
    assert said(other[:1]) is None
    assert said(other) == 250
    one.agent.router().drain(force=False)
    await trio.sleep(2)
    assert said(other) == 0
    await trio.sleep(3600)
    assert said(other) == 0
    one.agent.router().undrain()
    await trio.sleep(6)
    assert one.agent.state == "active"
    assert said(other) == 250


async def test_a_role_that_is_kept_after_all_is_the_movers_again(lan: Lan) -> None:
    alone = await serving_alone(lan)
    alone.agent.router().drain(force=False)
    await trio.sleep(5)
    assert alone.mover.roles[-3:] == [True, False, True]


async def test_a_backup_that_could_not_take_over_lowers_its_priority_until_it_could(lan: Lan) -> None:
    _, two = await pair(lan)
    two.mover.say(ready=False, why="unreachable", weight=-20, troubles={"mover_unready": "unreachable"})
    assert two.agent.shown()["effective_priority"] == 220
    assert two.agent.alarms() == {"mover_unready": "ec2-elastic-ip: unreachable"}
    shown = two.agent.shown()["movers"]
    assert shown == [
        {
            "name": "ec2-elastic-ip",
            "state": "idle",
            "detail": "nothing to do",
            "holder": "eni-2",
            "ready": False,
            "why": "unreachable",
            "epoch": 3,
            "attempts": 2,
            "ms": 1.5,
        }
    ]
    two.mover.say(ready=True, why="", weight=0, troubles={})
    assert two.agent.shown()["effective_priority"] == 240
    assert two.agent.alarms() == {}


async def test_a_mover_that_asks_for_it_has_the_role_given_up_and_this_node_kept_out(lan: Lan) -> None:
    one, two = await pair(lan)
    lan.cuts |= {("lb1", "lb2"), ("lb2", "lb1")}
    await trio.sleep(10)
    assert [each.agent.state for each in (one, two)] == ["active", "active"]
    two.mover.say(aside="the cloud says that lb1 holds it")
    await trio.sleep(6)
    shown = two.agent.shown()
    assert (shown["state"], shown["effective_priority"]) == ("backup", 0)
    assert shown["reason"] == "the cloud says that lb1 holds it"
    assert not two.agent.host.holds("10.0.0.100/24")
    assert two.mover.roles[-1] is False
    two.mover.say(aside=None)
    await trio.sleep(10)
    assert two.agent.state == "active"


async def test_who_yields_where_another_node_is_hands_over_as_a_drain_does(lan: Lan) -> None:
    one, two = await pair(lan)
    one.mover.say(yields="the cloud cannot be reached")
    while one.agent.host.holds("10.0.0.100/24"):
        await trio.sleep(0.001)
        assert one.agent.host.holds("10.0.0.100/24") or two.agent.host.holds("10.0.0.100/24")
    assert [each.agent.state for each in (one, two)] == ["backup", "active"]
    assert one.agent.shown()["effective_priority"] == 2
    assert "held_down" not in one.agent.alarms()
    one.mover.say(yields=None)
    await trio.sleep(10)
    assert [each.agent.state for each in (one, two)] == ["active", "backup"]


async def test_who_yields_where_nobody_else_is_never_lets_go(lan: Lan) -> None:
    alone = await serving_alone(lan)
    alone.mover.say(yields="the cloud cannot be reached")
    for _ in range(5000):
        await trio.sleep(0.001)
        assert alone.agent.host.holds("10.0.0.100/24")
    assert alone.agent.state == "active"
    assert alone.mover.roles[-3:] == [True, False, True]


async def test_who_yields_serves_where_the_other_node_dies(lan: Lan) -> None:
    one, two = await pair(lan)
    one.mover.say(yields="the cloud cannot be reached")
    await trio.sleep(2)
    assert two.agent.state == "active"
    lan.cuts |= {("lb1", "lb2"), ("lb2", "lb1")}
    await trio.sleep(10)
    assert one.agent.state == "active"


async def test_two_nodes_that_both_yield_never_both_let_go(lan: Lan) -> None:
    both = await pair(lan)
    for mover in (both[0].mover, both[1].mover):
        mover.say(yields="the cloud cannot be reached")
        for _ in range(5000):
            await trio.sleep(0.001)
            assert any(each.agent.host.holds("10.0.0.100/24") for each in both)


async def test_who_stands_aside_is_told_who_is_active(lan: Lan) -> None:
    one, two = await pair(lan)
    lan.cuts |= {("lb1", "lb2"), ("lb2", "lb1")}
    await trio.sleep(10)
    two.mover.say(aside="the cloud says that lb1 holds it")
    two.mover.others.clear()
    await trio.sleep(6)
    assert two.mover.others == []
    lan.cuts.clear()
    await trio.sleep(2)
    assert two.mover.others[-1] == ("lb1", 250)
    two.mover.say(aside=None)
    await one.agent.stop()
    await trio.sleep(0.1)
    assert two.agent.state == "active"


async def test_standing_aside_again_and_again_is_no_flapping(lan: Lan) -> None:
    alone = await serving_alone(lan)
    for _ in range(5):
        alone.mover.say(aside="somebody else holds it")
        await trio.sleep(3)
        alone.mover.say(aside=None)
        await trio.sleep(6)
    assert "held_down" not in alone.agent.alarms()


async def test_at_a_stop_that_nobody_follows_a_mover_may_give_up_what_it_moved(lan: Lan) -> None:
    alone = await serving_alone(lan)
    await alone.agent.stop()
    assert alone.mover.released


async def test_at_a_stop_that_another_node_follows_nothing_is_given_up(lan: Lan) -> None:
    one, _ = await pair(lan)
    await one.agent.stop()
    assert not one.mover.runs
    assert not one.mover.released


async def test_at_the_stop_of_a_backup_nothing_is_given_up(lan: Lan) -> None:
    one, two = await pair(lan)
    await two.agent.stop()
    assert not two.mover.released
    await one.agent.stop()
    assert one.mover.released


async def test_what_a_mover_says_after_a_sleep_is_heard_after_the_loop_has_looked(lan: Lan) -> None:
    one, two = await pair(lan)
    one.agent.host.freeze()
    await trio.sleep(30)
    assert two.agent.state == "active"
    start = lan.now
    one.agent.host.thaw()
    one.mover.say(yields="the cloud cannot be reached")
    await trio.sleep(0.05)
    assert "the agent slept" in one.agent.alarms()["overslept"]
    assert lan.told("lb1", "says", since=start) == []


async def test_a_router_that_changes_gets_new_movers_and_gives_nothing_up(lan: Lan) -> None:
    alone = await serving_alone(lan)
    old = alone.mover
    spec = wanted(alone.agent.host, FILE.replace("vrid: 51", "vrid: 52"))
    alone.agent.runtime.apply(with_mover(spec))
    await trio.sleep(60)
    assert not old.runs
    assert not old.released
    assert alone.mover is not old
    assert alone.mover.runs
    assert alone.mover.roles[-1]
