"""How many instructions of the processor an advertisement takes to write and to read: counted by callgrind.

Unlike calls and bytecode, this sees work in C too: a conversion that copies, an object that is compared in full.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.bench.bounds import INSTRUCTIONS, figures_hold, hold
from tests.bench.codec import WORK

ROOT = Path(__file__).parent.parent.parent
TIMES = 200


def instructions(directory: Path) -> dict[str, float]:
    """What one call of each takes, without the loop around it."""
    counting = ["valgrind", "--tool=callgrind", "--dump-before=getpgid", "--callgrind-out-file=out"]
    # Without site-packages, which the core does not need: to load those takes longer than all the rest.
    command = [*counting, sys.executable, "-S", "-m", "tests.bench.codec", str(TIMES)]
    environment = os.environ | {"PYTHONHASHSEED": "0", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=directory, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    # One file at each mark, and one at the end; every second one is what lies between the marks of one piece of work.
    assert len(list(directory.glob("out*"))) == 2 * len(WORK) + 1
    between = [counted(directory / f"out.{2 * number}") for number in range(1, len(WORK) + 1)]
    return {name: (total - between[0]) / TIMES for name, total in list(zip(WORK, between, strict=True))[1:]}


def counted(file: Path) -> int:
    """The sum in a file of callgrind."""
    return next(int(line.split()[1]) for line in file.read_text().splitlines() if line.startswith("totals:"))


@figures_hold
def test_an_advertisement_takes_no_more_instructions(tmp_path: Path) -> None:
    hold("instructions of one call", instructions(tmp_path), INSTRUCTIONS)
