"""The nine clouds driven as the agent drives them: a role comes, the thing follows, whatever goes wrong on the way."""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from ipaddress import IPv4Address
from pathlib import Path
from random import Random

import pytest
import trio

from tests.movers.fakes.harness import Tried, trying
from tests.movers.fakes.providers import Fault, Hetzner, HetznerRobot, Provider, Vultr, all_providers
from tests.movers.fakes.server import Response
from vrrpd.movers.base import CommonOptions
from vrrpd.movers.contention import Ranks
from vrrpd.movers.driver import MoverDriver
from vrrpd.movers.report import State


class Driven:
    """A mover under its driver, on the node that ranks higher."""

    def __init__(self, tried: Tried) -> None:
        self.cloud, self.server, self.tried = tried.cloud, tried.server, tried
        self._news = trio.Event()
        self.driver = MoverDriver(
            tried.cloud.kind,
            tried.mover,
            CommonOptions(),
            Ranks(IPv4Address("10.0.0.11"), {"lb2": (100, IPv4Address("10.0.0.12"))}),
            changed=self._changed,
            look=lambda: None,
            log=logging.getLogger("vrrpd.lb1"),
            random=Random(1),
        )

    async def until(self, state: State) -> None:
        """Wait for a state."""
        with trio.fail_after(20):
            while self.driver.report.state is not state:
                await self._news.wait()

    async def ready(self) -> None:
        """Wait for the first look."""
        with trio.fail_after(20):
            while not self.driver.report.ready:
                await self._news.wait()

    def _changed(self) -> None:
        self._news.set()
        self._news = trio.Event()


@asynccontextmanager
async def driving(cloud: Provider, folder: Path) -> AsyncGenerator[Driven]:
    async with trying(cloud, folder) as tried, trio.open_nursery() as nursery:
        driven = Driven(tried)
        nursery.start_soon(driven.driver.run)
        yield driven
        nursery.cancel_scope.cancel()


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.mark.parametrize("make", [*all_providers()], ids=lambda make: make.kind)
async def test_it_follows_the_role_and_the_change_is_the_first_request(make: type[Provider], tmp_path: Path) -> None:
    async with driving(make(), tmp_path) as driven:
        await driven.ready()
        driven.tried.forget()
        driven.driver.want(True, 200)
        await driven.until(State.HELD)
        assert driven.tried.asked[0] == driven.cloud.first
        assert driven.cloud.holder == driven.cloud.me


@pytest.mark.parametrize("make", [*all_providers()], ids=lambda make: make.kind)
async def test_where_it_is_here_already_nothing_is_changed(make: type[Provider], tmp_path: Path) -> None:
    async with driving(make(), tmp_path) as driven:
        driven.cloud.holder = driven.cloud.me
        driven.driver.want(True, 200)
        await driven.until(State.HELD)
        assert driven.cloud.moves == []


async def test_vultr_refuses_to_attach_twice_and_only_that_is_tried_again(tmp_path: Path) -> None:
    async with driving(Vultr(), tmp_path) as driven:
        await driven.ready()
        driven.cloud.faults.append(Fault(Vultr.attach, Response(500, "oops"), times=2))
        driven.tried.forget()
        driven.driver.want(True, 200)
        await driven.until(State.HELD)
        changes = [asked for asked in driven.tried.asked if not asked.startswith("GET")]
        assert changes == [Vultr.first, Vultr.attach, Vultr.attach, Vultr.attach]
        assert driven.cloud.holder == driven.cloud.me


async def test_an_action_that_fails_is_begun_again(tmp_path: Path) -> None:
    async with driving(Hetzner(), tmp_path) as driven:
        await driven.ready()
        driven.cloud.failing = 1
        driven.driver.want(True, 200)
        await driven.until(State.HELD)
        assert driven.tried.asked.count(Hetzner.first) == 2


async def test_robot_is_tried_once_with_a_wrong_password(tmp_path: Path) -> None:
    async with driving(HetznerRobot(), tmp_path) as driven:
        driven.cloud.refuses = True
        driven.driver.want(True, 200)
        await trio.sleep(0.3)
        assert len(driven.tried.asked) == 1
        assert not driven.driver.report.ready
        assert "refuses the credentials" in driven.driver.report.why
