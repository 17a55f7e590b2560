"""When leases are renewed: every third of their length, in pieces that are spread over it."""

from __future__ import annotations

from itertools import pairwise

from vrrpd.proto.timers import MS, SECOND
from vrrpd.runtime.leases import IPV4, PIECE, Leases


async def test_an_address_is_due_after_a_third_of_its_lease() -> None:
    leases = Leases[str]()
    assert leases.next is None
    leases.begin("a", 3 * SECOND, 100)
    assert leases.next == 100 + SECOND
    assert leases.take(100 + SECOND - 1) == []
    assert leases.take(100 + SECOND) == ["a"]
    assert leases.next == 100 + 2 * SECOND
    leases.end("a")
    assert leases.next is None


async def test_many_addresses_go_out_in_pieces_and_none_waits_for_a_whole_third() -> None:
    leases = Leases[int]()
    for number in range(1000):
        leases.begin(number, 3 * SECOND, 0)
    now, renewed = 0, dict[int, list[int]]()
    pauses = set[int]()
    while now < 10 * SECOND:
        following = leases.next
        assert following is not None
        pauses.add(following - now)
        now = following
        piece = leases.take(now)
        assert 0 < len(piece) <= PIECE
        for number in piece:
            renewed.setdefault(number, [0]).append(now)
    assert all(b - a <= 1.6 * SECOND for times in renewed.values() for a, b in pairwise(times))
    assert len(renewed) == 1000
    assert min(pauses - {SECOND}) >= 30 * MS, "the kernel's lock is free in between"


async def test_of_addresses_whose_renewal_is_light_more_go_out_at_once() -> None:
    leases = Leases[int]()
    for number in range(1000):
        leases.begin(number, 3 * SECOND, 0, IPV4)
    assert len(leases.take(SECOND)) == 4 * PIECE


async def test_a_short_lease_does_not_wait_for_many_long_ones() -> None:
    leases = Leases[int]()
    for number in range(1000):
        leases.begin(number, 60 * SECOND, 0)
    leases.begin(1000, 3 * SECOND, 19 * SECOND + 500 * MS)
    assert len(leases.take(20 * SECOND)) == PIECE
    leases.begin(1001, 3 * SECOND, 20 * SECOND + 1)
    renewed, now = dict[int, int](), 20 * SECOND
    while now < 22 * SECOND:
        now = leases.next or now
        renewed = dict.fromkeys(leases.take(now), now) | renewed
    assert renewed[1000] <= 21 * SECOND
    assert renewed[1001] <= 21 * SECOND + 500 * MS


async def test_only_what_was_not_renewed_in_time_has_run_out() -> None:
    leases = Leases[str]()
    leases.begin("a", 3 * SECOND, 0)
    assert not leases.ran_out("a", 2 * SECOND)
    assert leases.ran_out("a", 2 * SECOND + 1)
    assert not leases.ran_out("b", 10 * SECOND)
