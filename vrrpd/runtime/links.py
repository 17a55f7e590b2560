"""The links and addresses of this host, as the kernel last told: a mirror that answers without asking.

Fed with a full reading (`replace`) and with events (`update`); an event that was lost calls for a full reading. It also
decides what may be a source: never a shared address, nor one that is tentative, deprecated or ours (RFC 9568 5.1.1.1,
5.1.2.1).
"""

from __future__ import annotations

from collections.abc import Container, Iterable
from ipaddress import IPv6Address

import trio

from vrrpd.config.spec import HostAddress, HostFacts
from vrrpd.linux.netlink import (
    AddressAdded,
    AddressRemoved,
    Event,
    KernelAddress,
    Link,
    LinkChanged,
    LinkGone,
    Overrun,
    Snapshot,
)
from vrrpd.proto.settings import Address, Family, family_of


class Links:
    """The mirror.

    Attributes:
        addresses: every address by (interface index, address with prefix length).
    """

    def __init__(self) -> None:
        self._by_index: dict[int, Link] = {}
        self.addresses: dict[tuple[int, str], KernelAddress] = {}
        self._by_ip: dict[Address, dict[tuple[int, str], KernelAddress]] = {}
        self._changed = trio.Event()

    def replace(self, snapshot: Snapshot) -> None:
        """Take a full reading."""
        self._by_index = {link.index: link for link in snapshot.links}
        self.addresses = {each.key: each for each in snapshot.addresses}
        self._by_ip = _by_ip(snapshot.addresses)
        self._tell()

    def update(self, event: Event) -> None:
        """Take one event. `Overrun` changes nothing: the caller reads everything again."""
        match event:
            case LinkChanged(link):
                self._by_index[link.index] = link
                self._tell()
            case LinkGone(link):
                self._by_index.pop(link.index, None)
                self.addresses = {key: a for key, a in self.addresses.items() if a.index != link.index}
                self._by_ip = _by_ip(self.addresses.values())
                self._tell()
            case AddressAdded(address):
                self.addresses[address.key] = address
                self._by_ip.setdefault(address.address.ip, {})[address.key] = address
            case AddressRemoved(address):
                self.addresses.pop(address.key, None)
                others = self._by_ip.get(address.address.ip, {})
                others.pop(address.key, None)
                if not others:
                    self._by_ip.pop(address.address.ip, None)
            case Overrun():
                pass

    def link(self, name: str) -> Link | None:
        """The link of this name."""
        return next((link for link in self._by_index.values() if link.name == name), None)

    def carrier(self, interface: str) -> str | None:
        """Why an interface carries nothing, for people; None where it is up and running."""
        link = self.link(interface)
        if link is None:
            return "does not exist"
        if not link.up:
            return "is down"
        return None if link.running else "has no carrier"

    async def changed(self) -> None:
        """Return after the next change of any link."""
        await self._changed.wait()

    def on(self, interface: str) -> list[KernelAddress]:
        """The addresses of one interface, in the kernel's order."""
        link = self.link(interface)
        return [a for a in self.addresses.values() if link is not None and a.index == link.index]

    def holder(self, address: Address) -> str | None:
        """The interface that holds an address of this node, None while it is not there."""
        found = (a for a in self.addresses.values() if a.address.ip == address and not a.ours)
        return next((link.name for a in found if (link := self._by_index.get(a.index))), None)

    def present(self, interface: str, address: Address) -> KernelAddress | None:
        """This address on this interface, whatever its prefix length; one that is not ours comes first."""
        link = self.link(interface)
        found = [a for a in self._by_ip.get(address, {}).values() if link is not None and a.index == link.index]
        return min(found, key=lambda a: a.ours, default=None)

    def source(self, interface: str, family: Family, shared: Container[Address]) -> Address | None:
        """The source for multicast: the primary IPv4 or the link-local IPv6 address of the interface."""
        for each in self.on(interface):
            ip = each.address.ip
            if family_of(ip) is not family or not _may_be_source(each) or ip in shared:
                continue
            if each.secondary or (isinstance(ip, IPv6Address) and not ip.is_link_local):
                continue
            return ip
        return None

    def unready(self, interface: str, address: Address) -> str | None:
        """Why this exact address cannot be a source on the interface, for people; None where it can."""
        found = [a for a in self.on(interface) if a.address.ip == address]
        if any(_may_be_source(a) for a in found):
            return None
        if not found:
            return f"{address} is not on {interface}"
        each = found[0]
        if each.failed:
            return f"{address} on {interface} is used by another host, too (duplicate address detection failed)"
        why = "tentative" if each.tentative else "deprecated" if each.deprecated else "a shared address"
        return f"{address} on {interface} is {why}"

    def own(self) -> Iterable[Address]:
        """Every address of this host but those that we added: one of these may be a peer's own, whose owner it is."""
        return (a.address.ip for a in self.addresses.values() if not a.ours)

    def macs(self) -> set[bytes]:
        """The MAC of every interface of this host."""
        return {link.mac for link in self._by_index.values()}

    def _tell(self) -> None:
        self._changed.set()
        self._changed = trio.Event()


def host_facts(snapshot: Snapshot) -> HostFacts:
    """The facts that a configuration depends on, without what an agent put there."""
    found = tuple(HostAddress(each.device, each.address) for each in snapshot.addresses if not each.ours)
    return HostFacts(frozenset(link.name for link in snapshot.links), found)


def _may_be_source(address: KernelAddress) -> bool:
    return not (address.ours or address.tentative or address.failed or address.deprecated)


def _by_ip(addresses: Iterable[KernelAddress]) -> dict[Address, dict[tuple[int, str], KernelAddress]]:
    found = dict[Address, dict[tuple[int, str], KernelAddress]]()
    for each in addresses:
        found.setdefault(each.address.ip, {})[each.key] = each
    return found
