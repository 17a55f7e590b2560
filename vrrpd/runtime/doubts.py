"""Advertisements that nobody can prove: which of them are worth a hesitation, and what a person is told meanwhile.

Owns the line between a peer, whose wrong key or clock may be ours, and a stranger, who must not keep a fresh cluster
dark. What follows from a doubt is the core's (`proto.doubt`).
"""

from __future__ import annotations

from collections.abc import Iterable

from vrrpd.config.spec import MemberSpec
from vrrpd.proto.router import VirtualRouter
from vrrpd.proto.settings import Address
from vrrpd.proto.states import Backup
from vrrpd.proto.validate import Drop, Reason

UNPROVEN = {Reason.MISSING, Reason.STALE, Reason.UNKNOWN_KEY, Reason.INVALID_HMAC}
"""Whoever is refused for these may be a peer, and the wrong key or the wrong clock ours."""


def may_be_peer(spec: MemberSpec, source: Address, drop: Drop) -> bool:
    """Whether a refused advertisement may be that of a node of the file.

    Where the file does not say from where nodes send (multicast without a list, or from link-local addresses that are
    not in it), whoever signs may be one, and whoever does not is none.
    """
    if drop.reason not in UNPROVEN:
        return False
    if source in spec.settings.peers or source in spec.names:
        return True
    return not spec.settings.unicast and drop.reason is not Reason.MISSING and not comparable(spec, source)


def comparable(spec: MemberSpec, source: Address) -> bool:
    """Whether the file lists addresses of the kind that a source has, so that it would list this one, too."""
    return any(each.is_link_local == source.is_link_local for each in spec.names if each.version == source.version)


def sentence(members: Iterable[VirtualRouter]) -> str | None:
    """Why a router stays Backup although nobody is believed, for people; None where it does not."""
    states = [member.state for member in members]
    source = next((state.unproven for state in states if isinstance(state, Backup) and state.unproven), None)
    if source is None:
        return None
    why = f"this node stays Backup only because {source} advertises, whom it cannot verify"
    return f"{why}: give all nodes the same keys and the right time, or find who forges in its name"
