"""How the lab starts the small processes of its own (recorder, probe, web server).

They are modules of this package, run by the interpreter that runs the lab, in their own session so that a Ctrl-C
reaches the lab alone, which then ends them in its order. Their standard input is a pipe that the lab holds: it ends
when the lab does, and that is what ends them.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import IO

PACKAGE = Path(__file__).parent


def command(module: str, *arguments: str) -> list[str]:
    """The command line that runs a module of this package."""
    return [sys.executable, "-m", f"netns_lab.{module}", *arguments]


def environment() -> dict[str, str]:
    """The environment for it: the package is found where this one was, installed or not."""
    return {**os.environ, "PYTHONPATH": str(PACKAGE.parent)}


def start(argv: Sequence[str], errors: IO[bytes]) -> subprocess.Popen[bytes]:
    """Start a helper with pipes for standard input and output.

    Args:
        argv: from `command`, perhaps wrapped by what enters a namespace.
        errors: where its standard error goes.
    """
    return subprocess.Popen(
        argv,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=errors,
        env=environment(),
        start_new_session=True,
    )
