"""The packets of a capture in the eyes of tshark, which knows nothing of either agent.

tshark is asked for fields of every packet, not for a filter of bad ones: a packet that it could not check at all must
not pass for a good one. It computes the IPv4 checksum of version 3 over the pseudo-header (RFC 5798), as keepalived and
FRR do; the agent answers a peer in the dialect that it hears.
"""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path

_FIELDS = ("frame.number", "frame.protocols", "vrrp.version", "vrrp.checksum.status", "ip.checksum.status")
_GOOD = "1"


@dataclass(frozen=True, slots=True)
class Inspection:
    """What tshark says about a capture.

    Attributes:
        packets: how many VRRP packets it holds.
        complaints: one line for each packet that is malformed or whose checksum is not proved good.
    """

    packets: int
    complaints: tuple[str, ...]


def inspect(capture: Path, version: int) -> Inspection:
    """Let tshark judge every packet of a capture.

    Args:
        capture: a pcap file with VRRP packets only.
        version: the VRRP version that all of them must have.

    Raises:
        subprocess.CalledProcessError: tshark cannot read the file.
    """
    fields = [part for field in _FIELDS for part in ("-e", field)]
    argv = ["tshark", "-n", "-r", str(capture), "-o", "ip.check_checksum:TRUE", "-T", "fields", *fields]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=True)
    rows = [line.split("\t") for line in done.stdout.splitlines()]
    return Inspection(len(rows), tuple(" ".join(row) for row in rows if not _is_good(row, version)))


def _is_good(row: list[str], version: int) -> bool:
    _, protocols, spoken, checksum, ip_checksum = row
    whole = "vrrp" in protocols and "_ws.malformed" not in protocols
    return whole and spoken == str(version) and checksum == _GOOD and ip_checksum in {_GOOD, ""}
