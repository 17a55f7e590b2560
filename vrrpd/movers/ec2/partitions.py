"""Which part of AWS a region belongs to, by the head of its name: each has its own domain, and its own names of things.

Source: the list of endpoints that botocore carries; a test compares them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Partition:
    """A part of AWS that shares no accounts with the others.

    Attributes:
        name: as names of resources (ARN) have it.
        domain: in which its services are.
    """

    name: str
    domain: str


COMMERCIAL: Final = Partition("aws", "amazonaws.com")

_BY_HEAD: Final = {
    "cn-": Partition("aws-cn", "amazonaws.com.cn"),
    "us-gov-": Partition("aws-us-gov", "amazonaws.com"),
    "us-iso-": Partition("aws-iso", "c2s.ic.gov"),
    "us-isob-": Partition("aws-iso-b", "sc2s.sgov.gov"),
    "eu-isoe-": Partition("aws-iso-e", "cloud.adc-e.uk"),
    "us-isof-": Partition("aws-iso-f", "csp.hci.ic.gov"),
    "eusc-": Partition("aws-eusc", "amazonaws.eu"),
}


def partition(region: str) -> Partition:
    """Where a region is; "" and what nobody has heard of are taken for commercial ones."""
    return next((found for head, found in _BY_HEAD.items() if region.startswith(head)), COMMERCIAL)
