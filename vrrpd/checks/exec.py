"""The check `exec: [argv...]`: does a program of the user's say that all is well?

Exit status 0 is healthy. There is no shell. The last line that the program prints is the detail that people see.

The program is started by the launcher (`vrrpd.launcher` says what it finds itself in), as an unprivileged user unless
the configuration names another. Whatever happens, its whole process group is killed when the probe ends, be it at the
timeout or because the program is done and has left children behind. Nothing ever waits for a program that even SIGKILL
does not end (it hangs in the kernel, on a dead network file system): the probe fails, and the next one says so instead
of starting a second one.
"""

from __future__ import annotations

from typing import Annotated, Any, cast

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from vrrpd.checks.base import Host, Kind, Result
from vrrpd.config.command import COMMAND, Command, read_command
from vrrpd.config.scalars import Shorthand
from vrrpd.errands import CannotStartError, LauncherGoneError, one_line
from vrrpd.linux import executable


class ExecOptions(BaseModel):
    """Options of an `exec` check."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    command: Command = Field(description="a program and its arguments; exit status 0 is healthy, there is no shell")
    user: str | None = Field(
        default=None, min_length=1, description="whose rights the program has; by default vrrpd's or nobody's"
    )


def _expanded(value: object) -> object:
    return cast("object", value) if isinstance(value, dict) else {"command": read_command(value)}


OPTIONS: TypeAdapter[ExecOptions] = TypeAdapter(Annotated[ExecOptions, Shorthand(_expanded, COMMAND)])
"""Validates `[argv...]` and `{command: [argv...], user: NAME}`."""


def inspect(options: ExecOptions) -> str | None:
    """What keeps this host from running the program, or lets others change it; None where nothing does. Blocks."""
    return executable.trouble(options.command, options.user)


def errands(options: ExecOptions) -> list[dict[str, Any]]:
    """What the launcher is asked for."""
    return [{"argv": options.command, "user": options.user}]


class ExecCheck:
    """Healthy while the program ends with exit status 0."""

    def __init__(self, options: ExecOptions, host: Host) -> None:
        self._options = options
        self._programs = host.programs

    async def probe(self) -> Result | None:
        """Run the program once."""
        try:
            finished = await self._programs.run(self._options.command, user=self._options.user)
        except LauncherGoneError:
            return None  # says nothing about the service, and is an alarm of its own
        except CannotStartError as error:
            return Result(ok=False, detail=one_line(f"cannot start {self._options.command[0]}: {error}"))
        return Result(ok=finished.status == 0, detail=str(finished))


KINDS = {"exec": Kind(OPTIONS, ExecCheck, inspect, errands)}
"""For the registry."""
