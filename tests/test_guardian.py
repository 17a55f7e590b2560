"""The guardian's last words in bytes: what it signs must be what the agent's peers believe, right after the agent."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.proto.builders import DEFAULT, DEFAULT6, HIGHER, HIGHER6, ME, ME6, advert
from tests.proto.signed import HMAC, at, authenticator, judged, signed
from vrrpd.guardian import signed as last_words
from vrrpd.proto.auth import SEAL_SLACK, Authenticator, Seal
from vrrpd.proto.clock import Instant
from vrrpd.proto.credentials import AntiReplay, Hmac
from vrrpd.proto.datagram import Datagram
from vrrpd.proto.packet import Dialect, encode
from vrrpd.proto.settings import Family, Settings
from vrrpd.proto.timers import SECOND
from vrrpd.proto.validate import Reason

MONOTONIC = replace(HMAC, anti_replay=AntiReplay.MONOTONIC)
V4, V6 = replace(DEFAULT, auth=HMAC), replace(DEFAULT6, auth=HMAC)


class Trio:
    """An agent at HIGHER that signs, its guardian, and their peer at ME, which judges."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.source, self.peer = (HIGHER, ME) if settings.family is Family.IPV4 else (HIGHER6, ME6)
        self.agent: Authenticator = authenticator(settings)
        self.judge: Authenticator = authenticator(settings)

    def advertises(self, when: Instant) -> Reason | str:
        """What the peer says to an advertisement of the agent."""
        said = advert(250, settings=self.settings)
        trailer = self.agent.sign(encode(said, self.source, self.peer, Dialect.PSEUDO), self.source, when)
        return self._judged(encode(said, self.source, self.peer, Dialect.PSEUDO, trailer), when)

    def lets_go(self, seal: Seal, when: Instant) -> Reason | str:
        """What it says to the guardian's priority 0."""
        message = encode(advert(0, settings=self.settings), self.source, self.peer, Dialect.PSEUDO)
        payload = last_words(message, str(self.source), seal.key_id, seal.key.reveal(), seal.ahead, when.now)
        return self._judged(payload, when)

    def _judged(self, payload: bytes, when: Instant) -> Reason | str:
        packet = Datagram(payload, self.source, self.peer, 255)
        return judged(self.judge, packet, when, replace(self.settings, peers=(self.source,)))


@pytest.fixture(params=[V4, V6], ids=["ipv4", "ipv6"])
def family(request: pytest.FixtureRequest) -> Settings:
    return request.param


@pytest.fixture(params=[HMAC, MONOTONIC], ids=["time", "monotonic"])
def three(request: pytest.FixtureRequest, family: Settings) -> Trio:
    rules: Hmac = request.param
    return Trio(replace(family, auth=rules))


def test_the_guardian_is_believed_right_after_the_last_advertisement(three: Trio) -> None:
    seal = three.agent.delegate(at(0))
    for tenth in range(1, 300):
        assert three.advertises(at(tenth / 10)) == "accepted"
    assert not three.agent.outdated(seal, at(29.9))
    assert three.lets_go(seal, at(29.9)) == "accepted"


def test_each_of_its_words_is_believed_and_none_a_second_time(three: Trio) -> None:
    seal = three.agent.delegate(at(0))
    assert three.advertises(at(1)) == "accepted"
    assert three.lets_go(seal, at(1.001)) == "accepted"
    assert three.lets_go(seal, at(1.0025)) == "accepted"
    assert three.lets_go(seal, at(1.0025)) is Reason.REPLAY


@pytest.mark.parametrize("gained", [-0.2, -0.003, -0.002, 0.002, 0.003, 0.004, 0.2])
def test_a_clock_that_is_set_gradually_makes_nobody_disbelieve_it(three: Trio, gained: float) -> None:
    seal = three.agent.delegate(at(0))
    then = at(10, wrong=gained)
    assert three.advertises(then) == "accepted"
    if three.agent.outdated(seal, then):
        seal = three.agent.delegate(then)
    assert three.lets_go(seal, then) == "accepted"


def test_the_agent_is_believed_again_as_soon_as_it_can_speak_after_it(three: Trio) -> None:
    seal = three.agent.delegate(at(0))
    assert three.lets_go(seal, at(1)) == "accepted"
    assert three.advertises(at(1 + SEAL_SLACK / SECOND + 0.001)) == "accepted"


def test_many_advertisements_within_one_moment_are_behind_it_too(three: Trio) -> None:
    for _ in range(300):
        three.advertises(at(5))
    assert three.lets_go(three.agent.delegate(at(5)), at(5)) == "accepted"


def test_a_guardian_with_another_key_or_an_old_number_is_not_believed() -> None:
    three = Trio(V4)
    seal = three.agent.delegate(at(0))
    assert three.advertises(at(1)) == "accepted"
    assert three.lets_go(seal, at(0.9)) is Reason.REPLAY
    message = encode(advert(0), HIGHER, ME, Dialect.PSEUDO)
    forged = last_words(message, str(HIGHER), 1, bytes(32), seal.ahead, at(1.1).now)
    assert judged(three.judge, Datagram(forged, HIGHER, ME, 255), at(1.1)) is Reason.INVALID_HMAC


def test_it_signs_the_very_bytes_that_the_agent_would() -> None:
    keys = authenticator(V4)
    seal = keys.delegate(at(3))
    number = (at(3).wall // SECOND & 0xFFFFFFFF) << 32 | ((SEAL_SLACK << 16) // SECOND) << 16
    expected = signed(number, settings=V4, source=HIGHER, said=advert(0))
    message = encode(advert(0), HIGHER, ME, Dialect.PSEUDO)
    assert last_words(message, "10.0.0.13", seal.key_id, seal.key.reveal(), seal.ahead, at(3).now) == expected.payload
