"""Who serves after a dead agent is heard, on the loopback interface of whatever namespace the tests run in."""

from __future__ import annotations

import os
import resource
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from vrrpd.successors import Ears, Successor

pytestmark = pytest.mark.netns

LOOPBACK = socket.if_nametoindex("lo")
BEYOND_SELECT = 1100
"""Descriptors; select(2) takes those below 1024."""


def advert(vrid: int, priority: int) -> bytes:
    return bytes([0x31, vrid, priority, 0, 0, 100, 0, 0])


def say(*packets: bytes) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_RAW, 112) as speaker:
        for each in packets:
            speaker.sendto(each, ("127.0.0.1", 0))


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


@pytest.fixture
def crowded() -> Iterator[None]:
    """So many descriptors are taken that the next one has a large number."""
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(limits[0], 2 * BEYOND_SELECT), limits[1]))
    with ExitStack() as taken:
        for _ in range(BEYOND_SELECT):
            taken.callback(os.close, os.open("/dev/null", os.O_RDONLY))
        yield
    resource.setrlimit(resource.RLIMIT_NOFILE, limits)


@pytest.fixture
def ears() -> Iterator[Ears]:
    with Ears() as opened:
        yield opened


def test_who_serves_is_heard_however_many_descriptors_there_are(crowded: None, ears: Ears) -> None:
    assert ears.open(LOOPBACK, "127.0.0.1") is socket.AF_INET
    say(advert(7, 100), advert(8, 0), b"1", advert(9, 1))
    heard = list(ears.wait(1))
    assert heard == [Successor(socket.AF_INET, LOOPBACK, 7), Successor(socket.AF_INET, LOOPBACK, 9)]
    assert not list(ears.wait(0)), "each is told once"


def test_all_virtual_routers_of_an_interface_and_family_share_a_socket(ears: Ears) -> None:
    before = descriptors()
    for _ in range(250):
        for destination in ("127.0.0.1", "224.0.0.18", "::1"):
            assert ears.open(LOOPBACK, destination) is not None
    assert descriptors() - before == 2


def test_a_group_on_an_interface_that_is_gone_is_not_waited_for(ears: Ears) -> None:
    assert ears.open(1 << 20, "224.0.0.18") is None
