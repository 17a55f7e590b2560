"""Reading and changing addresses of a real kernel, and hearing of what others change."""

from __future__ import annotations

import errno
import socket
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractContextManager
from ipaddress import IPv4Interface, IPv6Interface, ip_interface

import pytest
import trio

from vrrpd.linux.netlink import (
    TAG,
    AddressAdded,
    AddressRemoved,
    Event,
    Events,
    InterfaceAddress,
    KernelAddress,
    LinkChanged,
    LinkGone,
    Netlink,
    NetlinkError,
    Overrun,
    encode_add,
    encode_remove,
    encode_renewal,
    reason,
)
from vrrpd.linux.netlink.frame import split

pytestmark = pytest.mark.netns

Inside = Callable[[str], AbstractContextManager[None]]
Ip = Callable[..., None]

SHARED4, SHARED6 = IPv4Interface("10.77.0.100/24"), IPv6Interface("fd77::100/64")


@pytest.fixture
def netlink(inside: Inside) -> Iterator[Netlink]:
    with inside("left"):
        made = Netlink()
    with made:
        yield made


@pytest.fixture
def index(netlink: Netlink) -> int:
    return next(link.index for link in netlink.dump().links if link.name == "eth0")


def find(netlink: Netlink, address: InterfaceAddress) -> KernelAddress | None:
    return next((a for a in netlink.dump().addresses if a.address == address), None)


def test_a_dump_shows_links_and_addresses(netlink: Netlink, index: int) -> None:
    snapshot = netlink.dump()
    links = {link.name: link for link in snapshot.links}
    assert links["lo"].loopback
    assert links["lo"].mtu == 65536
    eth0 = links["eth0"]
    assert (eth0.up, eth0.running, eth0.noarp, eth0.loopback, eth0.mtu) == (True, True, False, False, 1500)
    assert len(eth0.mac) == 6
    own = find(netlink, IPv4Interface("10.77.0.1/24"))
    assert own is not None
    assert (own.device, own.index, own.label, own.ours, own.permanent) == ("eth0", index, "eth0", False, True)


def test_reading_needs_no_privilege_and_a_change_says_which(
    inside: Inside, unprivileged: Callable[[], AbstractContextManager[None]]
) -> None:
    with inside("left"), unprivileged(), Netlink() as reader:
        assert {link.name for link in reader.dump().links} == {"lo", "eth0"}
        with pytest.raises(NetlinkError, match="CAP_NET_ADMIN is missing") as refused:
            reader.add(encode_add(SHARED4, 1))
    assert refused.value.errno == errno.EPERM


def test_an_added_address_is_tagged_and_stays_for_ever(netlink: Netlink, index: int) -> None:
    address = IPv4Interface("10.79.0.100/32")
    netlink.add(encode_add(address, index, label="eth0:web", scope=253))
    added = find(netlink, address)
    assert added is not None
    assert (added.ours, added.permanent, added.label, added.scope) == (True, True, "eth0:web", 253)
    assert (added.device, added.index) == ("eth0", index)


@pytest.mark.parametrize("length", [64, 128])
def test_an_added_ipv6_address_is_ready_at_once_and_never_a_source(
    netlink: Netlink, index: int, inside: Inside, length: int
) -> None:
    address = IPv6Interface(f"fd77::100/{length}")
    netlink.add(encode_add(address, index))
    added = find(netlink, address)
    assert added is not None
    assert (added.ours, added.tentative, added.deprecated, added.permanent) == (True, False, True, True)
    with inside("left"):
        probe = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    with probe:
        probe.connect(("fd77::2", 9))
        assert probe.getsockname()[0] == "fd77::1"


@pytest.mark.parametrize("address", [SHARED4, SHARED6])
def test_an_address_that_is_there_already_is_told_and_left_as_it_was(
    netlink: Netlink, index: int, ip: Ip, address: InterfaceAddress
) -> None:
    ip("left", "addr", "add", str(address), "dev", "eth0")
    with pytest.raises(NetlinkError, match="already on the interface") as refused:
        netlink.add(encode_add(address, index))
    assert refused.value.errno == errno.EEXIST
    kept = find(netlink, address)
    assert kept is not None
    assert not kept.ours


@pytest.mark.parametrize("address", [SHARED4, SHARED6])
def test_removing_takes_exactly_the_address_with_its_length(
    netlink: Netlink, index: int, address: InterfaceAddress
) -> None:
    host = ip_interface(f"{address.ip}/{address.max_prefixlen}")
    netlink.add(encode_add(address, index))
    with pytest.raises(NetlinkError) as refused:
        netlink.remove(encode_remove(host, index))
    assert refused.value.errno == errno.EADDRNOTAVAIL
    assert find(netlink, address) is not None
    netlink.remove(encode_remove(address, index))
    assert find(netlink, address) is None


def test_an_interface_that_is_gone_is_told(netlink: Netlink) -> None:
    with pytest.raises(NetlinkError) as refused:
        netlink.add(encode_add(SHARED4, 4242))
    assert refused.value.errno == errno.ENODEV
    assert refused.value.text.startswith(reason(errno.ENODEV))


