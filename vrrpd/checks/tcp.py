"""The check `tcp: HOST:PORT`: does the port accept a connection?

The weakest of the checks, and said so in the table of checks: the kernel accepts on behalf of a process that is frozen
or hangs, so that only a port nobody listens on is seen. Prefer `http` where the service speaks it.
"""

from __future__ import annotations

from typing import Annotated

import trio
from pydantic import BeforeValidator, TypeAdapter, WithJsonSchema

from vrrpd.checks.base import Kind, Result, alone
from vrrpd.checks.target import Target, connect, parse_target, reason

OPTIONS: TypeAdapter[Target] = TypeAdapter(
    Annotated[
        Target,
        BeforeValidator(parse_target),
        WithJsonSchema(
            {
                "type": "string",
                "description": "HOST:PORT that must accept a TCP connection, an IPv6 address in brackets",
                "examples": ["127.0.0.1:80", "[::1]:80"],
            }
        ),
    ]
)
"""Validates `HOST:PORT`."""


class TcpCheck:
    """Healthy while a connection to the port is accepted."""

    def __init__(self, target: Target) -> None:
        self._target = target

    async def probe(self) -> Result:
        """Connect and hang up."""
        started = trio.current_time()
        try:
            stream = await connect(self._target)
        except OSError as error:
            return Result(ok=False, detail=reason(error))
        stream.socket.close()
        return Result(ok=True, detail=f"connected in {(trio.current_time() - started) * 1000:.0f} ms")


KINDS = {"tcp": Kind(OPTIONS, alone(TcpCheck))}
"""For the registry."""
