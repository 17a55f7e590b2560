"""A link with virtual time; see `lan`."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterable
from pathlib import Path
from typing import Any

import pytest
import trio

from tests.runtime.lan import Lan, VirtualClock


def pytest_collection_modifyitems(items: Iterable[pytest.Item]) -> None:
    """Every test of this directory runs on virtual time."""
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent):
            item.add_marker(pytest.mark.trio(run=_run), append=False)


def _run(test: Callable[[], Coroutine[Any, Any, None]], **_: object) -> None:
    trio.run(test, clock=VirtualClock())


@pytest.fixture
async def lan(tmp_path: Path, nursery: trio.Nursery) -> Lan:
    lan = Lan(tmp_path, nursery)
    nursery.start_soon(lan.deliver)
    return lan
