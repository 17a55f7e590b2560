"""Watches from outside which namespaces hold an address, over netlink, with the time of each change."""

from __future__ import annotations

import re
import subprocess
import threading
import time
from types import TracebackType
from typing import Self

from tests.daemon.conftest import Namespace

_LINE = re.compile(r"(Deleted )?\d+: \S+ +inet6? (\S+) ")


class Watch:
    """The holders of one address, from `__enter__` on.

    Attributes:
        story: (CLOCK_MONOTONIC seconds, name of the namespace, True for added and False for removed).
    """

    def __init__(self, address: str, *namespaces: Namespace) -> None:
        self.story: list[tuple[float, str, bool]] = []
        self._address = address
        self._began = time.monotonic()
        self._holders = {each.name for each in namespaces if each.holds(address)}
        self._monitors = [
            (each.name, subprocess.Popen(
                ["ip", "-n", each.name, "-o", "monitor", "address"], stdout=subprocess.PIPE, text=True, bufsize=1
            ))
            for each in namespaces
        ]  # fmt: skip
        self._threads = [threading.Thread(target=self._follow, args=each, daemon=True) for each in self._monitors]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        time.sleep(0.1)  # until `ip monitor` listens
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for _, monitor in self._monitors:
            monitor.terminate()
            monitor.wait()
        for thread in self._threads:
            thread.join()
        for _, monitor in self._monitors:
            assert monitor.stdout is not None
            monitor.stdout.close()

    def longest_s(self, holders: int, since: float) -> float:
        """The longest unbroken time, seconds, in which exactly so many namespaces held the address."""
        present, last = set(self._holders), self._began
        best = run = 0.0
        for at, name, added in [*sorted(self.story), (time.monotonic(), "", False)]:
            if at > since:
                run = run + at - max(last, since) if len(present) == holders else 0.0
                best = max(best, run)
            last = at
            present = present | {name} if added else present - {name}
        return best

    def gone_s(self, namespace: Namespace, since: float) -> float:
        """How long after `since` the address disappeared from a namespace, seconds; infinite where it did not."""
        removals = [at - since for at, name, added in self.story if name == namespace.name and not added and at > since]
        return min(removals, default=float("inf"))

    def _follow(self, name: str, monitor: subprocess.Popen[str]) -> None:
        assert monitor.stdout is not None
        for line in monitor.stdout:
            found = _LINE.match(line)
            if found and found[2] == self._address:
                self.story.append((time.monotonic(), name, not found[1]))
