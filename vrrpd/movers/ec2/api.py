"""Calls of the EC2 Query API: a signed form goes out, a tree of XML or a failure comes back.

Owns the endpoint, the warm connections and the difference between a change and a question: a change whose answer did
not come may have happened, a question whose answer did not come has done no harm and is just unreachable.

A long answer (a route table can have a thousand routes) is read in pieces, and the loop runs between them.
"""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Final
from urllib.parse import urlencode

import trio

from vrrpd.movers.base import (
    MoverError,
    OutcomeUnknownError,
    UnauthenticatedError,
    UnavailableError,
    UnreachableError,
)
from vrrpd.movers.ec2 import refusals
from vrrpd.movers.ec2.credentials import Credentials
from vrrpd.movers.ec2.partitions import partition
from vrrpd.movers.ec2.refusals import Refusal
from vrrpd.movers.web import Answer, Web, is_near

VERSION: Final = "2016-11-15"
"""Of the API."""

_PIECE: Final = 32 * 1024  # bytes of XML that are read at once: well under a millisecond
_SKEWED: Final = timedelta(minutes=2)  # AWS accepts five


@dataclass(frozen=True, slots=True)
class Call:
    """One call, encoded.

    Attributes:
        action: its name.
        body: the form.
        changes: it changes something, unless it is a dry run.
    """

    action: str
    body: bytes
    changes: bool


def question(action: str, parameters: Mapping[str, str]) -> Call:
    """A call that changes nothing."""
    return Call(action, _form(action, parameters), False)


def change(action: str, parameters: Mapping[str, str]) -> Call:
    """A call that changes something."""
    return Call(action, _form(action, parameters), True)


def numbered(name: str, values: Iterable[object]) -> dict[str, str]:
    """The parameters of a list, which are numbered from 1."""
    return {f"{name}.{number}": str(value) for number, value in enumerate(values, 1)}


def filters(wanted: Mapping[str, Iterable[object]]) -> dict[str, str]:
    """The parameters that leave only what has one of these values, by the name of the filter."""
    parameters: dict[str, str] = {}
    for number, (name, values) in enumerate(wanted.items(), 1):
        parameters |= {f"Filter.{number}.Name": name, **numbered(f"Filter.{number}.Value", values)}
    return parameters


def _form(action: str, parameters: Mapping[str, str]) -> bytes:
    return urlencode({"Action": action, "Version": VERSION, **parameters}).encode()


def endpoint(region: str) -> str:
    """Where the API of a region is."""
    return f"https://ec2.{region}.{partition(region).domain}/"


class Tree:
    """An answer, or a part of one: elements by their names without namespaces."""

    def __init__(self, element: ET.Element) -> None:
        self._element = element

    def text(self, path: str) -> str:
        """The text at a path, "" where there is none."""
        found = self._element.find(_anywhere(path))
        return (found.text or "").strip() if found is not None else ""

    def all(self, path: str) -> Iterator[Tree]:
        """The parts at a path."""
        return (Tree(element) for element in self._element.iterfind(_anywhere(path)))


def _anywhere(path: str) -> str:
    """A path whose names may be of any namespace, as EC2 puts the version of the API there."""
    return "/".join(f"{{*}}{name}" for name in path.split("/"))


