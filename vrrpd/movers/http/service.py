"""One call to a declared service: the request goes out filled in, and what comes back is an answer or a `MoverError`.

Owns the connections (`web.Web`, one for each host that a declaration names), the time that one call may take, and what
a status code means:

    401                  the credentials are refused
    403                  not allowed; where the answer speaks of a rate, as 429
    429, 503 with a time too many calls
    409, 412             the thing is not as it was thought; also where the answer says that somebody has it
    other 4xx            wrong, for good; where the answer speaks of something that is still going on, not now
    5xx                  not now; 502 and 504 behind a change: nobody knows

The header with the secret goes to the service alone, never to another host; and a secret that a service sends back in
an error is taken out of it.
"""

from __future__ import annotations

import contextlib
import json
import re
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from itertools import chain
from typing import Any, Final
from urllib.parse import urlencode, urlsplit

import trio

from vrrpd.movers.base import (
    ConflictError,
    ForbiddenError,
    InvalidError,
    MoverError,
    OutcomeUnknownError,
    ThrottledError,
    UnauthenticatedError,
    UnavailableError,
)
from vrrpd.movers.http.declared import CONDITION, TOKEN, Call
from vrrpd.movers.http.templates import NoNumberError, Values, dig, filled
from vrrpd.movers.web import Answer, Web, is_near
from vrrpd.proto.timers import SECOND

_RATE: Final = re.compile(rb"rate.?limit|quota.?exceeded|too.?many.?requests", re.IGNORECASE)
_BUSY: Final = re.compile(
    rb"in.?progress|still.?processing|pending|not.?ready|already attached|(\b|_)locked\b", re.IGNORECASE
)
_TAKEN: Final = re.compile(rb"floating_ip_assigned")
_SAID: Final = (
    "error.message",
    "errors.0.reason",
    "errors.0.message",
    "NeutronError.message",
    "message",
    "error",
    "id",
)
_REMEMBERED: Final = 3  # values of one secret: a late answer may still speak of the one before
_SAID_LIMIT: Final = 160  # characters of what a service says that go into an error


class BusyError(UnavailableError):
    """Something is still going on with the thing; what, a look may show."""


