"""What a virtual router tells besides its effects: who is Active, why, and how often what happened."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address

import pytest

from tests.proto.builders import (
    DEFAULT,
    DEFAULT6,
    HEALTHY,
    HIGHER,
    ME,
    heard,
    ms,
    router_in,
)
from vrrpd.proto.effects import Role, SendAdvert
from vrrpd.proto.events import Drain, Leave, Received, Shutdown, Startup, Tick
from vrrpd.proto.packet import Dialect
from vrrpd.proto.router import VirtualRouter
from vrrpd.proto.states import Active, Backup, Initialize, Leaving, active_of
from vrrpd.proto.timers import SECOND

NOW = 100 * SECOND
BACKUP = Backup(NOW + SECOND, SECOND, HIGHER)
ACTIVE = Active(NOW + SECOND, since=0)


@pytest.mark.parametrize(
    ("state", "address"),
    [
        (Initialize(), None),
        (BACKUP, HIGHER),
        (replace(BACKUP, active=None), None),
        (ACTIVE, ME),
        (Leaving(NOW, stop=True), ME),
        (Leaving(NOW, stop=True, successor=BACKUP), HIGHER),
    ],
)
def test_the_address_of_the_active_is_known_as_far_as_it_can_be(
    state: Initialize | Backup | Active | Leaving, address: IPv4Address | None
) -> None:
    router = router_in(state)
    assert active_of(router.state, router.source) == address


def why(*events: tuple[int, Received]) -> str:
    """The reason that a node gives for taking the role after hearing this, at these milliseconds."""
    router = router_in(Backup(NOW + 3 * SECOND, SECOND))
    for at, event in events:
        router.handle(event, NOW + ms(at))
    router.handle(Tick(), router.deadline or 0)
    assert router.role is Role.ACTIVE
    return router.reason


def test_the_reason_for_taking_the_role_says_what_became_of_the_last_active() -> None:
    assert why() == "no Active was heard"
    assert why((0, heard(250))) == "10.0.0.13 fell silent or left"
    assert why((2000, heard(100))) == "10.0.0.13 advertises priority 100, ours is 240"
    assert why((2000, heard(100)), (2500, heard(0))) == "10.0.0.13 fell silent or left"
    assert why((0, heard(100))) == "10.0.0.13 fell silent or left"


def test_advertisements_are_encoded_once_for_each_change() -> None:
    router = router_in(ACTIVE)

    assert router.encoder.datagrams(240)[0][1] is router.encoder.datagrams(240)[0][1]


def test_a_new_source_address_is_in_the_checksum_of_the_next_advertisement() -> None:
    router = router_in(ACTIVE)
    before = router.encoder.datagrams(240)
    router.handle(Shutdown("address changed"), NOW)
    router.handle(Startup(IPv4Address("10.0.0.77")), NOW)

    assert router.encoder.datagrams(240) != before


def test_counters_count_what_happened() -> None:
    router = router_in(BACKUP)
    router.handle(heard(250), NOW)
    router.handle(heard(0), NOW + 1)
    router.handle(Tick(), NOW + SECOND)
    router.handle(heard(100), NOW + SECOND + 1)
    router.handle(Leave("agent stops"), NOW + 9 * SECOND)
    router.handle(Shutdown("at once"), NOW + 9 * SECOND + 1)

    c = router.counters
    assert (c.adverts_received, c.zeros_received, c.adverts_sent, c.zeros_sent) == (3, 1, 3, 1)
    assert (c.transitions, c.contests, c.stray_zero) == (3, 1, 0)  # started, took the role, stopped
    assert c.dialects == {Dialect.PSEUDO: 3}


def test_nothing_is_sent_from_a_router_that_never_started() -> None:
    with pytest.raises(AssertionError, match="before the first Startup"):
        VirtualRouter(DEFAULT).encoder.datagrams(240)


def test_both_families_of_one_vrid_are_independent() -> None:
    v4, v6 = router_in(BACKUP), router_in(BACKUP, DEFAULT6)

    v4.handle(heard(0), NOW)

    assert v6.state == BACKUP


def test_a_priority_0_that_is_not_sent_any_more_is_not_counted() -> None:
    router = router_in(Leaving(NOW, stop=False, repeats=(NOW,)))

    effects = router.handle(Tick(), NOW)

    assert SendAdvert(0) not in effects
    assert (router.counters.zeros_sent, router.counters.adverts_sent) == (0, 1)


def test_a_node_that_heard_the_network_while_it_was_out_need_not_wait_for_it_again() -> None:
    router = router_in(Initialize(), replace(DEFAULT, hear_first=30 * SECOND), drain=Drain.ASK)
    router.handle(heard(250), SECOND)
    router.handle(HEALTHY, NOW)
    assert router.deadline == NOW + ms(3062.5)


def test_a_node_that_heard_nothing_while_it_was_out_waits_for_what_is_left_of_its_limit() -> None:
    router = router_in(Initialize(), replace(DEFAULT, hear_first=30 * SECOND), drain=Drain.ASK)
    router.handle(HEALTHY, 10 * SECOND)
    assert router.deadline == 30 * SECOND
