"""Mistakes that real kinds of movers and the file find together."""

from pathlib import Path

import pytest

from vrrpd.config import read
from vrrpd.kinds import kinds

_HEAD = """\
nodes: {lb1: 10.0.0.11, lb2: 10.0.0.12}
routers:
  web:
    vrid: 51
    addresses: [10.0.0.100]
    movers:
"""
_EC2 = "ec2-elastic-ip: {allocation_id: eipalloc-1"
_HETZNER = "hetzner: {floating_ip: 42, token: file:/run/token"
_ALONE = "write the port alone, 80, or a shared address before it"
_MOVED = "already; keep one of them; routers that move together stand in one group under 'groups'"


@pytest.mark.parametrize(
    ("movers", "said"),
    [
        ([f"{_EC2}, network_interface_id: {{lb1: eni-1, lb2: eni-2}}}}"], []),
        (
            [f"{_EC2}, network_interface_id: eni-1}}"],
            ["one 'network_interface_id' for all nodes can be right for one of them only; write {lb1: ..., lb2: ...}"],
        ),
        (
            [f"{_EC2}, network_interface_id: {{lb1: eni-1, lb2: eni-1}}}}"],
            ["two nodes have the same 'network_interface_id'; each has its own"],
        ),
        (
            [f"{_EC2}, network_interface_id: {{lb1: eni-1}}}}"],
            ["'network_interface_id' says nothing about lb2; name all nodes"],
        ),
        ([f"{_HETZNER}, server: {{lb1: 7, lb2: 7}}}}"], ["two nodes have the same 'server'; each has its own"]),
        (
            [f"{_HETZNER}, server: 7}}"],
            ["one 'server' for all nodes can be right for one of them only; write {lb1: ..., lb2: ...}"],
        ),
        (
            [f"{_EC2}}}", f"{_EC2}, region: eu-west-1}}"],
            [f"the elastic address eipalloc-1 is moved by 'ec2-elastic-ip' of router 'web' {_MOVED}"],
        ),
        (
            [f"{_HETZNER}}}", f"{_HETZNER}, deadline: 1m}}"],
            [f"the floating ip 42 is moved by 'hetzner' of router 'web' {_MOVED}"],
        ),
        (['probe: "10.0.0.100:80"', 'probe: "127.0.0.1:81"', 'probe: "[::]:82"'], []),
        (
            ['probe: "10.0.0.12:80"'],
            [f"10.0.0.12 is lb2's own address, so no other node can answer there; {_ALONE}"],
        ),
        (
            ["probe: 80", "probe: {listen: 80, protocol: http}"],
            [f"port 80 is moved by 'probe' of router 'web' {_MOVED}"],
        ),
    ],
)
def test_what_only_the_kind_and_the_nodes_together_show(movers: list[str], said: list[str], tmp_path: Path) -> None:
    path = tmp_path / "vrrpd.yaml"
    path.write_text(_HEAD + "".join(f"      - {mover}\n" for mover in movers))
    assert [mistake.text for mistake in read(str(path), kinds()).mistakes] == said


def test_an_address_that_the_file_does_not_know_is_odd(tmp_path: Path) -> None:
    path = tmp_path / "vrrpd.yaml"
    path.write_text(f"{_HEAD}      - probe: 10.0.0.9:80\n")
    file = read(str(path), kinds())
    assert file.mistakes == ()
    [warning] = file.warnings
    assert warning.text.startswith("10.0.0.9 is neither an address of a node nor one that router 'web' shares; write")


def test_the_place_of_a_secret_is_asked_for_and_the_secret_not_shown(tmp_path: Path) -> None:
    path = tmp_path / "vrrpd.yaml"
    path.write_text(f"{_HEAD}      - hetzner: {{floating_ip: 42, token: hunter2hunter2}}\n")
    [mistake] = read(str(path), kinds()).mistakes
    assert (mistake.line, mistake.column) == (7, 43)
    assert "hunter2" not in mistake.text
