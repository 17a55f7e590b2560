"""An advertisement like the last one is only noted, sent or heard, and everything is as if it had been handled."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.proto.builders import DEFAULT, FAILED, HEALTHY, HIGHER, LOWER, heard, ms, router_in
from vrrpd.proto.effects import Effect, SendAdvert
from vrrpd.proto.events import Adjust, Drain, Event, Received, Tick
from vrrpd.proto.renewal import Renewal, Rhythm
from vrrpd.proto.router import VirtualRouter
from vrrpd.proto.settings import Settings
from vrrpd.proto.states import Active, Backup
from vrrpd.proto.timers import SECOND

BACKUP = Backup(ms(3000), SECOND, HIGHER)
ONES_OWN = Adjust(100, healthy=True, reason="a check counts", drain=Drain.NO)
PATIENT = replace(DEFAULT, preempt_delay=5 * SECOND)
CONTENT = replace(DEFAULT, preempt=False)

SAME = heard(250)
OTHERS = (heard(250, LOWER), heard(100), heard(0), heard(240, interval=SECOND // 2), Tick(), FAILED, HEALTHY, ONES_OWN)
EVENTS = st.sampled_from([SAME, SAME, SAME, SAME, *OTHERS])


def all_of(router: VirtualRouter) -> tuple[object, ...]:
    return router.state, router.counters, router.heard, router.deadline, router.role, router.reason


def take(router: VirtualRouter, event: Event, last: Event | None, now: int) -> list[Effect]:
    """Note what was heard last and is heard again, as a port does."""
    renewal = router.routine if isinstance(event, Received) and event is last else None
    if isinstance(renewal, Renewal) and renewal.note(now):
        return []
    return router.handle(event, now)


@given(
    story=st.lists(st.tuples(EVENTS, st.integers(0, ms(4000))), max_size=30),
    settings=st.sampled_from([DEFAULT, PATIENT, CONTENT]),
    look=st.booleans(),
)
def test_noting_comes_to_the_same_as_handling(story: list[tuple[Event, int]], settings: Settings, look: bool) -> None:
    noting, handling = router_in(BACKUP, settings), router_in(BACKUP, settings)
    now, last = 0, None
    for event, pause in story:
        now += pause
        assert take(noting, event, last, now) == handling.handle(event, now)
        assert noting.deadline == handling.deadline
        if look:
            assert all_of(noting) == all_of(handling)
        last = event
    assert all_of(noting) == all_of(handling)


def advertise(router: VirtualRouter, now: int) -> list[Effect]:
    """Adver_Timer has fired; what the event loop does."""
    said = (isinstance(router.routine, Rhythm) and router.routine.note(now)) or router.speak(now)
    return [SendAdvert(router.effective_priority)] if said else router.handle(Tick(), now)


@given(
    story=st.lists(st.tuples(EVENTS, st.integers(0, ms(4000))), max_size=6).map(iter),
    wishes=st.lists(st.sampled_from(["advert", "advert", "advert", "event"]), max_size=30),
    lateness=st.integers(0, ms(700)),
    phase=st.sampled_from([None, 0, ms(250)]),
)
def test_sending_by_rhythm_comes_to_the_same_as_handling(
    story: Iterator[tuple[Event, int]], wishes: list[str], lateness: int, phase: int | None
) -> None:
    settings = replace(DEFAULT, phase=phase)
    noting, handling = (router_in(Active(advert_at=SECOND, since=0), settings) for _ in range(2))
    now = 0
    for wish in wishes:
        event, pause = next(story, (Tick(), 0)) if wish == "event" else (Tick(), 0)
        now = now + pause if pause else max(now, (noting.deadline or now) + lateness)
        if isinstance(event, Tick):
            assert advertise(noting, now) == handling.handle(event, now)
        else:
            assert noting.handle(event, now) == handling.handle(event, now)
        assert noting.deadline == handling.deadline
    assert all_of(noting) == all_of(handling)


def test_the_second_advertisement_of_an_active_is_in_its_rhythm() -> None:
    router = router_in(Active(advert_at=SECOND, since=0))
    assert router.speak(SECOND)
    rhythm = router.routine
    assert isinstance(rhythm, Rhythm)
    assert not rhythm.note(2 * SECOND - 1)
    assert rhythm.note(2 * SECOND)
    assert router.state == Active(advert_at=3 * SECOND, since=0)
    router.handle(heard(100), ms(2010))
    assert not rhythm.note(3 * SECOND), "it answered, and has a new state"


def test_a_backup_that_rests_behind_its_active_notes() -> None:
    router = router_in(BACKUP)
    router.handle(heard(250), 0)
    assert router.routine is not None
    assert router.routine.note(SECOND)
    assert router.state == Backup(SECOND + ms(3062.5), SECOND, HIGHER)


@pytest.mark.parametrize("event", [heard(100), heard(0), heard(1)])
def test_an_advertisement_that_does_not_rearm_the_timer_is_never_only_noted(event: Received) -> None:
    router = router_in(BACKUP)
    router.handle(event, 0)
    assert router.routine is None


def test_what_comes_after_the_deadline_is_handled() -> None:
    router = router_in(BACKUP)
    router.handle(heard(250), 0)
    assert router.routine is not None
    assert not router.routine.note(ms(3062.5))


def test_nothing_is_noted_by_what_was_known_before_something_else_happened() -> None:
    router = router_in(BACKUP)
    router.handle(heard(250), 0)
    renewal = router.routine
    assert isinstance(renewal, Renewal)
    router.handle(FAILED, ms(10))
    assert not renewal.note(ms(20))
