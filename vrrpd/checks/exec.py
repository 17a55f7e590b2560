"""The check `exec: [argv...]`: does a program of the user's say that all is well?

Exit status 0 is healthy. There is no shell. The last line that the program prints is the detail that people see.

The program is started by the launcher (`vrrpd.launcher` says what it finds itself in), as an unprivileged user unless
the configuration names another. Whatever happens, its whole process group is killed when the probe ends, be it at the
timeout or because the program is done and has left children behind. Nothing ever waits for a program that even SIGKILL
does not end (it hangs in the kernel, on a dead network file system): the probe fails, and the next one says so instead
of starting a second one.
"""

from __future__ import annotations

import signal
from typing import Annotated, Any, cast

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, TypeAdapter, WithJsonSchema
from pydantic.json_schema import JsonSchemaValue

from vrrpd.checks.base import CannotStartError, Finished, Host, LauncherGoneError, Result
from vrrpd.config.scalars import Shorthand
from vrrpd.config.words import shown
from vrrpd.linux import executable

_LINE = 200  # characters of the last line that people see

_COMMAND: JsonSchemaValue = {
    "type": "array",
    "items": {"type": ["string", "number", "boolean"]},
    "minItems": 1,
    "description": "a program and its arguments; exit status 0 is healthy, there is no shell",
    "examples": [["/usr/bin/test", "-e", "/run/proxy.ok"]],
}


def _argv(value: object) -> tuple[str, ...]:
    """Accept a list of a program and its arguments."""
    if not isinstance(value, list | tuple) or not value:
        raise ValueError(
            f"{shown(cast('object', value))} is not a command; write a list such as [/usr/bin/test, -e, /run/proxy.ok]"
        )
    words = cast("list[object]", value)
    if not all(isinstance(word, str) and "\0" not in word for word in words):
        raise ValueError("the list holds something that is not text; write the program and its arguments as words")
    argv = tuple(cast("list[str]", words))
    if not argv[0] or ("/" in argv[0] and not argv[0].startswith("/")):
        raise ValueError(f"{shown(argv[0])} is no program; write an absolute path, or a name that PATH leads to")
    return argv


class ExecOptions(BaseModel):
    """Options of an `exec` check."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    command: Annotated[tuple[str, ...], BeforeValidator(_argv), WithJsonSchema(_COMMAND)]
    user: str | None = Field(
        default=None, min_length=1, description="whose rights the program has; by default vrrpd's or nobody's"
    )


def _expanded(value: object) -> object:
    return cast("object", value) if isinstance(value, dict) else {"command": _argv(value)}


OPTIONS: TypeAdapter[ExecOptions] = TypeAdapter(Annotated[ExecOptions, Shorthand(_expanded, _COMMAND)])
"""Validates `[argv...]` and `{command: [argv...], user: NAME}`."""


def inspect(options: ExecOptions) -> str | None:
    """What keeps this host from running the program, or lets others change it; None where nothing does. Blocks."""
    program, *arguments = options.command
    given = (executable.exposure(each, options.user) for each in arguments if each.startswith("/"))
    return executable.problem(program, options.user) or next((wrong for wrong in given if wrong), None)


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
            return Result(ok=False, detail=_line(f"cannot start {self._options.command[0]}: {error}"))
        return _judge(finished)


def _judge(finished: Finished) -> Result:
    """What an exit status and an output mean."""
    status = finished.status
    if status < 0:
        known = -status in signal.Signals.__members__.values()  # those of real time have no names
        return Result(ok=False, detail=f"killed by {signal.Signals(-status).name if known else f'signal {-status}'}")
    lines = [line.strip() for line in finished.output.decode(errors="replace").splitlines()]
    last = _line(next((line for line in reversed(lines) if line), ""))
    return Result(ok=status == 0, detail=f"exit {status}: {last}" if last else f"exit {status}")


def _line(text: str) -> str:
    """A text as one short line that a terminal can show."""
    return "".join(c for c in text if c.isprintable())[:_LINE]
