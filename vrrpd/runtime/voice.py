"""What one virtual router says, and what the guardian says in its place.

Owns the way from an advertisement to letters on a port: signed where it must be. The regular one is posted, to leave
together with those of other routers; while nothing happens it is the same letters again and again, and takes next to
nothing. Any other leaves at once. What the guardian has to know is renewed whenever it would say something outdated.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from vrrpd.linux.letters import Letter
from vrrpd.proto.clock import Instant
from vrrpd.proto.renewal import Rhythm
from vrrpd.proto.router import VirtualRouter
from vrrpd.runtime.choir import Verse
from vrrpd.runtime.member import Member
from vrrpd.runtime.remarks import Remarks
from vrrpd.runtime.services import Services


class Voice:
    """The voice of one virtual router.

    Attributes:
        verse: the regular advertisement, where it is the same each time; None where it has to be made anew.
    """

    def __init__(
        self,
        who: str,
        member: Member,
        core: VirtualRouter,
        services: Services,
        remarks: Remarks,
        news: Callable[[], None],
    ) -> None:
        """Give a virtual router its voice.

        Args:
            who: names it to the guardian.
            member: the host's side of it.
            core: its state machine.
            services: the guardian and the clocks.
            remarks: told when we sign.
            news: called when what could be sent regularly cannot any more, or the other way round.
        """
        self._who = who
        self._member = member
        self._core = core
        self._services = services
        self._remarks = remarks
        self._news = news
        self.verse: Verse | None = None

    def once_more(self, now: int) -> bool:
        """Post the last regular advertisement once more, if it is due and nothing has happened since."""
        verse = self.verse
        if verse is None:
            return False
        due = verse.rhythm.deadline
        if not verse.rhythm.note(now):
            return False
        verse.punctuality.due = due
        verse.port.post(verse.letters, verse.sent, verse.punctuality, returned=False)
        return True

    def regular(self, due: int) -> None:
        """Post the regular advertisement, for which Adver_Timer was set to this time (nanoseconds)."""
        member, rhythm = self._member, self._core.routine
        if member.port is None:
            return
        member.punctuality.due = due
        letters = self._letters(self._core.effective_priority)
        sent = partial(member.sent, letters, news=self._sending_changed)
        member.port.post(letters, sent, member.punctuality, returned=bool(member.unsent))
        self.verse = None
        if isinstance(rhythm, Rhythm) and not member.unsent and not member.owners:
            self.verse = Verse(rhythm, member.port, letters, sent, member.punctuality)

    def say(self, priority: int) -> None:
        """Send an advertisement to all peers, at once."""
        if self._member.port is not None:
            letters = self._letters(priority)
            self._member.sent(letters, dict(self._member.port.socket.send(letters)))

    def prepare(self) -> None:
        """Have ready what it will say as Active, and the guardian in its place; a signature is of the moment."""
        core = self._core
        if core.authenticator is None:
            self._member.letters(core.encoder.unsigned(core.effective_priority))
            self._services.guardian.prepare(self._who, self._member.cover(core.encoder.unsigned(0), None))

    def cover(self) -> None:
        """Tell the guardian what to do in our place, before it can be needed."""
        core, keys = self._core, self._core.authenticator
        self._services.vigil.will_hold(core.settings.interval)
        seal = keys.delegate(self._instant()) if keys and keys.signs else None
        self._services.guardian.cover(self._who, self._member.cover(core.encoder.unsigned(0), seal))

    def heard(self) -> None:
        """A peer was heard: the guardian has to say what that understands, which a new checksum or a new time ends."""
        core, keys = self._core, self._core.authenticator
        if not core.holds_addresses:
            if keys is None and self._member.zeros is not core.encoder.unsigned(0):
                self.prepare()
        elif self._member.zeros != core.encoder.unsigned(0) or (
            keys is not None and keys.outdated(self._member.seal, self._instant())
        ):
            self.cover()

    def _letters(self, priority: int) -> list[Letter]:
        """An advertisement to all peers, signed where it must be."""
        core, keys = self._core, self._core.authenticator
        if keys is None:
            return self._member.letters(core.encoder.unsigned(priority))
        at = self._instant()
        letters = self._member.letters(core.encoder.datagrams(priority, at))
        self._remarks.clock(keys, at.now)
        if core.holds_addresses and keys.outdated(self._member.seal, at):
            self.cover()
        return letters

    def _sending_changed(self) -> None:
        if self.verse is not None:
            self.verse.rhythm.leave()
        self.verse = None
        self._news()

    def _instant(self) -> Instant:
        return Instant(self._services.now(), self._services.wall())
