"""Clouds for movers: one in memory, a fake EC2; and virtual time for tests of the driver."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Coroutine, Iterable
from pathlib import Path
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from netns_lab.cloud.ec2 import FakeEc2
from netns_lab.cloud.world import World
from tests.movers import ec2_nodes
from tests.movers.cloud import Cloud


def pytest_collection_modifyitems(items: Iterable[pytest.Item]) -> None:
    """Every test of the driver runs on virtual time."""
    for item in items:
        if item.path.parent == Path(__file__).parent and item.path.name.startswith("test_driver"):
            item.add_marker(pytest.mark.trio(run=_run), append=False)


def _run(test: Callable[[], Coroutine[Any, Any, None]], **_: object) -> None:
    trio.run(test, clock=MockClock(autojump_threshold=0))


@pytest.fixture
async def cloud(nursery: trio.Nursery) -> Cloud:
    """A cloud in which a node that is gone has the thing."""
    return Cloud(nursery, "eni-dead")


@pytest.fixture
async def ec2(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> AsyncIterator[ec2_nodes.Cloud]:
    """A fake EC2 with the nodes n1 and n2, which find no credentials but those that a test gives them."""
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "none"))
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name, raising=False)
    async with FakeEc2(World.of(("n1", "n2"))) as fake:
        cloud = ec2_nodes.Cloud(fake, monkeypatch)
        yield cloud
        for mover in cloud.made:
            await mover.aclose()
