"""Our nodes beside speakers of another make, which let go at once and re-arm at every priority 0."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.proto.builders import DEFAULT, LOWER, V2, ms
from tests.proto.network import Network, cluster
from tests.proto.plain import Plain, like
from vrrpd.proto.effects import Acquire
from vrrpd.proto.settings import Settings
from vrrpd.proto.timers import SECOND, skew_time

FLIGHT = ms(0.1)
TWO_HOLDERS = ms(250)


@pytest.mark.parametrize("answers_losers", [True, False], ids=["RFC 9568", "RFC 5798"])
@pytest.mark.parametrize("settings", [DEFAULT, V2], ids=["version 3", "version 2"])
@pytest.mark.parametrize("ours_is_preferred", [True, False])
def test_a_plain_rfc_peer_and_we_hand_over_to_each_other(
    settings: Settings, *, answers_losers: bool, ours_is_preferred: bool
) -> None:
    network = Network()
    (ours,) = cluster(network, 1, replace(settings, peers=(LOWER,)), priorities=(200,))
    there = ours.sources[0] + 50
    ours.settings = (like(settings, 200, [there]),)
    plain = Plain(
        network, "plain", there, like(settings, 100 if ours_is_preferred else 250, ours.sources),
        answers_losers=answers_losers,
    )  # fmt: skip
    plain.start()
    ours.start()
    network.run(10 * SECOND)
    preferred, other = (ours, plain) if ours_is_preferred else (plain, ours)
    assert network.holders() == [preferred.name]
    since = network.now

    preferred.stop()
    network.run(10 * SECOND)
    assert network.holders() == [other.name]
    assert network.dark(since=since) <= (0 if ours_is_preferred else SECOND)
    preferred.start()
    network.run(10 * SECOND)
    assert network.holders() == [preferred.name]
    assert network.doubled(since=since) <= TWO_HOLDERS
    since = network.now
    preferred.crash()
    network.run(10 * SECOND)

    assert network.holders() == [other.name]
    assert network.dark(since=since) <= 4 * SECOND


def test_a_plain_peer_that_rearms_at_every_priority_0_takes_over_in_time_though_it_is_repeated() -> None:
    (lb1,) = cluster(Network(), 1, DEFAULT, priorities=(250,))
    network = lb1.network
    there = lb1.sources[0] + 1
    lb1.settings = (like(DEFAULT, 250, [there]),)
    plain = Plain(network, "plain", there, like(DEFAULT, 100, lb1.sources))
    lb1.start()
    plain.start()
    network.run(6 * SECOND)
    since = network.now

    lb1.check_result(healthy=False)
    network.run(SECOND)

    assert network.dark(since=since) == 0
    assert network.did(Acquire, since=since)[0].at - since <= skew_time(3, 100, SECOND) + ms(20) + FLIGHT
