"""The status object: its keys are a contract."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

import trio

from tests.runtime.agents import CHECKED, FILE, run_cluster
from tests.runtime.lan import Lan

TOP = {
    "node": str, "version": str, "generated_at": str, "uptime_s": float, "routers": list, "alarms": list,
    "lateness": dict,
}  # fmt: skip
ROUTER = {
    "name": str, "vrid": int, "family": str, "interface": str, "state": str, "priority": int,
    "effective_priority": int, "active_address": str, "since": str, "reason": str, "drained": bool, "addresses": list,
    "held_down_until": type(None), "drained_until": type(None),
    "checks": list, "movers": list, "peers": list, "alarms": list, "counters": dict,
    "lateness": dict,
}  # fmt: skip
LATENESS = {"adverts": int, "p50_ms": float, "p99_ms": float, "max_ms": float, "buckets": list}
COUNTERS = {"adverts_sent": int, "adverts_received": int, "dropped": dict, "transitions": int}


def kinds_of(value: dict[str, Any]) -> dict[str, type]:
    return {key: type(each) for key, each in value.items()}


async def test_the_keys_and_types_are_those_of_the_contract(lan: Lan) -> None:
    lb1, _ = await run_cluster(lan, FILE + CHECKED)
    lb1.check(up=True)
    await trio.sleep(5)
    status = lb1.status()
    assert kinds_of(status) == TOP
    router = status["routers"][0]
    assert kinds_of(router) == ROUTER
    assert COUNTERS.items() <= kinds_of(router["counters"]).items()
    assert router["addresses"] == [{"address": "10.0.0.100/24", "device": "eth0", "held": True}]
    assert router["checks"] == [
        {"name": "proxy", "state": "up", "since": "2001-09-09T01:46:40.000Z", "detail": "connected"}
    ]
    assert kinds_of(status["lateness"]) == LATENESS
    assert [each["up_to_ms"] for each in status["lateness"]["buckets"]] == [
        *(0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500), None,
    ]  # fmt: skip
    assert kinds_of(router["lateness"]) == {"worst_ms": float, "worst_share": float, "late": int}
    assert router["drained"] is False
    assert status["node"] == "lb1"
    assert json.loads(json.dumps(status)) == status


async def test_a_silent_backup_is_unknown_and_not_guessed(lan: Lan) -> None:
    lb1, lb2 = await run_cluster(lan)
    peers = lb1.shown()["peers"]
    assert [(p["address"], p["node"], p["last_advert_s"]) for p in peers] == [
        ("10.0.0.12", "lb2", None),
        ("10.0.0.13", "lb3", None),
    ]
    await trio.sleep(0.25)
    heard = next(p["last_advert_s"] for p in lb2.shown()["peers"] if p["address"] == "10.0.0.11")
    assert 0 < heard < 1


async def test_since_is_the_wall_clock_time_of_the_last_change_of_role(lan: Lan) -> None:
    lb1, _ = await run_cluster(lan)
    took = next(e.at for e in lan.story if e.what.startswith("says")) / 1000
    status = lb1.status()
    generated, since = (
        datetime.fromisoformat(text) for text in (status["generated_at"], status["routers"][0]["since"])
    )
    assert abs((generated - since).total_seconds() - (trio.current_time() - took)) < 0.01


async def test_the_counters_count(lan: Lan) -> None:
    lb1, lb2 = await run_cluster(lan)
    await lb1.stop()
    await trio.sleep(1)
    counters = lb2.shown()["counters"]
    assert counters["zeros_received"] == 4
    assert counters["stray_zero"] == 0
    assert counters["transitions"] == 2
    assert counters["dropped"] == {}
    assert counters["checksums"] == {"rfc5798": counters["adverts_received"]}


async def test_an_active_names_itself_and_a_fault_names_nobody(lan: Lan) -> None:
    lb1, _ = await run_cluster(lan)
    assert lb1.shown()["active_address"] == "10.0.0.11"
    assert lb1.shown()["reason"] == "no Active was heard"
    lb1.host.change("eth0", up=False)
    await trio.sleep(0.1)
    shown = lb1.shown()
    assert (shown["state"], shown["active_address"], shown["interface"]) == ("fault", None, "eth0")
    assert shown["reason"] == "interface eth0 is down"
    assert shown["addresses"][0]["held"] is False
