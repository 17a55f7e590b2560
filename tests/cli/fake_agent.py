"""An agent that answers what a test prepares, at a real control socket."""

from __future__ import annotations

import json
import socket
import threading
from pathlib import Path
from typing import Any


class FakeAgent:
    """Answers the requests of one connection with prepared objects, one after another, then closes.

    Attributes:
        path: its control socket.
        answers: what it says.
        asked: the last request.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.answers: list[dict[str, Any]] = []
        self.asked: dict[str, Any] = {}
        self._listening = socket.socket(socket.AF_UNIX)
        self._listening.bind(str(path))
        self._listening.listen()
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        client, _ = self._listening.accept()
        with client, client.makefile("rwb") as stream:
            for answer in self.answers:
                if not (line := stream.readline()):
                    return
                self.asked = json.loads(line)
                stream.write(json.dumps(answer).encode() + b"\n")
                stream.flush()

    def end(self) -> None:
        """Give the socket back."""
        with socket.socket(socket.AF_UNIX) as last:  # where the test asked nothing
            last.connect(str(self.path))
        self._thread.join()
        self._listening.close()
