"""What a router has to say about the advertisements it hears: worth an alarm where a person can mend it.

Owns the sentences for what was refused and for what was accepted and means something else than ours. It decides
nothing: the verdict was spoken in `proto.validate`, the role is the core's. Of a flood it says the first words, and
afterwards how many there were.
"""

from __future__ import annotations

import logging

from vrrpd.proto.auth import Authenticator
from vrrpd.proto.datagram import Datagram
from vrrpd.proto.packet import Advertisement
from vrrpd.proto.router import VirtualRouter
from vrrpd.proto.settings import OWNER, Address
from vrrpd.proto.validate import Drop, Reason
from vrrpd.runtime import skew
from vrrpd.runtime.alarms import Alarms, Code
from vrrpd.runtime.doubts import comparable
from vrrpd.runtime.member import Member
from vrrpd.runtime.repeats import Repeats

STRANGERS = {Reason.SOURCE, Reason.MODE}
MENDS = {
    Reason.TTL: "set unicast_ttl 255 there, or max_hops here",
    Reason.VERSION: "set the same version on both",
    Reason.CHECKSUM: "a broken network card, or a peer with an unknown checksum",
    Reason.AUTH: "set the same password on all nodes, or none",
    Reason.MISSING: "let it sign, or set mode permissive here until it does",
    Reason.MALFORMED: "it signs in a way that is not that of keepalived 2.4.2 and later",
    Reason.STALE: "set the clocks of both nodes right",
    Reason.UNKNOWN_KEY: "give all nodes the same keys; add a new one everywhere before it is the active one",
    Reason.INVALID_HMAC: "give all nodes the same key of this id (no NAT between them), or find who forges",
    Reason.REPLAY: "somebody records and repeats, or the clock of the sender went back",
    Reason.INTERVAL: "set the same advert_interval on all nodes",
    Reason.MODE: "set the same transport on all nodes",
    Reason.COUNT: "list the shared addresses there",
}
SILENT = {Reason.LENGTH, Reason.VRID}

MOST_NOTES = 64
"""Differences that are logged, each once; bounded, for sources can be forged."""


class Remarks:
    """The remarks of one router."""

    def __init__(self, alarms: Alarms, log: logging.Logger) -> None:
        self._alarms = alarms
        self._log = log
        self._noted: set[tuple[str, Address]] = set()
        self._repeats = Repeats()

    def refused(self, member: Member, datagram: Datagram, drop: Drop, now: int) -> None:
        """A refused datagram that carries our VRID: worth an alarm where a person can mend it."""
        settings, source = member.spec.settings, datagram.source
        if drop.reason in SILENT:
            return
        if drop.authentic:
            self._skewed(skew.of_sender(drop), now)
            return
        listed = source in settings.peers or source in member.spec.names
        if not self._repeats.is_new(drop.reason, source, now, listed=listed):
            return
        if drop.reason is Reason.OWN:
            mend = "look for a loop in the switches, or for another host with this address"
            self._warn(Code.LOOP, f"VRID {settings.vrid}: {drop.detail}, and comes in: {mend}", now)
        elif drop.reason is Reason.CARP:
            text = f"{drop.detail}; its vhid is our VRID {settings.vrid}: give one of the two another number"
            self._warn(Code.CARP, text, now)
        elif drop.reason in STRANGERS and not listed:
            text = f"{source} advertises VRID {settings.vrid} ({drop.detail}); give one of the two another VRID"
            self._warn(Code.UNLISTED_SOURCE, text, now)
        elif listed or not settings.unicast:
            mend = MENDS.get(drop.reason)
            text = f"VRID {settings.vrid}: {drop.detail}"
            self._warn(Code.REFUSED_ADVERT, f"{text}; {mend}" if mend else text, now)

    @property
    def pending(self) -> bool:
        """True while `sum_up` may have something to say, now or later."""
        return bool(self._repeats)

    def sum_up(self, now: int) -> None:
        """Say how much was not said; asked for every second."""
        for each in self._repeats.sums(now):
            self._log.info("refused %d more from %s (%s)", each.more, each.source or "other senders", each.reason)

    def accepted(self, member: Member, core: VirtualRouter, source: Address, advert: Advertisement, now: int) -> bool:
        """An accepted advertisement: is its sender listed, and does it mean the same as ours?

        Returns:
            Whether there is an alarm about it, which goes on for as long as such come.
        """
        settings, alarming = member.spec.settings, False
        if not settings.unicast and comparable(member.spec, source) and source not in member.spec.names:
            text = f"{source} advertises VRID {settings.vrid} and is not in nodes: list it, or give it another VRID"
            self._alarms.seen(Code.UNLISTED_SOURCE, text, now)
            alarming = True
        if core.authenticator is not None:
            self._skewed(skew.of_accepted(core.authenticator, source), now)
        if settings.priority == OWNER:  # RFC 9568 7.1, erratum 8298
            self._note("owner", source, f"advertises priority {advert.priority} for the address that we own")
        if advert.interval > settings.max_learned_interval:
            text = f"{source} advertises every {advert.interval / 1e9:g} s, too seldom for ours of"
            mend = "set the same advert_interval on all nodes"
            self._alarms.seen(Code.LONG_INTERVAL, f"{text} {settings.interval / 1e9:g} s; {mend}", now)
            alarming = True
        if advert.interval != settings.interval:
            theirs, ours = advert.interval / 1e9, settings.interval / 1e9
            self._note("interval", source, f"advertises every {theirs:g} s, we every {ours:g} s")
        if advert.addresses != settings.addresses and set(advert.addresses) != set(settings.addresses):
            self._note("addresses", source, f"lists {', '.join(map(str, advert.addresses))}")
        return alarming

    def clock(self, keys: Authenticator, now: int) -> None:
        """We have just signed: is our own clock to be believed?"""
        self._skewed(skew.of_ours(keys), now)

    def _warn(self, code: Code, text: str, now: int) -> None:
        """Raise an alarm; where it is up already, the log at least has what the next one is about."""
        if not self._alarms.seen(code, text, now):
            self._log.info("%s", text)

    def _skewed(self, text: str | None, now: int) -> None:
        if text is not None:
            self._alarms.seen(Code.CLOCK_SKEW, text, now)

    def _note(self, what: str, source: Address, text: str) -> None:
        """Log a difference once."""
        if (what, source) not in self._noted and len(self._noted) < MOST_NOTES:
            self._noted.add((what, source))
            self._log.info("%s %s", source, text)
