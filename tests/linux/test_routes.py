"""Routes of a real kernel: put, removed, found again, and never those of others."""

from __future__ import annotations

import errno
import socket
import subprocess
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from ipaddress import ip_address, ip_network
from types import SimpleNamespace
from typing import Any

import pytest
import trio

from vrrpd.linux.netlink import Netlink, NetlinkError
from vrrpd.linux.route import Route
from vrrpd.linux.worker import Worker
from vrrpd.runtime.host_routes import HostRoutes, remove_orphans
from vrrpd.runtime.links import Links

pytestmark = pytest.mark.netns

Inside = Callable[[str], AbstractContextManager[None]]
Ip = Callable[..., None]
Show = Callable[[], list[str]]

PLAIN = Route(ip_network("10.20.0.0/16"), ip_address("10.77.0.2"))
EVERY = [
    PLAIN,
    Route(ip_network("0.0.0.0/0"), ip_address("10.77.0.2"), "eth0", metric=50),
    Route(ip_network("10.30.0.0/24"), device="eth0", table=1234, source=ip_address("10.77.0.1")),
    Route(ip_network("10.31.0.0/24"), ip_address("192.0.2.1"), "eth0", onlink=True),
    Route(ip_network("fd20::/64"), ip_address("fd77::2")),
    Route(ip_network("::/0"), ip_address("fd77::2"), "eth0", metric=7, source=ip_address("fd77::1")),
    Route(ip_network("fd30::/64"), device="eth0", table=70000),
]


class Guardian:
    """What the guardian knows."""

    def __init__(self) -> None:
        self.acted = False
        self.removals: list[bytes] = []

    def route(self, removal: bytes) -> None:
        self.removals.append(removal)

    def route_gone(self, removal: bytes) -> None:
        self.removals.remove(removal)


@pytest.fixture
def netlink(inside: Inside) -> Iterator[Netlink]:
    with inside("left"):
        made = Netlink()
    with made:
        yield made


@pytest.fixture
def guardian() -> Guardian:
    return Guardian()


@pytest.fixture
def routes(netlink: Netlink, guardian: Guardian) -> HostRoutes:
    links = Links()
    links.replace(netlink.dump())
    worker = Worker()
    worker.start()
    kernel: Any = SimpleNamespace(commands=netlink, guardian=guardian, worker=worker)
    return HostRoutes(kernel, links, trio.lowlevel.checkpoint)


@pytest.fixture
def show(namespaces: dict[str, str]) -> Show:
    """The routes with our protocol, as ip-route(8) shows them."""

    def run() -> list[str]:
        command = ["ip", "-n", namespaces["left"], "route", "show", "table", "all", "proto", "86"]
        shown = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        return [line.strip() for line in shown.splitlines()]

    return run


@pytest.mark.parametrize("route", EVERY, ids=str)
async def test_a_route_is_put_seen_and_removed(routes: HostRoutes, show: Show, route: Route) -> None:
    assert not await routes.present(route)
    await routes.put(route)
    assert await routes.present(route)
    (line,) = show()
    assert line.startswith(str(route.destination) if route.destination.prefixlen else "default")
    assert ("onlink" in line, f"src {route.source}" in line) == (route.onlink, route.source is not None)
    await routes.put(route)  # once more changes nothing
    assert show() == [line]
    await routes.remove(route)
    assert not await routes.present(route)
    assert show() == []
    await routes.remove(route)  # nor does this


async def test_one_of_ours_in_the_place_makes_room(routes: HostRoutes, show: Show) -> None:
    await routes.put(PLAIN)
    other = Route(PLAIN.destination, ip_address("10.77.0.9"))
    await routes.put(other)
    assert [line.split()[2] for line in show()] == ["10.77.0.9"]
    assert await routes.present(other)
    assert not await routes.present(PLAIN)


async def test_a_removal_takes_no_route_of_another_metric(routes: HostRoutes, show: Show) -> None:
    other = Route(PLAIN.destination, PLAIN.via, metric=50)
    await routes.put(other)
    await routes.remove(PLAIN)
    assert await routes.present(other)
    await routes.put(PLAIN)
    assert await routes.present(other, PLAIN)
    await routes.remove(PLAIN)
    assert len(show()) == 1
    assert not await routes.present(other, PLAIN)


