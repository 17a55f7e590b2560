"""Per-interface network settings of the kernel, under `/proc/sys/net/{ipv4,ipv6}/conf`.

Owns the reading and writing of one integer at a time. Interface names may contain dots (`eth0.100`), which the `sysctl`
command takes for path separators, so the path is built here and no program is started. `/proc/sys` is read-only in
many containers: a setting that cannot be applied is a value that names the setting, the cause and the mend, and the
caller decides whether that matters. A setting that already has the wanted value is never written, so that such a
container works when its host was prepared.
"""

from __future__ import annotations

import errno
import os
from dataclasses import dataclass
from pathlib import Path

from vrrpd.proto.settings import Family

_CAUSES = {
    errno.EROFS: "/proc/sys is read-only here (a container?); set it on the host, or start the container with it",
    errno.EACCES: "CAP_NET_ADMIN is missing; run as root or grant it",
    errno.EPERM: "CAP_NET_ADMIN is missing; run as root or grant it",
    errno.ENOENT: "the interface does not exist, or this kernel has no such setting",
}


@dataclass(frozen=True, slots=True)
class SysctlError:
    """A setting that could not be applied.

    Attributes:
        setting: the path below `/proc/sys`, for example `net/ipv4/conf/eth0/promote_secondaries`.
        errno: the kernel's reason.
        text: one sentence: setting, wanted value, cause and mend.
    """

    setting: str
    errno: int
    text: str


def read(family: Family, interface: str, key: str) -> int | None:
    """The value of one setting of one interface; None where interface or setting do not exist or hold no number."""
    try:
        return int(Path(_path(family, interface, key)).read_text(encoding="ascii"))
    except (OSError, ValueError):
        return None


def write(family: Family, interface: str, key: str, value: int) -> SysctlError | None:
    """Give one setting of one interface a value, unless it has it already.

    Returns:
        None where the setting now has the value, else why it has not.
    """
    if read(family, interface, key) == value:
        return None
    path = _path(family, interface, key)
    try:
        # No O_CREAT, as Path.write_text would have it: a missing setting must say ENOENT, not EACCES.
        descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
        try:
            os.write(descriptor, b"%d" % value)
        finally:
            os.close(descriptor)
    except OSError as error:
        code = error.errno or errno.EIO
        setting = path.removeprefix("/proc/sys/")
        cause = _CAUSES.get(code, os.strerror(code))
        return SysctlError(setting, code, f"cannot set {setting} to {value}: {cause}")
    return None


def _path(family: Family, interface: str, key: str) -> str:
    # A slash would leave the directory; no interface is called so, and the kernel answers ENOENT for the result.
    name = interface.replace("/", "!")
    return f"/proc/sys/net/{family.value}/conf/{name}/{key}"
