"""An advertisement that says what the last one said is only noted, and everything is as if it had been handled."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.proto.builders import DEFAULT, FAILED, HEALTHY, HIGHER, LOWER, heard, ms, router_in
from vrrpd.proto.effects import Effect
from vrrpd.proto.events import Adjust, Drain, Event, Received, Tick
from vrrpd.proto.router import VirtualRouter
from vrrpd.proto.settings import Settings
from vrrpd.proto.states import Backup
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
    if isinstance(event, Received) and event is last and router.renewal is not None and router.renewal.note(now):
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


def test_a_backup_that_rests_behind_its_active_notes() -> None:
    router = router_in(BACKUP)
    router.handle(heard(250), 0)
    assert router.renewal is not None
    assert router.renewal.note(SECOND)
    assert router.state == Backup(SECOND + ms(3062.5), SECOND, HIGHER)


@pytest.mark.parametrize("event", [heard(100), heard(0), heard(1)])
def test_an_advertisement_that_does_not_rearm_the_timer_is_never_only_noted(event: Received) -> None:
    router = router_in(BACKUP)
    router.handle(event, 0)
    assert router.renewal is None


def test_what_comes_after_the_deadline_is_handled() -> None:
    router = router_in(BACKUP)
    router.handle(heard(250), 0)
    assert router.renewal is not None
    assert not router.renewal.note(ms(3062.5))


def test_nothing_is_noted_by_what_was_known_before_something_else_happened() -> None:
    router = router_in(BACKUP)
    router.handle(heard(250), 0)
    renewal = router.renewal
    assert renewal is not None
    router.handle(FAILED, ms(10))
    assert not renewal.note(ms(20))
