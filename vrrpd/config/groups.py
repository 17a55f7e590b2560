"""What moves together: the routers of a group, or one router alone, which is a group of one.

Owns the rules that follow from one role and one effective priority for all (`proto.group`): the priority of a node is
that of its lowest router, with the weights of each, and so is the highest that it can reach.

Must not do: report. A group that is wrong (`lint_groups`) is taken as far as it goes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from vrrpd.config.file import File
from vrrpd.config.priority import weighted
from vrrpd.config.routers import Router, routers
from vrrpd.proto.settings import OWNER


@dataclass(frozen=True)
class Group:
    """Routers that move together.

    Attributes:
        name: that of the group, or of the router that is alone.
        routers: in the order of the file, at least one.
    """

    name: str
    routers: tuple[Router, ...]

    @cached_property
    def complete(self) -> bool:
        """Whether the file names every node that takes part."""
        return all(router.complete for router in self.routers)

    @cached_property
    def nodes(self) -> tuple[str, ...]:
        """The names of the nodes in order."""
        return tuple(self.routers[0].nodes)

    @cached_property
    def weights(self) -> Mapping[str, tuple[int, ...]]:
        """The checks that move priorities, and what each adds in each router."""
        names = dict.fromkeys(name for router in self.routers for name in router.weights)
        return {name: tuple(router.weights.get(name, 0) for router in self.routers) for name in names}

    def priority(self, node: str, added: tuple[int, ...]) -> int | None:
        """The priority of a node; None where the file does not say.

        Args:
            node: its name.
            added: the sum of the weights that count, for each router.
        """
        bases = [router.priority(node) for router in self.routers]
        known = [weighted(base, total) for base, total in zip(bases, added, strict=True) if base is not None]
        return min(known) if len(known) == len(bases) else None

    def highest_other(self, node: str) -> int | None:
        """The highest priority another node can have; None where not all others are known."""
        if not self.complete:
            return None
        most = tuple(
            OWNER if router.numbers else sum(weight for weight in router.weights.values() if weight > 0)
            for router in self.routers
        )
        others = [self.priority(other, most) for other in self.nodes if other != node]
        return max((priority for priority in others if priority is not None), default=None)


def groups(file: File) -> list[Group]:
    """All that moves in a file, in its order; a group stands where its first router does."""
    every = {router.name: router for router in routers(file)}
    names: dict[str, str] = {}
    for group, members in file.keys.groups.items():
        for member in members:
            names.setdefault(member, group)
    together: dict[tuple[str, bool], list[Router]] = {}
    for name, router in every.items():
        together.setdefault((names.get(name, name), name in names), []).append(router)
    return [Group(name, tuple(members)) for (name, _), members in together.items()]
