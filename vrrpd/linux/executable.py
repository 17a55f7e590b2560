"""Whether a program can be run, and whether only the right people can change it: asked before an agent starts.

Follows a path as the kernel does (path_resolution(7)), component by component and through every symbolic link, because
a file is as safe as the weakest directory on the way to it. The first component that is in the way is named with its
owner and mode, and with the command that mends it. The interpreter of a script is looked at in the same way.

Refused for everybody: what others may write (a directory with the sticky bit protects what is in it). Refused where
root is to run the program: whatever does not belong to root, or may be written by a group other than root's.

The mode decides; where an access control list adds to it (acl(5)), nobody is said to lack a right. Says nothing about
security modules.
"""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path

from vrrpd.errors import VrrpdError
from vrrpd.launcher import PATH
from vrrpd.linux.accounts import group_name, user_name
from vrrpd.linux.capabilities import require_capabilities
from vrrpd.rights import Account, account

_LINKS = 40  # symbolic links that the kernel follows: path_resolution(7)
_SCRIPTS = 5  # scripts that are each other's interpreter: execve(2)
_FIRST_LINE = 256  # bytes of a script that the kernel looks at
_OTHERS, _GROUP, _OWNER = 0, 3, 6  # shifts of the three digits of a mode
_ACL = "system.posix_acl_access"


def trouble(command: Sequence[str], user: str | None) -> str | None:
    """What keeps a user from running a command, or lets others change it or a file it is given; None: nothing. Blocks.

    Args:
        command: a program and its arguments; see `problem`.
        user: whose rights it is to have; None for an unprivileged user.
    """
    program, *arguments = command
    given = (exposure(each, user) for each in arguments if each.startswith("/"))
    return problem(program, user) or next((wrong for wrong in given if wrong), None)


def problem(program: str, user: str | None) -> str | None:
    """What is wrong with a program that a user is to run, and what would be right; None where nothing is.

    A person who could not run an agent is told what holds for an agent of root's. Blocks: the file system is asked, and
    the databases of users and groups.

    Args:
        program: an absolute path, or a name that the launcher's PATH leads to.
        user: whose rights it is to have; None for an unprivileged user.
    """
    try:
        who = account(user, by_root=os.geteuid() == 0 or not _can_be_agent())
    except LookupError as error:
        return str(error)
    path = program if "/" in program else shutil.which(program, path=PATH)
    if path is None:
        return f"there is no program {program!r} in {PATH}; install it, or write its absolute path"
    return _problem(Path(path), who, _SCRIPTS)


def exposure(path: str, user: str | None) -> str | None:
    """What lets others change a file that root's program is given, and what would be right; None where nothing does.

    Args:
        path: absolute; one that does not exist is nobody's.
        user: whose rights the program has; only root's are worth this.
    """
    try:
        who = account(user, by_root=os.geteuid() == 0 or not _can_be_agent())
        if who.uid != 0:
            return None
        return next((wrong for at, seen in _way(Path(path)) if (wrong := _exposed(at, seen, who))), None)
    except (LookupError, OSError):
        return None


def _can_be_agent() -> bool:
    try:
        require_capabilities()
    except VrrpdError:
        return False
    return True


def _problem(path: Path, who: Account, depth: int) -> str | None:
    """The first thing that is wrong on the way to a program, with it, or with its interpreter."""
    try:
        way = list(_way(path))
        for at, seen in way:
            if wrong := _exposed(at, seen, who) or _closed(at, seen, who):
                return wrong
        last, found = way[-1]
        if not stat.S_ISREG(found.st_mode):
            return f"{_shown(path)} is no program but a directory or device; write the path of a program"
        if os.statvfs(last).f_flag & os.ST_NOEXEC:
            return f"{_shown(last)} lies on a file system that is mounted noexec; move it to another one"
        interpreter = _interpreter(last)
    except PermissionError:
        return None  # we see less than who will run it
    except (FileNotFoundError, NotADirectoryError) as error:
        missing = _shown(Path(error.filename))
        return f"there is no {missing}; install it, or write the path of a program that is there"
    except OSError as error:
        return f"{_shown(path)} cannot be followed: {(error.strerror or str(error)).lower()}; mend the path"
    if interpreter is None:
        return None
    if not _may(last, found, who, stat.S_IROTH):
        mend = _opening(last, found, who, stat.S_IROTH)
        return f"{_described(last, found)} cannot be read by {who.name}, as a script must be; {mend}"
    wrong = _problem(interpreter, who, depth - 1) if depth else "there are too many of them; write a program"
    return f"the interpreter of {_shown(last)}: {wrong}" if wrong else None


