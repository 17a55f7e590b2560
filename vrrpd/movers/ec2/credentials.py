"""Who we are to AWS: credentials that are had in good time, so that signing looks nothing up.

Asking for them blocks, so that is done in a worker thread, in `refresh`, and what came of it is frozen. They are
renewed 15 minutes before they run out, by whatever `refresh` comes by then. What AWS has refused is asked for anew, so
that a secret that was mended is found without a restart.

Where there are none, the instance's metadata service says why: the usual reason is that it cannot be asked, as in a
container, which no role mends.

botocore is an extra (`vrrpd[aws]`): without it there is one clear sentence and no other kind of mover suffers.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import trio

from vrrpd.movers.base import MoverError, UnauthenticatedError
from vrrpd.movers.ec2.imds import Imds

try:
    from vrrpd.movers.ec2 import chain
except ModuleNotFoundError as error:
    if not str(error.name).startswith("botocore"):
        raise
    chain = None


_KEYS: Final = "put AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY into the agent's environment"
_NONE: Final = "there are no credentials for AWS"


def missing() -> str | None:
    """What keeps this host from signing anything; None where nothing does."""
    return None if chain else "movers of EC2 need botocore, which is not installed; pip install 'vrrpd[aws]'"


def since_boot() -> timedelta:
    """A clock that nobody sets, and that goes on while the machine is suspended."""
    return timedelta(microseconds=time.clock_gettime_ns(time.CLOCK_BOOTTIME) / 1000)


class Credentials:
    """The credentials of this process."""

    def __init__(self) -> None:
        self._boot: datetime | None = None
        """When this machine was started, as AWS's clock has it; None where ours was never refused."""
        self._chain = chain.Chain() if chain else None
        self._frozen: Any = None
        self._asking = trio.CapacityLimiter(1)  # a source that hangs keeps nobody else from a thread

    @property
    def skew(self) -> timedelta:
        """How far AWS's clock is ahead of ours, where ours was so wrong that AWS refused it; none once it is set."""
        return timedelta() if self._boot is None else self._boot + since_boot() - datetime.now(UTC)

    def correct(self, skew: timedelta) -> None:
        """From now on sign with the time of AWS, which is so far ahead of our clock, whatever is done to that clock."""
        self._boot = datetime.now(UTC) + skew - since_boot()

    async def refresh(self) -> None:
        """Have credentials that are good for ten minutes at least.

        Raises:
            UnauthenticatedError: there are none.
        """
        if self._chain is None:
            raise UnauthenticatedError(str(missing()))
        found = await trio.to_thread.run_sync(self._chain.ask, abandon_on_cancel=True, limiter=self._asking)
        if found is None:
            raise UnauthenticatedError(await _why_none())
        self._frozen = found

    def distrust(self) -> None:
        """AWS does not take them: ask for others at the next `refresh`, and keep these until then."""
        self._chain = chain.Chain() if chain else None

    def sign(self, url: str, region: str, body: bytes) -> Mapping[str, str]:
        """The headers of a signed POST of a form to EC2.

        Args:
            url: where it goes.
            region: that of the endpoint.
            body: the form.
        """
        assert chain is not None, "refresh has said so"
        assert self._frozen is not None, "refresh comes first"
        return chain.sign(self._frozen, url, region, body, self.skew)


async def _why_none() -> str:
    """Why the metadata service gave no credentials, and what would mend that."""
    if os.environ.get("AWS_EC2_METADATA_DISABLED", "").lower() == "true":
        return f"{_NONE}, and AWS_EC2_METADATA_DISABLED keeps the instance's role from being asked for; {_KEYS}"
    imds = Imds(_KEYS)
    try:
        role = await imds.get("iam/security-credentials/")
    except MoverError as error:
        return f"{_NONE}: {error}"
    finally:
        await imds.aclose()
    if role:
        return f"{_NONE}: the instance has the role {role}, and gave none for it in time; they are asked for again"
    return f"{_NONE}; attach an IAM role to the instance, or {_KEYS}"
