"""The few kernel doors of the lab: namespaces, links, addresses, sysctls.

Owns every system call and every start of `ip` that changes the kernel. Knows nothing of nodes or scenarios.

Two ways in, chosen by what they cost. Building goes through `ip -batch`, which makes a whole lab in a few milliseconds
and whose lines a reader can try by hand. What a measurement hangs on (a cable going down) goes through one ioctl on a
socket opened beforehand inside the namespace, because starting a program would blur the moment by milliseconds.

A thread can live in another network namespace than its process: `inside` uses that to open sockets and to write
`/proc/sys/net`, which follows the thread that opens the file. A socket stays in the namespace that it was opened in.

Sources: namespaces(7), netdevice(7), ip-netns(8).
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import socket
import struct
import subprocess
import threading
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TypeVar

from netns_lab.errors import CannotRunError, LabError

T = TypeVar("T")

NAMESPACES = Path("/run/netns")
"""Where ip-netns(8) keeps the names of network namespaces."""

_CLONE_NEWNET = 0x40000000
_SIOCGIFFLAGS = 0x8913
_SIOCSIFFLAGS = 0x8914
_IFF_UP = 0x1
_IFREQ = struct.Struct("16sH22x")

_PARENT, _RT_PRIORITY = 1, 37  # after the name, proc_pid_stat(5)
_SHOWN = 120

_libc = ctypes.CDLL(None, use_errno=True)


def enter(namespace: str) -> None:
    """Move the calling thread into a named network namespace.

    Args:
        namespace: a name under `/run/netns`.

    Raises:
        OSError: no such namespace, or no right to enter it.
    """
    fd = os.open(NAMESPACES / namespace, os.O_RDONLY | os.O_CLOEXEC)
    try:
        if _libc.setns(fd, _CLONE_NEWNET) != 0:
            number = ctypes.get_errno()
            raise OSError(number, f"setns({namespace}): {os.strerror(number)}")
    finally:
        os.close(fd)


def inside(namespace: str, action: Callable[[], T]) -> T:
    """Run `action` in a thread of its own that has entered `namespace`, and return what it returns.

    Raises:
        Exception: whatever `action` raises.
    """
    results: list[T] = []
    failures: list[BaseException] = []

    def work() -> None:
        try:
            enter(namespace)
            results.append(action())
        except BaseException as failure:  # noqa: BLE001  carried over to the caller's thread
            failures.append(failure)

    thread = threading.Thread(target=work, name=f"inside-{namespace}")
    thread.start()
    thread.join()
    if failures:
        raise failures[0]
    return results[0]


def ip_batch(lines: Iterable[str], namespace: str | None = None) -> None:
    """Run lines of ip(8) in one process, inside `namespace` where given.

    Raises:
        LabError: a line failed; the text is that of `ip`.
    """
    where = ["-n", namespace] if namespace else []
    done = subprocess.run(
        ["ip", *where, "-batch", "-"], input="\n".join(lines) + "\n", text=True, capture_output=True, check=False
    )
    if done.returncode:
        raise LabError(f"ip {' '.join(where)}: {done.stderr.strip()}")


def write_sysctls(namespace: str, values: Mapping[str, str | int]) -> None:
    """Set sysctls of a namespace; keys are paths below `/proc/sys/net`, such as `ipv6/conf/all/accept_ra`."""

    def write() -> None:
        for key, value in values.items():
            Path("/proc/sys/net", key).write_text(f"{value}\n")

    inside(namespace, write)


def control_socket(namespace: str) -> socket.socket:
    """Open a socket inside `namespace` that serves as the handle for `set_link`."""
    return inside(namespace, lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM))


def set_link(handle: socket.socket, interface: str, *, up: bool) -> None:
    """Switch an interface up or down with one system call.

    Args:
        handle: from `control_socket`, of the namespace that holds the interface.
        interface: its name.
        up: the wanted state.

    Raises:
        OSError: no such interface.
    """
    name = interface.encode()
    answer = fcntl.ioctl(handle, _SIOCGIFFLAGS, _IFREQ.pack(name, 0))
    flags: int = _IFREQ.unpack(answer)[1]
    flags = flags | _IFF_UP if up else flags & ~_IFF_UP
    fcntl.ioctl(handle, _SIOCSIFFLAGS, _IFREQ.pack(name, flags))


def namespace_names(prefix: str) -> list[str]:
    """The named namespaces that begin with `prefix`, sorted."""
    if not NAMESPACES.is_dir():
        return []
    return sorted(path.name for path in NAMESPACES.iterdir() if path.name.startswith(prefix))


def processes_inside(namespaces: Iterable[str]) -> list[int]:
    """The processes whose network namespace is one of `namespaces`, whoever started them."""
    wanted: set[tuple[int, int]] = set()
    for name in namespaces:
        status = (NAMESPACES / name).stat()
        wanted.add((status.st_dev, status.st_ino))
    found: list[int] = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            status = (entry / "ns/net").stat()
        except OSError:  # it ended meanwhile, or it is a zombie
            continue
        if (status.st_dev, status.st_ino) in wanted:
            found.append(int(entry.name))
    return found


def real_time_programs(outside: Iterable[str]) -> set[str]:
    """The command lines of the programs at real-time priority that do not live in these namespaces.

    Children of ours are left out, and so is the kernel, which has no command line.
    """
    inside_them, found = set(processes_inside(outside)), set[str]()
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) in inside_them:
            continue
        try:
            said = (entry / "stat").read_text().rpartition(")")[2].split()
            if int(said[_RT_PRIORITY]) and int(said[_PARENT]) != os.getpid():
                found.add((entry / "cmdline").read_text().replace("\0", " ").strip()[:_SHOWN])
        except OSError:  # it ended meanwhile
            continue
    return found - {""}


def family(pid: int) -> list[int]:
    """A process and all that descend from it, the youngest first; none where it has ended."""
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except (FileNotFoundError, ProcessLookupError):
        return []
    return [*(each for child in children for each in family(int(child))), pid]


def require_root() -> None:
    """Refuse early where namespaces cannot be made.

    Raises:
        CannotRunError: not root.
    """
    if os.geteuid() != 0:
        raise CannotRunError("the lab makes network namespaces and needs root; run it with sudo")
