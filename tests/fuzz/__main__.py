"""Run a target under atheris: `python -m tests.fuzz TARGET [options of libFuzzer] [corpus directory]`.

What it finds interesting is written into the directory, where one is given.
"""

from __future__ import annotations

import importlib
import sys
import tempfile
from pathlib import Path
from typing import Any


def main() -> None:
    """Fuzz until a finding or the end that the options set."""
    atheris: Any = importlib.import_module("atheris")  # of the group `fuzz`, which nothing else needs
    with atheris.instrument_imports(include=["vrrpd"]):
        targets = importlib.import_module("tests.fuzz.targets").TARGETS
        seeds = importlib.import_module("tests.fuzz.seeds").seeds
    if len(sys.argv) < 2 or sys.argv[1] not in targets:
        sys.exit(f"usage: python -m tests.fuzz {{{','.join(targets)}}} [options of libFuzzer] [corpus directory]")
    name = sys.argv.pop(1)
    with tempfile.TemporaryDirectory() as begin:
        for index, seed in enumerate(seeds(name)):
            Path(begin, str(index)).write_bytes(seed)
        atheris.Setup([*sys.argv, begin], targets[name])
        atheris.Fuzz()


if __name__ == "__main__":
    main()
