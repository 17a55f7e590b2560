"""What a node is worth in the election: its priority, the verdict of its checks, and what an operator wants."""

from __future__ import annotations

from vrrpd.proto.events import Adjust, Drain, Received, Unproven
from vrrpd.proto.settings import OWNER, UNHEALTHY, Address, OnAllFailed, Settings
from vrrpd.proto.timers import active_down_interval, skew_time


class Standing:
    """The standing of one virtual router.

    Attributes:
        healthy: the last verdict of the checks.
        drain: what an operator wants; back to NO where nobody else would serve.
        since: when it rose last, nanoseconds: a start, better checks, the end of a drain.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._priority = settings.priority
        self.healthy = True
        self.drain = Drain.NO
        self.since = 0

    @property
    def effective_priority(self) -> int:
        """The priority of the election: UNHEALTHY for a node that is out but serves as the last resort."""
        return self._priority if self.healthy else min(self._priority, UNHEALTHY)

    @property
    def takes_part(self) -> bool:
        """False while this node is drained, or a failed check keeps it from serving at all (`release`)."""
        return self.drain is Drain.NO and self.may_serve

    @property
    def may_serve(self) -> bool:
        """Whether its checks let it serve, if only as the last resort."""
        return self.healthy or self._settings.on_all_failed is OnAllFailed.KEEP

    def skew(self, interval: int, priority: int | None = None) -> int:
        """Skew_Time for an interval, both in nanoseconds, of this priority or else the effective one."""
        return skew_time(self._settings.version, priority or self.effective_priority, interval)

    def down_interval(self, interval: int) -> int:
        """Active_Down_Interval for an interval, both in nanoseconds."""
        s = self._settings
        return active_down_interval(s.version, self.effective_priority, interval, s.down_adverts)

    def adjust(self, event: Adjust, now: int) -> None:
        """Take a new priority, verdict or wish."""
        before, drained = self.effective_priority, self.drain
        self._priority, self.healthy, self.drain = event.priority, event.healthy, event.drain
        if self.effective_priority > before or drained > event.drain:
            self.since = now

    def loses_to(self, theirs: int, event: Received | Unproven, ours: Address | None) -> bool:
        """Whether an Active loses to another one (RFC 9568 6.4.3): higher priority, or the same and a higher address.

        Args:
            theirs: the priority of the other.
            event: what was heard of it.
            ours: our own address.
        """
        mine = self.effective_priority
        if theirs != mine or ours is None or event.tie_elsewhere:
            return theirs > mine
        return int(event.source) > int(ours)

    def preempts(self, priority: int, now: int) -> bool:
        """True where an Active of this priority does not re-arm the timer of a Backup: the timer runs on."""
        mine = self.effective_priority
        if priority >= mine:
            return False
        if priority == UNHEALTHY or mine == OWNER:
            return True  # a healthy node always takes over from a last resort; RFC 9568 6.1: so does an owner
        return self._settings.preempt and now - self.since >= self._settings.preempt_delay

    def in_contest(self, since: int, now: int) -> bool:
        """True while another Backup may have fired at the same moment as we did, which was at `since`."""
        return now - since < self.down_interval(self._settings.interval)

    def rests_behind(self, priority: int) -> bool:
        """True where an Active of this priority re-arms the timer whenever it speaks, as long as nothing changes."""
        mine = self.effective_priority
        content = not self._settings.preempt and priority != UNHEALTHY and mine != OWNER
        return self.drain is Drain.NO and (priority >= mine or content)
