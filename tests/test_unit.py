"""The unit for systemd, as far as that can be judged where no systemd runs."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
UNIT = ROOT / "examples/systemd/vrrpd.service"
EXPOSED = 30
"""The score, in tenths, from which on it is worse than it was."""

pytestmark = pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")


@pytest.fixture
def unit(tmp_path: Path) -> Path:
    """The unit with a program that is there."""
    path = tmp_path / UNIT.name
    path.write_text(UNIT.read_text().replace("/usr/bin/vrrpd", "/bin/true"))
    return path


def test_systemd_understands_every_line(unit: Path) -> None:
    done = subprocess.run(["systemd-analyze", "verify", unit], check=False, capture_output=True, text=True)
    assert [line for line in done.stderr.splitlines() if unit.name in line] == []


def test_it_stays_hardened(unit: Path) -> None:
    command = ["systemd-analyze", "security", "--offline=true", f"--threshold={EXPOSED}", "--no-pager", unit]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def test_it_grants_what_an_agent_needs() -> None:
    said = dict(re.findall(r"^([A-Za-z]+)=(.*)$", UNIT.read_text(), re.MULTILINE))
    assert said["AmbientCapabilities"] == said["CapabilityBoundingSet"] == "CAP_NET_ADMIN CAP_NET_RAW"
    assert said["Type"] == "notify"
    assert said["KillMode"] == "control-group", "any other ends the guardian before it has handed over"
