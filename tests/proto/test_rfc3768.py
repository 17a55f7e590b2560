"""The sentences of RFC 3768, version 2, where they differ from RFC 9568; one test each, named by section."""

from __future__ import annotations

from dataclasses import replace

from tests.proto.builders import (
    HIGHER,
    ME,
    V2,
    datagram,
    heard,
    ms,
    router_in,
    summed,
)
from vrrpd.proto.packet import Dialect, internet_checksum
from vrrpd.proto.settings import Settings
from vrrpd.proto.states import Active, Backup
from vrrpd.proto.timers import SECOND
from vrrpd.proto.validate import Drop, Reason, validate

NOW = 100 * SECOND
BACKUP = Backup(NOW + SECOND, SECOND, HIGHER)
ACTIVE = Active(NOW + SECOND, since=0)


def verdict(payload: bytes, settings: Settings) -> Reason | str:
    judged = validate(datagram(payload, settings=settings), settings, (ME,))
    return judged.reason if isinstance(judged, Drop) else "accepted"


def message(settings: Settings) -> bytearray:
    return bytearray(datagram(settings=settings, dialect=Dialect.MESSAGE).payload)


def test_3768_5_3_10_authentication_data_is_always_there_and_zero() -> None:
    ((_, payload), *_) = router_in(ACTIVE, V2).encoder.datagrams(240)

    assert (len(payload), payload[4], payload[-8:]) == (20, 0, bytes(8))


def test_3768_5_3_8_the_checksum_covers_the_whole_message_and_no_pseudo_header() -> None:
    assert internet_checksum(router_in(ACTIVE, V2).encoder.datagrams(240)[0][1]) == 0


def test_3768_6_1_the_skew_is_a_part_of_a_second_whatever_the_interval() -> None:
    router = router_in(BACKUP, replace(V2, interval=10 * SECOND))

    router.handle(heard(0), NOW)

    assert router.deadline == NOW + ms(62.5)


def test_3768_7_1_another_interval_must_be_discarded() -> None:
    payload = message(V2)
    payload[5] = 2

    assert verdict(summed(payload), V2) is Reason.INTERVAL


def test_3768_7_1_another_authentication_type_must_be_discarded() -> None:
    payload = message(V2)
    payload[4] = 1

    assert verdict(summed(payload), V2) is Reason.AUTH


def test_3768_6_4_2_the_interval_is_never_learnt() -> None:
    router = router_in(BACKUP, V2)

    router.handle(heard(250, interval=5 * SECOND, settings=V2), NOW)

    assert router.deadline == NOW + ms(3062.5)
