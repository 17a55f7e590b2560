"""The wire format of the control socket: one JSON object a line, one answer line for each request line.

A request is `{"command": NAME, ...}`. An answer is whatever object the command's handler returns, or
`{"error": TEXT}`, after which the agent closes the connection. A connection may carry any number of requests, one at
a time; a reader that follows the state asks again on the same connection.

Used by the server, which runs on trio, and by the client, which must start in a few milliseconds: standard library
only, no I/O here.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, cast

REQUEST_LIMIT = 64 * 1024
"""The longest request line, in bytes with its newline. Requests are a few words; more is a mistake or an attack."""

ANSWER_LIMIT = 64 * 1024 * 1024
"""The longest answer line that a client reads, in bytes: the status of thousands of routers fits with room."""


class MessageError(ValueError):
    """A line that is not a message; the text says why."""


def encode(message: Mapping[str, Any]) -> bytes:
    """One message as a line, newline included. Line breaks inside strings are escaped by JSON itself."""
    return json.dumps(message, separators=(",", ":"), ensure_ascii=True).encode("ascii") + b"\n"


def decode(line: bytes) -> dict[str, Any]:
    """Read one line as a message.

    Raises:
        MessageError: for anything but one JSON object in UTF-8.
    """
    try:
        message: Any = json.loads(line.decode("utf-8"))
    except (ValueError, RecursionError) as error:  # bad UTF-8, bad JSON, ten thousand opening brackets
        raise MessageError("not a line of JSON") from error
    if not isinstance(message, dict):
        raise MessageError('not a JSON object such as {"command": "status"}')
    return cast("dict[str, Any]", message)


def error(text: str) -> bytes:
    """The line that refuses a request."""
    return encode({"error": text})
