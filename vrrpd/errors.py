"""Errors that a user can mend.

Owns the exceptions that end a command with one clear line and no traceback. Everything that is not one of these
is a bug of ours and ends the process loudly. A bad packet is a value (`proto.validate.Drop`), a failed health check
is a result; neither is an exception.
"""

from __future__ import annotations

from dataclasses import dataclass


class VrrpdError(Exception):
    """A condition that the person who started the command can mend; the text names the cause and the fix."""


@dataclass(frozen=True, slots=True, order=True)
class Mistake:
    """One mistake of a configuration file.

    Attributes:
        line: 1-based line in the file.
        column: 1-based column in the file.
        text: what is wrong; what would be right.
    """

    line: int
    column: int
    text: str


class ConfigError(VrrpdError):
    """A configuration file that must not start an agent, with every mistake found in it."""

    def __init__(self, path: str, mistakes: list[Mistake]) -> None:
        self.path = path
        self.mistakes = sorted(mistakes)
        super().__init__("\n".join(f"{path}:{m.line}:{m.column}: {m.text}" for m in self.mistakes))