def test_a_scope_that_the_subnet_does_not_have_is_told_with_the_kernels_words(netlink: Netlink, index: int) -> None:
    with pytest.raises(NetlinkError, match="same scope") as refused:
        netlink.add(encode_add(SHARED4, index, scope=253))
    assert refused.value.errno == errno.EINVAL
    assert "kernel:" in refused.value.text


def test_many_changes_are_answered_one_by_one_in_order(netlink: Netlink, index: int) -> None:
    addresses = [IPv4Interface(f"10.78.{n // 250}.{n % 250 + 1}/32") for n in range(300)]
    adds = [encode_add(address, index) for address in addresses]
    assert netlink.apply(adds) == [0] * 300
    doubled = [adds[0], encode_remove(IPv4Interface("10.99.0.1/32"), index), encode_remove(addresses[0], index)]
    assert netlink.apply(doubled) == [errno.EEXIST, errno.EADDRNOTAVAIL, 0]
    assert sum(address.ours for address in netlink.dump().addresses) == 299
    assert netlink.apply([]) == []


def test_numbering_starts_again_without_losing_an_answer(netlink: Netlink, index: int) -> None:
    netlink._sequence = 0xFFFF0000 - 1  # pyright: ignore[reportPrivateUsage]  # weeks of work otherwise
    changes = [encode_add(SHARED4, index), encode_remove(SHARED4, index)] * 3
    assert [netlink.apply(changes) for _ in range(2)] == [[0] * 6] * 2
    assert find(netlink, SHARED4) is None


def test_a_read_under_changes_shows_each_moment_whole(netlink: Netlink, index: int, inside: Inside) -> None:
    netlink.apply([encode_add(IPv4Interface(f"10.78.{n // 250}.{n % 250 + 1}/32"), index) for n in range(500)])
    with inside("left"):
        other = Netlink()
    add, remove = encode_add(SHARED4, index), encode_remove(SHARED4, index)
    stop = threading.Event()

    def disturb() -> None:
        while not stop.wait(0.02):
            other.add(add)
            other.remove(remove)

    disturber = threading.Thread(target=disturb)
    disturber.start()
    try:
        counts = {sum(a.ours for a in netlink.dump().addresses if a.address != SHARED4) for _ in range(5)}
    finally:
        stop.set()
        disturber.join()
        other.close()
    assert counts == {500}


def test_a_message_may_be_sent_again_and_again(netlink: Netlink, index: int) -> None:
    add, remove = encode_add(SHARED4, index), encode_remove(SHARED4, index)
    for _ in range(3):
        netlink.add(add)
        netlink.remove(remove)
    assert find(netlink, SHARED4) is None


def test_bytes_that_are_no_message_split_into_nothing() -> None:
    assert list(split(b"")) == []
    assert list(split(bytes(15))) == []
    assert list(split(bytes(64))) == []


def test_the_tag_is_the_letter_that_the_kernel_stores() -> None:
    assert bytes([TAG]) == b"V"


@pytest.fixture
async def events(inside: Inside) -> AsyncIterator[Events]:
    with inside("left"):
        made = Events()
    yield made
    made.close()


async def heard(events: Events, wanted: Callable[[Event], bool]) -> Event:
    """The first event that is wanted; an error where none comes in time."""
    with trio.fail_after(5):
        while True:
            for event in await events.receive():
                if wanted(event):
                    return event


async def test_an_address_that_comes_and_goes_is_told(events: Events, netlink: Netlink, index: int) -> None:
    for address in (SHARED4, SHARED6):
        netlink.add(encode_add(address, index))
        event = await heard(events, lambda e: isinstance(e, AddressAdded) and e.address.ours)
        assert isinstance(event, AddressAdded)
        assert (event.address.address, event.address.device) == (address, "eth0")
        netlink.remove(encode_remove(address, index))
        event = await heard(events, lambda e: isinstance(e, AddressRemoved) and e.address.ours)
        assert isinstance(event, AddressRemoved)
        assert (event.address.address, event.address.index) == (address, index)


async def test_a_pulled_cable_is_told_and_its_return_too(events: Events, ip: Ip) -> None:
    ip("right", "link", "set", "eth0", "down")
    event = await heard(events, lambda e: isinstance(e, LinkChanged) and not e.link.running)
    assert isinstance(event, LinkChanged)
    assert (event.link.name, event.link.up) == ("eth0", True)
    ip("right", "link", "set", "eth0", "up")
    await heard(events, lambda e: isinstance(e, LinkChanged) and e.link.running)


async def test_a_deleted_link_is_told_and_its_successor_has_another_index(events: Events, ip: Ip, index: int) -> None:
    ip("left", "link", "del", "eth0")
    event = await heard(events, lambda e: isinstance(e, LinkGone))
    assert isinstance(event, LinkGone)
    assert (event.link.name, event.link.index) == ("eth0", index)
    ip("left", "link", "add", "eth0", "type", "veth", "peer", "name", "eth1")
    event = await heard(events, lambda e: isinstance(e, LinkChanged) and e.link.name == "eth0")
    assert isinstance(event, LinkChanged)
    assert event.link.index != index


