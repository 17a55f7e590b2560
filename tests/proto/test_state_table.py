"""The state machine as a table: every state meets every event, with the exact effects in order and the next state.

The router has priority 240 and an interval of 1 s, so its Skew_Time is 62.5 ms and its Active_Down_Interval 3062.5 ms.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import get_args

import pytest

from tests.proto.builders import (
    DEFAULT,
    DRAINED,
    FAILED,
    FORCED,
    HEALTHY,
    HIGHER,
    LOWER,
    ME,
    V2,
    advert,
    heard,
    ms,
    router_in,
)
from vrrpd.proto.effects import Acquire, Announce, Effect, Release, Role, SendAdvert, Transition
from vrrpd.proto.events import (
    ActiveLeft,
    Adjust,
    Drain,
    Event,
    Leave,
    NetworkHeard,
    Overslept,
    Received,
    Shutdown,
    Startup,
    Stay,
    Tick,
    Unproven,
    Yield,
)
from vrrpd.proto.packet import Dialect
from vrrpd.proto.settings import OWNER, OnAllFailed, Settings
from vrrpd.proto.states import Active, Backup, Initialize, Leaving, State
from vrrpd.proto.timers import SECOND

NOW = 10 * SECOND
SKEW = ms(62.5)
DOWN = ms(3062.5)
ANSWER = ms(1050)
LAST_RESORT = ms(992.1875)
"""Skew_Time of priority 2: before any node that is unhealthy, too, and has priority 1."""

OWNED = replace(DEFAULT, priority=OWNER)
DARK = replace(DEFAULT, on_all_failed=OnAllFailed.RELEASE)
DEAF = replace(DEFAULT, hear_first=30 * SECOND)
MEEK = replace(DEFAULT, preempt=False)
TOP = replace(DEFAULT, highest_other=200)
SLOW = replace(DEFAULT, interval=20 * SECOND)

WATCHING = Backup(NOW + ms(900), SECOND, HIGHER)
DUE = Backup(NOW, SECOND, HIGHER)
UNTAUGHT = Backup(NOW + ms(900), SECOND, hear_until=NOW + 5 * SECOND)
SERVING = Active(advert_at=NOW + ms(400), since=0)
FRESH = Active(advert_at=NOW + ms(400), since=NOW - ms(5))
ASKING = Leaving(NOW + ms(500), stop=False, repeats=(NOW + ms(1), NOW + ms(10)))
STOPPING = replace(ASKING, stop=True)
NEXT = Backup(NOW + ms(2900), SECOND, HIGHER)
HANDING = Leaving(NOW + ms(150), stop=False, successor=NEXT)

GONE = Shutdown("interface lost")
AWAY = Overslept("the agent slept for 30.0 s")
LEAVE = Leave("agent stops")
ADVERT = SendAdvert(240)
ZERO = SendAdvert(0)
ORDERED = Yield(linger=True, outranked=True, reason="beaten")
CONTESTED = replace(ORDERED, linger=False)
FORGED, SKEWED = Unproven(HIGHER, 250, authentic=False), Unproven(HIGHER, 250, authentic=True)
FOLLOWED = replace(ORDERED, outranked=False)
REPEATS = (NOW + ms(1), NOW + ms(10), NOW + ms(20))


def up(reason: str, previous: Role = Role.BACKUP) -> Transition:
    return Transition(previous, Role.ACTIVE, reason)


def still(reason: str) -> Transition:
    return Transition(Role.ACTIVE, Role.ACTIVE, f"handing over: {reason}")


def down(reason: str, role: Role = Role.BACKUP) -> Transition:
    return Transition(Role.ACTIVE, role, reason)


def behind(source: object = HIGHER, interval: int = SECOND) -> Backup:
    skew = 16 * interval // 256
    return Backup(NOW + 3 * interval + skew, interval, HIGHER if source is HIGHER else LOWER)


@dataclass(frozen=True)
class Row:
    """One cell of the table."""

    state: State
    event: Event
    effects: tuple[Effect, ...]
    after: State
    settings: Settings = DEFAULT
    healthy: bool = True
    drain: Drain = Drain.NO

    def __str__(self) -> str:
        return f"{type(self.state).__name__}-{type(self.event).__name__}"


def same(state: State, *events: Event) -> list[Row]:
    """Events that mean nothing in this state."""
    return [Row(state, event, (), state) for event in events]


INITIALIZE = [
    Row(Initialize(), Startup(ME), (Transition(Role.INITIALIZE, Role.BACKUP, "started"),), Backup(NOW + DOWN, SECOND)),
    Row(
        Initialize(),
        Startup(ME),
        (Transition(Role.INITIALIZE, Role.BACKUP, "started"),),
        Backup(NOW + DOWN, SECOND, hear_until=NOW + 30 * SECOND),
        DEAF,
    ),
    Row(
        Initialize(),
        Startup(ME),
        (SendAdvert(255), Acquire(), Announce(), up("address owner", Role.INITIALIZE)),
        Active(NOW + SECOND, NOW),
        OWNED,
    ),
    Row(Initialize(), Startup(ME), (), Initialize(), DARK, healthy=False),
    Row(
        Initialize(),
        HEALTHY,
        (Transition(Role.INITIALIZE, Role.BACKUP, "started"),),
        Backup(NOW + DOWN, SECOND),
        DARK,
        healthy=False,
    ),
    *same(
        Initialize(),
        GONE,
        LEAVE,
        AWAY,
        Tick(),
        heard(250),
        heard(0),
        NetworkHeard(),
        ActiveLeft(),
        Stay(),
        ORDERED,
        CONTESTED,
    ),
    *same(Initialize(), FORGED, SKEWED),
    Row(Initialize(), FAILED, (), Initialize(), DARK),
    Row(Initialize(), Startup(ME), (), Initialize(), drain=Drain.ASK),
    Row(
        Initialize(),
        HEALTHY,
        (Transition(Role.INITIALIZE, Role.BACKUP, "started"),),
        Backup(NOW + DOWN, SECOND),
        drain=Drain.FORCE,
    ),
]

BACKUP = [
    Row(WATCHING, AWAY, (Transition(Role.BACKUP, Role.BACKUP, AWAY.reason),), Backup(NOW + DOWN, SECOND)),
    Row(
        replace(WATCHING, interval=2 * SECOND),
        AWAY,
        (Transition(Role.BACKUP, Role.BACKUP, AWAY.reason),),
        Backup(NOW + 2 * DOWN, 2 * SECOND, hear_until=NOW + 30 * SECOND),
        DEAF,
    ),
    *same(WATCHING, Startup(ME), Tick(), NetworkHeard(), Stay(), ORDERED, CONTESTED, HEALTHY),
    Row(WATCHING, GONE, (Transition(Role.BACKUP, Role.INITIALIZE, "interface lost"),), Initialize()),
    Row(WATCHING, LEAVE, (Transition(Role.BACKUP, Role.INITIALIZE, "agent stops"),), Initialize()),
    Row(DUE, Tick(), (ADVERT, Acquire(), Announce(), up("10.0.0.13 fell silent or left")), Active(NOW + SECOND, NOW)),
    Row(
        replace(DUE, active=None),
        Tick(),
        (ADVERT, Acquire(), Announce(), up("no Active was heard")),
        Active(NOW + SECOND, NOW),
    ),
    Row(
        replace(DUE, active=LOWER, outranked=230),
        Tick(),
        (ADVERT, Acquire(), Announce(), up("10.0.0.11 advertises priority 230, ours is 240")),
        Active(NOW + SECOND, NOW),
    ),
    *same(replace(DUE, hear_until=NOW + 1), Tick()),
    # who comes late listens once more, as long as it was late
    Row(DUE, Tick(late=ms(300)), (), replace(DUE, down_at=NOW + ms(300), final=True)),
    Row(DUE, Tick(late=5 * SECOND), (), replace(DUE, down_at=NOW + SECOND, final=True)),
    *same(WATCHING, Tick(late=ms(300))),
    Row(
        replace(DUE, final=True),
        Tick(late=ms(300)),
        (ADVERT, Acquire(), Announce(), up("10.0.0.13 fell silent or left")),
        Active(NOW + SECOND, NOW),
    ),
    Row(UNTAUGHT, NetworkHeard(), (), replace(UNTAUGHT, hear_until=None)),
    Row(replace(UNTAUGHT, down_at=NOW), NetworkHeard(), (), Backup(NOW, SECOND, final=True)),
    Row(UNTAUGHT, heard(250), (), behind()),
    Row(UNTAUGHT, heard(230), (), replace(UNTAUGHT, active=HIGHER, hear_until=None, outranked=230, final=True)),
    Row(UNTAUGHT, heard(0), (), Backup(NOW + SKEW, SECOND, final=True)),
    Row(WATCHING, heard(250), (), behind()),
    Row(WATCHING, heard(240, LOWER), (), behind(LOWER)),
    Row(WATCHING, heard(250, interval=2 * SECOND), (), behind(interval=2 * SECOND)),
    Row(WATCHING, heard(250, interval=40 * SECOND), (), behind(interval=10 * SECOND)),
    Row(WATCHING, heard(250, interval=2 * SECOND, settings=V2), (), behind(), V2),
    Row(WATCHING, heard(230), (), replace(WATCHING, outranked=230, final=True)),
    Row(WATCHING, heard(230), (), behind(), MEEK),
    Row(WATCHING, heard(1), (), replace(WATCHING, outranked=1, final=True), MEEK),
    Row(WATCHING, heard(0), (), replace(WATCHING, down_at=NOW + SKEW, final=True)),
    Row(replace(WATCHING, down_at=NOW + 5), heard(0), (), replace(WATCHING, down_at=NOW + 5, final=True)),
    Row(WATCHING, heard(0, LOWER), (), WATCHING),
    # nobody was believed since the start
    Row(WATCHING, FORGED, (), replace(WATCHING, down_at=NOW + 2 * DOWN, unproven=HIGHER)),
    Row(WATCHING, SKEWED, (), replace(WATCHING, down_at=NOW + 2 * DOWN, unproven=HIGHER)),
    Row(WATCHING, ActiveLeft(), (), replace(WATCHING, down_at=NOW + SKEW, final=True)),
    # an unhealthy node waits the skew of priority 1, 255/256 s, which is 933.59 ms longer
    Row(WATCHING, FAILED, (), replace(WATCHING, down_at=NOW + ms(900) + ms(933.59375))),
    Row(WATCHING, HEALTHY, (), replace(WATCHING, down_at=NOW + ms(900) - ms(933.59375)), healthy=False),
    Row(WATCHING, FAILED, (Transition(Role.BACKUP, Role.INITIALIZE, "haproxy failed"),), Initialize(), DARK),
    Row(WATCHING, DRAINED, (), WATCHING),  # not before it is heard that somebody serves
    Row(WATCHING, FORCED, (Transition(Role.BACKUP, Role.INITIALIZE, "drained"),), Initialize()),
    Row(WATCHING, heard(200), (Transition(Role.BACKUP, Role.INITIALIZE, "drained"),), Initialize(), drain=Drain.ASK),
    Row(WATCHING, heard(1), (), replace(WATCHING, outranked=1, final=True), drain=Drain.ASK),
    Row(
        WATCHING,
        heard(1),
        (Transition(Role.BACKUP, Role.INITIALIZE, "drained"),),
        Initialize(),
        healthy=False,
        drain=Drain.ASK,
    ),
]

ACTIVE = [
    Row(SERVING, AWAY, (Release(), down(AWAY.reason)), Backup(NOW + DOWN, SECOND)),
    Row(SERVING, AWAY, (Release(), down(AWAY.reason)), Backup(NOW + DOWN, SECOND, hear_until=NOW + 30 * SECOND), DEAF),
    *same(SERVING, FORGED, SKEWED),
    *same(SERVING, Startup(ME), Tick(), NetworkHeard(), Stay(), ActiveLeft(), HEALTHY, heard(250, ME)),
    Row(SERVING, GONE, (ZERO, Release(), down("interface lost", Role.INITIALIZE)), Initialize()),
    Row(SERVING, LEAVE, (ZERO, still("agent stops")), Leaving(NOW + ANSWER, stop=True, repeats=REPEATS)),
    Row(
        replace(SERVING, advert_at=NOW + SECOND),
        LEAVE,
        (ZERO, still("agent stops")),
        Leaving(NOW + 5 * SECOND, stop=True, repeats=REPEATS),
        SLOW,
    ),
    Row(replace(SERVING, advert_at=NOW), Tick(), (ADVERT,), replace(SERVING, advert_at=NOW + SECOND)),
    Row(replace(SERVING, advert_at=NOW - 3), Tick(), (ADVERT,), replace(SERVING, advert_at=NOW - 3 + SECOND)),
    Row(replace(SERVING, advert_at=NOW - SECOND), Tick(), (ADVERT,), replace(SERVING, advert_at=NOW + SECOND)),
    Row(SERVING, heard(0), (ADVERT,), replace(SERVING, advert_at=NOW + SECOND)),
    Row(
        SERVING,
        heard(250),
        (ADVERT, still("10.0.0.13 advertises priority 250, ours is 240")),
        Leaving(NOW + ms(200), stop=False, successor=behind()),
    ),
    Row(
        FRESH,
        heard(250),
        (Release(), ADVERT, down("10.0.0.13 advertises priority 250, ours is 240")),
        behind(),
    ),
    Row(
        FRESH,
        heard(240, HIGHER),
        (Release(), ADVERT, down("10.0.0.13 advertises priority 240, ours is 240")),
        behind(),
    ),
    Row(FRESH, heard(240, LOWER), (ADVERT, Announce()), replace(FRESH, replied_at=NOW)),
    Row(
        FRESH,
        replace(heard(240, HIGHER), tie_elsewhere=True),
        (ADVERT, Announce()),
        replace(FRESH, replied_at=NOW),
    ),
    Row(SERVING, heard(230), (ADVERT, Announce()), replace(SERVING, replied_at=NOW)),
    Row(
        replace(SERVING, replied_at=NOW - ms(249)),
        heard(230),
        (Announce(),),
        replace(SERVING, replied_at=NOW - ms(249)),
    ),
    Row(
        replace(SERVING, replied_at=NOW - ms(250)),
        heard(230),
        (ADVERT, Announce()),
        replace(SERVING, replied_at=NOW),
    ),
    Row(
        SERVING,
        ORDERED,
        (ADVERT, still("beaten")),
        Leaving(NOW + ms(200), stop=False, successor=Backup(NOW + DOWN, SECOND)),
    ),
    Row(
        SERVING, FOLLOWED, (still("beaten"),), Leaving(NOW + ms(200), stop=False, successor=Backup(NOW + DOWN, SECOND))
    ),
    Row(SERVING, CONTESTED, (Release(), ADVERT, down("beaten")), Backup(NOW + DOWN, SECOND)),
    Row(SERVING, DRAINED, (ZERO, still("drained")), Leaving(NOW + ANSWER, stop=False, repeats=REPEATS)),
    Row(SERVING, FORCED, (ZERO, still("drained")), Leaving(NOW + ANSWER, stop=False, repeats=REPEATS)),
    Row(SERVING, FAILED, (ZERO, still("haproxy failed")), Leaving(NOW + LAST_RESORT, stop=False, repeats=REPEATS)),
    Row(SERVING, FAILED, (ZERO, still("haproxy failed")), Leaving(NOW + ANSWER, stop=False, repeats=REPEATS), DARK),
    Row(SERVING, FAILED, (ZERO, still("haproxy failed")), Leaving(NOW + LAST_RESORT, stop=False, repeats=REPEATS), TOP),
    Row(  # an election with ourselves in it: Skew_Time of 128 is 500 ms
        SERVING,
        Adjust(128, healthy=True, reason="weight"),
        (ZERO, still("weight")),
        Leaving(NOW + ms(500), stop=False, repeats=REPEATS),
    ),
    Row(  # at 10 ms it lasts 5 ms, which leaves time for one repeat
        SERVING,
        Adjust(128, healthy=True, reason="weight"),
        (ZERO, still("weight")),
        Leaving(NOW + ms(5), stop=False, repeats=REPEATS[:1]),
        replace(DEFAULT, interval=ms(10)),
    ),
    Row(SERVING, Adjust(201, healthy=True, reason="weight"), (), SERVING, TOP),
    Row(
        SERVING,
        Adjust(200, healthy=True, reason="weight"),
        (ZERO, still("weight")),
        Leaving(NOW + ms(218.75), stop=False, repeats=REPEATS),
        TOP,
    ),
    Row(SERVING, Adjust(254, healthy=True, reason="weight"), (), SERVING),
]

LEAVING = [
    Row(HANDING, AWAY, (Release(), down(AWAY.reason)), Backup(NOW + DOWN, SECOND)),
    Row(STOPPING, AWAY, (Release(), down(AWAY.reason, Role.INITIALIZE)), Initialize()),
    Row(ASKING, AWAY, (Release(), down(AWAY.reason, Role.INITIALIZE)), Initialize(), drain=Drain.FORCE),
    *same(ASKING, FORGED, SKEWED),
    *same(ASKING, Startup(ME), Tick(), NetworkHeard(), ActiveLeft(), FAILED, heard(0), heard(250, ME)),
    *same(HANDING, Startup(ME), Tick(), NetworkHeard(), ActiveLeft(), FAILED, ORDERED, heard(0, LOWER)),
    Row(ASKING, GONE, (Release(), down("interface lost", Role.INITIALIZE)), Initialize()),
    Row(HANDING, GONE, (Release(), down("interface lost", Role.INITIALIZE)), Initialize()),
    Row(ASKING, LEAVE, (still("agent stops"),), replace(STOPPING, until=NOW + ANSWER)),
    Row(HANDING, LEAVE, (still("agent stops"),), replace(HANDING, stop=True)),
    Row(replace(ASKING, repeats=(NOW, NOW + ms(9))), Tick(), (ZERO,), replace(ASKING, repeats=(NOW + ms(9),))),
    Row(replace(ASKING, repeats=(NOW - 7, NOW)), Tick(), (ZERO,), replace(ASKING, repeats=())),
    Row(
        replace(ASKING, until=NOW),
        Tick(),
        (ADVERT, Announce(), Transition(Role.ACTIVE, Role.ACTIVE, "nobody else took the role: kept")),
        Active(NOW + SECOND, NOW),
    ),
    Row(
        replace(ASKING, until=NOW, repeats=()),
        Tick(),
        (SendAdvert(1), Announce(), Transition(Role.ACTIVE, Role.ACTIVE, "nobody else took the role: kept")),
        Active(NOW + SECOND, NOW),
        healthy=False,
    ),
    Row(
        replace(ASKING, until=NOW, repeats=()),
        Tick(),
        (Release(), down("left; nobody answered", Role.INITIALIZE)),
        Initialize(),
        DARK,
        healthy=False,
    ),
    Row(
        replace(STOPPING, until=NOW, repeats=()),
        Tick(),
        (Release(), down("left; nobody answered", Role.INITIALIZE)),
        Initialize(),
    ),
    Row(
        replace(STOPPING, until=NOW, repeats=(NOW,)),
        Tick(),
        (ZERO, Release(), down("left; nobody answered", Role.INITIALIZE)),
        Initialize(),
    ),
    Row(
        replace(HANDING, until=NOW, stop=True),
        Tick(),
        (Release(), down("handed over", Role.INITIALIZE)),
        Initialize(),
    ),
    Row(replace(HANDING, until=NOW), Tick(), (Release(), down("handed over")), NEXT),
    Row(
        replace(HANDING, until=NOW),
        Tick(),
        (Release(), down("handed over", Role.INITIALIZE)),
        Initialize(),
        DARK,
        healthy=False,
    ),
    Row(
        replace(ASKING, until=NOW, repeats=()),
        Tick(),
        (ADVERT, Announce(), Transition(Role.ACTIVE, Role.ACTIVE, "nobody else took the role: kept")),
        Active(NOW + SECOND, NOW),
        drain=Drain.ASK,
    ),
    Row(
        replace(ASKING, until=NOW, repeats=()),
        Tick(),
        (Release(), down("left; nobody answered", Role.INITIALIZE)),
        Initialize(),
        drain=Drain.FORCE,
    ),
    Row(
        replace(HANDING, until=NOW),
        Tick(),
        (Release(), down("handed over", Role.INITIALIZE)),
        Initialize(),
        drain=Drain.ASK,
    ),
    Row(
        ASKING,
        heard(1),
        (ADVERT, Announce(), Transition(Role.ACTIVE, Role.ACTIVE, "nobody else took the role: kept")),
        Active(NOW + SECOND, NOW),
        drain=Drain.ASK,
    ),
    Row(ASKING, heard(1), (), Leaving(NOW + ms(200), stop=False, successor=behind()), drain=Drain.FORCE),
    Row(
        ASKING,
        Stay(),
        (ADVERT, Announce(), Transition(Role.ACTIVE, Role.ACTIVE, "nobody else took the role: kept")),
        Active(NOW + SECOND, NOW),
    ),
    Row(ASKING, DRAINED, (), replace(ASKING, until=NOW + ANSWER)),
    *same(STOPPING, Stay()),
    Row(ASKING, heard(100), (), Leaving(NOW + ms(200), stop=False, successor=behind())),
    Row(STOPPING, heard(100), (), Leaving(NOW + ms(200), stop=True, successor=behind())),
    Row(HANDING, heard(250), (), replace(HANDING, successor=behind())),
    Row(
        HANDING,
        heard(0),
        (),
        replace(HANDING, until=NOW + SKEW, successor=replace(NEXT, down_at=NOW + SKEW, final=True)),
    ),
    Row(  # who took over has left again before we let go: nothing has to move
        replace(HANDING, until=NOW, successor=replace(NEXT, down_at=NOW)),
        Tick(),
        (ADVERT, Announce(), Transition(Role.ACTIVE, Role.ACTIVE, "nobody else took the role: kept")),
        Active(NOW + SECOND, NOW),
    ),
    Row(ASKING, ORDERED, (), Leaving(NOW + ms(200), stop=False, successor=Backup(NOW + DOWN, SECOND))),
    Row(ASKING, HEALTHY, (), replace(ASKING, until=NOW + SKEW), healthy=False),
    *same(STOPPING, HEALTHY),
    *same(HANDING, HEALTHY),
]

ROWS = INITIALIZE + BACKUP + ACTIVE + LEAVING
every_row = pytest.mark.parametrize("row", [pytest.param(row, id=f"{row}-{n}") for n, row in enumerate(ROWS)])


@every_row
def test_this_state_meets_this_event(row: Row) -> None:
    router = router_in(row.state, row.settings, healthy=row.healthy, drain=row.drain)

    effects = router.handle(row.event, NOW)

    assert (tuple(effects), router.state) == (row.effects, row.after)


@every_row
def test_addresses_follow_from_the_states_before_and_after(row: Row) -> None:
    router = router_in(row.state, row.settings, healthy=row.healthy, drain=row.drain)
    before = router.holds_addresses

    effects = router.handle(row.event, NOW)

    assert (Acquire() in effects) == (router.holds_addresses and not before)
    assert (Release() in effects) == (before and not router.holds_addresses)


@every_row
def test_a_second_tick_at_the_same_moment_does_nothing(row: Row) -> None:
    router = router_in(row.state, row.settings, healthy=row.healthy, drain=row.drain)
    router.handle(row.event, NOW)
    for _ in range(3):
        router.handle(Tick(), NOW)
    settled = router.state

    assert router.handle(Tick(), NOW) == []
    assert router.state == settled
    assert router.deadline is None or router.deadline > NOW


def test_the_table_is_whole() -> None:
    cells = {(type(row.state), type(row.event)) for row in ROWS}

    assert cells == {(state, event) for state in get_args(State) for event in get_args(Event)}


def test_every_advertisement_is_remembered_but_our_own() -> None:
    for row in ROWS:
        if isinstance(row.event, Received):
            router = router_in(row.state, row.settings, healthy=row.healthy, drain=row.drain)

            router.handle(row.event, NOW)

            assert router.heard == ({} if row.event.source == ME else {row.event.source: NOW})
            assert router.counters.adverts_received == len(router.heard)


def test_an_advertisement_with_our_own_source_is_a_loop_and_changes_nothing() -> None:
    for state in (WATCHING, SERVING, ASKING):
        router = router_in(state)

        assert router.handle(Received(advert(255), ME, Dialect.PSEUDO), NOW) == []
        assert router.state == state
