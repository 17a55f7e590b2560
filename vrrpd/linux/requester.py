"""Who asked the kernel for a change, as far as that can still be told.

A netlink event carries the port of whoever asked. The kernel gives the first netlink socket of a process the process
id as its port; further ones get other, mostly negative numbers. And a short-lived command such as `ip` has often
ended by now. So the answer is a hint for people.

Sources: netlink(7), proc(5).
"""

from __future__ import annotations

from pathlib import Path


def requester(port: int) -> str:
    """The process behind a netlink port, for people; never raises."""
    try:
        name = Path(f"/proc/{port}/comm").read_text(errors="replace").strip()
    except OSError:
        return f"a process that has ended (netlink port {port})"
    return f"{name} (pid {port})"
