"""How late our own advertisements leave: measured, shown, and an alarm where that goes on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
import trio

from tests.runtime.agents import FILE, Agent, run_cluster
from tests.runtime.lan import Lan
from vrrpd.linux.letters import Letter
from vrrpd.linux.send_error import SendError
from vrrpd.proto.renewal import Heard
from vrrpd.proto.timers import MS, SECOND
from vrrpd.runtime.choir import Singer
from vrrpd.runtime.lateness import Lateness, Punctuality
from vrrpd.runtime.ports import Port, Sockets


def every(interval: str) -> str:
    """A file whose routers advertise so often."""
    return f"{FILE}defaults: {{advert_interval: {interval}}}\n"


def alarms(agent: Agent) -> dict[str, str]:
    """Those of the agent as a whole."""
    return {each["code"]: each["detail"] for each in agent.status()["alarms"]}


def buckets(agent: Agent) -> dict[Any, int]:
    """How many advertisements there are in each bucket that has any, by its upper end in milliseconds."""
    return {each["up_to_ms"]: each["adverts"] for each in agent.status()["lateness"]["buckets"] if each["adverts"]}


async def delay(agent: Agent, late_s: float, number: int) -> None:
    """Something keeps the agent from running when it is to advertise, and for so long."""
    for _ in range(number):
        due = agent.router().deadline
        assert due is not None
        until = trio.current_time() + (due - agent.runtime.now()) / SECOND
        await trio.sleep_until(until - 0.0001)
        agent.host.freeze()
        await trio.sleep_until(until + late_s)
        agent.host.thaw()
        await trio.sleep(0.0001)


async def test_who_is_in_time_is_never_late_also_where_the_timer_is_set_early(lan: Lan) -> None:
    lb1, lb2 = await run_cluster(lan)
    await trio.sleep(60)
    counters, lateness = lb1.shown()["counters"], lb1.status()["lateness"]
    assert lateness["adverts"] == counters["adverts_sent"] - 1, "the first of a reign is not regular"
    assert buckets(lb1) == {0.1: lateness["adverts"]}
    assert (lateness["p50_ms"], lateness["p99_ms"], lateness["max_ms"]) == (0, 0, 0)
    assert lb1.shown()["lateness"] == {"worst_ms": 0, "worst_share": 0, "late": 0}
    assert buckets(lb2) == {}
    assert lb2.status()["lateness"]["p99_ms"] is None, "a Backup says nothing"


async def test_what_the_system_call_takes_counts(lan: Lan, monkeypatch: pytest.MonkeyPatch) -> None:
    lb1, _ = await run_cluster(lan)
    member, time = lb1.router().members[0], 0
    member.punctuality.due = 0
    assert member.port is not None

    def send(_: Sequence[Letter]) -> list[tuple[Letter, SendError]]:
        nonlocal time
        time += 3 * MS
        return []

    monkeypatch.setattr(lb1.host.adverts[0], "send", send)
    (socket,), (strangers, farewells) = lb1.host.adverts, lb1.host.others
    sockets, lateness = Sockets(socket, strangers, farewells), Lateness(lambda: True)

    def together(_singers: Sequence[Singer], _chorus: Heard) -> None: ...

    at_port = member.port.family, member.port.link, sockets
    port = Port(*at_port, lambda: time, lb1.host.clock, lateness, together)
    port.post([], lambda _: None, member.punctuality, returned=False)
    port.flush()
    assert lateness.worst == 3 * MS - member.punctuality.due


async def test_a_late_one_is_in_its_bucket_and_the_worst_of_its_router(lan: Lan) -> None:
    lb1, _ = await run_cluster(lan, every("100ms"))
    await trio.sleep(50)
    await delay(lb1, 0.003, 6)
    found = lb1.status()["lateness"]
    assert buckets(lb1) == {0.1: found["adverts"] - 6, 5: 6}
    assert (found["p50_ms"], found["p99_ms"]) == (0.1, pytest.approx(3)), "no bucket's end that is beyond the greatest"
    assert found["max_ms"] == pytest.approx(3)
    assert lb1.shown()["lateness"] == {"worst_ms": pytest.approx(3), "worst_share": 0.03, "late": 0}


async def test_one_that_is_later_than_half_the_interval_is_measured_as_well(lan: Lan) -> None:
    lb1, _ = await run_cluster(lan, every("100ms"))
    await delay(lb1, 0.08, 1)
    await delay(lb1, 0.13, 1)
    assert buckets(lb1)[100] == buckets(lb1)[200] == 1
    assert lb1.shown()["lateness"] == {"worst_ms": pytest.approx(130), "worst_share": 1.3, "late": 2}


@pytest.mark.parametrize(
    ("interval", "late_s", "number", "raised"),
    [
        ("1s", 0.005, 60, False),
        ("1s", 0.15, 2, False),
        ("1s", 0.15, 3, True),
        ("100ms", 0.02, 5, False),
        ("100ms", 0.02, 6, True),
        ("10ms", 0.002, 59, False),
        ("10ms", 0.002, 60, True),
        ("10ms", 0.0009, 100, False),
    ],
)
async def test_an_alarm_where_it_goes_on_and_matters(
    lan: Lan, interval: str, late_s: float, number: int, *, raised: bool
) -> None:
    lb1, _ = await run_cluster(lan, every(interval))
    await delay(lb1, late_s, number)
    await trio.sleep(11)
    assert ("late_adverts" in alarms(lb1)) is raised
    assert lb1.alarms() == {}, "it is the agent's, and not each router's"


async def test_the_alarm_says_by_how_much_how_often_and_what_helps(lan: Lan) -> None:
    lb1, _ = await run_cluster(lan, every("100ms"))
    lb1.host.real_time = False
    await delay(lb1, 0.025, 30)
    await trio.sleep(10)
    assert alarms(lb1)["late_adverts"] == (
        "6 advertisements of web/ipv4 left late within 0.5 s: by more than a tenth of the interval of 100 ms, and by "
        "25.0 ms at worst; the agent waits for a processor: grant CAP_SYS_NICE or LimitRTPRIO=2, or set a longer "
        "advert_interval on all nodes"
    )


async def test_who_has_real_time_priority_is_not_told_to_take_it(lan: Lan) -> None:
    lb1, _ = await run_cluster(lan, every("100ms"))
    await delay(lb1, 0.025, 6)
    await trio.sleep(10)
    said = alarms(lb1)["late_adverts"]
    assert "it has real-time priority already" in said
    assert "CAP_SYS_NICE" not in said


async def test_the_alarm_is_logged_once_and_fades_a_minute_after_the_last_one(
    lan: Lan, caplog: pytest.LogCaptureFixture
) -> None:
    lb1, _ = await run_cluster(lan, every("100ms"))
    caplog.clear()
    await delay(lb1, 0.02, 700)
    assert "late_adverts" in alarms(lb1)
    await trio.sleep(59)
    assert "late_adverts" in alarms(lb1)
    await trio.sleep(12)
    assert alarms(lb1) == {}
    await trio.sleep(60)
    first, last = (record.getMessage() for record in caplog.records)
    assert first.startswith("alarm late_adverts: 6 advertisements of web/ipv4")
    assert last == "alarm late_adverts is over"


async def test_a_takeover_is_never_late(lan: Lan) -> None:
    lb1, lb2 = await run_cluster(lan, every("10ms"))
    lb1.kill()
    await delay(lb2, 0.004, 1)
    await trio.sleep(12)
    assert lb2.state == "active"
    assert lb2.status()["lateness"]["max_ms"] == 0


async def test_those_that_leave_together_need_not_have_been_due_together() -> None:
    lateness, those = Lateness(lambda: True), [Punctuality(f"r{n}/ipv4", SECOND, due=n * 4 * MS) for n in range(3)]
    lateness.left(those, 8 * MS)
    assert [each.worst for each in those] == [8 * MS, 4 * MS, 0]
    assert [bucket for bucket, count in enumerate(lateness.counts) if count] == [0, 5, 6]


async def test_many_routers_make_one_alarm_that_names_the_one_it_harms_most() -> None:
    lateness, those = Lateness(lambda: False), [Punctuality("slow/ipv4", SECOND), Punctuality("fast/ipv4", SECOND // 5)]
    for second in range(3):
        for each in those:
            each.due = second * SECOND
        lateness.left(those, second * SECOND + 150 * MS)
    lateness.look(3 * SECOND)
    (alarm,) = lateness.alarms
    assert alarm.detail.startswith("3 advertisements of fast/ipv4 (and 1 more) left late within 2.0 s")


async def test_late_ones_that_are_far_between_need_nobody() -> None:
    lateness, punctuality = Lateness(lambda: False), Punctuality("web/ipv4", SECOND)
    for second in range(0, 400, 40):
        punctuality.due = second * SECOND
        lateness.left([punctuality], punctuality.due + 150 * MS)
        lateness.look(punctuality.due + SECOND)
        assert list(lateness.alarms) == []
    assert punctuality.late == 10
