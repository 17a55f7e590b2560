"""Who lost the role together with its link, so that nobody heard its priority 0, says it once more when it is back."""

from __future__ import annotations

from dataclasses import replace

from tests.proto.builders import DEFAULT, HIGHER, ME, heard, router_in
from vrrpd.proto.effects import Role, SendAdvert, Transition
from vrrpd.proto.events import Adjust, Drain, NetworkHeard, Shutdown, Startup
from vrrpd.proto.router import VirtualRouter
from vrrpd.proto.settings import Settings
from vrrpd.proto.states import Active, Backup
from vrrpd.proto.timers import SECOND

NOW = 100 * SECOND
BACKUP = Backup(NOW + SECOND, SECOND, HIGHER)
ACTIVE = Active(NOW + SECOND, since=0)
STARTED = Transition(Role.INITIALIZE, Role.BACKUP, "started")
UNPLUGGED = Shutdown("interface eth0 has no carrier")
CAUTIOUS = replace(DEFAULT, hear_first=30 * SECOND)


def unplugged(settings: Settings = CAUTIOUS) -> VirtualRouter:
    """An Active that lost its link at NOW."""
    router = router_in(ACTIVE, settings)
    router.handle(UNPLUGGED, NOW)
    return router


def test_who_lost_the_role_with_the_link_says_so_once_as_soon_as_it_hears_the_network_again() -> None:
    """The others never heard it, and wait for a whole Active_Down_Interval."""
    router = unplugged()

    assert router.handle(Startup(ME), NOW + SECOND) == [STARTED]
    assert router.handle(NetworkHeard(), NOW + SECOND + 1) == [SendAdvert(0)]
    assert router.handle(NetworkHeard(), NOW + SECOND + 2) == []
    assert not router.holds_addresses


def test_without_hear_first_it_says_so_at_once() -> None:
    assert unplugged(DEFAULT).handle(Startup(ME), NOW + SECOND) == [SendAdvert(0), STARTED]


def test_a_node_that_takes_no_part_any_more_says_so_too() -> None:
    router = unplugged()
    router.handle(Adjust(240, healthy=True, reason="drained", drain=Drain.FORCE), NOW)

    assert router.handle(Startup(ME), NOW + SECOND) == [SendAdvert(0)]


def test_it_says_nothing_where_somebody_speaks_for_then_nobody_waits() -> None:
    router = unplugged()
    router.handle(Startup(ME), NOW + SECOND)

    assert router.handle(heard(100), NOW + SECOND + 1) == []
    assert router.handle(NetworkHeard(), NOW + SECOND + 2) == []


def test_it_says_nothing_when_everybody_has_stopped_waiting() -> None:
    longest = 3 * SECOND + 255 * SECOND // 256  # RFC 9568 6.1, of priority 1
    for late, said in ((longest - 1, [SendAdvert(0)]), (longest, [])):
        router = unplugged()
        router.handle(Startup(ME), NOW + SECOND)

        assert router.handle(NetworkHeard(), NOW + late) == said


def test_a_backup_that_lost_its_link_has_nothing_to_say() -> None:
    router = router_in(BACKUP, CAUTIOUS)
    router.handle(UNPLUGGED, NOW)
    router.handle(Startup(ME), NOW + SECOND)

    assert router.handle(NetworkHeard(), NOW + SECOND + 1) == []
