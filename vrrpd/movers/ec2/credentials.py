"""Who we are to AWS: credentials that are had in good time, so that signing looks nothing up.

Asking for them blocks, so that is done in a worker thread, in `refresh`, and what came of it is frozen. They are
renewed 15 minutes before they run out, by whatever `refresh` comes by then. What AWS has refused is asked for anew, so
that a secret that was mended is found without a restart.

botocore is an extra (`vrrpd[aws]`): without it there is one clear sentence and no other kind of mover suffers.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import trio

from vrrpd.movers.base import UnauthenticatedError

try:
    from vrrpd.movers.ec2 import chain
except ModuleNotFoundError as error:
    if not str(error.name).startswith("botocore"):
        raise
    chain = None


def missing() -> str | None:
    """What keeps this host from signing anything; None where nothing does."""
    return None if chain else "movers of EC2 need botocore, which is not installed; pip install 'vrrpd[aws]'"


class Credentials:
    """The credentials of this process."""

    def __init__(self) -> None:
        self.skew = timedelta()
        """How far AWS's clock is ahead of ours, where ours is so wrong that AWS refuses it."""
        self._chain = chain.Chain() if chain else None
        self._frozen: Any = None
        self._asking = trio.CapacityLimiter(1)  # a source that hangs keeps nobody else from a thread

    async def refresh(self) -> None:
        """Have credentials that are good for ten minutes at least.

        Raises:
            UnauthenticatedError: there are none.
        """
        if self._chain is None:
            raise UnauthenticatedError(str(missing()))
        self._frozen = await trio.to_thread.run_sync(self._chain.ask, abandon_on_cancel=True, limiter=self._asking)

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
