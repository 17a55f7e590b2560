"""What the fuzzers begin with: good input of each target, made by our own code, so that mutations get past the door."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from tests.fuzz.targets import ROUTERS
from tests.proto.builders import datagram
from tests.proto.signed import number, signed
from vrrpd.control import messages
from vrrpd.proto.credentials import Hmac
from vrrpd.proto.settings import Settings

EXAMPLES = Path(__file__).parents[2] / "examples"
_GROUP = 8  # in the byte of circumstances: the second destination


def _heard(settings: Settings, seconds: float) -> bytes:
    good = (
        signed(number(seconds), settings=settings) if isinstance(settings.auth, Hmac) else datagram(settings=settings)
    )
    return good.payload


def _packets() -> Iterator[bytes]:
    for index, settings in enumerate(ROUTERS):
        yield bytes([index, 0 if settings.unicast else _GROUP]) + _heard(settings, 1)


def _conversations() -> Iterator[bytes]:
    for index, settings in enumerate(ROUTERS):
        said = bytes([index])
        for second in range(6):
            payload = _heard(settings, second + 1)
            said += bytes([100, 0 if settings.unicast else _GROUP, len(payload)]) + payload
        yield said


def _configurations() -> Iterator[bytes]:
    for path in sorted(EXAMPLES.glob("*.yaml")):
        yield path.read_bytes()


def _requests() -> Iterator[bytes]:
    for request in (
        {"command": "status"},
        {"command": "drain", "router": "web", "for_s": 7200, "force": False},
        {"command": "undrain", "router": None},
        {"command": None},
    ):
        yield messages.encode(request)
        yield 3 * messages.encode(request)


def seeds(target: str) -> list[bytes]:
    """Good input of a target."""
    makers = {
        "packets": _packets,
        "conversation": _conversations,
        "configuration": _configurations,
        "control": _requests,
    }
    return list(makers[target]())
