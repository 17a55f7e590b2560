"""The least policy of IAM that movers of EC2 need, as the console and `aws iam` take it.

Actions that may touch the same resources share a statement. What a dry run needs is what the change itself needs.

Source: "IAM JSON policy elements reference", AWS Identity and Access Management User Guide.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any, Final

from vrrpd.movers.ec2 import elastic_ip, ipv6, private_ip, route

RIGHTS: Final = MappingProxyType(
    {
        "ec2-elastic-ip": elastic_ip.rights,
        "ec2-private-ip": private_ip.rights,
        "ec2-route": route.rights,
        "ec2-ipv6": ipv6.rights,
    }
)
"""What the options of each kind need."""


def policy(specs: Iterable[tuple[str, Any]]) -> Mapping[str, Any] | None:
    """The policy for some movers.

    Args:
        specs: kind and validated options of each; those of other clouds need none of it.

    Returns:
        The policy, ready for JSON; None where none is needed.
    """
    touched: dict[str, set[str]] = {}
    for kind, options in specs:
        if kind in RIGHTS:
            for action, resources in RIGHTS[kind](options).items():
                touched.setdefault(action, set()).update(resources)
    together: dict[tuple[str, ...], list[str]] = {}
    for action, resources in sorted(touched.items()):
        together.setdefault(("*",) if "*" in resources else tuple(sorted(resources)), []).append(f"ec2:{action}")
    if not together:
        return None
    statements = [
        {"Effect": "Allow", "Action": actions, "Resource": "*" if resources == ("*",) else list(resources)}
        for resources, actions in sorted(together.items())
    ]
    return {"Version": "2012-10-17", "Statement": statements}