class TakenError(ConflictError):
    """It is not given to us while another has it."""


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer that is no error.

    Attributes:
        answer: as it came.
        excused: it is a refusal that the declaration takes for success.
        document: its JSON; None where it has none.
    """

    answer: Answer
    excused: bool
    document: Any

    def pick(self, path: str) -> Any:
        """What a path leads to, in the JSON or a header, or with `.` the whole text; None where it leads nowhere."""
        if path == ".":
            return self.answer.body.decode("utf-8", "replace").strip()
        if path.startswith("header."):
            return self.answer.headers.get(path.removeprefix("header.").lower())
        return dig(self.document, path)


class Service:
    """A declared service, and the hosts beside it that a declaration names."""

    def __init__(
        self, base: str, ca: str | None, *, call_timeout: int, connect_timeout: int, look: Callable[[], None]
    ) -> None:
        """Open nothing yet.

        Args:
            base: URL that paths are put behind.
            ca: file of the certificates to trust; None: the system's.
            call_timeout: nanoseconds that one call may take.
            connect_timeout: nanoseconds that a connection may take.
            look: called right before a change is sent (`Host.look`).
        """
        self.base = base
        self._origin = _origin(base)
        self._ca = ca
        self._call_s = call_timeout / SECOND
        self._connect_timeout = connect_timeout
        self._look = look
        self._webs: dict[str, Web] = {}
        self._hidden: dict[str, deque[str]] = {}

    def hide(self, what: str, secret: str) -> None:
        """Have a text taken out of every error from now on.

        Args:
            what: names what it is; of each, the latest few are known, as tokens are replaced every few minutes.
            secret: the text.
        """
        known = self._hidden.setdefault(what, deque(maxlen=_REMEMBERED))
        if secret not in known:
            known.append(secret)

    async def call(self, call: Call, values: Values, auth: Mapping[str, str], *, fresh: bool = False) -> Reply:
        """Make one call.

        Args:
            call: what is asked.
            values: what its names stand for.
            auth: the header that says who we are.
            fresh: on a new connection.

        Raises:
            MoverError: of the kind that fits; of a change that may have happened `OutcomeUnknownError`.
        """
        method, target = call.verb
        try:
            url = target.filled(values, in_url=True)
            headers, body = _content(call, values)
        except NoNumberError as error:
            raise InvalidError(f"{error}; correct the declaration, or the id of this node") from None
        except KeyError as error:
            raise UnavailableError(
                f"what {error.args[0]!r} stands for is not known yet; the next look finds out"
            ) from None
        url = self.base + url if url.startswith("/") else url
        origin = _origin(url)
        if origin == self._origin:
            headers |= auth
        if call.changes:
            self._look()
            await trio.lowlevel.checkpoint_if_cancelled()
        answer = await self._sent(origin, method, url, headers, body, fresh=fresh)
        excused = _is_excused(call, answer)
        wrong = None if excused else self._wrong(answer, f"{method} {urlsplit(url).path}", origin, call.changes)
        if wrong is not None:
            raise wrong
        return Reply(answer, excused, _document(answer))

    async def aclose(self) -> None:
        """Close all connections; the next call opens one."""
        for web in self._webs.values():
            await web.aclose()

    async def _sent(
        self, origin: str, method: str, url: str, headers: Mapping[str, str], body: bytes, *, fresh: bool
    ) -> Answer:
        web = self._webs.get(origin)
        if web is None:
            web = Web(is_near(url), connect_timeout=self._connect_timeout, ca=self._ca)
            self._webs[origin] = web
        try:
            with trio.fail_after(self._call_s):
                return await web.send(method, url, headers, body, fresh=fresh)
        except trio.TooSlowError:
            unknown = f"{urlsplit(url).netloc} did not answer within {self._call_s:g} s"
        except OutcomeUnknownError as error:
            unknown = str(error)
        raise OutcomeUnknownError(unknown) if method != "GET" else UnavailableError(unknown)

    def _wrong(self, answer: Answer, what: str, origin: str, changes: bool) -> MoverError | None:
        """What an answer means, where it means that it did not work."""
        if 200 <= answer.status < 300:
            return None
        said = self.said(answer)
        host = urlsplit(origin).netloc
        text = f"{host} answers {answer.status} to {what}{said}"
        retry_after = _retry_after(answer)
        match answer.status:
            case 401:
                return UnauthenticatedError(f"{host} refuses the credentials ({answer.status}{said})")
            case 403 if not _RATE.search(answer.body):
                return ForbiddenError(f"{host} does not allow {what}{said}; give the credentials the right to do that")
            case 403 | 429:
                return ThrottledError(
                    f"{host} wants fewer calls ({answer.status}{said})",
                    _patience(answer, retry_after),
                )
            case 503 if retry_after is not None:
                return ThrottledError(text, retry_after)
            case 502 | 504 if changes:
                return OutcomeUnknownError(text)
            case _:
                return _refused(answer, text)

    def said(self, answer: Answer) -> str:
        """What the service says about its refusal, as the end of a sentence; "" where it says nothing."""
        document = _document(answer)
        found = next((text for path in _SAID if isinstance(text := dig(document, path), str) and text), "")
        for secret in chain.from_iterable(self._hidden.values()):
            found = found.replace(secret, "***")
        found = " ".join(found.split())
        found = found if found.isprintable() else ascii(found)
        return f": {found[:_SAID_LIMIT].rstrip('.')}" if found else ""


def _refused(answer: Answer, text: str) -> MoverError:
    """What every other refusal means."""
    match answer.status:
        case status if status >= 500 or status in {408, 423, 425}:
            return UnavailableError(text)
        case status if 300 <= status < 400:
            return InvalidError(f"{text}, which leads elsewhere and is not followed; correct the URL")
        case 412:
            return ConflictError(text)
        case _ if _BUSY.search(answer.body):
            return BusyError(text)
        case _ if _TAKEN.search(answer.body):
            return TakenError(text)
        case 409:
            return ConflictError(text)
        case _:
            return InvalidError(f"{text}; correct the ids in the configuration")


def picked(reply: Reply, path: str, what: str) -> str:
    """A value out of an answer, as a text; "" where there is none.

    Raises:
        UnavailableError: what is there is no value.
    """
    found = reply.pick(path)
    if found is None or found is False:
        return ""
    if isinstance(found, str | int | float) and found is not True:
        return str(found)
    raise UnavailableError(f"{what} at {path!r} of the answer is no single value; correct the path")


def _content(call: Call, values: Values) -> tuple[dict[str, str], bytes]:
    """The headers and the body of a call."""
    headers = {
        name: value.filled(values)
        for name, value in call.headers.items()
        if name.lower() != CONDITION or values.get(TOKEN) is not None
    }
    if call.form is not None:
        headers["Content-Type"] = "application/x-www-form-urlencoded"
        return headers, urlencode({name: value.filled(values) for name, value in call.form.items()}).encode()
    if call.json_ is not None:
        headers["Content-Type"] = "application/json"
        return headers, json.dumps(filled(call.json_, values)).encode()
    return headers, b""


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


def _is_excused(call: Call, answer: Answer) -> bool:
    return any(excuse.status == answer.status and excuse.word.encode() in answer.body for excuse in call.ok)


def _document(answer: Answer) -> Any:
    with contextlib.suppress(ValueError, RecursionError):  # no JSON, or brackets without end
        return json.loads(answer.body)
    return None


def _patience(answer: Answer, retry_after: float | None) -> float | None:
    """Seconds to wait: what is said, else those for one call, where it says how many it takes in how long (Robot)."""
    if retry_after is not None:
        return retry_after
    document = _document(answer)
    calls, interval = dig(document, "error.max_request"), dig(document, "error.interval")
    return interval / calls if isinstance(calls, int) and isinstance(interval, int) and calls > 0 else None


def _retry_after(answer: Answer) -> float | None:
    """Seconds that a service wants to be left alone: RFC 9110 10.2.3, a number or a date."""
    text = answer.headers.get("retry-after", "")
    if re.fullmatch("[0-9]{1,6}", text):
        return float(text)
    try:
        until = parsedate_to_datetime(text)
        now = parsedate_to_datetime(answer.headers["date"]) if "date" in answer.headers else datetime.now(UTC)
        return max((until - now).total_seconds(), 0.0)
    except (ValueError, TypeError):  # none, another spelling, or one with a time zone and one without
        return None
