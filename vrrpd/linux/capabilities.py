"""What this process is allowed to do (capabilities(7)), asked before anything is opened.

One clear line at the start is worth more than an EPERM from whichever socket comes first.
"""

from __future__ import annotations

from pathlib import Path

from vrrpd.errors import VrrpdError

NEEDED = {12: "CAP_NET_ADMIN (to move addresses)", 13: "CAP_NET_RAW (to send and receive VRRP)"}


def require_capabilities() -> None:
    """Make sure that addresses can be moved and raw sockets opened.

    Raises:
        VrrpdError: names every capability that is missing and how to grant it.
    """
    missing = [name for bit, name in NEEDED.items() if not _effective() >> bit & 1]
    if missing:
        raise VrrpdError(
            f"missing {' and '.join(missing)}; run as root, or let the service manager grant it "
            "(systemd: AmbientCapabilities=CAP_NET_ADMIN CAP_NET_RAW)"
        )


def _effective() -> int:
    """The effective set as a bit mask (proc_pid_status(5))."""
    status = Path("/proc/self/status").read_text()
    return int(next(line.split()[1] for line in status.splitlines() if line.startswith("CapEff:")), 16)
