"""The rights that movers of EC2 need, as sets of what each action may touch.

Owns the names of resources (ARN). What only reads cannot be narrowed: EC2 knows no resource for a Describe action.

Source: "Actions, resources, and condition keys for Amazon EC2", Service Authorization Reference.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from typing import Final, TypeAlias

from vrrpd.movers.ec2.options import Ec2Options
from vrrpd.movers.ec2.partitions import partition

Rights: TypeAlias = Mapping[str, AbstractSet[str]]
"""Action of EC2 -> the resources that it may touch."""

EVERYTHING: Final[AbstractSet[str]] = frozenset({"*"})


def resource(options: Ec2Options, kind: str, ids: Iterable[str]) -> AbstractSet[str]:
    """The names of things of one kind, of whatever account.

    Args:
        options: say the region.
        kind: as a name of a resource has it.
        ids: of the things, `*` for all.
    """
    region = options.region or "*"
    part = partition(options.region or "").name
    return frozenset(f"arn:{part}:ec2:{region}:*:{kind}/{each}" for each in ids)


def interfaces(options: Ec2Options) -> AbstractSet[str]:
    """The network interfaces of the nodes; all where the file does not name them."""
    return resource(options, "network-interface", (options.network_interface_id or {"": "*"}).values())
