"""Bursts that are read by the clock, though it is another one's clock that they come by."""

from __future__ import annotations

import pytest

from tests.proto.builders import HIGHER, ME, heard
from vrrpd.proto.datagram import Datagram
from vrrpd.proto.renewal import Heard, Renewal
from vrrpd.proto.states import Backup
from vrrpd.proto.timers import MS, SECOND
from vrrpd.runtime.bursts import Bursts


@pytest.mark.parametrize("interval_us", [99_900, 99_999, 100_000, 100_001, 100_100])
async def test_who_hears_by_the_clock_keeps_pace_with_a_clock_that_is_not_ours(interval_us: int) -> None:
    """That of an Active which is out by a thousandth; the worst that clocks do is half of that."""
    burst = [Datagram(b"", HIGHER, ME, 255)] * 20
    renewals = [Renewal(heard(250), Backup(10 * SECOND, 100 * MS), 0) for _ in burst]
    bursts, interval, delays, waited = Bursts(), interval_us * MS // 1000, list[int](), 0
    bursts.know(burst, Heard(renewals))
    now = 0
    for number in range(1, 500):
        came = number * interval
        following = bursts.following(now, len(burst))
        waited += following is None
        now = came + MS if following is None else following
        if now < came:  # nothing is there yet
            assert bursts.following(now, len(burst)) is None
            waited, now = waited + 1, came + MS
        assert bursts.note(burst, now)
        delays.append(now - came)
    assert max(delays) < 4 * MS
    assert waited < 500 / 5