def _way(path: Path) -> Iterator[tuple[Path, os.stat_result]]:
    """Every directory and symbolic link on the way to a file, and last the file itself.

    Raises:
        OSError: a component cannot be looked at; its `filename` is the path so far.
    """
    here, links = Path("/"), 0
    yield here, here.lstat()
    ahead = list(reversed(path.parts[1:]))
    while ahead:
        name = ahead.pop()
        if name == "..":
            here = here.parent
            continue
        at = here / name
        found = at.lstat()
        yield at, found
        if not stat.S_ISLNK(found.st_mode):
            here = at
            continue
        links += 1
        if links > _LINKS:
            raise OSError("too many symbolic links")
        target = at.readlink()
        here = Path("/") if target.is_absolute() else here
        ahead += reversed([part for part in target.parts if part != "/"])


def _exposed(path: Path, found: os.stat_result, who: Account) -> str | None:
    """Whether somebody can change this component, and with it what is run, who should not."""
    mode = found.st_mode
    if who.uid == 0 and found.st_uid != 0:
        return f"{_described(path, found)} must belong to root, who is to run it; chown root {_shown(path)}"
    if stat.S_ISLNK(mode) or (stat.S_ISDIR(mode) and mode & stat.S_ISVTX):
        return None
    if mode & stat.S_IWOTH:
        return f"{_described(path, found)} can be changed by everybody; chmod go-w {_shown(path)}"
    # With an access control list the bits of the group are the most that anybody in it has (acl(5)).
    if who.uid == 0 and mode & stat.S_IWGRP and (found.st_gid != 0 or _ACL in os.listxattr(path)):
        return f"{_described(path, found)} can be changed by others than root; chmod go-w {_shown(path)}"
    return None


def _closed(path: Path, found: os.stat_result, who: Account) -> str | None:
    """Whether the user cannot pass this component."""
    if stat.S_ISLNK(found.st_mode) or _may(path, found, who, stat.S_IXOTH):
        return None
    verb = "entered" if stat.S_ISDIR(found.st_mode) else "executed"
    return f"{_described(path, found)} cannot be {verb} by {who.name}; {_opening(path, found, who, stat.S_IXOTH)}"


def _opening(path: Path, found: os.stat_result, who: Account, right: int) -> str:
    """What gives a user a right that is missing: the group, where that has it, else everybody's."""
    if found.st_gid and found.st_mode >> _GROUP & right and who.uid != found.st_uid:
        return f"add {who.name} to the group {group_name(found.st_gid)}"
    return f"chmod +{'r' if right == stat.S_IROTH else 'x'} {_shown(path)}"


def _may(path: Path, found: os.stat_result, who: Account, right: int) -> bool:
    """Whether a user has a right, given as the bit of the others."""
    if who.uid == 0:  # may read and enter everything, and execute what anybody may execute
        return right != stat.S_IXOTH or stat.S_ISDIR(found.st_mode) or bool(found.st_mode & 0o111)
    if who.uid == found.st_uid:
        shift = _OWNER
    elif found.st_gid in who.groups or found.st_gid == who.gid:
        shift = _GROUP
    else:
        shift = _OTHERS
    return bool(found.st_mode >> shift & right) or _ACL in os.listxattr(path)


def _interpreter(path: Path) -> Path | None:
    """What a script's first line names; None of a program that is no script."""
    with path.open("rb") as file:
        line = file.read(_FIRST_LINE).partition(b"\n")[0]
    words = line.removeprefix(b"#!").strip(b" \t").replace(b"\t", b" ").split(b" ")
    return Path("/", os.fsdecode(words[0])) if line.startswith(b"#!") and words[0] else None


def _described(path: Path, found: os.stat_result) -> str:
    """A path with its owner and mode."""
    return (
        f"{_shown(path)}, which belongs to {user_name(found.st_uid)}:{group_name(found.st_gid)} "
        f"with mode {stat.S_IMODE(found.st_mode):04o},"
    )


def _shown(path: Path) -> str:
    """A path on one line; a stray carriage return is seen."""
    return str(path) if str(path).isprintable() else repr(str(path))
