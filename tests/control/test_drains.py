"""Drain and undrain: outcomes, time, and what outlives a restart of the agent."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from vrrpd.config.spec import Announce, MemberSpec, RouterSpec
from vrrpd.control.drains import Drains
from vrrpd.errors import VrrpdError
from vrrpd.proto.effects import Role
from vrrpd.proto.settings import Address, Family, Settings

START = datetime(2026, 1, 1, tzinfo=UTC)
LB2 = IPv4Address("10.0.0.12")
PATIENCE_S = 5.0  # of the real clock, for a worker thread


class Core:
    def __init__(self) -> None:
        self.followed_by: Address | None = None


class Group:
    def __init__(self, size: int) -> None:
        self.members = [Core() for _ in range(size)]


class Router:
    """A router of the runtime that does what tests say."""

    def __init__(self, spec: RouterSpec) -> None:
        self.spec = spec
        self.group = Group(len(spec.members))
        self.role = Role.ACTIVE
        self.leaving = False
        self.drained = False
        self.forced = False
        self._changed = trio.Event()

    def drain(self, *, force: bool) -> None:
        self.drained, self.forced = True, force

    def undrain(self) -> None:
        self.drained = False
        self.role = Role.BACKUP
        self._notify()

    async def drained_out(self) -> bool:
        while self.drained and self.role is Role.ACTIVE:
            await self._changed.wait()
        return self.drained

    def taken(self) -> None:
        """Another node is Active."""
        for core in self.group.members:
            core.followed_by = LB2
        self.role = Role.INITIALIZE
        self._notify()

    def stopped(self) -> None:
        """The agent ends."""
        self.leaving = True
        self.taken()

    def unanswered(self) -> None:
        """Nobody takes the role."""
        if self.forced:
            self.role = Role.INITIALIZE
        else:
            self.drained = False
        self._notify()

    def _notify(self) -> None:
        self._changed.set()
        self._changed = trio.Event()


class Runtime:
    def __init__(self, *specs: RouterSpec) -> None:
        self.routers = {spec.name: Router(spec) for spec in specs}

    def find(self, name: str) -> Router | None:
        found = (r for r in self.routers.values() if name in {r.spec.name, *(m.router for m in r.spec.members)})
        return next(found, None)


def moves_together(name: str, *routers: str) -> RouterSpec:
    settings = Settings(51, Family.IPV4, 3, 250, 10**9, (IPv4Address("10.0.0.100"),))
    members = [
        MemberSpec(router, "eth0", settings, None, (), Announce((), None), {LB2: "lb2"})
        for router in routers or (name,)
    ]
    return RouterSpec(name, tuple(members))


WEB, API, EDGE = moves_together("web"), moves_together("api"), moves_together("edge", "web", "inside")


class Agent:
    """What of an agent matters here, from its start on."""

    def __init__(self, path: Path, clock: MockClock, *specs: RouterSpec, wall: datetime = START) -> None:
        self.runtime = Runtime(*(specs or (WEB, API)))
        self.path = path
        self.jumped = timedelta()
        self._clock, self._start, self._started = clock, wall, trio.current_time()
        self.drains = Drains(str(path), self.runtime, self.wall)
        self.drains.read()
        self.drains.restore()

    def wall(self) -> datetime:
        return self._start + self.jumped + timedelta(seconds=trio.current_time() - self._started)

    @property
    def web(self) -> Router:
        router = self.runtime.find("web")
        assert router is not None
        return router

    @property
    def api(self) -> Router:
        return self.runtime.routers["api"]

    async def passes(self, seconds: float) -> None:
        """Let time pass, then let everything happen."""
        await quiet()
        self._clock.jump(seconds)
        await quiet()

    async def drain(self, router: str | None = "web", *, then: Callable[[], None] | None = None, **more: Any) -> Any:
        """Ask for a drain; `then` happens when it waits for the outcome."""
        if then is None:
            for each in self.runtime.routers.values():
                each.role = Role.BACKUP
        answers: list[dict[str, Any]] = []

        async def ask() -> None:
            answers.append(await self.drains.drain({"command": "drain", "router": router, **more}))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(ask)
            if then is not None:
                await soon(lambda: any(each.drained for each in self.runtime.routers.values()))
                await trio.testing.wait_all_tasks_blocked()
                assert not answers
                then()
        return answers[0]["routers"]

    async def undrain(self, router: str | None = None) -> Any:
        return (await self.drains.undrain({"command": "undrain", "router": router}))["routers"]

    def kept(self) -> dict[str, Any]:
        """What the file says."""
        return json.loads(self.path.read_text())["drained"] if self.path.exists() else {}


async def quiet() -> None:
    """Wait until everybody waits, and no worker thread writes."""
    await trio.testing.wait_all_tasks_blocked()
    await soon(lambda: trio.to_thread.current_default_thread_limiter().borrowed_tokens == 0)
    await trio.testing.wait_all_tasks_blocked()


async def soon(wanted: Callable[[], bool]) -> None:
    """Wait for a worker thread."""
    deadline = time.monotonic() + PATIENCE_S
    while not wanted():
        assert time.monotonic() < deadline
        time.sleep(0.0005)  # noqa: ASYNC251 - the event loop's clock stands still
        await trio.lowlevel.checkpoint()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "lab.state.json"


@asynccontextmanager
async def running(path: Path, clock: MockClock, *specs: RouterSpec, wall: datetime = START) -> AsyncGenerator[Agent]:
    """An agent that has just started, until it ends."""
    async with trio.open_nursery() as nursery:
        agent = Agent(path, clock, *specs, wall=wall)
        nursery.start_soon(agent.drains.run)
        yield agent
        nursery.cancel_scope.cancel()


def write(path: Path, text: str | bytes) -> None:
    path.write_bytes(text.encode() if isinstance(text, str) else text)


def read(path: Path) -> bytes:
    return path.read_bytes()


class TestOutcome:
    async def test_another_node_took_over(self, path: Path, mock_clock: MockClock) -> None:
        async with running(path, mock_clock) as agent:
            said = await agent.drain(then=agent.web.taken)
            assert said == [
                {
                    "name": "web",
                    "routers": ["web"],
                    "outcome": "handed over",
                    "active": "lb2 (10.0.0.12)",
                    "until": None,
                }
            ]
            assert (agent.web.drained, agent.api.drained) == (True, False)

    async def test_this_node_was_not_active(self, path: Path, mock_clock: MockClock) -> None:
        async with running(path, mock_clock) as agent:
            assert (await agent.drain())[0]["outcome"] == "out"
            assert agent.web.drained

    async def test_nobody_took_over(self, path: Path, mock_clock: MockClock) -> None:
        async with running(path, mock_clock) as agent:
            said = await agent.drain(then=agent.web.unanswered, for_s=60)
            assert (said[0]["outcome"], said[0]["until"]) == ("kept", None)
            assert agent.drains.until("web") is None
            assert agent.kept() == {}

    async def test_by_force_it_leaves_although_nobody_took_over(self, path: Path, mock_clock: MockClock) -> None:
        async with running(path, mock_clock) as agent:
            said = await agent.drain(then=agent.web.unanswered, force=True)
            assert (said[0]["outcome"], said[0]["active"]) == ("left", None)
            assert "web" in agent.kept()

    async def test_the_end_of_the_agent_is_no_drain(self, path: Path, mock_clock: MockClock) -> None:
        async with running(path, mock_clock) as agent:
            assert (await agent.drain(then=agent.web.stopped))[0]["outcome"] == "broken off"
            assert agent.kept() == {}

    async def test_all_routers_are_asked_at_once_and_each_has_its_own_outcome(
        self, path: Path, mock_clock: MockClock
    ) -> None:
        def answer() -> None:
            assert agent.web.drained
            assert agent.api.drained
            agent.api.taken()
            agent.web.unanswered()

        async with running(path, mock_clock) as agent:
            said = await agent.drain(None, then=answer)
            assert {each["name"]: each["outcome"] for each in said} == {"web": "kept", "api": "handed over"}
            assert list(agent.kept()) == ["api"]

    async def test_a_router_of_a_group_takes_the_group_with_it(self, path: Path, mock_clock: MockClock) -> None:
        async with running(path, mock_clock, EDGE, API) as agent:
            said = await agent.drain("inside", then=agent.web.taken)
            assert (said[0]["name"], said[0]["routers"]) == ("edge", ["web", "inside"])
            assert set(agent.kept()) == {"web", "inside"}
            assert (await agent.undrain("edge"))[0]["was_drained"] is True
            assert agent.kept() == {}

    async def test_two_who_ask_at_once_get_the_same_outcome(self, path: Path, mock_clock: MockClock) -> None:
        async with running(path, mock_clock) as agent:
            outcomes: list[str] = []

            async def ask() -> None:
                outcomes.append((await agent.drains.drain({"router": "web"}))["routers"][0]["outcome"])

            async with trio.open_nursery() as nursery:
                nursery.start_soon(ask)
                nursery.start_soon(ask)
                await soon(lambda: agent.web.drained)
                await trio.testing.wait_all_tasks_blocked()
                agent.web.taken()
            assert outcomes[0] == "handed over"
            assert len(outcomes) == 2

    @pytest.mark.parametrize("name", ["wbe", "", 5, ["web"], {}])
    async def test_an_unknown_router_is_refused_with_the_known_ones(
        self, path: Path, mock_clock: MockClock, name: object
    ) -> None:
        async with running(path, mock_clock, EDGE, API) as agent:
            for ask in (agent.drains.drain, agent.drains.undrain):
                with pytest.raises(VrrpdError, match=r"there is no router .*; name one of edge, web, inside, api, or"):
                    await ask({"router": name})

    @pytest.mark.parametrize("length", [0, 0.9, -1, 1e9, float("nan"), float("inf"), "2h", True, [1]])
    async def test_a_time_that_is_none_is_refused(self, path: Path, mock_clock: MockClock, length: object) -> None:
        async with running(path, mock_clock) as agent:
            with pytest.raises(VrrpdError, match="lasts from 1s to 8760h"):
                await agent.drains.drain({"router": "web", "for_s": length})
            assert not agent.web.drained


class TestUndrain:
    async def test_takes_part_again_for_good(self, path: Path, mock_clock: MockClock) -> None:
        async with running(path, mock_clock) as agent:
            await agent.drain(for_s=60)
            assert await agent.undrain("web") == [{"name": "web", "routers": ["web"], "was_drained": True}]
            assert (agent.web.drained, agent.drains.until("web")) == (False, None)
        async with running(path, mock_clock) as agent:
            assert not agent.web.drained

    async def test_one_that_is_not_drained_says_so(self, path: Path, mock_clock: MockClock) -> None:
        async with running(path, mock_clock) as agent:
            assert [each["was_drained"] for each in await agent.undrain()] == [False, False]

    async def test_works_where_nothing_can_be_written_and_says_what_that_means(
        self, path: Path, mock_clock: MockClock
    ) -> None:
        async with running(path, mock_clock) as agent:
            await agent.drain()
            await trio.Path(path).unlink()
            await trio.Path(path).mkdir()
            said = await agent.drains.undrain({"router": "web"})
            assert not agent.web.drained
            assert "a restart of the agent undoes the last change" in said["problem"]
            assert agent.drains.trouble is not None
            assert said["problem"] == agent.drains.trouble.detail
            await trio.Path(path).rmdir()
            await agent.passes(60)
            await soon(lambda: agent.drains.trouble is None)
            assert agent.kept() == {}


class TestTime:
    async def test_when_the_time_is_over_it_takes_part_again_by_itself(
        self, path: Path, mock_clock: MockClock, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level("INFO")
        async with running(path, mock_clock) as agent:
            said = await agent.drain(for_s=7200)
            assert said[0]["until"] == "2026-01-01T02:00:00Z"
            assert agent.drains.until("web") == START + timedelta(hours=2)
            await agent.passes(7199)
            assert agent.web.drained
            await agent.passes(1)
            assert not agent.web.drained
            assert "web takes part again: the time of its drain is over" in caplog.messages
            await soon(lambda: agent.kept() == {})

    async def test_a_second_drain_changes_the_time(self, path: Path, mock_clock: MockClock) -> None:
        async with running(path, mock_clock) as agent:
            await agent.drain(for_s=60)
            await agent.passes(30)
            await agent.drain(for_s=60)
            await agent.passes(59)
            assert agent.web.drained
            await agent.drain()
            await agent.passes(10**6)
            assert agent.web.drained
            assert agent.drains.until("web") is None

    async def test_a_wall_clock_that_jumps_moves_nothing_while_the_agent_runs(
        self, path: Path, mock_clock: MockClock
    ) -> None:
        async with running(path, mock_clock) as agent:
            await agent.drain(for_s=3600)
            agent.jumped = timedelta(days=365)
            await agent.passes(3599)
            assert agent.web.drained
            agent.jumped = timedelta(days=-365)
            await agent.passes(1)
            assert not agent.web.drained

    async def test_the_end_time_follows_a_wall_clock_that_was_set_right(
        self, path: Path, mock_clock: MockClock
    ) -> None:
        async with running(path, mock_clock) as agent:
            await agent.drain(for_s=3600)
            agent.jumped = timedelta(days=365)
            await agent.passes(60)
            await soon(lambda: agent.drains.until("web") == START + timedelta(days=365, hours=1))
            await soon(lambda: agent.kept()["web"] == {"until": "2027-01-01T01:00:00Z", "left_s": 3540.0})

    async def test_a_clock_that_drifts_does_not_move_the_end_time(self, path: Path, mock_clock: MockClock) -> None:
        async with running(path, mock_clock) as agent:
            await agent.drain(for_s=3600)
            agent.jumped = timedelta(seconds=0.5)
            await agent.passes(60)
            await soon(lambda: agent.kept()["web"]["left_s"] == 3540.0)
            assert agent.drains.until("web") == START + timedelta(hours=1)


class TestRestart:
    async def test_a_drained_router_stays_out(
        self, path: Path, mock_clock: MockClock, caplog: pytest.LogCaptureFixture
    ) -> None:
        async with running(path, mock_clock) as agent:
            await agent.drain(for_s=3600)
        async with running(path, mock_clock, wall=START + timedelta(minutes=5)) as agent:
            assert (agent.web.drained, agent.api.drained) == (True, False)
            assert agent.drains.holds(WEB)
            assert agent.drains.until("web") == START + timedelta(hours=1)
            assert "web is drained until 2026-01-01T01:00:00Z and takes no part" in caplog.messages
            await agent.passes(55 * 60)
            assert not agent.web.drained

    async def test_one_without_an_end_too(self, path: Path, mock_clock: MockClock) -> None:
        async with running(path, mock_clock) as agent:
            await agent.drain()
        async with running(path, mock_clock, wall=START + timedelta(days=400)) as agent:
            assert agent.web.drained

    async def test_one_that_had_no_outcome_is_none(self, path: Path, mock_clock: MockClock) -> None:
        async with trio.open_nursery() as nursery:
            agent = Agent(path, mock_clock)
            nursery.start_soon(agent.drains.run)
            nursery.start_soon(agent.drains.drain, {"router": "web"})
            await soon(lambda: agent.web.drained)
            await trio.testing.wait_all_tasks_blocked()
            nursery.cancel_scope.cancel()
        async with running(path, mock_clock) as agent:
            assert not agent.web.drained

    @pytest.mark.parametrize(
        ("away", "left"),
        [
            (timedelta(minutes=20), 1800),  # the machine was off
            (timedelta(days=-1), 3000),  # its clock jumped back
            (timedelta(days=-20000), 3000),  # to 1971
        ],
    )
    async def test_of_the_end_time_and_the_seconds_left_the_earlier_wins(
        self, path: Path, mock_clock: MockClock, away: timedelta, left: float
    ) -> None:
        async with running(path, mock_clock) as agent:
            await agent.drain(for_s=3600)
            for minute in range(1, 11):
                await agent.passes(60)
                await soon(lambda minute=minute: agent.kept()["web"]["left_s"] == 3600 - 60 * minute)
            last = agent.wall()
        async with running(path, mock_clock, wall=last + away) as agent:
            await agent.passes(left - 1)
            assert agent.web.drained
            await agent.passes(1)
            assert not agent.web.drained

    async def test_a_time_that_ran_out_meanwhile_never_takes_the_router_out(
        self, path: Path, mock_clock: MockClock, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level("INFO")
        async with running(path, mock_clock) as agent:
            await agent.drain(for_s=3600)
        async with running(path, mock_clock, wall=START + timedelta(hours=2)) as agent:
            assert not agent.web.drained
            assert "the time of the drain of web ran out while no agent ran" in caplog.messages
            await agent.passes(60)
            await soon(lambda: agent.kept() == {})  # or a clock that jumps back would bring it back

    async def test_a_router_that_the_configuration_names_no_longer_is_kept_until_it_is_undrained(
        self, path: Path, mock_clock: MockClock
    ) -> None:
        async with running(path, mock_clock) as agent:
            await agent.drain("api")
        async with running(path, mock_clock, WEB) as agent:
            await agent.drain("web")
            await agent.undrain("web")
            assert list(agent.kept()) == ["api"]
            with pytest.raises(VrrpdError, match="there is no router 'api'"):
                await agent.drains.drain({"router": "api"})
        async with running(path, mock_clock, WEB, API) as agent:
            assert agent.api.drained
        async with running(path, mock_clock, WEB) as agent:
            assert await agent.undrain("api") == [{"name": "api", "routers": [], "was_drained": True}]
            assert agent.kept() == {}

    async def test_two_routers_that_became_a_group_are_out_until_the_later_end(
        self, path: Path, mock_clock: MockClock
    ) -> None:
        async with running(path, mock_clock, WEB, API, moves_together("inside")) as agent:
            await agent.drain("web", for_s=60)
            await agent.drain("inside", for_s=3600)
        async with running(path, mock_clock, EDGE, API) as agent:
            assert agent.drains.until("web") == agent.drains.until("inside") == START + timedelta(hours=1)
            await agent.passes(3599)
            assert agent.web.drained
            await agent.passes(1)
            assert not agent.web.drained


class TestBadFile:
    @pytest.mark.parametrize(
        "text",
        [
            "",
            "\0" * 4096,
            b"\xff\xfe",
            "[]",
            '{"version": 2, "drained": {}}',
            '{"version": 1, "drained": {"web": {"left_s": NaN}}}',
            '{"version": 1, "drained": {"web": {"left_s": 1e300}}}',
            '{"version": 1, "drained": {"web": {"until": "2026-01-01T00:00:00"}}}',
            '{"version": 1, "drained": {"web": {"until": "2026-01-01T02:00:00Z", "left_s"',
            '{"version": 1, "drained": {"web": {"until": "soon"}}}',
            "[" * 100000,
        ],
        ids=range(11),
    )
    async def test_that_makes_no_sense_is_set_aside_and_the_node_takes_part(
        self, path: Path, mock_clock: MockClock, caplog: pytest.LogCaptureFixture, text: str | bytes
    ) -> None:
        write(path, text)
        bad = read(path)
        async with running(path, mock_clock) as agent:
            assert not agent.web.drained
            assert agent.drains.trouble is not None
            assert f"{path} makes no sense (" in agent.drains.trouble.detail
            assert f"; it is kept as {path}.bad; no router is drained" in agent.drains.trouble.detail
            assert caplog.messages == [agent.drains.trouble.detail]
            assert agent.drains.trouble.since == START
            await agent.passes(600)
            assert agent.drains.trouble is not None
            await agent.drain()
            assert agent.drains.trouble is None
        assert read(path.with_name(f"{path.name}.bad")) == bad

    async def test_where_nothing_can_be_written_a_drain_is_refused_before_anything_is_given_away(
        self, path: Path, mock_clock: MockClock
    ) -> None:
        await trio.Path(path).mkdir()
        async with running(path, mock_clock) as agent:
            with pytest.raises(VrrpdError, match=rf"cannot write {path}: it is no regular file; .* --state"):
                await agent.drains.drain({"router": "web"})
            assert not agent.web.drained

    async def test_a_disk_that_fills_up_during_a_drain_is_told_and_tried_again(
        self, path: Path, mock_clock: MockClock
    ) -> None:
        async with running(path, mock_clock) as agent:

            def fill() -> None:
                path.unlink()
                path.mkdir()
                agent.web.taken()

            await agent.drain(then=fill)
            assert agent.web.drained
            assert agent.drains.trouble is not None
            assert "cannot write" in agent.drains.trouble.detail
            await trio.Path(path).rmdir()
            await agent.passes(60)
            await soon(lambda: list(agent.kept()) == ["web"])
            await soon(lambda: agent.drains.trouble is None)