async def test_a_port_that_leaves_its_bridge_is_not_taken_for_deleted(events: Events, ip: Ip) -> None:
    ip("left", "link", "add", "br0", "type", "bridge")
    ip("left", "link", "set", "eth0", "master", "br0")
    ip("left", "link", "set", "eth0", "nomaster")
    ip("left", "link", "del", "br0")
    gone: list[str] = []
    with trio.fail_after(5):
        while "br0" not in gone:
            gone += [event.link.name for event in await events.receive() if isinstance(event, LinkGone)]
    assert gone == ["br0"]


async def test_lost_events_are_told_last_and_old_ones_are_forgotten(
    events: Events, netlink: Netlink, index: int
) -> None:
    add, remove = encode_add(SHARED4, index), encode_remove(SHARED4, index)
    for _ in range(60):
        netlink.apply([add, remove] * 32)  # more than the socket's buffer holds
    with trio.fail_after(5):
        told = await events.receive()
    assert told == [Overrun()]
    netlink.add(add)
    event = await heard(events, lambda e: isinstance(e, AddressAdded))
    assert isinstance(event, AddressAdded)
    assert event.address.device == "eth0"


async def test_messages_of_other_processes_are_ignored(events: Events, inside: Inside, ip: Ip) -> None:
    with inside("left"):
        forger = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE)
    port = events._socket.getsockname()[0]  # pyright: ignore[reportPrivateUsage]  # nothing else tells the port
    with forger:
        forged = bytearray(encode_add(SHARED4, 1))
        forger.sendto(forged, (port, 0))
    ip("left", "addr", "add", "10.77.0.50/24", "dev", "eth0")
    added: list[IPv4Interface | IPv6Interface] = []
    with trio.fail_after(5):
        while IPv4Interface("10.77.0.50/24") not in added:  # the link itself may tell of other changes meanwhile
            added += [event.address.address for event in await events.receive() if isinstance(event, AddressAdded)]
    assert added == [IPv4Interface("10.77.0.50/24")]


@pytest.mark.parametrize("address", [SHARED4, SHARED6])
def test_an_address_with_a_lifetime_goes_by_itself_and_a_renewal_keeps_it_tagged(
    netlink: Netlink, index: int, address: InterfaceAddress
) -> None:
    netlink.add(encode_add(address, index, lifetime=2))
    renewal = encode_renewal(encode_add(address, index, lifetime=2, renew=True))
    for _ in range(3):
        time.sleep(0.8)
        netlink.renew([renewal])
    kept = find(netlink, address)
    assert kept is not None
    assert (kept.ours, kept.permanent, kept.tentative) == (True, False, False)
    assert kept.deprecated == (address.version == 6), "never the source of a connection of the host's own"
    time.sleep(3)
    assert find(netlink, address) is None


def test_a_renewal_of_a_missing_address_brings_it_back(netlink: Netlink, index: int) -> None:
    netlink.add(encode_add(SHARED4, index, lifetime=60, renew=True))
    assert find(netlink, SHARED4) is not None


async def test_what_is_added_or_renewed_is_told_to_everybody_but_who_asked_for_it(
    netlink: Netlink, index: int, inside: Inside
) -> None:
    with inside("left"):
        ours, theirs = Events(netlink.port), Events()
    netlink.add(encode_add(SHARED4, index, lifetime=60))
    netlink.renew([encode_renewal(encode_add(SHARED4, index, lifetime=60, renew=True))] * 100)
    netlink.remove(encode_remove(SHARED4, index))
    kinds: list[list[type[Event]]] = []
    for events in (ours, theirs):
        told: list[Event] = []
        with trio.fail_after(5):
            while not any(isinstance(each, AddressRemoved) for each in told):
                told += await events.receive()
        kinds.append([type(each) for each in told])
        events.close()
    assert kinds == [[AddressRemoved], [*[AddressAdded] * 101, AddressRemoved]]


def test_renewals_that_the_kernel_refuses_leave_room_for_later_answers(netlink: Netlink, index: int) -> None:
    for _ in range(50):
        netlink.renew([encode_renewal(encode_add(SHARED4, 999_999, lifetime=60, renew=True))] * 100)
    assert netlink.apply([encode_add(SHARED4, index)]) == [0]


async def test_an_event_tells_who_has_removed_an_address(netlink: Netlink, index: int, inside: Inside) -> None:
    with inside("left"):
        events = Events()
    netlink.add(encode_add(SHARED4, index))
    netlink.remove(encode_remove(SHARED4, index))
    found: list[AddressRemoved] = []
    with trio.fail_after(5):
        while not found:
            found += [each for each in await events.receive() if isinstance(each, AddressRemoved)]
    events.close()
    assert found[0].by == netlink.port
