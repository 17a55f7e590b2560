"""The check `link: IFNAME`, with cables that a test pulls."""

from __future__ import annotations

from typing import Protocol

import pytest
import trio
from pydantic import ValidationError
from trio.testing import MockClock

from vrrpd.checks.base import Host, Result, Status, Timing, run_check
from vrrpd.checks.link import OPTIONS, LinkCheck, LinkOptions
from vrrpd.proto.timers import MS, SECOND

# An interval that no test lives to see: whatever is noticed is noticed by the event.
RARELY = Timing(interval=1000 * SECOND, timeout=SECOND, rise=1, fall=3, start_up=False)

UP = "eth0 is up"
LOST = "eth0 has no carrier"


class Cables(Protocol):
    def set(self, interface: str, trouble: str | None) -> None: ...


async def story(
    host: Host, cables: Cables, *events: tuple[float, str | None], until: float, timing: Timing = RARELY, **delays: str
) -> list[tuple[float, bool, str]]:
    """What a check reports, as (time, up, detail), while the trouble of eth0 changes at these times."""
    seen: list[tuple[float, bool, str]] = []

    def report(status: Status) -> None:
        seen.append((round(trio.current_time(), 3), status.up, status.detail))

    check = LinkCheck(OPTIONS.validate_python({"interface": "eth0", **delays}), host)
    with trio.move_on_after(until):
        async with trio.open_nursery() as nursery:

            async def play() -> None:
                for at, trouble in events:
                    await trio.sleep_until(at)
                    cables.set("eth0", trouble)

            nursery.start_soon(play)
            await run_check("cable", check, timing, report, wall=trio.current_time)
    return seen[1:]


async def test_a_pulled_cable_is_seen_at_once_and_beyond_doubt(
    autojump_clock: MockClock, host: Host, cables: Cables
) -> None:
    seen = await story(host, cables, (2, "has no carrier"), until=3)
    assert seen == [(0.0, True, UP), (2.0, False, LOST)]


async def test_a_cable_that_is_back_is_seen_at_once(autojump_clock: MockClock, host: Host, cables: Cables) -> None:
    seen = await story(host, cables, (2, "has no carrier"), (4, None), until=5)
    assert seen[-1] == (4.0, True, UP)


@pytest.mark.parametrize("trouble", ["does not exist", "is down", "has no carrier"])
async def test_what_is_wrong_is_said(autojump_clock: MockClock, host: Host, cables: Cables, trouble: str) -> None:
    cables.set("eth0", trouble)
    assert await story(host, cables, until=1) == [(0.0, False, f"eth0 {trouble}")]


async def test_events_of_other_interfaces_change_nothing(autojump_clock: MockClock, host: Host, cables: Cables) -> None:
    async with trio.open_nursery() as nursery:

        async def other() -> None:
            await trio.sleep(1)
            cables.set("eth1", "is down")

        nursery.start_soon(other)
        assert await story(host, cables, until=2) == [(0.0, True, UP)]


class TestDownDelay:
    async def test_forgives_a_cable_that_is_back_in_time(
        self, autojump_clock: MockClock, host: Host, cables: Cables
    ) -> None:
        seen = await story(host, cables, (1, "has no carrier"), (2.9, None), until=10, down_delay="2s")
        assert seen == [(0.0, True, UP)]

    async def test_begins_anew_with_each_loss(self, autojump_clock: MockClock, host: Host, cables: Cables) -> None:
        flaps = ((1.0, "has no carrier"), (2.5, None), (2.6, "has no carrier"))
        seen = await story(host, cables, *flaps, until=10, down_delay="2s")
        assert seen == [(0.0, True, UP), (4.6, False, LOST)]

    async def test_is_not_begun_anew_by_other_events(
        self, autojump_clock: MockClock, host: Host, cables: Cables
    ) -> None:
        troubles = ((1.0, "has no carrier"), (2.5, "is down"))
        seen = await story(host, cables, *troubles, until=10, down_delay="2s")
        assert seen == [(0.0, True, UP), (3.0, False, "eth0 is down")]

    async def test_does_not_let_a_dead_link_come_up(
        self, autojump_clock: MockClock, host: Host, cables: Cables
    ) -> None:
        rising = Timing(interval=100 * MS, timeout=SECOND, rise=3, fall=1, start_up=False)
        seen = await story(host, cables, (0.15, "has no carrier"), until=9, down_delay="2s", timing=rising)
        assert [up for _, up, _ in seen] == [False, False]


class TestUpDelay:
    async def test_waits_for_a_cable_that_came_back(
        self, autojump_clock: MockClock, host: Host, cables: Cables
    ) -> None:
        seen = await story(host, cables, (1, "has no carrier"), (2, None), until=60, up_delay="30s")
        assert seen == [
            (0.0, True, UP),
            (1.0, False, LOST),
            (2.0, False, "eth0 is up again, but not for 30s yet"),
            (32.0, True, UP),
        ]

    async def test_begins_anew_with_each_return(self, autojump_clock: MockClock, host: Host, cables: Cables) -> None:
        flaps = ((1, "has no carrier"), (2, None), (20, "has no carrier"), (21, None))
        seen = await story(host, cables, *flaps, until=60, up_delay="30s")
        assert seen[-1] == (51.0, True, UP)

    async def test_is_not_waited_for_at_the_start(self, autojump_clock: MockClock, host: Host, cables: Cables) -> None:
        assert await story(host, cables, until=1, up_delay="30s") == [(0.0, True, UP)]


async def test_a_lost_carrier_is_decisive(host: Host, cables: Cables) -> None:
    cables.set("eth0", "has no carrier")
    result = await LinkCheck(OPTIONS.validate_python("eth0"), host).probe()
    assert result == Result(ok=False, detail=LOST, decisive=True)


def test_a_bare_name_is_enough() -> None:
    assert OPTIONS.validate_python("eth1.7") == LinkOptions(interface="eth1.7")
    assert OPTIONS.validate_python({"interface": "eth1", "up_delay": "3s"}).up_delay == 3 * SECOND


@pytest.mark.parametrize(
    ("value", "complaint"),
    [
        ("a/b", "'a/b' is no name of an interface; write 1..15 characters without spaces, '/' and ':'"),
        ({"interface": "eth0", "up_delay": "2h"}, "2h is out of range; write 0s..1h"),
        ({"up_delay": "1s"}, "Field required"),
        (["eth0"], "Input should be a valid dictionary or instance of LinkOptions"),
    ],
)
def test_mistakes_are_said_in_plain_words(value: object, complaint: str) -> None:
    with pytest.raises(ValidationError) as raised:
        OPTIONS.validate_python(value)
    (error,) = raised.value.errors()
    assert error["msg"] == complaint
