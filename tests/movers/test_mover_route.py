"""The mover `route`, over a table of routes in memory; tests/linux has the same with a real kernel."""

from __future__ import annotations

import errno
from ipaddress import ip_address, ip_network

import pytest
from pydantic import ValidationError

from tests.movers.bare import bare_host
from vrrpd.linux.netlink import route_error
from vrrpd.linux.route import Route
from vrrpd.movers import route as route_
from vrrpd.movers.base import (
    ForbiddenError,
    Holder,
    Interface,
    MoverError,
    Serving,
    UnavailableError,
    Who,
)
from vrrpd.movers.route import OPTIONS, RouteMover

ME = Holder(Who.ME)


class Table:
    """The routes of a host.

    Attributes:
        there: what was put.
        refusal: errno with which the kernel refuses everything.
    """

    def __init__(self) -> None:
        self.there: list[Route] = []
        self.refusal = 0

    async def put(self, route: Route) -> None:
        self._judge()
        self.there.append(route)

    async def remove(self, route: Route) -> None:
        self._judge()
        if route in self.there:
            self.there.remove(route)

    async def present(self, *routes: Route) -> bool:
        self._judge()
        return all(route in self.there for route in routes)

    def _judge(self) -> None:
        if self.refusal:
            raise route_error(self.refusal)


@pytest.fixture
def table() -> Table:
    return Table()


def mover_of(table: Table, options: object, interface: str | None = "eth0") -> RouteMover:
    card = Interface(interface, 2, "02:00:00:00:00:01") if interface else None
    return RouteMover(OPTIONS.validate_python(options), bare_host(interface=lambda: card, routes=table))


TWO = {"destination": ["10.20.0.0/16", "default"], "via": "10.0.0.1", "metric": "50", "source": "10.0.0.100"}


async def test_the_routes_are_there_while_the_role_is(table: Table) -> None:
    mover = mover_of(table, TWO)
    await mover.prepare()
    assert table.there == []
    assert (await mover.holder()).who is Who.NOBODY
    await mover.acquire(None)
    gateway, source = ip_address("10.0.0.1"), ip_address("10.0.0.100")
    assert table.there == [
        Route(ip_network("10.20.0.0/16"), gateway, metric=50, source=source),
        Route(ip_network("0.0.0.0/0"), gateway, metric=50, source=source),
    ]
    assert (await mover.holder()).who is Who.ME
    assert await mover.local_verify()
    await mover.aclose()
    assert table.there
    await mover.release(ME)
    assert table.there == []
    await mover.release(ME)


async def test_a_route_that_is_lost_is_missed_and_put_back(table: Table) -> None:
    mover = mover_of(table, TWO)
    await mover.acquire(None)
    lost = table.there.pop()
    assert not await mover.local_verify()
    assert (await mover.holder()).who is Who.NOBODY
    await mover.acquire(None)
    assert lost in table.there


async def test_what_was_put_in_part_is_taken_away_whole(table: Table) -> None:
    mover = mover_of(table, TWO)
    put = table.put

    async def second_fails(route: Route) -> None:
        if table.there:
            raise route_error(errno.ENETUNREACH)
        await put(route)

    table.put = second_fails
    with pytest.raises(UnavailableError, match=r"^default via 10.0.0.1 metric 50: the gateway is in no network"):
        await mover.acquire(None)
    assert table.there
    await mover.release(ME)
    assert table.there == []


async def test_without_a_device_and_a_gateway_it_is_on_the_link_of_the_router(table: Table) -> None:
    await mover_of(table, "10.20.0.0/16").acquire(None)
    assert table.there == [Route(ip_network("10.20.0.0/16"), device="eth0")]
    mover = mover_of(table, "10.20.0.0/16", interface=None)
    with pytest.raises(UnavailableError, match="the interface of the router is not there"):
        await mover.prepare()


@pytest.mark.parametrize(
    ("refusal", "kind"),
    [
        (errno.EPERM, ForbiddenError),
        (errno.EEXIST, ForbiddenError),
        (errno.ENETUNREACH, UnavailableError),
        (errno.ENODEV, UnavailableError),
        (errno.EINVAL, UnavailableError),
    ],
)
async def test_a_refusal_says_whether_it_may_pass(table: Table, refusal: int, kind: type[MoverError]) -> None:
    table.refusal = refusal
    mover = mover_of(table, TWO)
    with pytest.raises(kind, match=r"^10.20.0.0/16 via 10.0.0.1 metric 50: .+"):
        await mover.acquire(None)
    with pytest.raises(UnavailableError, match="cannot be read"):
        await mover.holder()


def test_the_family_of_default_is_that_of_the_gateway() -> None:
    assert OPTIONS.validate_python("default").networks == (ip_network("0.0.0.0/0"),)
    six = OPTIONS.validate_python({"destination": "default", "via": "fe80::1", "device": "eth0"})
    assert six.networks == (ip_network("::/0"),)


def test_two_movers_of_one_route_are_known_by_what_they_move() -> None:
    kind = route_.KINDS["route"]
    options = OPTIONS.validate_python({"destination": ["default", "10.20.0.0/16"], "table": "100", "metric": "5"})
    assert kind.things(options) == ["default table 100 metric 5", "10.20.0.0/16 table 100 metric 5"]


def test_it_has_no_work_beside_what_it_is_asked_for(table: Table) -> None:
    assert not isinstance(mover_of(table, TWO), Serving)


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ("10.20.0.1/16", "'10.20.0.1/16' is an address in a network; write '10.20.0.0/16'"),
        ("somewhere", "'somewhere' is no network; write one such as 10.20.0.0/16, fd00:2::/64 or default"),
        ({"destination": [["x"]]}, "this list is no network; write one such as"),
        ({"destination": []}, "the list of destinations is empty; write at least one network"),
        ({"destination": "default", "via": "gw"}, "'gw' is no IP address; write the gateway, such as 10.0.0.1"),
        ({"destination": "10.0.0.0/8", "via": "fd00::1"}, "IPv4 and IPv6 do not mix in one route; write a route for"),
        ({"destination": "default", "via": "10.0.0.1", "onlink": "true"}, "'onlink' says where a gateway is; write"),
        ({"destination": "default", "via": "fe80::1"}, "'fe80::1' is on every link; write 'device' with it"),
        ({"destination": "default", "via": "fe80::1%eth0"}, "'fe80::1%eth0' names an interface; write the address"),
        ({"destination": "default", "table": "0"}, "0 is out of range; write 1..4294967295"),
        ({"destination": "default", "release": "on_stop"}, "'release' is of no use here; leave it out"),
    ],
)
def test_mistakes_are_said_in_plain_words(options: object, complaint: str) -> None:
    with pytest.raises(ValidationError) as raised:
        OPTIONS.validate_python(options)
    assert raised.value.errors()[0]["msg"].startswith(complaint)
