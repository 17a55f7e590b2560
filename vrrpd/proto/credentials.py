"""What an advertisement is authenticated with: the keys of an HMAC, or the password of version 2.

Owns the values and the one rule about them: a secret never appears in a text by accident. Whoever needs the bytes says
`reveal()`. How the keys are used is `proto.auth`.
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import TypeAlias

from vrrpd.proto.timers import SECOND


class Secret:
    """Bytes that no log, status, message or traceback shows."""

    __slots__ = ("_value",)

    def __init__(self, value: bytes) -> None:
        self._value = value

    def reveal(self) -> bytes:
        """The bytes themselves."""
        return self._value

    def __repr__(self) -> str:
        return "Secret(hidden)"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and hmac.compare_digest(self._value, other.reveal())

    def __hash__(self) -> int:
        return hash(self._value)


class Mode(StrEnum):
    """What is signed and what must be; hitless where all nodes go from one to the next in this order.

    `RECEIVE_ONLY` verifies a signature that is there and signs nothing, `PERMISSIVE` signs and still accepts what is
    unsigned, `ENFORCE` accepts what is signed and nothing else.
    """

    RECEIVE_ONLY = "receive-only"
    PERMISSIVE = "permissive"
    ENFORCE = "enforce"


class AntiReplay(StrEnum):
    """How an old advertisement is told from a new one: by the clocks, or by a rising number alone."""

    TIME = "time"
    MONOTONIC = "monotonic"


@dataclass(frozen=True, slots=True)
class Hmac:
    """Authentication by HMAC.

    Attributes:
        ring: ids (1..255) and keys (32..64 bytes); several while keys are being replaced.
        active_key: the id that we sign with.
        mode: see `Mode`.
        anti_replay: see `AntiReplay`.
        time_window: how far a sender's clock may be from ours, in nanoseconds.
    """

    ring: tuple[tuple[int, Secret], ...]
    active_key: int
    mode: Mode = Mode.ENFORCE
    anti_replay: AntiReplay = AntiReplay.TIME
    time_window: int = 5 * SECOND

    @property
    def keys(self) -> Mapping[int, Secret]:
        """The key of each id."""
        return MappingProxyType(dict(self.ring))


@dataclass(frozen=True, slots=True)
class Password:
    """Authentication type 1 of RFC 2338: eight bytes in clear text, which protect nothing.

    Attributes:
        secret: 1..8 bytes; shorter ones are filled with zeros on the wire.
    """

    secret: Secret

    @property
    def on_the_wire(self) -> Secret:
        """The authentication data of a packet."""
        return Secret(self.secret.reveal().ljust(8, b"\0"))


Auth: TypeAlias = Hmac | Password
