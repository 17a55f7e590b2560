"""The instance metadata service, version 2: what an instance knows of itself without asking the API.

Owns the session token: fetched once, renewed an hour before it runs out, and fetched anew, once, where the service
says 401. Nothing is asked without a token, but for one question: a token that never comes while everything else is
answered is the hop limit of 1 in a container, and has a fix of its own.

Free, and limited to 1024 packets a second for each network interface together with DNS and NTP, so that a question now
and then is nothing. Each question has a second of its own; the service is one hop away or not there.

Source: "Use the Instance Metadata Service to access instance metadata", Amazon EC2 User Guide. The variable
AWS_EC2_METADATA_SERVICE_ENDPOINT is that of the AWS SDKs.
"""

from __future__ import annotations

import os
from typing import Final

import trio

from vrrpd.movers.base import MoverError, OutcomeUnknownError, UnreachableError
from vrrpd.movers.web import Answer, Web
from vrrpd.proto.timers import SECOND

ENDPOINT: Final = "AWS_EC2_METADATA_SERVICE_ENDPOINT"
"""The variable of the environment that says where the service is."""

LIMIT: Final = SECOND
"""How long one question may take, in nanoseconds."""

_LINK_LOCAL: Final = "http://169.254.169.254"
_TTL: Final = 21600  # seconds, the longest there is
_EARLY: Final = 3600  # seconds before the end at which a token is renewed
_WITHOUT: Final = "set 'region' and 'network_interface_id' to do without it"


class Imds:
    """The metadata service of this instance."""

    def __init__(self, without: str = _WITHOUT) -> None:
        """Ask nothing yet.

        Args:
            without: what else may be done where it does not answer, as the end of a sentence.
        """
        self._without = without
        self._root = os.environ.get(ENDPOINT, "").rstrip("/") or _LINK_LOCAL
        self._web = Web(True, connect_timeout=LIMIT)
        self._token: str | None = None
        self._renew_at = 0.0

    async def get(self, path: str) -> str | None:
        """What stands at a path below `latest/meta-data`; None where nothing does.

        Raises:
            UnreachableError: the service does not answer, or not to us.
        """
        answer = await self._with_token(path)
        if answer.status == 401:  # the token ran out early: the clock stood still, or the instance was restored
            self._token = None
            answer = await self._with_token(path)
        if answer.status == 404:
            return None
        if answer.status != 200:
            raise UnreachableError(f"the metadata service answers {answer.status}; {self._without}")
        return answer.body.decode("utf-8", "replace").strip()

    async def aclose(self) -> None:
        """Close the connection."""
        await self._web.aclose()

    async def _with_token(self, path: str) -> Answer:
        if self._token is None or trio.current_time() >= self._renew_at:
            await self._fetch_token()
        assert self._token is not None, "it was fetched"
        return await self._ask("GET", f"meta-data/{path}", {"X-aws-ec2-metadata-token": self._token})

    async def _fetch_token(self) -> None:
        try:
            answer = await self._ask("PUT", "api/token", {"X-aws-ec2-metadata-token-ttl-seconds": str(_TTL)})
        except _SilentError:
            if await self._answers_without_token():
                raise UnreachableError(
                    "the metadata service answers, but its token does not arrive: the hop limit is 1, as in a "
                    f"container; set HttpPutResponseHopLimit of the instance to 2, or {self._without}"
                ) from None
            raise
        if answer.status == 403:
            raise UnreachableError(f"the metadata service is off for this instance; switch it on, or {self._without}")
        if answer.status != 200:
            raise UnreachableError(f"the metadata service gives no token ({answer.status}); {self._without}")
        ttl = answer.headers.get("x-aws-ec2-metadata-token-ttl-seconds", "")
        seconds = int(ttl) if ttl.isdecimal() else _TTL
        self._token = answer.body.decode("ascii", "replace").strip()
        self._renew_at = trio.current_time() + max(seconds - _EARLY, seconds / 2)

    async def _answers_without_token(self) -> bool:
        try:
            return (await self._ask("GET", "meta-data/", {})).status in {200, 401}
        except MoverError:
            return False

    async def _ask(self, method: str, path: str, headers: dict[str, str]) -> Answer:
        with trio.move_on_after(LIMIT / SECOND):
            try:
                return await self._web.send(method, f"{self._root}/latest/{path}", headers)
            except OutcomeUnknownError:
                pass
            except UnreachableError as error:
                mend = f"on EC2, switch it on, or {self._without}"
                raise UnreachableError(f"no metadata service: {error}; {mend}") from None
        raise _SilentError(f"the metadata service does not answer within a second; {self._without}")


class _SilentError(UnreachableError):
    """Connected, asked, and no answer."""
