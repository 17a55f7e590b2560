"""Who cannot prove who it is may be Active all the same, and the wrong key or the wrong clock may be ours.

Owns what one virtual router remembers of that: whom it believed, and whether it has reason to doubt itself. The rules:

- A Backup **hesitates** while somebody advertises whom it cannot believe. Until it has believed anybody since its start
  it does so as long as that goes on, and two Active_Down_Intervals more, in which others take over; later only for an
  authentic one, whose clock differs, and at most one Active_Down_Interval longer than without.
- A Backup that hesitates while it has believed nobody is **doubted**, until it believes somebody or starts anew. If it
  becomes Active (the link was cut, the other died) and hears such a one again, it gives way at once: of the two it is
  probably the one that is wrong, and a third node may have taken over that is right.
- Who took the role in silence is not doubted, and stays Active whatever is forged, but for the moment of the takeover:
  in a contest it loses to such a one as to any other, else two with equal priorities would be Active for good.
- The owner of an address never gives way: its address stays on its interface whatever it does.

The caller sees to it that only nodes of the file are heard here, and no strangers.
"""

from __future__ import annotations

from dataclasses import replace

from vrrpd.proto.events import Unproven
from vrrpd.proto.states import Backup


class Doubt:
    """What one virtual router believes of others and of itself.

    Attributes:
        believed_at: when an advertisement was last accepted, nanoseconds; None where none was since the start.
        of_ourselves: True where our own key or clock may be the wrong one.
    """

    def __init__(self) -> None:
        self.believed_at: int | None = None
        self.of_ourselves = False

    def begin(self) -> None:
        """A start: nothing is known."""
        self.believed_at, self.of_ourselves = None, False

    def end(self, now: int) -> None:
        """An advertisement was accepted: our key and our clock are not those that are wrong."""
        self.believed_at, self.of_ourselves = now, False

    def hesitate(self, state: Backup, event: Unproven, now: int, wait: int) -> Backup:
        """Wait for the silence of whoever advertises, within bounds.

        Args:
            state: the Backup that hears it.
            event: what it hears.
            now: when.
            wait: our Active_Down_Interval.
        """
        if self.believed_at is None:
            self.of_ourselves = True
            down_at = now + 2 * wait
        else:
            down_at = min(now + wait, self.believed_at + 2 * wait) if event.authentic else 0
        return replace(state, down_at=down_at, unproven=event.source) if down_at > state.down_at else state

    def gives_way(self, *, loses: bool, in_contest: bool) -> bool:
        """Whether an Active that hears such a one lets go; `loses`: it would, if that one could be believed."""
        return self.of_ourselves or (self.believed_at is None and in_contest and loses)
