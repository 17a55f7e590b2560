"""One virtual router as it stands on this host: its interface, source, port and prepared addresses.

Owns the answer to "can it take part, and if not, why": RFC 9568 6.4.1 starts a router when its interface is up, and
ours needs a source address besides. It holds what the core does not know; the core holds the role.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass

from vrrpd.config.spec import MemberSpec
from vrrpd.linux.letters import Letter
from vrrpd.linux.netlink import Link
from vrrpd.linux.send_error import SendError
from vrrpd.proto.auth import Seal
from vrrpd.proto.settings import OWNER, Address, Family
from vrrpd.proto.timers import SECOND, answer_wait
from vrrpd.runtime.claims import Heard, Watch
from vrrpd.runtime.kernel import Cover
from vrrpd.runtime.lateness import Punctuality
from vrrpd.runtime.links import Links
from vrrpd.runtime.placement import Key, Outcome, Place, Standing, place
from vrrpd.runtime.ports import Port

MOST_LETTERS = 4
"""Advertisements that are kept prepared: ours, and what we say when we leave."""

LONGEST_WAIT_FOR_SUCCESSOR = SECOND
"""How long the addresses of a dead agent may wait to be taken over."""


@dataclass(frozen=True, slots=True)
class Footing:
    """What a virtual router stands on while it takes part.

    Attributes:
        link: its interface.
        source: its own address there.
        devices: the links that its addresses go to, in their order.
    """

    link: Link
    source: Address
    devices: tuple[Link, ...]

    @property
    def identity(self) -> tuple[object, ...]:
        """What must not change under a running router; flags and the like may."""
        return self.link.index, self.link.mac, self.source, tuple((d.index, d.mac) for d in self.devices)

    @property
    def names(self) -> tuple[str, ...]:
        """What its links are called now."""
        return self.link.name, *(d.name for d in self.devices)


class Member:
    """The host's side of one virtual router.

    Attributes:
        spec: the wanted state.
        footing: what it stands on while started, None otherwise.
        port: its raw socket while started.
        places: its addresses with their prepared messages while started.
        outcomes: what became of each address that was asked for.
        owners: peers whose own address is a shared one.
        zeros: what the guardian was told to say, by destination.
        seal: what it signs that with, None before it was told.
        punctuality: how punctual it is.
        unsent: destinations that the last advertisement could not be sent to, and why.
    """

    def __init__(self, spec: MemberSpec) -> None:
        self.spec = spec
        self.footing: Footing | None = None
        self.port: Port | None = None
        self._letters: dict[int, tuple[Sequence[tuple[Address, bytes]], list[Letter]]] = {}
        self.places: list[Place] = []
        self.outcomes: dict[Key, Outcome] = {}
        self.owners = {each.address.ip for each in spec.addresses} & set(spec.settings.peers)
        self.zeros: Sequence[tuple[Address, bytes]] = ()
        self.seal: Seal | None = None
        self._cover: Cover | None = None  # the last one that is not signed
        self.punctuality = Punctuality(f"{spec.router}/{spec.settings.family}", spec.settings.interval)
        self.unsent: dict[Address, str] = {}

    @property
    def family(self) -> Family:
        """The address family."""
        return self.spec.settings.family

    def holds(self, address: Address) -> bool:
        """Whether this shared address is here now."""
        held = (o.place.address.address.ip for o in self.outcomes.values() if o.standing is not Standing.FAILED)
        return address in held

    def card(self, address: Address) -> bytes | None:
        """The MAC of the interface where others are heard to claim an address of ours; None while it takes no part."""
        if self.footing is None:
            return None
        links = (each.link for each in self.places if each.address.address.ip == address)
        return next(links, self.footing.link).mac

    def find_footing(self, links: Links, shared: Container[Address]) -> Footing | str:
        """What it can stand on now, or the reason why it cannot take part, for people."""
        interface = self.interface(links)
        if interface is None:
            last = self.spec.interface
            where = f"; it was on {last}, which {links.carrier(last) or 'has it no more'}" if last else " yet"
            return f"{self.spec.home} is on no interface of this host{where}"
        link, trouble = links.link(interface), links.carrier(interface)
        if link is None or trouble:
            return f"interface {interface} {trouble}"
        source = self._source(links, interface, shared)
        if isinstance(source, str):
            return source
        devices: list[Link] = []
        for each in self.spec.addresses:
            name = each.device or interface
            device, trouble = links.link(name), links.carrier(name)
            if device is None or trouble:
                return f"interface {name}, for {each.address}, {trouble}"
            devices.append(device)
        return Footing(link, source, tuple(devices))

    def minds(self, touched: Container[object]) -> bool:
        """Whether a change of these interfaces, by name, or of these addresses may change what it stands on."""
        return self.footing is None or self.spec.home in touched or any(n in touched for n in self.footing.names)

    def interface(self, links: Links) -> str | None:
        """The interface by its name in the file, or the one that holds our own address now."""
        return self.spec.interface if self.spec.home is None else links.holder(self.spec.home)

    def stand(self, footing: Footing, port: Port) -> None:
        """Take a footing; encodes every address message ahead of the moment they are needed."""
        self.footing, self.port = footing, port
        self._letters.clear()
        self._cover = None
        owned = self.spec.settings.highest_other == OWNER
        pairs = zip(self.spec.addresses, footing.devices, strict=True)
        self.places = [place(address, device, lease=self.spec.lease, owned=owned) for address, device in pairs]

    def letters(self, said: Sequence[tuple[Address, bytes]]) -> list[Letter]:
        """An advertisement, prepared once for as long as it is the same (object).

        Args:
            said: its bytes by destination.
        """
        assert self.port is not None, "it has no socket before it stands"
        assert self.footing is not None, "it has no source before it stands"
        known = self._letters.get(id(said))  # which nobody else can have while it is kept here
        if known is None:
            letter, source = self.port.socket.letter, self.footing.source
            known = said, [letter(payload, source, to) for to, payload in said]
            if len(self._letters) >= MOST_LETTERS:
                self._letters.clear()
            self._letters[id(said)] = known
        letters = known[1]
        if self.owners:  # one whose owner is gone would come back to us
            return [each for each in letters if each.destination not in self.owners or not self.holds(each.destination)]
        return letters

    def sent(
        self, letters: Sequence[Letter], failed: Mapping[Letter, SendError], news: Callable[[], None] | None = None
    ) -> None:
        """Take note of what could not be sent; `news` is called where that is something else than before."""
        before = self.unsent
        if failed or before:
            self.unsent = {each.destination: failed[each].text for each in letters if each in failed}
        if news is not None and self.unsent != before:
            news()

    def cover(self, zeros: Sequence[tuple[Address, bytes]], seal: Seal | None) -> Cover:
        """What the guardian has to know; put together once for as long as it is the same (`zeros` the same object).

        Args:
            zeros: the unsigned advertisements of priority 0 by destination.
            seal: how to sign them; None where they are not signed.
        """
        assert self.footing is not None, "an Active stands on something"
        if self._cover is not None and seal is None and zeros is self.zeros:
            return self._cover
        self.zeros, self.seal = zeros, seal
        settings, source = self.spec.settings, str(self.footing.source)
        cover = Cover(
            vrid=settings.vrid,
            index=self.footing.link.index,
            zeros=tuple((source, str(destination), payload) for destination, payload in zeros),
            seal=seal,
            wait=min(answer_wait(settings.interval), LONGEST_WAIT_FOR_SUCCESSOR),
            addresses=tuple(each.key for each in self.places),
        )
        self._cover = cover if seal is None else None
        return cover

    def watch(self, heard: Heard) -> Watch:
        """Whose claims matter while it is Active, and who is told."""
        assert self.footing is not None, "an Active stands on something"
        announce = self.spec.announce
        return Watch(
            source=self.footing.source,
            link=self.footing.link,
            multicast=not self.spec.settings.unicast,
            places=[(each.address.address.ip, each.link) for each in self.places],
            ask=bool(announce.times or announce.every),
            heard=heard,
        )

    def _source(self, links: Links, interface: str, shared: Container[Address]) -> Address | str:
        wanted = self.spec.source
        if wanted is not None:
            return links.unready(interface, wanted) or wanted
        owner = self.spec.settings.priority == OWNER  # its own address is the shared one
        found = links.source(interface, self.family, () if owner else shared)
        if found is None:
            kind = "primary IPv4" if self.family is Family.IPV4 else "link-local IPv6"
            return f"{interface} has no {kind} address to send from"
        return found
