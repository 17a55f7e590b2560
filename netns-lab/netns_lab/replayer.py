"""Plays advertisements back that were recorded on the link: the same bytes, in the same order, at the same pace.

Started inside the host that plays as `python -m netns_lab.replayer CAPTURE SOURCE`. It takes what SOURCE advertised
with a priority above 0, and plays it from the beginning to the end and again, for two minutes at most. The frames have
our own MAC address as their source, as those of an attacker who does not want switches to learn two ports for one host.
"""

from __future__ import annotations

import socket
import struct
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from netns_lab import packets

_RECORD = struct.Struct("=IIII")
_HEAD = 24
_LONGEST_NS = 120_000_000_000
_PAUSE_NS = 10_000_000
"""From the last frame to the first one of the next round."""


def recorded(capture: bytes, source: str) -> Iterator[tuple[int, bytes]]:
    """What a node advertised, as (nanoseconds, frame), from a capture of the recorder.

    Args:
        capture: the file.
        source: the IP address of the node.
    """
    at = _HEAD
    while at + _RECORD.size <= len(capture):
        seconds, nanoseconds, size, _ = _RECORD.unpack_from(capture, at)
        frame = capture[at + _RECORD.size : at + _RECORD.size + size]
        at += _RECORD.size + size
        decoded = packets.decode(frame)
        if decoded is not None and decoded[1]["source"] == source and decoded[1]["priority"] > 0:
            yield seconds * 1_000_000_000 + nanoseconds, frame


def play(frames: list[tuple[int, bytes]]) -> None:
    """Play frames until the time is over."""
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as opened:
        opened.bind(("eth0", 0))
        own: bytes = opened.getsockname()[4]
        first, last = frames[0][0], frames[-1][0]
        began = start = time.monotonic_ns()
        while start - began < _LONGEST_NS:
            for t, frame in frames:
                time.sleep(max(0, start + t - first - time.monotonic_ns()) / 1e9)
                opened.send(frame[:6] + own + frame[12:])
            start += last - first + _PAUSE_NS


if __name__ == "__main__":
    _, given_capture, given_source = sys.argv
    found = list(recorded(Path(given_capture).read_bytes(), given_source))
    if not found:
        sys.exit(f"{given_source} has not advertised")
    print(f"plays {len(found)} advertisements", flush=True)  # noqa: T201  the protocol
    play(found)
