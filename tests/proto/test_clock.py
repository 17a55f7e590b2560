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


def test_the_hour_begins_anew_with_each_signed_advertisement_that_agrees_with_the_believed_time() -> None:
    keys, hour = authenticator(), LONGEST_DISBELIEF / SECOND
    keys.clock.read(at(0))

    for second in (1, hour / 2, hour + 5, 1.4 * hour):
        assert judged(keys, signed(number(second)), at(second, wrong=60)) == "accepted"
    assert keys.clock.read(at(2.3 * hour, wrong=60)) == at(2.3 * hour).wall
    assert keys.clock.read(at(2.5 * hour, wrong=60)) == at(2.5 * hour, wrong=60).wall


def test_the_time_before_is_a_candidate_for_an_hour_after_it_was_given_up() -> None:
    hour = LONGEST_DISBELIEF / SECOND
    for later, verdict in ((1, "accepted"), (hour - 1, "accepted"), (hour + 1, Reason.STALE)):
        keys = authenticator()
        keys.clock.read(at(0))
        keys.clock.read(at(1, wrong=60))
        keys.clock.read(at(1 + hour, wrong=60))
        assert keys.clock.step == 0
        now = 1 + hour + later

        assert judged(keys, signed(number(now), key=bytes(32)), at(now, wrong=60)) != "accepted"
        assert keys.clock.step == 0, "a forgery brings nobody back"
        assert judged(keys, signed(number(now)), at(now, wrong=60)) == verdict
        assert keys.clock.step == (60 * SECOND if verdict == "accepted" else 0)


def test_a_host_that_comes_back_to_the_time_before_is_followed_at_once() -> None:
    clock, hour = SteadyClock(), LONGEST_DISBELIEF / SECOND
    for second, wrong in ((0, 0), (1, 60), (1 + hour, 60)):
        clock.read(at(second, wrong=wrong))

    assert clock.read(at(2 + hour)) == at(2 + hour).wall
    assert clock.step == 0


def test_of_two_times_inside_the_window_the_nearer_one_is_believed() -> None:
    keys = authenticator()
    keys.clock.read(at(0))
    assert judged(keys, signed(number(1.1)), at(1, wrong=3)) == "accepted"
    assert keys.clock.step == 3 * SECOND
    assert judged(keys, signed(number(5.1)), at(2, wrong=3)) == "accepted"
    assert keys.clock.step == 0


def test_a_clock_that_is_moved_to_the_time_of_a_recording_makes_nobody_believe_it() -> None:
    keys = authenticator()
    recorded = [signed(number(second)) for second in range(100, 104)]
    for second in range(1000, 1004):
        assert judged(keys, signed(number(second)), at(second)) == "accepted"

    verdicts = [judged(keys, packet, at(1004 + i, wrong=-904)) for i, packet in enumerate(recorded)]

    assert verdicts == [Reason.REPLAY] * 4
    assert keys.clock.step == -904 * SECOND


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