class Api:
    """The API of EC2 in one region, with connections that are kept."""

    def __init__(
        self, url: str | None, ca: str | None, connect_timeout: int, connections: int = 1, *, look: Callable[[], None]
    ) -> None:
        """Open nothing yet.

        Args:
            url: of the API; None: that of the region.
            ca: file of the certificates to trust; None for those of the system.
            connect_timeout: nanoseconds that a connection may take.
            connections: how many calls go out at the same time, each on a warm connection.
            look: called right before a change is sent (`Host.look`).
        """
        self.credentials = Credentials()
        self._url = url
        self._region = ""
        near = url is not None and is_near(url)
        self._look = look
        self._web = Web(near, connect_timeout=connect_timeout, ca=ca, connections=connections)

    def locate(self, region: str) -> None:
        """Say which region is asked, before the first call."""
        self._region = region
        self._url = self._url or endpoint(region)

    async def call(self, call: Call, *, fresh: bool = False) -> Tree:
        """Call once.

        Args:
            call: what is called.
            fresh: on a new connection.

        Raises:
            MoverError: it failed; `OutcomeUnknownError` of changes only.
        """
        answer = await self._send(call, fresh=fresh)
        if answer.status != 200:
            raise self._failure(call, answer.headers, _refusal(answer))
        try:
            return await _read(answer.body)
        except ET.ParseError:
            said = f"{call.action}: the answer is not EC2's; correct 'endpoint_url'"
            raise (OutcomeUnknownError(said) if call.changes else UnavailableError(said)) from None

    async def permitted(self, call: Call) -> None:
        """Try a change without making it (`DryRun`).

        Raises:
            MoverError: it would fail.
        """
        answer = await self._send(Call(call.action, call.body + b"&DryRun=true", False))
        refusal = _refusal(answer)
        if answer.status != 200 and refusal.code != refusals.PERMITTED:
            raise self._failure(call, answer.headers, refusal)

    async def aclose(self) -> None:
        """Close the connections; the next call opens new ones."""
        await self._web.aclose()

    async def _send(self, call: Call, *, fresh: bool = False) -> Answer:
        assert self._url is not None, "locate comes first"
        headers = self.credentials.sign(self._url, self._region, call.body)
        if call.changes:
            self._look()
            await trio.lowlevel.checkpoint_if_cancelled()
        try:
            return await self._web.send("POST", self._url, headers, call.body, fresh=fresh)
        except OutcomeUnknownError as error:
            said = f"{call.action}: {error}"
            raise (OutcomeUnknownError(said) if call.changes else UnreachableError(said)) from None
        except UnreachableError as error:
            if ";" in str(error):
                raise
            raise UnreachableError(f"{error}; correct 'region' or 'endpoint_url', or this node's way out") from None

    def _failure(self, call: Call, headers: Mapping[str, str], refusal: Refusal) -> MoverError:
        skew = _skew(headers)
        if refusal.code in refusals.CLOCK and abs(skew - self.credentials.skew) > _SKEWED:
            self.credentials.correct(skew)
            if abs(skew) <= _SKEWED:
                return UnavailableError("this node's clock was set since EC2 was asked last; it is asked again")
            off = f"{abs(skew.total_seconds()):.0f} s {'behind' if skew > timedelta() else 'ahead'}"
            return UnavailableError(f"EC2 refuses this node's clock, which is {off}; set it (NTP)")
        failure = refusals.error(call.action, self._region, refusal)
        if isinstance(failure, UnauthenticatedError):
            self.credentials.distrust()
        return failure


async def _read(body: bytes) -> Tree:
    parser = ET.XMLParser()  # noqa: S314 - expat refuses to blow entities up
    for start in range(0, len(body), _PIECE):
        if start:
            await trio.lowlevel.checkpoint()
        parser.feed(body[start : start + _PIECE])
    return Tree(parser.close())


def _refusal(answer: Answer) -> Refusal:
    try:
        tree = Tree(ET.fromstring(answer.body))  # noqa: S314 - expat refuses to blow entities up
    except ET.ParseError:
        code = message = ""
    else:
        code, message = tree.text("Errors/Error/Code"), tree.text("Errors/Error/Message")
    return Refusal(answer.status, code, message or f"HTTP {answer.status}", _seconds(answer.headers))


def _seconds(headers: Mapping[str, str]) -> float | None:
    """When to come again; None where that is not said, or by a date."""
    wait = headers.get("retry-after", "")
    return float(wait) if re.fullmatch(r"[0-9]{1,6}(\.[0-9]{1,6})?", wait) else None


def _skew(headers: Mapping[str, str]) -> timedelta:
    """How far the clock of who answered is ahead of ours; 0 where it does not say."""
    try:
        theirs = parsedate_to_datetime(headers.get("date", ""))
    except ValueError:
        return timedelta()
    return theirs - datetime.now(UTC) if theirs.tzinfo else timedelta()
