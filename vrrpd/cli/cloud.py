"""`vrrpd cloud policy`: the rights that the movers of a file need, for whoever administers the account.

Owns the command alone; `movers.ec2.policy` knows the rights. The policy is for all nodes of the file, needs no host and
no account, and is all that goes to standard output, so that it can be piped to where it belongs.
"""

from __future__ import annotations

import json

import click

from vrrpd.cli.options import config_file
from vrrpd.errors import VrrpdError

_EPILOG = """\b
Examples:
  vrrpd cloud policy -c vrrpd.yaml > policy.json
  aws iam put-role-policy --role-name router --policy-name vrrpd --policy-document file://policy.json

What changes something is limited to what the file names: with 'region' and 'network_interface_id' in it the policy is
narrower. Without 'region' it is one for commercial regions: China, GovCloud and the like name resources otherwise.

Exit status: 0 printed, 1 the file has mistakes or no mover of EC2.
"""


@click.group()
def cloud() -> None:
    """Prepare a cloud's account for movers."""


@cloud.command(epilog=_EPILOG)
@config_file
def policy(path: str) -> None:
    """Print the least IAM policy that the EC2 movers of a file need."""
    from vrrpd.config import load  # noqa: PLC0415 - `--help` needs none of these
    from vrrpd.config.routers import routers  # noqa: PLC0415
    from vrrpd.kinds import kinds  # noqa: PLC0415
    from vrrpd.movers.ec2.policy import policy as least  # noqa: PLC0415

    movers = [mover for router in routers(load(path, kinds())) for mover in router.movers]
    found = least((mover.kind, mover.options) for mover in movers)
    if found is None:
        raise VrrpdError(f"{path} has no mover of EC2, which alone needs a policy; name one in 'movers' of a router")
    click.echo(json.dumps(found, indent=2))
