"""The log: lines on standard error that can never hold up the agent.

A pipe that nobody drains or a stalled journal blocks whoever writes to it, and an agent that blocks is an agent that
is late with its adverts. So records are put into a bounded queue, formatted and written by a daemon thread of this
module: what is logged must not change afterwards. The thread waits a moment before it begins, for lines come when a
role moves, which has work to do that is urgent. Where the queue is full the line is dropped and counted, and the count
is logged as soon as there is room. A standard error that is closed or broken loses lines, never the agent.

Loggers are those of the standard library, below `vrrpd`: a module logs as itself, a virtual router under its own name
(`logging.getLogger("vrrpd.web/ipv4")`). What is passed as `extra` is a key of its own in the JSON form. Secrets must
not be logged: nothing here could tell one from other text.

`setup` starts a thread: call it after the last fork.
"""

from __future__ import annotations

import json
import logging
import os
import queue
import select
import threading
import time
from datetime import UTC, datetime
from typing import Any, Final, Literal

LEVELS: Final = ("debug", "info", "warning", "error")
"""The names of the levels, as the configuration and the command line spell them."""

FORMATS: Final = ("text", "json")
"""The names of the formats."""

STDERR = 2
"""The descriptor of standard error."""
QUEUE = 4096
"""How many lines wait at most: about a megabyte, and more than any burst that a person would read."""

_GOODBYE = 1.0  # seconds that closing waits for the writer
_MOMENT = 0.02  # seconds from the first line to the writing of all that have come by then
_PREFIX = "vrrpd."
_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
_COLOURS = {logging.DEBUG: "2", logging.WARNING: "33", logging.ERROR: "31", logging.CRITICAL: "1;31"}
_CONTROL = {code: f"\\x{code:02x}" for code in (*range(32), *range(127, 160)) if code != 9}


def setup(level: str, form: Literal["text", "json"] = "text", *, fd: int = STDERR) -> Log:
    """Send every record of the program to a descriptor, from now on.

    Args:
        level: the least level that is logged, one of `LEVELS`.
        form: one of `FORMATS`; text is coloured on a terminal only, and never where NO_COLOR is set.
        fd: where the lines go; stays open.

    Returns:
        The log; closing it writes what still waits.
    """
    formatter = JsonFormatter() if form == "json" else TextFormatter(colour=_wants_colour(fd))
    log = Log(fd, formatter)
    root = logging.getLogger()
    root.addHandler(log)
    root.setLevel(level.upper())
    return log


class Log(logging.Handler):
    """A handler that never blocks: see the module's chapter."""

    def __init__(self, fd: int, formatter: logging.Formatter, size: int = QUEUE) -> None:
        super().__init__()
        self.setFormatter(formatter)
        self.dropped = 0
        """Lines that found the queue full, since the start."""
        self._fd = fd
        self._size = size
        self._reported = 0
        self._waiting: queue.SimpleQueue[logging.LogRecord | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._write_all, name="vrrpd-log", daemon=True)
        self._thread.start()

    def emit(self, record: logging.LogRecord) -> None:
        """Queue a record; drop it where the queue is full."""
        if self._waiting.qsize() < self._size:
            self._waiting.put(record)
        else:
            self.dropped += 1

    def close(self) -> None:
        """Take no more records and give the writer a moment to write what waits; it is left behind if it is stuck."""
        logging.getLogger().removeHandler(self)
        self._waiting.put(None)
        self._thread.join(_GOODBYE)
        super().close()

    def _write_all(self) -> None:
        """Runs in the thread: write what has come, until told to end."""
        while (first := self._waiting.get()) is not None:
            time.sleep(_MOMENT)
            for record in [first, *(self._waiting.get() for _ in range(self._waiting.qsize()))]:
                if record is None:
                    self._confess()
                    return
                self._write_one(record)
            self._confess()
        self._confess()

    def _write_one(self, record: logging.LogRecord) -> None:
        try:
            line = self.format(record)
        except Exception:  # noqa: BLE001 - a line that cannot be formatted is a bug, and no reason to write no other
            line = f"a log line of {record.name} cannot be formatted: {record.msg!r}"
        _write(self._fd, line)

    def _confess(self) -> None:
        """Say how many lines were lost, once there is room again."""
        lost = self.dropped - self._reported
        if lost and self._waiting.empty():
            self._reported += lost
            text = f"{lost} log lines were dropped: whoever reads this log was too slow"
            _write(self._fd, self.format(logging.LogRecord("vrrpd.log", logging.WARNING, "", 0, text, (), None)))


class TextFormatter(logging.Formatter):
    """`2026-01-01T00:00:00.000Z INFO web/ipv4: message`, and a traceback below it where there is one."""

    def __init__(self, *, colour: bool = False) -> None:
        super().__init__()
        self._colour = colour

    def format(self, record: logging.LogRecord) -> str:
        """One record as text, without a newline at its end."""
        level = record.levelname
        if self._colour and record.levelno in _COLOURS:
            level = f"\x1b[{_COLOURS[record.levelno]}m{level}\x1b[0m"
        # What comes from outside must not forge a second line or move the cursor.
        message = record.getMessage().translate(_CONTROL)
        line = f"{_timestamp(record)} {level} {_subject(record)}: {message}"
        if record.exc_info:
            line = f"{line}\n{self.formatException(record.exc_info)}"
        return line


class JsonFormatter(logging.Formatter):
    """One JSON object a line: time, level, logger, message, then whatever was passed as `extra`."""

    def format(self, record: logging.LogRecord) -> str:
        """One record as JSON, without a newline at its end."""
        entry: dict[str, Any] = {
            "time": _timestamp(record),
            "level": record.levelname.lower(),
            "logger": _subject(record),
            "message": record.getMessage(),
        }
        if record.exc_info:
            entry["exception"] = self.formatException(record.exc_info)
        extra = {key: value for key, value in vars(record).items() if key not in _STANDARD and key not in entry}
        return json.dumps(entry | extra, default=str, separators=(",", ":"))


def _timestamp(record: logging.LogRecord) -> str:
    """When a record arose, in UTC to the millisecond."""
    moment = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
    return moment.removesuffix("+00:00") + "Z"


def _subject(record: logging.LogRecord) -> str:
    """What a record is about: the logger's name below `vrrpd`."""
    return record.name.removeprefix(_PREFIX)


def _wants_colour(fd: int) -> bool:
    """Whether people read this descriptor on a terminal and did not ask for plain text (no-color.org)."""
    return not os.environ.get("NO_COLOR") and os.isatty(fd)


def _write(fd: int, line: str) -> None:
    """Write one line whole, however long that takes; give it up where the descriptor is closed or broken.

    Written to the descriptor itself: a thread that is stuck inside `sys.stderr` while the interpreter ends would bring
    it down with a fatal error.
    """
    rest = memoryview(f"{line}\n".encode(errors="backslashreplace"))
    while rest:
        try:
            rest = rest[os.write(fd, rest) :]
        except BlockingIOError:  # somebody else made the shared descriptor non-blocking
            select.select([], [fd], [])
        except (OSError, ValueError):
            return
