"""A link with virtual time; see `lan`."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio
from trio.testing import MockClock

from tests.runtime.lan import Lan


@pytest.fixture
def clock() -> MockClock:
    return MockClock()


@pytest.fixture
async def lan(clock: MockClock, tmp_path: Path, nursery: trio.Nursery) -> Lan:
    lan = Lan(tmp_path, nursery)
    nursery.start_soon(lan.drive, clock)
    nursery.start_soon(lan.deliver)
    return lan
