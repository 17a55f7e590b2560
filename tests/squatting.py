"""Somebody else who has taken the name that agents hold."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Generator

_SQUATTER = """
import os, socket, sys
os.setresuid(65534, 65534, 65534)
squatting = socket.socket(socket.AF_UNIX)
squatting.bind("\\0" + sys.argv[1])
squatting.listen()
print("taken", flush=True)
sys.stdin.read()
"""


@contextlib.contextmanager
def squatter(name: str, *into: str) -> Generator[int]:
    """The process id of a process of user 65534 that has taken this abstract name and answers nobody.

    Args:
        name: with its zero byte.
        into: the command that leads into a network namespace.
    """
    command = [*into, sys.executable, "-c", _SQUATTER, name[1:]]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"taken\n"
        yield process.pid
