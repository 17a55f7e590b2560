"""Two network namespaces joined by a cable, for tests that need a real kernel.

`inside("left")` moves the calling thread into a namespace for the length of a `with` block: a socket belongs to the
namespace that it was made in, so the test makes its sockets there and uses them outside. Each test has its own pair.
"""

from __future__ import annotations

import ctypes
import itertools
import os
import subprocess
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

_CLONE_NEWNET = 0x40000000
_numbers = itertools.count()
_libc = ctypes.CDLL(None, use_errno=True)


def _setns(descriptor: int) -> None:
    if _libc.setns(descriptor, _CLONE_NEWNET) < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))


@contextmanager
def _inside(namespace: str) -> Generator[None]:
    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    try:
        target = os.open(f"/run/netns/{namespace}", os.O_RDONLY)
        try:
            _setns(target)
        finally:
            os.close(target)
        try:
            yield
        finally:
            _setns(home)
    finally:
        os.close(home)


def _carries(namespace: str) -> None:
    """Wait until the cable carries frames: for a moment after it is plugged in the kernel drops them silently."""
    deadline = time.monotonic() + 5
    while "qdisc noop " in _run("ip", "-n", namespace, "link", "show", "dev", "eth0"):
        assert time.monotonic() < deadline, "the cable is dead"


def _run(*argv: str) -> str:
    return subprocess.run(argv, check=True, capture_output=True, text=True).stdout


@pytest.fixture
def namespaces() -> Iterator[dict[str, str]]:
    """Names of the two namespaces; `left` has eth0 with 10.77.0.1/24 and fd77::1/64, `right` with ...2."""
    if os.geteuid() != 0:
        pytest.skip("network namespaces need root")
    number = next(_numbers)
    names = {side: f"vl{os.getpid()}-{number}{side[0]}" for side in ("left", "right")}
    try:
        for name in names.values():
            _run("ip", "netns", "add", name)
            with _inside(name):
                # No duplicate address detection: a second of waiting that no test here is about.
                Path("/proc/sys/net/ipv6/conf/default/accept_dad").write_text("0")
        _run(
            # Different numbers: where both ends have the same, the kernel takes the cable for a common network card
            # and tells changes of its carrier up to a second late.
            *("ip", "-n", names["left"], "link", "add", "eth0", "index", "11", "type", "veth"),
            *("peer", "name", "eth0", "index", "12", "netns", names["right"]),
        )
        for number, name in enumerate(names.values(), start=1):
            _run("ip", "-n", name, "addr", "add", f"10.77.0.{number}/24", "dev", "eth0")
            _run("ip", "-n", name, "addr", "add", f"fd77::{number}/64", "dev", "eth0", "nodad")
            _run("ip", "-n", name, "link", "set", "lo", "up")
            _run("ip", "-n", name, "link", "set", "eth0", "up")
        for name in names.values():
            _carries(name)
        yield names
    finally:
        for name in names.values():
            subprocess.run(["ip", "netns", "del", name], check=False, capture_output=True)


@pytest.fixture
def inside(namespaces: dict[str, str]) -> Callable[[str], AbstractContextManager[None]]:
    """`with inside("left"):` what the block makes belongs to that namespace."""
    return lambda side: _inside(namespaces[side])


@pytest.fixture
def ip(namespaces: dict[str, str]) -> Callable[..., None]:
    """`ip("left", "link", "set", ...)`: the ip command in one of the namespaces."""

    def run(side: str, *arguments: str) -> None:
        _run("ip", "-n", namespaces[side], *arguments)
        if arguments[0] == "link" and arguments[-1] == "up":
            _carries(namespaces[side])

    return run


@pytest.fixture
def nft(namespaces: dict[str, str]) -> Callable[[str, str], None]:
    """`nft("left", "add table ...")`: an nftables command in one of the namespaces."""

    def run(side: str, command: str) -> None:
        _run("ip", "netns", "exec", namespaces[side], "nft", command)

    return run


@pytest.fixture
def unprivileged() -> Callable[[], AbstractContextManager[None]]:
    """`with unprivileged():` the block runs without root's rights and capabilities."""

    @contextmanager
    def without() -> Generator[None]:
        os.seteuid(65534)
        try:
            yield
        finally:
            os.seteuid(0)

    return without
