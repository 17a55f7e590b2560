"""Who we are to a service: a secret is read, or exchanged for a token, and becomes one header of the requests.

Owns the header. `prepare` fetches what is missing or has been used for long enough; `refresh` fetches it anew, because
a service said 401 and the secret may have been rotated.

Where a service locks accounts, it counts the refusals of all movers of this node together. So these have one `Door`:
until somebody was let in they knock one at a time, and from the first 401 on all leave the service alone, for as long
as the declaration says, or until the secret is another one.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager
from typing import Final
from weakref import WeakValueDictionary

import trio

from vrrpd.errands import Programs
from vrrpd.movers import secrets
from vrrpd.movers.base import MoverError, OutcomeUnknownError, UnauthenticatedError, UnreachableError
from vrrpd.movers.http.declared import Auth, Exchange
from vrrpd.movers.http.service import Service, picked
from vrrpd.proto.timers import SECOND

_NOBODY: Final[dict[str, str]] = {}


class Door:
    """Of a service, for all that come with one secret.

    Attributes:
        open: the secret was accepted, and not refused since.
        turn: of who knocks.
        refused: the header that was refused last; None where none was.
        silent_until: when somebody may knock again with that header, on trio's clock.
        why: what the service said, and what would mend it.
    """

    def __init__(self) -> None:
        self.open = False
        self.turn = trio.Lock()
        self.refused: dict[str, str] | None = None
        self.silent_until = 0.0
        self.why = ""


_doors: WeakValueDictionary[tuple[str, str, str], Door] = WeakValueDictionary()


def _door(auth: Auth | None, service: Service) -> Door:
    """A door of one's own where nothing is locked, or where who we are is made anew each time."""
    if auth is None or not auth.lockout or auth.source.exchange is not None:
        return Door()
    user = auth.basic.user if auth.basic is not None else ""
    return _doors.setdefault((service.base, user, str(auth.place)), Door())


class Credentials:
    """What a service knows us by.

    Attributes:
        header: the header that says who we are; empty until `prepare`, and where the service need not know.
    """

    def __init__(self, auth: Auth | None, service: Service, programs: Programs) -> None:
        """Read nothing yet.

        Args:
            auth: how the service knows us; None: it need not.
            service: takes the call of an exchange.
            programs: opens files that only root may read.
        """
        self.header: dict[str, str] = {}
        self._auth = auth
        self._service = service
        self._programs = programs
        self._due = 0.0  # when the token was used for long enough, on trio's clock
        self._door = _door(auth, service)

    async def prepare(self) -> None:
        """Have the header, and have it young enough.

        Raises:
            MoverError: it cannot be had now.
        """
        if self._auth is None:
            return
        now = trio.current_time()
        if self._auth.lockout and self._auth.source.exchange is None:
            await self.refresh()  # a secret that was changed is not to be found out by a refusal
        elif not self.header or now >= self._due:
            self.header, self._due = await self._fetched(self._auth)

    async def refresh(self) -> bool:
        """Fetch the header anew; whether it is another one than was refused.

        Raises:
            MoverError: it cannot be had now.
        """
        if self._auth is None:
            return False
        self.header, self._due = await self._fetched(self._auth)
        if self.header == self._door.refused:
            return False
        self._door.silent_until = 0.0
        return True

    def refused(self, error: UnauthenticatedError) -> UnauthenticatedError:
        """Note that the service does not know us; the error with what would mend it."""
        if self._auth is None:
            return UnauthenticatedError(f"{error}; say under 'auth' how the service knows this node")
        place = self._auth.place
        mend = f"check {place}, which is read again at the next try" if place else "check the rights of this machine"
        pause = self._auth.lockout / SECOND or None
        self._door.open, self._door.refused = False, self.header
        if pause is not None:
            self._door.silent_until = trio.current_time() + pause
            self._door.why = f"{error}; {mend}"
        return UnauthenticatedError(f"{error}; {mend}", pause)

    def check(self) -> None:
        """Raise where the service is to be left alone.

        Raises:
            UnauthenticatedError: it refused us a while ago, and locks accounts.
        """
        left = self._door.silent_until - trio.current_time()
        if left > 0:
            raise UnauthenticatedError(self._door.why, left)

    @asynccontextmanager
    async def knocking(self) -> AsyncGenerator[None]:
        """Around a call: waits for its turn where the service locks accounts and has not let anybody in.

        Raises:
            MoverError: the service is to be left alone, or the secret cannot be read.
        """
        door = self._door
        if self._auth is None or not self._auth.lockout:
            yield
        elif door.open and self.header != door.refused:
            with _opening(door):
                yield
        else:
            async with door.turn:
                if self.header == door.refused:
                    await self.refresh()
                self.check()
                with _opening(door):
                    yield

    async def _fetched(self, auth: Auth) -> tuple[dict[str, str], float]:
        """The header, and when it is to be fetched again."""
        exchange, place = auth.source.exchange, auth.place
        secret = None if place is None else await secrets.read(place, self._programs)
        if secret is not None:
            self._service.hide("secret", secret)
        if exchange is None:
            assert secret is not None, "a source is a place or an exchange"
            header, due = _as_header(auth, secret), float("inf")
        else:
            header = _as_header(auth, await self._exchanged(exchange, secret))
            due = trio.current_time() + exchange.every / SECOND
        for value in header.values():
            self._service.hide("header", value.removeprefix("Basic "))  # in which the password is in another spelling
        return header, due

    async def _exchanged(self, exchange: Exchange, secret: str | None) -> str:
        """A token, for a secret or for being this machine."""
        try:
            reply = await self._service.call(exchange, {} if secret is None else {"secret": secret}, _NOBODY)
        except UnauthenticatedError as error:
            raise self.refused(error) from None
        token = picked(reply, exchange.pick, "the token")
        if not token or not token.isascii() or not token.isprintable():
            raise UnauthenticatedError(f"the answer holds no token at {exchange.pick!r}; correct 'pick'")
        self._service.hide("token", token)
        return token


@contextmanager
def _opening(door: Door) -> Generator[None]:
    """Around a call: whatever is answered but 401 says that we were let in."""
    try:
        yield
    except (UnauthenticatedError, UnreachableError, OutcomeUnknownError):
        raise
    except MoverError:
        door.open = True
        raise
    door.open = True


def _as_header(auth: Auth, secret: str) -> dict[str, str]:
    if auth.basic is not None:
        pair = b64encode(f"{auth.basic.user}:{secret}".encode()).decode()
        return {"Authorization": f"Basic {pair}"}
    if auth.header is not None:
        [name] = auth.header
        return {name: secret}
    return {"Authorization": f"Bearer {secret}"}
