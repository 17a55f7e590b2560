"""What is wrong with a router as it stands: the alarms that last exactly as long as their cause does.

Owns the sentences. They follow from the state of the core, of the addresses and of the checks alone, and are looked up
after everything that happens; what is heard from others and soon forgotten is in `remarks` and `witness`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from vrrpd.proto.effects import Role
from vrrpd.proto.group import Group
from vrrpd.proto.settings import OWNER
from vrrpd.proto.states import Active
from vrrpd.proto.timers import SECOND
from vrrpd.runtime import doubts
from vrrpd.runtime.addresses import Standing
from vrrpd.runtime.alarms import Code
from vrrpd.runtime.health import Health
from vrrpd.runtime.member import Member


def conditions(
    group: Group, members: Sequence[Member], health: Health, *, held_down: bool
) -> Iterator[tuple[Code, str | None]]:
    """Each lasting alarm with its sentence; None where there is no cause for it.

    Args:
        group: the core.
        members: the host's side of it.
        health: what the checks say.
        held_down: True while the router is a last resort because its role moved too often.
    """
    core, unhealthy = group.members[0], health.unhealthy
    yield Code.UNHEALTHY, unhealthy if health.settled else None
    yield Code.CHECK_DOWN, health.weighing
    length = health.hold_down.length // SECOND
    yield Code.HELD_DOWN, f"the role moved too often: a last resort only, for {length} s" if held_down else None
    serving = isinstance(core.state, Active) and not core.standing.healthy
    yield Code.SERVING_UNHEALTHY, f"nobody healthy took the role; {unhealthy}" if serving else None
    split = "an Active is heard in one family or network and not in another: nothing is taken over"
    yield Code.SPLIT_GROUP, split if group.split else None
    yield Code.DOUBTFUL, doubts.sentence(group.members)
    # Only who is Active sends: what went wrong then says nothing about a Backup.
    unsent = {d: t for m in members for d, t in m.unsent.items()} if group.role is Role.ACTIVE else {}
    yield Code.SEND_FAILED, "; ".join(f"to {d}: {t}" for d, t in unsent.items()) or None
    outcomes = [o for m in members for o in m.outcomes.values()]
    yield Code.ADDRESS_FAILED, "; ".join(o.detail for o in outcomes if o.standing is Standing.FAILED) or None
    owner = core.settings.priority == OWNER  # whose own address it is
    foreign = [o.detail for o in outcomes if o.standing is Standing.FOREIGN and not owner]
    yield Code.FOREIGN_ADDRESS, "; ".join(foreign) or None
