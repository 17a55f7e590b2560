"""Listening for others who claim an address that we hold, and for our own packets where they come back.

A listener hears one form of claim on one interface (`linux.claims`) and is shared by all virtual routers there. It is
opened when the first of them takes the role and stays open, deaf, when the last has given it up. Nothing of that is
urgent, and a hundred routers may take their roles at once: a role only notes its wish, and a task sets the listeners to
all wishes together. What is heard is read at most twenty times a second, 64 claims at a time.

A host that only has the address and never speaks of it would not be heard. So while an address is held it is asked for
every 10 s, by an ARP probe (RFC 5227 2.1.1) or a neighbour solicitation from our own address: neither changes what any
neighbour believes, and nobody but a second holder answers. Where nothing is announced, nothing is asked.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Hashable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from ipaddress import IPv4Address
from typing import TypeAlias

import trio

from vrrpd.errors import VrrpdError
from vrrpd.linux.announce import arp_request, neighbour_solicitation
from vrrpd.linux.claims import Claim, Form
from vrrpd.linux.netlink import Link
from vrrpd.proto.settings import Address
from vrrpd.runtime.kernel import ClaimListener, Kernel

ASK_EVERY_S = 10
PIECE = 32
PAUSE_S = 0.001
READ_EVERY_S = 0.05
SETTLE_S = 0.1

Heard: TypeAlias = Callable[[Claim], None]

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Watch:
    """What one virtual router wants to hear while it is Active.

    Attributes:
        source: the source of its advertisements.
        link: their interface.
        multicast: whether they are sent to the group, from where a switch may send them back.
        places: its addresses, each with the interface that it is on.
        ask: whether the addresses are asked for now and again.
        heard: called with each claim.
    """

    source: Address
    link: Link
    multicast: bool
    places: Sequence[tuple[Address, Link]]
    ask: bool
    heard: Heard

    def wishes(self) -> list[tuple[Form, Link, Address]]:
        """Which claims of which address on which interface."""
        form = Form.ARP if isinstance(self.source, IPv4Address) else Form.NDP
        wishes = [(form, link, address) for address, link in self.places]
        if form is Form.ARP and self.multicast:
            wishes.append((Form.VRRP, self.link, self.source))
        return [(form, link, address) for form, link, address in wishes if not (link.noarp or link.loopback)]

    def question(self, link: Link, address: Address) -> bytes | None:
        """What a second holder would answer, to us alone; None where we have no address there to ask from."""
        if address == self.source or not self.ask:
            return None
        if isinstance(address, IPv4Address):
            return arp_request(None, address, link.mac)
        if isinstance(self.source, IPv4Address) or link != self.link:
            return None
        return neighbour_solicitation(self.source, address, link.mac)


@dataclass(eq=False)
class Post:
    """One listener.

    Attributes:
        listener: the socket.
        heard: whom to call about which address.
        questions: what is asked every 10 s.
        closed: True once the interface is gone.
    """

    listener: ClaimListener
    heard: dict[Address, Heard] = field(default_factory=dict[Address, Heard])
    questions: list[bytes] = field(default_factory=list[bytes])
    closed: bool = False

    async def run(self, awake: Callable[[], None]) -> None:
        """Hand over what comes in, until the post is closed.

        Args:
            awake: called first after each wait.
        """
        with suppress(trio.ClosedResourceError):
            while not self.closed:
                claims = await self.listener.receive()
                awake()
                for claim in claims:
                    if claim.address in self.heard:
                        self.heard[claim.address](claim)
                await trio.sleep(READ_EVERY_S)

    def close(self) -> None:
        """The interface is gone, or the agent ends."""
        self.closed = True
        self.listener.close()


class Claims:
    """All listeners."""

    def __init__(self, kernel: Kernel, opened: Callable[[Post], None], awake: Callable[[], None]) -> None:
        """Start with none.

        Args:
            kernel: opens the sockets.
            opened: starts the task that reads a new one.
            awake: called first after each wait.
        """
        self._kernel = kernel
        self._opened = opened
        self._awake = awake
        self._watches: dict[Hashable, Watch] = {}
        self._posts: dict[tuple[Form, int], Post] = {}
        self._call = trio.Event()

    def watch(self, who: Hashable, watch: Watch) -> None:
        """A virtual router has taken the role; until `forget`."""
        self._watches[who] = watch
        self._call.set()

    def forget(self, who: Hashable) -> None:
        """It has given the role up. What was on its way may still be told."""
        if self._watches.pop(who, None) is not None:
            self._call.set()

    def gone(self, link: Link) -> None:
        """The interface is gone."""
        for key in [key for key in self._posts if key[1] == link.index]:
            self._posts.pop(key).close()

    def close(self) -> None:
        """Close every socket."""
        for post in self._posts.values():
            post.close()
        self._posts.clear()

    async def run(self) -> None:
        """Follow the wishes, for ever."""
        while True:
            await self._call.wait()
            await trio.sleep(SETTLE_S)
            self._awake()
            self._call = trio.Event()
            await self._settle()

    async def ask(self) -> None:
        """Ask the questions every 10 s, for ever."""
        while True:
            await trio.sleep(ASK_EVERY_S)
            self._awake()
            questions = [(post, each) for post in self._posts.values() for each in post.questions]
            for number, (post, question) in enumerate(questions, start=1):
                if not post.closed:
                    post.listener.ask(question)
                if number % PIECE == 0:
                    await trio.sleep(PAUSE_S)
                    self._awake()

    async def _settle(self) -> None:
        """Set every listener to what is wanted of it, one at a time: an advertisement may be due in between."""
        wanted = {key: (dict[Address, Heard](), list[bytes]()) for key in self._posts}
        links = dict[tuple[Form, int], Link]()
        for watch in self._watches.values():
            for form, link, address in watch.wishes():
                heard, questions = wanted.setdefault((form, link.index), ({}, []))
                heard[address] = watch.heard
                links[form, link.index] = link
                if (question := watch.question(link, address)) is not None:
                    questions.append(question)
        for key, (heard, questions) in wanted.items():
            post = self._posts.get(key) or self._open(key, links.get(key))
            if post is not None:
                news = post.heard.keys() != heard.keys()
                post.heard, post.questions = heard, questions
                if news:
                    post.listener.watch(heard)
            await trio.lowlevel.checkpoint()
            self._awake()

    def _open(self, key: tuple[Form, int], link: Link | None) -> Post | None:
        if link is None:  # gone meanwhile
            return None
        try:
            post = Post(self._kernel.claim_listener(key[0], link.name))
        except VrrpdError as error:  # the role matters more than who else claims it
            log.warning("nobody listens for a second holder: %s", error)
            return None
        self._posts[key] = post
        self._opened(post)
        return post
