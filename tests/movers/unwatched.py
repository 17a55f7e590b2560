"""A guardian that notes which ports it was told of, for tests of movers."""

from __future__ import annotations

import socket


class Unwatched:
    """Nobody guards the ports.

    Attributes:
        told: names of the ports that accept connections.
    """

    def __init__(self) -> None:
        self.told: list[str] = []

    def listens(self, who: str, listener: socket.socket) -> None:
        """Note it."""
        assert not listener.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN) or who in self.told
        if who not in self.told:
            self.told.append(who)

    def refuses(self, who: str) -> None:
        """Note that it is over."""
        if who in self.told:
            self.told.remove(who)
