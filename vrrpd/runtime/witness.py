"""What one virtual router notices of others that serve, or do not serve, beside it: alarms, and nothing else.

Owns the sentences about a second holder of a shared address, a second Active, a peer that does not hear us, one whose
agent is not there, and our own packets that come back. Anybody on the link can make them all up, so none of them
changes a role; against another holder the address is announced once more, at most every 10 s (RFC 5227 2.4 b).

Whose MAC is a peer's is not known. So what is said of an address within a second of a change of role counts for
nothing: whoever gives the role away may still speak for it, and whoever takes it is sometimes heard before its
advertisement is. Hence a claim is believed a second and an interval after it was heard, if no role changed meanwhile.
"""

from __future__ import annotations

from collections.abc import Mapping

from vrrpd.linux.claims import Claim, Form
from vrrpd.proto.datagram import Datagram
from vrrpd.proto.events import Received
from vrrpd.proto.memory import remember
from vrrpd.proto.router import VirtualRouter
from vrrpd.proto.settings import Address
from vrrpd.proto.states import Active, State
from vrrpd.proto.timers import CENTISECOND, SECOND
from vrrpd.proto.validate import Drop, Reason, interval_of, priority_of
from vrrpd.runtime.absent import Absent
from vrrpd.runtime.alarms import Alarms, Code
from vrrpd.runtime.member import Member
from vrrpd.runtime.rivals import PATIENCE, TOO_OFTEN, Reign, Rivals

SETTLING = SECOND
"""After a change of role two may announce an address."""
DEFEND_INTERVAL = 10 * SECOND  # RFC 5227 1.1
MOST_CLAIMS = 64
LONGEST_INTERVAL = 0x0FFF * CENTISECOND
"""The longest that version 3 can say; whoever is refused may say anything."""

NO_CLAIM = {Reason.LENGTH, Reason.OWN, Reason.MODE, Reason.SOURCE, Reason.TYPE, Reason.CARP, Reason.VRID, Reason.REPLAY}
"""Whoever is refused for these does not claim the role that we have; with any other reason he may."""


