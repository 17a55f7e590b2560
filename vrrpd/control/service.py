"""The word to the service manager: ready, alive, stopping, and a line for `systemctl status`.

The protocol of sd_notify(3): one datagram of `KEY=VALUE` lines to the unix socket that NOTIFY_SOCKET names, a path or,
with a leading `@`, an abstract name. Without NOTIFY_SOCKET nobody asked and nothing is sent. A service manager that
does not listen is no reason for an agent to stop: failures are logged and forgotten.
"""

from __future__ import annotations

import logging
import os
import socket

import trio

READY = "READY=1"
STOPPING = "STOPPING=1"
ALIVE = "WATCHDOG=1"

_log = logging.getLogger("vrrpd.service")


def notify(*state: str) -> bool:
    """Tell the service manager.

    Args:
        state: assignments such as `READY`, `STOPPING` or `"STATUS=web is active"`.

    Returns:
        Whether a service manager took the message.
    """
    name = os.environ.get("NOTIFY_SOCKET", "")
    if not name.startswith(("/", "@")):  # also "vsock:" of a virtual machine's manager, which is not for us
        return False
    address = "\0" + name[1:] if name.startswith("@") else name
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sending:
            sending.setblocking(False)
            sending.sendto("\n".join(state).encode(), address)
    except OSError as error:
        _log.warning("the service manager does not take %s: %s", " ".join(state), error)
        return False
    return True


async def reassure() -> None:
    """Tell the service manager that the loop turns, as often as it asks for (WatchdogSec=); returns where it does not.

    Sources: sd_watchdog_enabled(3).
    """
    microseconds, whose = (os.environ.get(name, "") for name in ("WATCHDOG_USEC", "WATCHDOG_PID"))
    if not microseconds.isdecimal() or whose not in {"", str(os.getpid())}:
        return
    while True:
        notify(ALIVE)
        await trio.sleep(int(microseconds) / 2e6)
