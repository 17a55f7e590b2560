"""The time that signatures believe, when the host's clock does odd things."""

from __future__ import annotations

from tests.proto.builders import HIGHER
from tests.proto.signed import at, authenticator, judged, number, signed
from vrrpd.proto.clock import LONGEST_DISBELIEF, SteadyClock
from vrrpd.proto.timers import SECOND
from vrrpd.proto.validate import Reason
from vrrpd.trailer import parse


def test_a_clock_that_is_moved_gradually_is_followed() -> None:
    clock = SteadyClock()
    for i in range(100):
        assert clock.read(at(i, wrong=i * 0.9)) == at(i, wrong=i * 0.9).wall
    assert clock.step == 0


def test_a_step_is_not_believed_and_is_told() -> None:
    clock = SteadyClock()
    clock.read(at(0))

    assert clock.read(at(10, wrong=3600)) == at(10).wall
    assert clock.step == 3600 * SECOND
    assert clock.read(at(11, wrong=-3600)) == at(11).wall
    assert clock.step == -3600 * SECOND


def test_a_step_that_was_taken_back_never_happened() -> None:
    clock = SteadyClock()
    clock.read(at(0))
    clock.read(at(10, wrong=60))

    assert clock.read(at(20)) == at(20).wall
    assert clock.step == 0
    assert clock.read(at(3000, wrong=60)) == at(3000).wall


def test_a_step_that_lasts_is_believed_after_an_hour() -> None:
    clock, hour = SteadyClock(), LONGEST_DISBELIEF / SECOND
    clock.read(at(0))
    clock.read(at(10, wrong=60))

    assert clock.read(at(9 + hour, wrong=60)) == at(9 + hour).wall
    assert clock.read(at(10 + hour, wrong=60)) == at(10 + hour, wrong=60).wall
    assert clock.step == 0


def test_a_signed_advertisement_decides_which_time_is_right() -> None:
    keys = authenticator()
    keys.clock.read(at(0, wrong=-1000))

    assert judged(keys, signed(number(10) - (1000 << 32)), at(10)) == "accepted", "the time before the step"
    assert keys.clock.step == 1000 * SECOND
    assert judged(keys, signed(number(11)), at(11)) == "accepted", "the time after it"
    assert keys.clock.step == 0
    assert judged(keys, signed(number(12) - (1000 << 32)), at(12)) is Reason.STALE


def test_a_forged_advertisement_decides_nothing() -> None:
    keys = authenticator()
    keys.clock.read(at(0, wrong=-1000))

    assert judged(keys, signed(number(10), key=bytes(32)), at(10)) is Reason.INVALID_HMAC
    assert keys.clock.step == 1000 * SECOND


def test_what_we_sign_keeps_its_time_through_a_step() -> None:
    mine = authenticator()
    for second, wrong in ((0, 0), (1, 0), (2, 5000), (3, -5000), (4, 0)):
        trailer = mine.sign(signed(0).payload[:12], HIGHER, at(second, wrong=wrong))
        packet = signed(parse(trailer).sequence)
        assert judged(authenticator(), packet, at(second)) == "accepted"