class Witness:
    """The witness of one virtual router."""

    def __init__(self, member: Member, alarms: Alarms) -> None:
        self._member = member
        self._alarms = alarms
        self._rivals = Rivals()
        self._absent = Absent()
        self._answers = 0  # that had come when we looked last, to whomever
        self._claims: dict[tuple[Address, str], int] = {}  # when each was first heard
        self._defended: int | None = None
        self._last: Reign | None = None  # of the last advertisement

    def heard(self, core: VirtualRouter, before: State, event: Received, now: int) -> None:
        """An accepted advertisement was handled.

        Args:
            core: the virtual router, after it.
            before: its state before it.
            event: the advertisement.
            now: when it was heard.
        """
        source, advert = event.source, event.advert
        if source == core.source:
            return
        if advert.priority == 0:
            self._rivals.left(source)
            return
        reign = self._rivals.heard(source, advert.priority, advert.interval, now, believed=True)
        served, serves = isinstance(before, Active), isinstance(core.state, Active)
        if served and not serves and self._rivals.beaten(source, now):
            text = f"{self._name(reign)} took the role from this node {TOO_OFTEN} times within a minute"
            mend = "we lose its advertisements in between; look at the network between the two"
            self._alarms.seen(Code.TWO_ACTIVE, f"{text}: {mend}", now)
        self._last = reign
        if self._quarrel(core, reign, now) and serves:
            mine = core.effective_priority
            text = f"{self._name(reign)} goes on advertising although we contradict it with priority {mine}"
            mend = "it does not hear us, or refuses what we say; look for what passes protocol 112 one way only"
            self._alarms.seen(Code.ONE_WAY, f"{text}: {mend} (cable, switch port, firewall), and at its log", now)

    def heard_again(self, at: int, number: int) -> None:
        """The advertisement that was heard last was heard so many times more, at last at this time."""
        if self._last is not None:
            self._rivals.went_on(self._last, at, number)

    def heard_from(self, source: Address) -> int | None:
        """The last priority that was accepted from a source; None where there was none."""
        return self._rivals.said.get(source)

    def refused(self, core: VirtualRouter, datagram: Datagram, drop: Drop, now: int) -> None:
        """An advertisement of our VRID was refused, and its sender may be Active all the same."""
        if drop.reason not in NO_CLAIM and priority_of(datagram):
            # Its own pace, which need not be ours: a slower one would seem to begin anew each time.
            interval = min(max(interval_of(datagram), SECOND), LONGEST_INTERVAL)
            reign = self._rivals.heard(datagram.source, priority_of(datagram), interval, now, believed=False)
            self._quarrel(core, reign, now)

    def claimed(self, core: VirtualRouter, claim: Claim, ours: set[bytes], now: int) -> None:
        """A frame says that an address of ours is at some MAC.

        Args:
            core: the virtual router.
            claim: what it says.
            ours: the MACs of this host.
            now: when it was read.
        """
        mac = claim.mac.hex(":")
        if claim.mac in ours and claim.mac != self._member.card(claim.address):
            return  # another card of this host in the same LAN answers, as Linux does
        if claim.mac in ours:
            text = f"our own {claim.form.name} packet for {claim.address} came back: look for a loop in the switches"
            self._alarms.seen(Code.LOOP, text, now)
            return
        if claim.form is Form.VRRP:
            text = (
                f"VRRP from our own address {claim.address} comes from {mac}: used twice (a copied machine?), or forged"
            )
            self._alarms.seen(Code.LOOP, f"{text}; give that host another address", now)
            return
        said = claim.address, mac
        if isinstance(core.state, Active) and self._member.holds(claim.address) and said not in self._claims:
            remember(self._claims, said, now, MOST_CLAIMS)

    @property
    def suspects(self) -> bool:
        """True where `second_holders` or `absent` may have something to say."""
        port = self._member.port
        answered = port is not None and port.socket.answers != self._answers
        return answered or bool(self._claims) or not self._absent.idle

    def second_holders(self, core: VirtualRouter, now: int) -> bool:
        """Believe the claims that are old enough; about once a second.

        Returns:
            True where the addresses are worth announcing once more.
        """
        if not self._claims:
            return False
        wait = SETTLING + core.settings.interval  # a rival that we hear speaks within an interval
        due = {claim: at for claim, at in self._claims.items() if now - at >= wait}
        for claim in due:
            del self._claims[claim]
        if not isinstance(core.state, Active):
            return False
        changed = max(core.state.since, self._rivals.began or 0)
        believed = [claim for claim, at in due.items() if at - changed >= SETTLING]
        for address, mac in believed:
            text = f"{address} is also at {mac}: take it from that host, or stop what answers for it there"
            self._alarms.seen(Code.SECOND_HOLDER, text, now)
        if not believed or (self._defended is not None and now - self._defended < DEFEND_INTERVAL):
            return False
        self._defended = now
        return True

    def absent(self, core: VirtualRouter, now: int) -> list[str]:
        """A sentence for each peer whose host says that it has no agent; only an Active sends, and so only it knows."""
        port, settings = self._member.port, self._member.spec.settings
        self._answers = port.socket.answers if port else 0
        told: Mapping[Address, int] = port.socket.no_agent if port else {}  # of all virtual routers on the interface
        asked = settings.peers if settings.unicast and isinstance(core.state, Active) else ()
        counts = {peer: told[peer] for peer in asked if peer in told}
        return [
            f"the host of {self._called(peer)} answers, but nothing there speaks VRRP: start its agent"
            for peer in self._absent.look(counts, core.heard, settings.interval, now)
        ]

    def _quarrel(self, core: VirtualRouter, reign: Reign, now: int) -> bool:
        """Whether somebody reigns beside this one; that needs a person."""
        own, state = None, core.state
        if isinstance(state, Active) and core.source is not None:
            mine, interval = core.effective_priority, core.settings.interval
            own = Reign(core.source, mine, interval, since=state.since, last=now, claims=PATIENCE)
        other = self._rivals.beside(reign, own)
        if other is None:
            return False
        both = f"{self._name(reign)} and {'this node, ' if other is own else ''}{self._name(other)} are both Active"
        mend = (
            "one does not hear the other, or refuses what it says; look at the network between them, and at both logs"
        )
        self._alarms.seen(Code.TWO_ACTIVE, f"{both}: {mend}", now)
        return True

    def _name(self, reign: Reign) -> str:
        return f"{self._called(reign.source)} (priority {reign.priority})"

    def _called(self, address: Address) -> str:
        """An address, with the name of its node where the file has one."""
        name = self._member.spec.names.get(address)
        return f"{name}, {address}," if name else str(address)
