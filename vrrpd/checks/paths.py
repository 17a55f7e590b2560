"""Paths that a check uses: what may be written in the file, and why the agent cannot get at one.

The agent does not run with all of root's rights, and a socket or a file that root can use may be closed to it. Then
the first component that is in the way is named with its owner and mode, and the group to join where that would help.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Annotated, TypeAlias

from pydantic import AfterValidator

from vrrpd.config.words import quote
from vrrpd.linux.accounts import group_name, user_name


def _absolute(path: str) -> str:
    """Accept an absolute path."""
    if not path.startswith("/") or "\0" in path:
        raise ValueError(f"{quote(path)} is no absolute path; write one that begins with /")
    return path


AbsolutePath: TypeAlias = Annotated[str, AfterValidator(_absolute)]
"""Type of an option that is an absolute path."""


def obstacle(path: str, wanted: int) -> str | None:
    """What keeps this process from a path, for people; None where nothing does, or where the path does not exist.

    Blocks: the file system is asked, and the databases of users and groups.

    Args:
        path: an absolute path.
        wanted: what is to be done with it, of `os.R_OK` and `os.W_OK`.
    """
    for folder in reversed(Path(path).parents):
        if not _may(folder, os.X_OK):
            return f"no permission to enter {_described(folder, stat.S_IXGRP)}"
    if not _may(Path(path), wanted):
        return f"no permission to use {_described(Path(path), _group_bits(wanted))}"
    return None


def _may(path: Path, wanted: int) -> bool:
    """Whether this process has the rights, or has nothing to have them on."""
    effective = os.access in os.supports_effective_ids
    return not os.access(path, os.F_OK, effective_ids=effective) or os.access(path, wanted, effective_ids=effective)


def _group_bits(wanted: int) -> int:
    return (stat.S_IRGRP if wanted & os.R_OK else 0) | (stat.S_IWGRP if wanted & os.W_OK else 0)


def _described(path: Path, bits: int) -> str:
    """A path with its owner and mode, and what would open it; `bits` are those that the group needs."""
    try:
        found = path.stat()
    except OSError:  # it went away meanwhile
        return str(path)
    user, group = user_name(found.st_uid), group_name(found.st_gid)
    said = f"{path}, which belongs to {user}:{group} with mode {stat.S_IMODE(found.st_mode):04o}"
    if found.st_mode & bits == bits and found.st_gid:
        return f"{said}; add the user of the agent ({user_name(os.geteuid())}) to the group {group}"
    return f"{said}; give it a group that may, and let the user of the agent ({user_name(os.geteuid())}) join that"
