"""The work of the real socket, which is a fake in `test_work`, for each of a burst: sent to itself, over lo."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from ipaddress import IPv4Address

import pytest

from netns_lab import kernel
from tests.bench.bounds import READ, WRITTEN, figures_hold, hold
from tests.bench.codec import ADVERT
from tests.bench.counting import calls, operations
from vrrpd.linux.letters import Bundle
from vrrpd.linux.sockets import VrrpSocket
from vrrpd.proto.packet import Dialect, encode
from vrrpd.proto.settings import Family

pytestmark = [
    pytest.mark.netns,
    pytest.mark.skipif(os.geteuid() != 0, reason="network namespaces need root"),
    figures_hold,
]

HERE = IPv4Address("127.0.0.1")
PAYLOAD = encode(ADVERT, HERE, HERE, Dialect.PSEUDO)
BURST = 50
METERS = {"calls": calls, "bytecode": operations}


@pytest.fixture
def opened() -> Iterator[VrrpSocket]:
    """A socket that hears what it sends."""
    namespace = f"vb{os.getpid()}"
    kernel.ip_batch([f"netns add {namespace}"])
    try:
        kernel.ip_batch(["link set lo up"], namespace)
        index = kernel.inside(namespace, lambda: socket.if_nametoindex("lo"))
        made = kernel.inside(namespace, lambda: VrrpSocket(Family.IPV4, "lo", index, multicast=False))
        yield made
        made.close()
    finally:
        kernel.ip_batch([f"netns del {namespace}"])


def test_the_socket_takes_no_more_work(opened: VrrpSocket) -> None:
    letters = Bundle([opened.letter(PAYLOAD, HERE, HERE)] * BURST)
    assert opened.send(letters) == []
    assert [each.payload for each in opened.receive()] == [PAYLOAD] * BURST, "and the first of all is remembered"
    written, read = dict[str, float](), dict[str, float]()
    for name, meter in METERS.items():
        with meter() as count:
            failed = opened.send(letters)
        assert failed == []
        written[name] = count.number / BURST
        with meter() as count:
            heard = opened.receive()
        assert len(heard) == BURST
        read[name] = count.number / BURST
    hold("a message written", written, WRITTEN)
    hold("a message read", read, READ)
