"""What may be asked of the launcher, and how it ends: the words that checks, movers and `vrrpd.programs` share.

Owns the contract alone. `vrrpd.launcher` does the work, `vrrpd.programs` is the agent's end of the conversation.
"""

from __future__ import annotations

import signal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

_LINE = 200  # characters of a line that people see


@dataclass(frozen=True, slots=True)
class Finished:
    """How a program ended.

    Attributes:
        status: exit status, or the negative number of the signal that ended it.
        output: the end of what it wrote to its standard output and error.
    """

    status: int
    output: bytes

    @property
    def last_line(self) -> str:
        """The last line that it wrote, as one short line that a terminal can show; "" where it wrote none."""
        lines = [line.strip() for line in self.output.decode(errors="replace").splitlines()]
        return one_line(next((line for line in reversed(lines) if line), ""))

    def __str__(self) -> str:
        if self.status < 0:
            known = -self.status in signal.Signals.__members__.values()  # those of real time have no names
            return f"killed by {signal.Signals(-self.status).name if known else f'signal {-self.status}'}"
        return f"exit {self.status}: {self.last_line}" if self.last_line else f"exit {self.status}"


def one_line(text: str) -> str:
    """A text as one short line that a terminal can show."""
    return "".join(c for c in text if c.isprintable())[:_LINE]


class CannotStartError(Exception):
    """A program cannot be started; the text says why."""


class LauncherGoneError(CannotStartError):
    """No program can be started at all, because what starts them has ended: no fault of the program or the service."""


class Programs(Protocol):
    """Starts programs, as another user where that is asked for; see `vrrpd.launcher`."""

    async def run(
        self, argv: Sequence[str], *, user: str | None = None, environment: Mapping[str, str] | None = None
    ) -> Finished:
        """Run a program to its end, in a process group of its own; cancelled, the whole group is killed.

        Args:
            argv: the program by its absolute path, and its arguments.
            user: whose rights it has; None for those of nobody in particular.
            environment: further variables, whose names begin with VRRPD_.

        Raises:
            CannotStartError: the text names the cause.
        """
        ...

    async def open(self, path: str) -> int:
        """Open a file that only root may read, where the configuration names it; the caller closes the descriptor.

        Raises:
            CannotStartError: the text names the cause.
        """
        ...