async def test_a_source_that_moves_with_the_role_is_waited_for(netlink: Netlink, guardian: Guardian, ip: Ip) -> None:
    links = Links()
    links.replace(netlink.dump())

    async def settled() -> None:
        await trio.lowlevel.checkpoint()
        ip("left", "address", "add", "10.77.0.100/32", "dev", "eth0")

    worker = Worker()
    worker.start()
    kernel: Any = SimpleNamespace(commands=netlink, guardian=guardian, worker=worker)
    routes = HostRoutes(kernel, links, settled)
    route = Route(PLAIN.destination, PLAIN.via, source=ip_address("10.77.0.100"))
    try:
        await routes.put(route)
        assert await routes.present(route)
    finally:
        ip("left", "address", "del", "10.77.0.100/32", "dev", "eth0")


async def test_a_route_of_somebody_else_is_never_touched(routes: HostRoutes, ip: Ip, show: Show) -> None:
    ip("left", "route", "add", "10.20.0.0/16", "via", "10.77.0.2", "proto", "static")
    with pytest.raises(NetlinkError, match="somebody else has put a route") as refused:
        await routes.put(PLAIN)
    assert refused.value.errno == errno.EEXIST
    assert not await routes.present(PLAIN)
    await routes.remove(PLAIN)
    ip("left", "route", "del", "10.20.0.0/16", "proto", "static")  # it is there still
    await routes.put(PLAIN)
    assert show()


@pytest.mark.parametrize(
    ("route", "text"),
    [
        (Route(ip_network("10.20.0.0/16"), ip_address("192.0.2.1")), "the gateway is in no network of this host"),
        (Route(ip_network("10.20.0.0/16"), device="nosuch0"), "the interface does not exist"),
        (
            Route(ip_network("10.20.0.0/16"), ip_address("10.77.0.2"), source=ip_address("192.0.2.7")),
            "the source must be an address of this host",
        ),
    ],
)
async def test_what_the_kernel_refuses_is_told_with_the_mend(routes: HostRoutes, route: Route, text: str) -> None:
    with pytest.raises(NetlinkError, match=text):
        await routes.put(route)


async def test_a_route_goes_with_its_interface_and_can_be_put_back(routes: HostRoutes, ip: Ip) -> None:
    await routes.put(PLAIN)
    ip("left", "link", "set", "eth0", "down")
    assert not await routes.present(PLAIN)
    with pytest.raises(NetlinkError):
        await routes.put(PLAIN)
    ip("left", "link", "set", "eth0", "up")
    await routes.put(PLAIN)
    assert await routes.present(PLAIN)


async def test_what_a_dead_agent_left_is_removed_and_nothing_else(
    routes: HostRoutes,
    netlink: Netlink,
    ip: Ip,
    show: Show,
) -> None:
    for route in EVERY:
        await routes.put(route)
    ip("left", "route", "add", "10.99.0.0/16", "via", "10.77.0.2", "proto", "static")
    assert len(netlink.routes()) == len(EVERY)
    assert [code for _, code in remove_orphans(netlink)] == [0] * len(EVERY)
    assert show() == []
    ip("left", "route", "del", "10.99.0.0/16", "proto", "static")
    assert remove_orphans(netlink) == []


async def test_the_guardian_can_remove_what_it_was_told(
    routes: HostRoutes,
    guardian: Guardian,
    inside: Inside,
    ip: Ip,
    show: Show,
) -> None:
    await routes.put(EVERY[1])
    await routes.put(EVERY[4])
    ip("left", "route", "add", "default", "via", "10.77.0.2", "metric", "51", "proto", "static")
    with inside("left"), socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE) as its:
        for each in guardian.removals:
            its.send(each)
    assert show() == []
    ip("left", "route", "del", "default", "proto", "static")
    assert routes.busy
    await routes.remove(EVERY[1])
    await routes.remove(EVERY[4])
    assert guardian.removals == []
    assert not routes.busy


async def test_what_a_frozen_agent_had_to_add_is_not_added(routes: HostRoutes, guardian: Guardian, show: Show) -> None:
    guardian.acted = True
    with pytest.raises(NetlinkError, match="not awake"):
        await routes.put(PLAIN)
    assert show() == []
