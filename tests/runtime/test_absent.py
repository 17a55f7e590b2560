"""A host that answers without an agent: looked at while it goes on, and not for ever after."""

from __future__ import annotations

from ipaddress import IPv4Address

from vrrpd.proto.timers import SECOND
from vrrpd.runtime.absent import Absent

PEER = IPv4Address("10.0.0.12")


async def test_one_that_has_fallen_silent_is_looked_at_again_when_it_answers_again() -> None:
    absent = Absent()
    for second in range(20):
        found = absent.look({PEER: second + 1}, {}, SECOND, second * SECOND)
        assert found == ([PEER] if second >= 10 else [])
    assert absent.look({PEER: 20}, {}, SECOND, 22 * SECOND) == [PEER]
    assert not absent.idle
    assert absent.look({PEER: 20}, {}, SECOND, 23 * SECOND) == []
    assert absent.idle
    assert absent.look({PEER: 20}, {}, SECOND, 99 * SECOND) == []
    assert absent.idle
    assert absent.look({PEER: 21}, {}, SECOND, 100 * SECOND) == []
    assert not absent.idle


async def test_one_that_speaks_begins_anew() -> None:
    absent = Absent()
    for second in range(11):
        absent.look({PEER: second + 1}, {}, SECOND, second * SECOND)
    assert absent.look({PEER: 12}, {}, SECOND, 11 * SECOND) == [PEER]
    assert absent.look({PEER: 13}, {PEER: 11 * SECOND + 1}, SECOND, 12 * SECOND) == []
    assert absent.look({PEER: 14}, {PEER: 11 * SECOND + 1}, SECOND, 21 * SECOND) == []
