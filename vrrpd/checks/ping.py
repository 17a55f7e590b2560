"""The check `ping: HOST`: does a host answer?

Asks once for each probe (`linux.ping`). Good for what only the network can say, such as whether the gateway is there;
says nothing about a service.

An address is better than a name. The address of a name is kept for as long as it answers, and looked up again, off the
loop, after a probe that failed: so a name server that is out of order is no outage of a host that answers.
"""

from __future__ import annotations

import socket
from ipaddress import ip_address
from typing import Annotated

from pydantic import BeforeValidator, TypeAdapter, WithJsonSchema

from vrrpd.checks.base import Kind, Result, alone
from vrrpd.checks.target import SocketAddress, check_host, reason, resolve
from vrrpd.config.words import shown
from vrrpd.linux.ping import open_socket, ping

_FORBIDDEN = "no permission to ping; give the agent CAP_NET_RAW, or its group a place in net.ipv4.ping_group_range"


def _host(value: object) -> str:
    """Accept an address or a name, of one host."""
    if not isinstance(value, str):
        raise ValueError(f"{shown(value)} is no host; write for example 192.0.2.1")  # noqa: TRY004 - for pydantic
    check_host(value)
    try:
        address = ip_address(value)
    except ValueError:
        return value
    if address.is_multicast or address.is_unspecified or value == "255.255.255.255":
        raise ValueError(f"{value} is not the address of one host; write for example 192.0.2.1")
    return value


OPTIONS: TypeAdapter[str] = TypeAdapter(
    Annotated[
        str,
        BeforeValidator(_host),
        WithJsonSchema(
            {"type": "string", "description": "host that must answer a ping", "examples": ["192.0.2.1", "fd00::1"]}
        ),
    ]
)
"""Validates `HOST`."""


def inspect(host: str) -> str | None:
    """What keeps this host from asking: neither of the two kinds of socket is allowed."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        open_socket(family).close()
    except PermissionError:
        return _FORBIDDEN
    except OSError as error:
        return f"cannot ping {host}: {reason(error)}"
    return None


class PingCheck:
    """Healthy while the host answers."""

    def __init__(self, host: str) -> None:
        self._host = host
        self._known: tuple[socket.AddressFamily, SocketAddress] | None = None

    async def probe(self) -> Result:
        """Ask the host once."""
        known, self._known = self._known, None  # for good only if this probe comes to its end
        try:
            family, address = known or (await resolve(self._host))[0]
            took = await ping(family, address)
        except PermissionError:
            return Result(ok=False, detail=_FORBIDDEN)
        except OSError as error:
            return Result(ok=False, detail=reason(error))
        if isinstance(took, OSError):
            return Result(ok=False, detail=reason(took))
        self._known = family, address
        return Result(ok=True, detail=f"{took * 1000:.1f} ms")


KINDS = {"ping": Kind(OPTIONS, alone(PingCheck), inspect)}
"""For the registry."""
