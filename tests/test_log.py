"""The log: what its lines look like, and that it never holds anybody up."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import pty
import re
import time
from collections.abc import Iterator
from typing import Any

import pytest

from vrrpd.log import JsonFormatter, Log, TextFormatter, setup


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    reading, writing = os.pipe()
    yield reading, writing
    for fd in (reading, writing):
        with contextlib.suppress(OSError):
            os.close(fd)


@pytest.fixture(autouse=True)
def root_level() -> Iterator[None]:
    """Give the level of the test session back."""
    before = logging.getLogger().level
    yield
    logging.getLogger().setLevel(before)


def record(text: str, *args: object, level: int = logging.INFO, **extra: Any) -> logging.LogRecord:
    made = logging.LogRecord("vrrpd.web/ipv4", level, "", 0, text, args, None)
    made.created = 1767225600.25
    vars(made).update(extra)
    return made


def test_a_line_of_text_has_time_level_subject_and_message() -> None:
    assert (
        TextFormatter().format(record("%s is active", "it")) == "2026-01-01T00:00:00.250Z INFO web/ipv4: it is active"
    )


def test_a_line_of_json_has_the_same_and_the_extra_fields() -> None:
    assert json.loads(JsonFormatter().format(record("%s is active", "it", router="web", vrid=51))) == {
        "time": "2026-01-01T00:00:00.250Z",
        "level": "info",
        "logger": "web/ipv4",
        "message": "it is active",
        "router": "web",
        "vrid": 51,
    }


def test_what_comes_from_outside_cannot_forge_a_line_or_move_the_cursor() -> None:
    line = TextFormatter().format(record("from %s", "a\nfake\x1b[2J\x9b"))
    assert line.endswith(r"from a\x0afake\x1b[2J\x9b")


@pytest.mark.parametrize("form", ["text", "json"])
def test_an_exception_is_logged_with_its_traceback(form: str) -> None:
    failed = record("it broke")
    try:
        _ = 1 // 0
    except ZeroDivisionError as error:
        failed.exc_info = (ZeroDivisionError, error, error.__traceback__)
    line = (TextFormatter() if form == "text" else JsonFormatter()).format(failed)
    assert "ZeroDivisionError" in line


def test_what_is_logged_arrives(pipe: tuple[int, int]) -> None:
    log = setup("info", fd=pipe[1])
    logging.getLogger("vrrpd.a").info("one")
    logging.getLogger("vrrpd.a").debug("too fine")
    logging.getLogger("vrrpd.b").warning("two")
    log.close()
    lines = os.read(pipe[0], 4096).decode().splitlines()
    assert [line.split(" ", 1)[1] for line in lines] == ["INFO a: one", "WARNING b: two"]


@pytest.mark.parametrize(("no_color", "coloured"), [("", True), ("1", False)])
def test_colour_is_for_terminals_and_can_be_refused(
    no_color: str, coloured: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_COLOR", no_color)
    ours, theirs = pty.openpty()
    log = setup("info", fd=theirs)
    logging.getLogger("vrrpd.a").error("red")
    log.close()
    assert (b"\x1b[31mERROR\x1b[0m" in os.read(ours, 4096)) is coloured
    os.close(ours)
    os.close(theirs)


def test_a_reader_that_stalls_costs_lines_and_no_time(pipe: tuple[int, int]) -> None:
    reading, writing = pipe
    os.set_blocking(writing, False)
    while True:  # fill the pipe, so that the writer of the log is stuck
        try:
            os.write(writing, b"x" * 65536)
        except BlockingIOError:
            break
    os.set_blocking(writing, True)
    log = Log(writing, TextFormatter(), size=10)
    started = time.monotonic()
    for number in range(100):
        log.handle(record("line %d", number))
    assert time.monotonic() - started < 0.1
    assert 89 <= log.dropped <= 90  # ten wait, and the writer has one in hand or not yet
    text = b""
    while b"dropped" not in text:
        text += os.read(reading, 65536)
    assert re.search(rf"WARNING log: {log.dropped} log lines were dropped".encode(), text)
    assert b"line 9\n" in text
    log.close()


@pytest.mark.parametrize("whose", ["reader", "own"])
def test_a_standard_error_that_is_gone_kills_nobody(pipe: tuple[int, int], whose: str) -> None:
    log = Log(pipe[1], TextFormatter())
    os.close(pipe[0] if whose == "reader" else pipe[1])
    for _ in range(3):
        log.handle(record("lost"))
    log.close()
    assert not log._thread.is_alive()  # pyright: ignore[reportPrivateUsage] - it must end, not die


def test_a_shared_descriptor_that_was_made_non_blocking_loses_nothing(pipe: tuple[int, int]) -> None:
    reading, writing = pipe
    os.set_blocking(writing, False)
    log = Log(writing, TextFormatter())
    for number in range(2000):
        log.handle(record("%d %s", number, "x" * 200))
    text = b""
    while b"\n" not in text or b" 1999 " not in text:
        text += os.read(reading, 65536)
    assert len(re.findall(rb"\d+ x{200}\n", text)) == 2000
    log.close()
