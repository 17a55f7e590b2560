"""What EC2 means by its error codes: each becomes the `MoverError` that decides what happens next, with the fix.

Owns the tables. Whatever is in none of them and no fault of EC2's (5xx) is a request that cannot succeed, and is shown
in EC2's own words. EC2's text is never shown where it may hold an encoded policy, and cut where it is long.

Source: Amazon EC2 API Reference, "Error codes for the Amazon EC2 API".
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from vrrpd.movers.base import (
    ConflictError,
    ForbiddenError,
    InvalidError,
    MoverError,
    ThrottledError,
    UnauthenticatedError,
    UnavailableError,
)

PERMITTED: Final = "DryRunOperation"
"""The code of a dry run that would have succeeded."""

CLOCK: Final = frozenset(
    {"AuthFailure", "RequestExpired", "RequestInTheFuture", "RequestTimeTooSkewed", "SignatureDoesNotMatch"}
)
"""Codes that may mean a wrong clock, ours."""

_THROTTLED: Final = frozenset(
    {
        "RequestLimitExceeded",
        "Throttling",
        "ThrottlingException",
        "RequestThrottled",
        "EC2ThrottledException",
        "TooManyRequestsException",
        "SlowDown",
    }
)
_UNAUTHENTICATED: Final[Mapping[str, str]] = MappingProxyType(
    {
        "AuthFailure": "correct the access key and its secret, or the role of the instance",
        "InvalidClientTokenId": "correct the access key, or the role of the instance",
        "UnrecognizedClientException": "correct the access key, or the role of the instance",
        "SignatureDoesNotMatch": "correct the secret access key",
        "MissingAuthenticationToken": "correct the credentials",
        "ExpiredToken": "renew the credentials, or use the role of the instance, which renews itself",
        "ExpiredTokenException": "renew the credentials, or use the role of the instance, which renews itself",
        "RequestExpired": "set this node's clock (NTP), or renew the credentials",
        "RequestInTheFuture": "set this node's clock (NTP)",
        "RequestTimeTooSkewed": "set this node's clock (NTP)",
        "OptInRequired": "enable this region for the account, or correct 'region'",
        "Blocked": "ask AWS why the account is blocked",
        "PendingVerification": "wait until AWS has verified the account",
    }
)
_FORBIDDEN: Final = frozenset({"UnauthorizedOperation", "AccessDenied", "AccessDeniedException"})
_CONFLICT: Final = frozenset({"Resource.AlreadyAssociated", "InvalidAssociationID.NotFound", "InvalidIPAddress.InUse"})
_BUSY: Final = frozenset(
    {"IncorrectState", "IncorrectInstanceState", "DependencyViolation", "Unavailable", "Server.InternalError"}
)
_MENDS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "InvalidAllocationID.NotFound": "correct 'allocation_id' or 'region'; the account must be the address's own",
        "InvalidAddress.NotFound": "correct 'public_ip' or 'region'; the account must be the address's own",
        "InvalidNetworkInterfaceID.NotFound": "correct 'network_interface_id' or 'region'",
        "InvalidNetworkInterface.NotFound": "correct 'network_interface_id' or 'region'",
        "InvalidRouteTableID.NotFound": "correct 'route_table_ids' or 'region'",
        "InvalidRoute.NotFound": "create the route once; it is moved, never made",
        "InvalidAllocationID.Malformed": "correct 'allocation_id'",
        "InvalidNetworkInterfaceID.Malformed": "correct 'network_interface_id'",
        "PrivateIpAddressLimitExceeded": "take an address off the network interface, or a larger type of instance",
        "AddressLimitExceeded": "take an address off the network interface, or have the limit raised",
        "Gateway.NotAttached": "attach an internet gateway to the network",
    }
)
_LONGEST: Final = 200  # characters of EC2's text


@dataclass(frozen=True, slots=True)
class Refusal:
    """What EC2 answered in place of a result.

    Attributes:
        status: of HTTP.
        code: EC2's, "" where the answer has none.
        message: EC2's words.
        retry_after: seconds, None where it does not say.
    """

    status: int
    code: str
    message: str
    retry_after: float | None


def error(action: str, region: str, refusal: Refusal) -> MoverError:
    """The failure that a refusal is.

    Args:
        action: what was called.
        region: where.
        refusal: the answer.
    """
    code = refusal.code
    if code in _THROTTLED or refusal.status == 429:
        return ThrottledError(f"EC2 takes no more calls of {action} for now ({code or 429})", refusal.retry_after)
    if code in _UNAUTHENTICATED:
        said = f"EC2 does not accept our credentials ({code}: {_words(refusal)})"
        scoped = "scoped to" in refusal.message
        return UnauthenticatedError(f"{said}; {_RIGHT_REGION if scoped else _UNAUTHENTICATED[code]}")
    if code in _FORBIDDEN:
        return ForbiddenError(
            f"our credentials have no right to {action}; allow ec2:{action} ('vrrpd cloud policy' prints all it takes)"
        )
    if code in _CONFLICT:
        return ConflictError(f"{action}: {_words(refusal)} ({code})")
    if code in _BUSY or refusal.status >= 500:
        return UnavailableError(f"EC2 cannot do {action} for now: {_words(refusal)} ({code or refusal.status})")
    if not code:
        return UnavailableError(f"the answer to {action} is not EC2's (HTTP {refusal.status}); correct 'endpoint_url'")
    mend = _MENDS.get(code)
    said = f"EC2 in {region} refuses {action}: {_words(refusal)} ({code})"
    return InvalidError(f"{said}; {mend}" if mend else said)


_RIGHT_REGION: Final = "correct 'region', or the 'endpoint_url' that is in another"


def _words(refusal: Refusal) -> str:
    """EC2's own words on one short line."""
    text = re.sub(r"\s+", " ", refusal.message).strip().rstrip(".")
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."
