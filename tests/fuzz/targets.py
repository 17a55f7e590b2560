"""What is fuzzed: functions that take any bytes, hand them to a door of the agent, and raise where it is not shut.

Each is run by hypothesis in CI (`test_targets`) and, for longer and led by the code that it reaches, by atheris:

    .venv/bin/pip install --group fuzz
    .venv/bin/python -m tests.fuzz packets -max_total_time=300

The first bytes choose the circumstances, the rest is what comes in. An exception that leaves a target is a finding.
"""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cache, partial
from ipaddress import IPv4Address, ip_interface
from pathlib import Path
from types import MappingProxyType

import trio
from trio.testing import MockClock, memory_stream_pair

from tests.linux.bpf import passes
from tests.proto.builders import DEFAULT, DEFAULT6, HIGHER, HIGHER6, LOWER, ME, ME6, MULTICAST, MULTICAST6, V2
from tests.proto.signed import PERMISSIVE, SIGNED, at
from vrrpd.config import HostFacts, Kinds, load, resolve
from vrrpd.config.spec import HostAddress
from vrrpd.control import messages
from vrrpd.control.server import Handler, Server
from vrrpd.errors import ConfigError, VrrpdError
from vrrpd.kinds import kinds
from vrrpd.linux.families import STACKS
from vrrpd.linux.sieve import sieve
from vrrpd.proto.auth import MOST_SIGHTINGS, Authenticator
from vrrpd.proto.datagram import Datagram
from vrrpd.proto.events import Received, Startup, Tick, Unproven
from vrrpd.proto.outline import outline
from vrrpd.proto.packet import GROUP_V4, GROUP_V6
from vrrpd.proto.router import REMEMBERED_SOURCES, VirtualRouter
from vrrpd.proto.settings import Address, Family, Settings
from vrrpd.proto.timers import MS, SECOND
from vrrpd.proto.validate import Accepted, Drop, priority_of, validate, vrid_of
from vrrpd.runtime.doubts import UNPROVEN

ROUTERS = (DEFAULT, DEFAULT6, MULTICAST, MULTICAST6, V2, SIGNED, replace(SIGNED, auth=PERMISSIVE))
STRANGER = IPv4Address("10.0.0.99")
_SOURCES: Mapping[Family, tuple[Address, ...]] = {
    Family.IPV4: (HIGHER, LOWER, ME, STRANGER, IPv4Address("0.0.0.0"), HIGHER6),
    Family.IPV6: (HIGHER6, ME6, HIGHER),
}
_DESTINATIONS: Mapping[Family, tuple[Address, ...]] = {
    Family.IPV4: (ME, GROUP_V4, ME6),
    Family.IPV6: (ME6, GROUP_V6, ME),
}
_HOPS = (255, 254, 64, 0)
HOST = HostFacts(
    frozenset({"eth0", "eth1", "lo"}),
    (HostAddress("eth0", ip_interface("10.0.0.11/24")), HostAddress("eth0", ip_interface("fd00::11/64"))),
)
LONGEST = 200
"""Bytes that a datagram of a conversation has at most."""


class Bytes:
    """Reads decisions off the front of some bytes; zeros follow the last one."""

    def __init__(self, data: bytes) -> None:
        self.rest = data

    def number(self) -> int:
        """The next byte."""
        first, self.rest = self.rest[:1] or b"\0", self.rest[1:]
        return first[0]

    def piece(self) -> bytes:
        """As many of the next bytes as the first of them says."""
        length = min(self.number(), LONGEST)
        piece, self.rest = self.rest[:length], self.rest[length:]
        return piece


