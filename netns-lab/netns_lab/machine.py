"""The machine that something was measured on, in a few words that belong into every file of results."""

from __future__ import annotations

import os
import platform
from pathlib import Path
from typing import Any


def describe() -> dict[str, Any]:
    """Processor, cores, memory, kernel, Python, and the load of the last minutes.

    Returns:
        Plain values: `memory_mb` in megabytes, `load` the averages of 1, 5 and 15 minutes (proc_loadavg(5)).
    """
    return {
        "cpu": _line("/proc/cpuinfo", "model name") or platform.machine(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_mb": int(_line("/proc/meminfo", "MemTotal").removesuffix(" kB") or 0) // 1024,
        "kernel": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "load": [round(value, 2) for value in os.getloadavg()],
    }


def _line(path: str, key: str) -> str:
    """The value of the first line with this key; empty where there is none, as on some architectures."""
    for line in Path(path).read_text().splitlines():
        name, colon, value = line.partition(":")
        if colon and name.strip() == key:
            return value.strip()
    return ""
