"""What is encoded once stays so, for as long as nothing of it changes."""

from __future__ import annotations

from tests.proto.builders import LOWER, router_in
from vrrpd.proto.packet import Dialect
from vrrpd.proto.states import Initialize


def test_a_peer_that_speaks_as_was_expected_of_it_throws_nothing_away() -> None:
    encoder = router_in(Initialize()).encoder
    prepared = encoder.unsigned(100)
    encoder.learn(LOWER, Dialect.PSEUDO)
    assert encoder.unsigned(100) is prepared


def test_a_peer_that_understands_another_checksum_gets_it() -> None:
    encoder = router_in(Initialize()).encoder
    (_, before), *_ = encoder.unsigned(100)
    encoder.learn(LOWER, Dialect.MESSAGE)
    (_, after), *_ = encoder.unsigned(100)
    assert after != before
