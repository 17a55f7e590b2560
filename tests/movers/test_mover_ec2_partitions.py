"""The parts of AWS, beside the list of endpoints that botocore carries."""

from __future__ import annotations

import json
from importlib.resources import files
from typing import Any

import pytest

from vrrpd.movers.ec2.api import endpoint
from vrrpd.movers.ec2.partitions import COMMERCIAL, partition

LISTED: list[dict[str, Any]] = json.loads((files("botocore") / "data" / "endpoints.json").read_text())["partitions"]
REGIONS = [(region, str(each["partition"]), str(each["dnsSuffix"])) for each in LISTED for region in each["regions"]]


@pytest.mark.parametrize(("region", "name", "domain"), REGIONS)
def test_a_region_is_where_aws_says(region: str, name: str, domain: str) -> None:
    assert (partition(region).name, partition(region).domain) == (name, domain)
    assert endpoint(region) == f"https://ec2.{region}.{domain}/"


def test_the_list_has_every_part() -> None:
    assert {name for _, name, _ in REGIONS} >= {"aws", "aws-cn", "aws-us-gov", "aws-iso"}


def test_a_region_that_nobody_has_heard_of_is_a_commercial_one() -> None:
    assert partition("mars-north-1") is COMMERCIAL
    assert partition("") is COMMERCIAL
