"""Where the agent keeps its files, made while it is still root: they belong to the user that it will be.

What is made here is made as that user, with root's right to make it anywhere: a change of the owner afterwards could be
aimed at another file meanwhile. Other directories belong to whoever made them, and stay as they are; but the two of the
defaults change hands once, should an agent have left them when it still ran as root.

Sources: credentials(7), capabilities(7), path_resolution(7).
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Generator
from pathlib import Path

from vrrpd.rights import EVERYTHING, Account, acting_as

OURS = (Path("/run/vrrpd"), Path("/var/lib/vrrpd"))
"""The directories of the defaults."""


@contextlib.contextmanager
def making(path: str, who: Account) -> Generator[None]:
    """Make the directories on the way to a file; inside, what is made belongs to a user and nobody else can use it.

    Args:
        path: of the file, which need not exist.
        who: the user; its group is that of the file, which may read and write it.

    Raises:
        OSError: a directory cannot be made.
    """
    folder = Path(path).absolute().parent
    if folder in OURS and folder.exists() and folder.stat().st_uid == 0 != who.uid:
        for each in (*folder.iterdir(), folder):  # nobody but root could put anything there
            os.chown(each, who.uid, who.gid, follow_symlinks=False)
    with acting_as(who, EVERYTHING):
        folder.mkdir(mode=0o755, parents=True, exist_ok=True)
        umask = os.umask(0o117)
        try:
            yield
        finally:
            os.umask(umask)
