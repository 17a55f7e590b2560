"""Echo requests between two namespaces, with either kind of socket."""

from __future__ import annotations

import errno
import socket
import struct
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
import trio
import trio.testing

from vrrpd.linux.ping import open_socket, ping

pytestmark = pytest.mark.netns

Inside = Callable[[str], AbstractContextManager[None]]
Unprivileged = Callable[[], AbstractContextManager[None]]

V4, V6 = socket.AF_INET, socket.AF_INET6


@pytest.fixture
def allow(inside: Inside) -> Callable[[str], None]:
    """`allow("0 0")`: these groups may have datagram sockets of ICMP."""

    def write(groups: str) -> None:
        with inside("left"):
            Path("/proc/sys/net/ipv4/ping_group_range").write_text(groups)

    return write


@pytest.mark.parametrize(("groups", "kind"), [("0 0", socket.SOCK_DGRAM), ("1 0", socket.SOCK_RAW)])
@pytest.mark.parametrize(("family", "host"), [(V4, "10.77.0.2"), (V6, "fd77::2")])
async def test_a_host_answers_whichever_socket_is_allowed(
    inside: Inside,
    allow: Callable[[str], None],
    groups: str,
    kind: int,
    family: socket.AddressFamily,
    host: str,
) -> None:
    allow(groups)
    with inside("left"), trio.fail_after(5):
        with open_socket(family) as opened:
            assert opened.type == kind
        took = await ping(family, (host, 0))
    assert isinstance(took, float)
    assert took > 0


async def test_no_right_is_needed_where_the_group_is_allowed(
    inside: Inside, allow: Callable[[str], None], unprivileged: Unprivileged
) -> None:
    allow("0 0")
    with inside("left"), unprivileged(), trio.fail_after(5):
        assert isinstance(await ping(V4, ("10.77.0.2", 0)), float)


@pytest.mark.parametrize(("family", "host"), [(V4, "10.77.0.2"), (V6, "fd77::2")])
async def test_without_right_and_without_group_it_is_refused(
    inside: Inside,
    allow: Callable[[str], None],
    unprivileged: Unprivileged,
    family: socket.AddressFamily,
    host: str,
) -> None:
    allow("1 0")
    with inside("left"), unprivileged(), pytest.raises(PermissionError):
        await ping(family, (host, 0))


@pytest.mark.parametrize(("family", "host"), [(V4, "192.0.2.1"), (V6, "2001:db8::1")])
async def test_a_host_that_no_route_leads_to_is_a_value(
    inside: Inside, family: socket.AddressFamily, host: str
) -> None:
    with inside("left"):
        error = await ping(family, (host, 0))
    assert isinstance(error, OSError)
    assert error.errno == errno.ENETUNREACH


@pytest.fixture
def silent(inside: Inside) -> None:
    """The host on the right does not answer."""
    with inside("right"):
        Path("/proc/sys/net/ipv4/icmp_echo_ignore_all").write_text("1")
        Path("/proc/sys/net/ipv6/icmp/echo_ignore_all").write_text("1")


@pytest.mark.usefixtures("silent")
@pytest.mark.parametrize("groups", ["0 0", "1 0"])
@pytest.mark.parametrize(
    ("family", "host", "protocol", "reply"),
    [(V4, "10.77.0.1", socket.IPPROTO_ICMP, 0), (V6, "fd77::1", socket.IPPROTO_ICMPV6, 129)],
)
async def test_only_the_answer_to_the_very_question_counts(
    inside: Inside,
    allow: Callable[[str], None],
    groups: str,
    family: socket.AddressFamily,
    host: str,
    protocol: int,
    reply: int,
) -> None:
    """A host that answers too late, or somebody else's question, has not answered."""
    allow(groups)
    with inside("right"):
        forging = socket.socket(family, socket.SOCK_RAW, protocol)
    with forging, inside("left"):
        with trio.move_on_after(0.1) as scope:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(ping, family, ("10.77.0.2" if family == V4 else "fd77::2", 0))
                await trio.testing.wait_all_tasks_blocked()
                for identifier in range(0, 65536, 257):
                    head = struct.pack("!BBHHH", reply, 0, 0, identifier, 1)
                    forging.sendto(_with_checksum(head + b"12345678"), (host, 0))
        assert scope.cancelled_caught


def _with_checksum(message: bytes) -> bytes:
    total = sum(struct.unpack(f"!{len(message) // 2}H", message))
    total = (total >> 16) + (total & 0xFFFF)
    return message[:2] + struct.pack("!H", ~(total + (total >> 16)) & 0xFFFF) + message[4:]
