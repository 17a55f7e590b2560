"""Which processes belong to a systemd unit, read from the control groups (cgroups(7), systemd.slice(5)).

systemd gives every unit a control group of the unit's own name, in the group of its slice: `system.slice` unless it is
told otherwise, and `system-NAME.slice` in that for `NAME@INSTANCE.service`. All processes of the unit are in it or in
groups below it, whatever they call themselves and whoever their parent is. A program that systemd runs for the unit
(ExecReload, ExecStopPost) counts as one of its processes for as long as it runs.

The tree is cgroup 2 where the system is of this decade, and on older ones the hierarchy that systemd has for itself
beside the controllers. Tested on control groups made by hand: no systemd runs where the tests do.

Only looks, and blocks for as long as that takes, so callers run it in a worker thread.
"""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from vrrpd.checks.procfs import Sighting, identify
from vrrpd.config.words import quote

_MOUNTS = (Path("/sys/fs/cgroup"), Path("/sys/fs/cgroup/unified"), Path("/sys/fs/cgroup/systemd"))
_SUFFIXES = (".service", ".scope", ".slice", ".socket", ".mount", ".swap")  # units that have processes


def full_name(text: str) -> str:
    """Accept the name of a unit, as systemctl takes it: without a suffix it is a service.

    Raises:
        ValueError: no unit is called so.
    """
    if not re.fullmatch(r"[A-Za-z0-9:_.\\@-]{1,247}", text) or text.startswith("."):  # unit_name_is_valid
        raise ValueError(f"{quote(text)} is no name of a unit; write one such as haproxy.service")
    return text if text.endswith(_SUFFIXES) else f"{text}.service"


def by_unit(unit: str, mounts: Sequence[Path] = _MOUNTS) -> Sighting:
    """Look for all processes of a unit.

    Args:
        unit: its full name.
        mounts: where the control groups that systemd uses may be mounted, the likeliest first.
    """
    group = next((found for mount in mounts for found in _groups(mount, unit)), None)
    if group is None:
        return Sighting(problem=f"no unit {unit} runs here")
    try:
        pids = list(_pids(group))
    except OSError as error:
        return Sighting(problem=f"{group}: {(error.strerror or str(error)).lower()}")
    processes = [process for pid in pids if (process := identify(pid))]
    if processes:
        return Sighting(processes=tuple(processes))
    return Sighting(problem=f"unit {unit} has no process")


def _groups(slice_: Path, unit: str) -> Iterator[Path]:
    """The groups of this name in a slice and in the slices below it: the unit's own, where there is one."""
    group = slice_ / unit
    if group.is_dir():
        yield group
    try:
        below = [entry.path for entry in os.scandir(slice_) if entry.name.endswith(".slice")]
    except OSError:  # went away meanwhile, or was never there
        return
    for path in sorted(below, key=lambda path: not path.endswith("/system.slice")):
        yield from _groups(Path(path), unit)


def _pids(group: Path) -> Iterator[int]:
    """The ids of the processes in a group and in all groups below it.

    Raises:
        OSError: they may not be read.
    """
    for folder, _, _ in os.walk(group):
        try:
            listed = Path(folder, "cgroup.procs").read_text(encoding="ascii").split()
        except OSError as error:
            if error.errno in (errno.ENOENT, errno.ENODEV):  # removed while we looked
                continue
            raise
        yield from (int(pid) for pid in listed if pid != "0")  # 0: a process of another namespace of ids
