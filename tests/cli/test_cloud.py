"""`vrrpd cloud policy` as an administrator sees it."""

import json
from pathlib import Path

from click.testing import CliRunner, Result

from vrrpd.cli import group
from vrrpd.errors import ConfigError, VrrpdError

_FILE = """\
nodes: {lb1: 10.0.0.11, lb2: 10.0.0.12}
routers:
  web:
    vrid: 51
    movers:
      - ec2-elastic-ip: {allocation_id: eipalloc-1, region: eu-west-1, network_interface_id: {lb1: eni-1, lb2: eni-2}}
  back:
    vrid: 52
    movers:
      - ec2-route: {route_table_ids: [rtb-1, rtb-2], destination: 10.99.0.1/32, region: eu-west-1}
"""


def _run(path: Path, text: str) -> Result:
    path = path / "vrrpd.yaml"
    path.write_text(text)
    return CliRunner().invoke(group, ["cloud", "policy", "-c", str(path)], catch_exceptions=True)


def test_it_is_for_all_movers_of_the_file_and_all_that_is_printed(tmp_path: Path) -> None:
    result = _run(tmp_path, _FILE)
    assert result.exit_code == 0
    allowed = {action: each["Resource"] for each in json.loads(result.output)["Statement"] for action in each["Action"]}
    assert allowed == {
        "ec2:DescribeAddresses": "*",
        "ec2:DescribeNetworkInterfaces": "*",
        "ec2:DescribeRouteTables": "*",
        "ec2:AssociateAddress": [
            "arn:aws:ec2:eu-west-1:*:elastic-ip/eipalloc-1",
            "arn:aws:ec2:eu-west-1:*:instance/*",
            "arn:aws:ec2:eu-west-1:*:network-interface/eni-1",
            "arn:aws:ec2:eu-west-1:*:network-interface/eni-2",
        ],
        "ec2:ReplaceRoute": [
            "arn:aws:ec2:eu-west-1:*:route-table/rtb-1",
            "arn:aws:ec2:eu-west-1:*:route-table/rtb-2",
        ],
    }


def test_a_file_without_a_mover_of_ec2_needs_none(tmp_path: Path) -> None:
    result = _run(tmp_path, "routers:\n  web:\n    vrid: 51\n    interface: eth0\n    addresses: [10.0.0.100/24]\n")
    assert isinstance(result.exception, VrrpdError)
    assert str(result.exception).endswith(
        "has no mover of EC2, which alone needs a policy; name one in 'movers' of a router"
    )


def test_a_wrong_file_says_what_is_wrong_with_it(tmp_path: Path) -> None:
    result = _run(tmp_path, _FILE.replace("rtb-1,", "eni-1,"))
    assert isinstance(result.exception, ConfigError)
    assert "'eni-1' is no id of a route table" in str(result.exception)
