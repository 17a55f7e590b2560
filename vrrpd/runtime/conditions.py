"""What is wrong with a router as it stands: the alarms that last exactly as long as their cause does.

Owns the sentences. They follow from the state of the core, of the addresses and of the checks alone, and are looked up
after everything that happens; what is heard from others and soon forgotten is in `remarks` and `witness`.
"""

from __future__ import annotations

from collections.abc import Sequence

from vrrpd.proto.effects import Role
from vrrpd.proto.group import Group
from vrrpd.proto.settings import OWNER
from vrrpd.proto.states import Active
from vrrpd.proto.timers import SECOND
from vrrpd.runtime import doubts
from vrrpd.runtime.alarms import Code
from vrrpd.runtime.health import Health
from vrrpd.runtime.member import Member
from vrrpd.runtime.placement import Standing

LASTING = (
    Code.UNHEALTHY,
    Code.CHECK_DOWN,
    Code.HELD_DOWN,
    Code.SERVING_UNHEALTHY,
    Code.SPLIT_GROUP,
    Code.DOUBTFUL,
    Code.SEND_FAILED,
    Code.ADDRESS_FAILED,
    Code.FOREIGN_ADDRESS,
)
"""All alarms of this module."""


def conditions(group: Group, members: Sequence[Member], health: Health, *, held_down: bool) -> dict[Code, str]:
    """The alarms that there is cause for, each with its sentence.

    Args:
        group: the core.
        members: the host's side of it.
        health: what the checks say.
        held_down: True while the router is a last resort because its role moved too often.
    """
    core, unhealthy = group.members[0], health.unhealthy
    found: dict[Code, str] = {}
    if unhealthy and health.settled:
        found[Code.UNHEALTHY] = unhealthy
    if health.weighing:
        found[Code.CHECK_DOWN] = health.weighing
    if held_down:
        length = health.hold_down.length // SECOND
        found[Code.HELD_DOWN] = f"the role moved too often: a last resort only, for {length} s"
    if not core.standing.healthy and isinstance(core.state, Active):
        found[Code.SERVING_UNHEALTHY] = f"nobody healthy took the role; {unhealthy}"
    if group.split:
        found[Code.SPLIT_GROUP] = (
            "an Active is heard in one family or network and not in another: nothing is taken over"
        )
    if doubtful := doubts.sentence(group.members):
        found[Code.DOUBTFUL] = doubtful
    # Only who is Active sends: what went wrong then says nothing about a Backup.
    unsent = {d: t for m in members for d, t in m.unsent.items()} if group.role is Role.ACTIVE else {}
    if unsent:
        found[Code.SEND_FAILED] = "; ".join(f"to {d}: {t}" for d, t in unsent.items())
    return found | _of_addresses(members, owner=core.settings.priority == OWNER)


def _of_addresses(members: Sequence[Member], *, owner: bool) -> dict[Code, str]:
    """What is wrong with the addresses; to the owner a foreign one is his own."""
    amiss = [o for m in members for o in m.outcomes.values() if o.standing is not Standing.HELD]
    failed = "; ".join(o.detail for o in amiss if o.standing is Standing.FAILED)
    foreign = "; ".join(o.detail for o in amiss if o.standing is Standing.FOREIGN and not owner)
    pairs = ((Code.ADDRESS_FAILED, failed), (Code.FOREIGN_ADDRESS, foreign))
    return {code: detail for code, detail in pairs if detail}
