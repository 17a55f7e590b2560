"""An advertisement like the last one is only noted, sent or heard, and everything is as if it had been handled."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.proto.builders import DEFAULT, FAILED, HEALTHY, HIGHER, LOWER, heard, ms, router_in
from vrrpd.proto.effects import Effect, SendAdvert
from vrrpd.proto.events import Adjust, Drain, Event, Received, Tick
from vrrpd.proto.renewal import Heard, Renewal, Rhythm, Spoken
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


TOGETHER = range(3)
BURST = st.just("burst")
ALONE = st.tuples(EVENTS, st.sampled_from(TOGETHER))


def hear_together(routers: Sequence[VirtualRouter]) -> Heard | None:
    """The chorus of routers that have just heard the same, where that was routine for all of them."""
    renewals = [each.routine for each in routers if isinstance(each.routine, Renewal)]
    return Heard(renewals) if len(renewals) == len(routers) else None


@given(
    story=st.lists(st.tuples(st.one_of(BURST, BURST, BURST, ALONE), st.integers(0, ms(3500))), max_size=30),
    settings=st.lists(st.sampled_from([DEFAULT, PATIENT, CONTENT]), min_size=3, max_size=3),
    look=st.sampled_from([None, *TOGETHER]),
)
def test_hearing_together_comes_to_the_same_as_handling_each(
    story: list[tuple[str | tuple[Event, int], int]], settings: list[Settings], look: int | None
) -> None:
    noting, handling = ([router_in(BACKUP, each) for each in settings] for _ in range(2))
    last: list[Event | None] = [None] * len(noting)
    now, chorus = 0, None
    for what, pause in story:
        now += pause
        if isinstance(what, str):
            asked = [each.handle(SAME, now) for each in handling]
            if chorus is not None and chorus.note(now):
                assert asked == [[], [], []]
            else:
                assert [take(each, SAME, before, now) for each, before in zip(noting, last, strict=True)] == asked
                chorus, last[:] = hear_together(noting), [SAME] * len(noting)
        else:
            event, which = what
            assert noting[which].handle(event, now) == handling[which].handle(event, now)
            last[which] = event
        assert [each.deadline for each in noting] == [each.deadline for each in handling]
        assert chorus is None or not chorus.intact or chorus.deadline <= min(each.deadline or now for each in noting)
        if look is not None:
            assert all_of(noting[look]) == all_of(handling[look])
    assert [all_of(each) for each in noting] == [all_of(each) for each in handling]


@given(
    story=st.lists(st.one_of(BURST, BURST, BURST, ALONE), max_size=20),
    lateness=st.integers(0, ms(700)),
    look=st.sampled_from([None, *TOGETHER]),
)
def test_speaking_together_comes_to_the_same_as_handling_each(
    story: list[str | tuple[Event, int]], lateness: int, look: int | None
) -> None:
    noting, handling = ([router_in(Active(advert_at=SECOND, since=0)) for _ in TOGETHER] for _ in range(2))
    now, chorus = 0, None
    for what in story:
        if isinstance(what, str):
            now = max(now, min(each.deadline or now for each in noting) + lateness)
            said = chorus is not None and chorus.note(now)
            for one, other in zip(noting, handling, strict=True):
                due = other.deadline is not None and other.deadline <= now
                asked = other.handle(Tick(), now) if due else []
                assert said or not due or advertise(one, now) == asked
            rhythms = [each.routine for each in noting if isinstance(each.routine, Rhythm)]
            if not said and len(rhythms) == len(noting) and len({each.deadline for each in rhythms}) == 1:
                chorus = Spoken(rhythms)
        else:
            event, which = what
            assert noting[which].handle(event, now) == handling[which].handle(event, now)
        assert [each.deadline for each in noting] == [each.deadline for each in handling]
        if look is not None:
            assert all_of(noting[look]) == all_of(handling[look])
    assert [all_of(each) for each in noting] == [all_of(each) for each in handling]


def test_what_happens_to_one_ends_the_chorus_for_all() -> None:
    one, other = (router_in(BACKUP) for _ in range(2))
    for each in (one, other):
        each.handle(SAME, 0)
    chorus = hear_together([one, other])
    assert chorus is not None
    assert chorus.note(SECOND)
    one.handle(heard(0), 2 * SECOND)
    assert not chorus.note(2 * SECOND)
    assert other.state == Backup(SECOND + ms(3062.5), SECOND, HIGHER), "what was noted until then counts"


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
