"""`vrrpd purge`: remove every address and route that an agent ever put on this host, for a service manager's stop hook.

The tag tells which they are; what anybody else configured stays. An agent that lives in this network namespace would be
robbed of what it holds, so then nothing is done; and none can start while they go.
"""

from __future__ import annotations

import contextlib
import errno

import click

_EPILOG = """\b
Examples:
  vrrpd purge                         after an agent was killed, where it is not to be started again
  ExecStopPost=/usr/bin/vrrpd purge   in the unit of a service manager

An agent that starts does the same by itself, and one that is stopped leaves nothing behind.

Exit status: 0 nothing of an agent is here any more; 1 an agent lives in this network namespace, or it is not permitted.
"""


@click.command(epilog=_EPILOG)
def purge() -> None:
    """Remove every address and route that an agent has left behind in this network namespace."""
    from vrrpd.control.lock import NamespaceLock, NameTakenError  # noqa: PLC0415 - `--help` needs none of these
    from vrrpd.linux.netlink import Netlink, NetlinkError, encode_remove, reason, route_reason  # noqa: PLC0415
    from vrrpd.runtime.host_routes import remove_orphans  # noqa: PLC0415

    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(NamespaceLock(""))
        except NameTakenError as error:  # no agent lives here, and none can start
            click.echo(f"warning: {error}", err=True)
        netlink = stack.enter_context(Netlink())
        orphans = [address for address in netlink.dump().addresses if address.ours]
        codes = netlink.apply([encode_remove(each.address, each.index) for each in orphans])
        for each, code in zip(orphans, codes, strict=True):
            click.echo(f"{each.address} on {each.device}: {reason(code) if code else 'removed'}")
        for route, code in remove_orphans(netlink):
            codes.append(code)
            click.echo(f"route {route}: {route_reason(code) if code else 'removed'}")
        left = [each for each in netlink.dump().addresses if each.ours], netlink.routes()
    if any(left):
        code = max(codes, default=errno.EBUSY)
        raise NetlinkError(code, f"{len(left[0])} addresses and {len(left[1])} routes stay: {reason(code)}")
