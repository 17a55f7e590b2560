"""The links and addresses of this host, as the kernel last told: a mirror that answers without asking.

Fed with a full reading (`replace`) and with events (`update`); an event that was lost calls for a full reading. Every
router asks, on a host that may have thousands of addresses, so nothing that is asked looks through all of them. It also
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
    """The mirror."""

    def __init__(self) -> None:
        self._by_index: dict[int, Link] = {}
        self._by_name: dict[str, Link] = {}
        self._on: dict[int, dict[str, KernelAddress]] = {}  # by index, and address with prefix length
        self._by_ip: dict[Address, dict[tuple[int, str], KernelAddress]] = {}
        self._changed = trio.Event()

    def replace(self, snapshot: Snapshot) -> None:
        """Take a full reading."""
        self._by_index = {link.index: link for link in snapshot.links}
        self._by_name = {link.name: link for link in snapshot.links}
        self._on, self._by_ip = {}, {}
        for each in snapshot.addresses:
            self._add(each)
        self._tell()

    def update(self, event: Event) -> None:
        """Take one event. `Overrun` changes nothing: the caller reads everything again."""
        match event:
            case LinkChanged(link):
                self._unname(link.index)
                self._by_index[link.index] = self._by_name[link.name] = link
                self._tell()
            case LinkGone(link):
                self._unname(link.index)
                self._by_index.pop(link.index, None)
                for each in list(self._on.get(link.index, {}).values()):
                    self._remove(each)
                self._tell()
            case AddressAdded(address):
                self._add(address)
            case AddressRemoved(address):
                self._remove(address)
            case Overrun():
                pass

    def link(self, name: str) -> Link | None:
        """The link of this name."""
        return self._by_name.get(name)

    def name(self, index: int) -> str | None:
        """What the link of this number is called now."""
        link = self._by_index.get(index)
        return link and link.name

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
        return list(self._on.get(link.index, {}).values()) if link else []

    def holder(self, address: Address) -> str | None:
        """The interface that holds an address of this node, None while it is not there."""
        found = (a for a in self._by_ip.get(address, {}).values() if not a.ours)
        return next((name for a in found if (name := self.name(a.index))), None)

    def present(self, interface: str, address: Address) -> KernelAddress | None:
        """This address on this interface, whatever its prefix length; one that is not ours comes first."""
        return min(self._found(interface, address), key=lambda a: a.ours, default=None)

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
        found = self._found(interface, address)
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
        return (a.address.ip for there in self._on.values() for a in there.values() if not a.ours)

    def macs(self) -> set[bytes]:
        """The MAC of every interface of this host."""
        return {link.mac for link in self._by_index.values()}

    def _found(self, interface: str, address: Address) -> list[KernelAddress]:
        link = self.link(interface)
        return [a for a in self._by_ip.get(address, {}).values() if link is not None and a.index == link.index]

    def _add(self, address: KernelAddress) -> None:
        key = address.key
        self._on.setdefault(address.index, {})[key[1]] = address
        self._by_ip.setdefault(address.address.ip, {})[key] = address

    def _remove(self, address: KernelAddress) -> None:
        key, ip = address.key, address.address.ip
        self._on.get(address.index, {}).pop(key[1], None)
        others = self._by_ip.get(ip, {})
        others.pop(key, None)
        if not others:
            self._by_ip.pop(ip, None)

    def _unname(self, index: int) -> None:
        """Forget what a link was called; another one may be called that by now."""
        before = self._by_index.get(index)
        if before is not None and self._by_name.get(before.name) is before:
            del self._by_name[before.name]

    def _tell(self) -> None:
        self._changed.set()
        self._changed = trio.Event()


def host_facts(snapshot: Snapshot) -> HostFacts:
    """The facts that a configuration depends on, without what an agent put there."""
    found = tuple(HostAddress(each.device, each.address) for each in snapshot.addresses if not each.ours)
    return HostFacts(frozenset(link.name for link in snapshot.links), found)


def _may_be_source(address: KernelAddress) -> bool:
    return not (address.ours or address.tentative or address.failed or address.deprecated)
