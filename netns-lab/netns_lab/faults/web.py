"""What happens to a back end: it dies, or it answers with an error. The node is that of a web server: w1, w2, ..."""

from __future__ import annotations

import signal
from typing import ClassVar

from netns_lab.errors import LabError
from netns_lab.lab import Lab
from netns_lab.node import Process


class WebKilled:
    """Kills a web server."""

    kind: ClassVar[str] = "web-killed"
    summary: ClassVar[str] = "the web server is killed (SIGKILL)"
    cuts: ClassVar[bool] = False

    def inject(self, lab: Lab, node: str) -> None:
        """Kill it."""
        process = _web(lab, node)
        process.signal(signal.SIGKILL, group=True)
        process.wait(5)

    def heal(self, lab: Lab, node: str) -> None:
        """Start it again."""
        lab.start_web(node)


class WebBad:
    """Lets a web server answer every request with status 500."""

    kind: ClassVar[str] = "web-bad"
    summary: ClassVar[str] = "the web server answers with status 500"
    cuts: ClassVar[bool] = False

    def inject(self, lab: Lab, node: str) -> None:
        """Break it."""
        _web(lab, node).signal(signal.SIGUSR1)

    def heal(self, lab: Lab, node: str) -> None:
        """Mend it."""
        _web(lab, node).signal(signal.SIGUSR2)


def _web(lab: Lab, node: str) -> Process:
    """The process of a web server.

    Raises:
        LabError: the host is none.
    """
    process = lab.node(node).processes.get("web")
    if process is None:
        raise LabError(f"{node} is no web server; there are {', '.join(w.name for w in lab.webs()) or 'none'}")
    return process