def _datagram(said: Bytes, settings: Settings, payload: bytes | None = None) -> Datagram:
    sources, destinations = _SOURCES[settings.family], _DESTINATIONS[settings.family]
    circumstances = said.number()
    return Datagram(
        said.piece() if payload is None else payload,
        sources[circumstances % len(sources)],
        destinations[circumstances // 8 % len(destinations)],
        _HOPS[circumstances // 32 % len(_HOPS)],
    )


def packets(data: bytes) -> None:
    """One datagram to a router, and the same bytes as a whole IP packet to the socket's parser."""
    said = Bytes(data)
    settings = ROUTERS[said.number() % len(ROUTERS)]
    datagram = replace(_datagram(said, settings, b""), payload=said.rest)
    vrid_of(datagram)
    keys = Authenticator.of(settings)
    prove = partial(keys.judge, at=at(1)) if keys else None
    verdict = validate(datagram, settings, (ME, ME6), prove)
    assert isinstance(validate(datagram, None, (ME, ME6)), Drop)
    if isinstance(verdict, Accepted) and vrid_of(datagram) == settings.vrid:
        assert verdict.advert.interval > 0
        assert verdict.advert.addresses
        if datagram.source.version == datagram.destination.version:
            assert passes(sieve(outline(settings.family, [settings])), datagram), (
                "the kernel would have kept it from us"
            )
    STACKS[Family.IPV4].datagram((data, b"", b""), 3)
    STACKS[Family.IPV6].datagram((data, data.ljust(28, b"\0")[:28], data), 3)


def conversation(data: bytes) -> None:
    """Datagrams and moments, one after another, to one router."""
    said = Bytes(data)
    settings = ROUTERS[said.number() % len(ROUTERS)]
    router = VirtualRouter(settings)
    now = 0
    router.handle(Startup(ME if settings.family is Family.IPV4 else ME6), now)
    keys = router.authenticator
    while said.rest:
        now += said.number() * 10 * MS
        if router.deadline is not None and router.deadline <= now:
            router.handle(Tick(), now)
        datagram = _datagram(said, settings)
        prove = partial(keys.judge, at=at(now / SECOND)) if keys else None
        verdict = validate(datagram, settings, (ME, ME6), prove)
        if isinstance(verdict, Accepted):
            router.handle(Received(verdict.advert, datagram.source, verdict.dialect), now)
        elif verdict.reason in UNPROVEN and (priority := priority_of(datagram)):
            router.handle(Unproven(datagram.source, priority, verdict.authentic), now)
        assert router.deadline is not None, "a router that takes part always has something to wait for"
        assert len(router.heard) <= REMEMBERED_SOURCES
        assert keys is None or len(keys.sightings) <= MOST_SIGHTINGS


def configuration(data: bytes) -> None:
    """The content of a configuration file."""
    with tempfile.NamedTemporaryFile(dir=_memory(), suffix=".yaml") as file:
        file.write(data)
        file.flush()
        said = "a configuration"
        try:
            resolve(load(file.name, _kinds()), HOST, None)
        except ConfigError as error:
            said = str(error)
        assert said.encode(), "what is said can be printed"


@cache
def _kinds() -> Kinds:
    return kinds()


def _memory() -> str | None:
    return "/dev/shm" if Path("/dev/shm").is_dir() else None


def _echo(request: Mapping[str, object]) -> Mapping[str, object]:
    return dict(request)


def _refuse(request: Mapping[str, object]) -> Mapping[str, object]:
    raise VrrpdError(f"no router is called {request.get('router')!r}")


HANDLERS: Mapping[str, Handler] = MappingProxyType({"status": _echo, "drain": _refuse})


def control(data: bytes) -> None:
    """What a client writes to the control socket, in pieces, before it goes."""
    trio.run(_converse, data, clock=MockClock(autojump_threshold=0))


async def _converse(data: bytes) -> None:
    ours, theirs = memory_stream_pair()

    def permit(_command: str, _client: object) -> None:
        """Everybody may ask for everything."""

    server = Server(HANDLERS, permit)
    said = bytearray()

    async def listen() -> None:
        while piece := await theirs.receive_some(65536):
            said.extend(piece)

    with trio.fail_after(120):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(listen)
            nursery.start_soon(server.converse, ours)
            with contextlib.suppress(trio.BrokenResourceError):  # cut off
                for at_byte in range(0, len(data), 1000):
                    await theirs.send_all(data[at_byte : at_byte + 1000])
            await theirs.send_eof()
    for line in said.splitlines():
        messages.decode(bytes(line))


TARGETS: Mapping[str, Callable[[bytes], None]] = MappingProxyType(
    {"packets": packets, "conversation": conversation, "configuration": configuration, "control": control}
)
