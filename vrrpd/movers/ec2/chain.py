"""The only module that meets botocore: its chain of credentials, and its Signature Version 4.

Nothing else of it is used. Its clients block, stall the loop for 100 ms while they are made, and send their retries
from threads that nobody can cancel. The chain blocks too (files, a program, the metadata service): it is for worker
threads.

Source: "Signature Version 4", AWS General Reference; botocore's order of the sources of credentials.
"""

# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false, reportAttributeAccessIssue=false, reportUntypedBaseClass=false

from __future__ import annotations

import _strptime  # noqa: F401  # pyright: ignore[reportMissingImports, reportUnusedImport] - strptime would
import logging
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Final

from botocore.auth import SIGV4_TIMESTAMP, SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.exceptions import BotoCoreError, ClientError
from botocore.session import Session

from vrrpd.movers.base import UnauthenticatedError

_FORM: Final = "application/x-www-form-urlencoded; charset=utf-8"

logging.getLogger("botocore").setLevel(logging.ERROR)  # in detail the signer tells what it signs, tokens and all


class Chain:
    """Where the credentials of this process come from."""

    def __init__(self) -> None:
        self._source: Any = None

    def ask(self) -> Any:
        """Credentials that are good for ten minutes at least, frozen; renewed 15 minutes before they run out. Blocks.

        Returns:
            The credentials; None where no source has any.

        Raises:
            UnauthenticatedError: a source has some, and they cannot be had.
        """
        try:
            self._source = self._source or Session().get_credentials()
            return self._source and self._source.get_frozen_credentials()
        except Exception as error:  # noqa: BLE001 - of programs, files and services, in whatever way those fail
            self._source = None
            known = isinstance(error, BotoCoreError | ClientError | OSError | ValueError | RuntimeError)
            said = str(error).rstrip(".") if known else type(error).__name__
            raise UnauthenticatedError(f"the credentials for AWS cannot be had: {said}") from None


def sign(frozen: Any, url: str, region: str, body: bytes, skew: timedelta) -> Mapping[str, str]:
    """The headers of a signed POST of a form to EC2.

    Args:
        frozen: what `Chain.ask` gave.
        url: where it goes.
        region: that of the endpoint.
        body: the form.
        skew: how far AWS's clock is ahead of ours.
    """
    request = AWSRequest("POST", url, {"Content-Type": _FORM}, body)
    _Signer(frozen, region, skew).add_auth(request)
    return dict(request.headers.items())


class _Signer(SigV4Auth):
    """Signs for EC2, by a clock that may be corrected."""

    def __init__(self, frozen: Any, region: str, skew: timedelta) -> None:
        super().__init__(frozen, "ec2", region)
        self._skew = skew

    def _modify_request_before_signing(self, request: Any) -> None:
        """Correct the time before anything is derived from it."""
        if self._skew:
            ours = datetime.strptime(request.context["timestamp"], SIGV4_TIMESTAMP)  # noqa: DTZ007 - UTC, and stays
            request.context["timestamp"] = (ours + self._skew).strftime(SIGV4_TIMESTAMP)
        super()._modify_request_before_signing(request)
