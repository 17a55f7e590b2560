"""Encodes, decodes and judges one advertisement again and again, under callgrind: `python -m tests.bench.codec NUMBER`.

Between two things to do it calls getpgid(2), which nothing else here calls: callgrind writes down what it has counted
before each such call (`--dump-before=getpgid`), and begins anew.
"""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Callable
from ipaddress import IPv4Address

from vrrpd.proto.datagram import Datagram
from vrrpd.proto.packet import Advertisement, Dialect, decode, encode
from vrrpd.proto.settings import Family, Settings
from vrrpd.proto.timers import SECOND
from vrrpd.proto.validate import Accepted, validate

_HERE, _THERE = IPv4Address("10.0.0.11"), IPv4Address("10.0.0.12")
ADVERT = Advertisement(3, 51, 200, SECOND, (IPv4Address("10.0.0.100"),))
_PAYLOAD = encode(ADVERT, _THERE, _HERE, Dialect.PSEUDO)
_DATAGRAM = Datagram(_PAYLOAD, _THERE, _HERE, ttl=255)
_SETTINGS = Settings(
    vrid=51, family=Family.IPV4, version=3, priority=100, interval=SECOND, addresses=ADVERT.addresses, unicast=True,
    peers=(_THERE,),
)  # fmt: skip
_OWN = frozenset({_HERE})

WORK: dict[str, Callable[[], object]] = {
    "nothing": lambda: None,
    "encode": lambda: encode(ADVERT, _HERE, _THERE, Dialect.PSEUDO),
    "decode": lambda: decode(_PAYLOAD, Family.IPV4),
    "validate": lambda: validate(_DATAGRAM, _SETTINGS, _OWN),
}
"""What is counted, in this order; the first is the loop itself."""


def repeat(action: Callable[[], object], number: int) -> None:
    """Do it so often, between two marks."""
    for _ in range(20):  # until the interpreter has made up its mind how
        action()
    os.getpgid(0)
    for _ in range(number):
        action()
    os.getpgid(0)


if __name__ == "__main__":
    gc.disable()  # a collection costs a thousand calls, and falls on whatever happens to be counted
    assert isinstance(validate(_DATAGRAM, _SETTINGS, _OWN), Accepted)
    for each in WORK.values():
        repeat(each, int(sys.argv[1]))
