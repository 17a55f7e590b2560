"""Whether every VRRP packet on the wire was a good one, by a judge that is not of this project: tshark.

`inspect` runs tshark over the capture of a lab and writes what it says into the history; `judge` reads it there. The
capture holds nothing but IP protocol 112. A bad packet is one that tshark calls malformed, or whose checksum it does
not call good; it computes that of version 3 over the pseudo-header, the reading of RFC 5798.
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from netns_lab.history import History
from netns_lab.judges.base import Case, Finding, Outcome

_FILTER = "_ws.malformed || !(vrrp.checksum.status == 1)"
_SHOWN = 3


def inspect(capture: Path, history: History) -> None:
    """Let tshark look at a capture: events `inspected` (how many packets) and `malformed` (one for each bad one)."""
    if not shutil.which("tshark"):
        return
    history.add("inspected", packets=len(_tshark(capture, "frame")))
    for line in _tshark(capture, _FILTER):
        history.add("malformed", packet=line)


def judge(case: Case) -> Finding:
    """Judge `wellformed: {}`."""
    title, asked = "packets on the wire", "no malformed one"
    inspected = case.history.events("inspected")
    if not inspected:
        return Finding(title, asked, "tshark is not installed", Outcome.UNKNOWN)
    bad = [event["packet"] for event in case.history.events("malformed")]
    count = inspected[0]["packets"]
    if bad:
        return Finding(title, asked, f"{len(bad)} of {count}: {'; '.join(bad[:_SHOWN])}", Outcome.FAILED)
    return Finding(title, asked, f"{count}, all good", Outcome.PASSED if count else Outcome.UNKNOWN)


def _tshark(capture: Path, display_filter: str) -> list[str]:
    """One line for each packet that a display filter takes."""
    argv = ["tshark", "-n", "-r", str(capture), "-Y", display_filter]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=True)
    return done.stdout.splitlines()
