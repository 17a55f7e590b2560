"""What tests of several parts share: a launcher as the agent has it."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import pytest
import trio

from vrrpd import launcher as launching
from vrrpd.launcher import Launcher
from vrrpd.programs import LauncherClient


@pytest.fixture
def launcher() -> Iterator[Launcher]:
    """A launcher of the test's own; gone after it, and with it all that it started."""
    launcher = launching.start()
    yield launcher
    launcher.channel.close()
    os.kill(launcher.pid, signal.SIGCONT)  # in case a test has failed between stopping and continuing it
    os.waitpid(launcher.pid, 0)


@pytest.fixture
async def programs(launcher: Launcher, nursery: trio.Nursery) -> LauncherClient:
    """Runs programs through a launcher."""
    client = LauncherClient(launcher)
    nursery.start_soon(client.listen)
    return client
