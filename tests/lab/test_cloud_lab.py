"""A lab with a cloud: every node finds it over a cable of its own, is known there, and can be cut off from it."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator

import pytest

from netns_lab import kernel
from netns_lab.errors import LabError
from netns_lab.faults.registry import CLOUD_FAULTS, heal, inject
from netns_lab.lab import Lab
from netns_lab.rundir import PREFIX
from netns_lab.topology import CLOUD_ADDRESS, Topology

pytestmark = pytest.mark.netns

URL = f"http://{CLOUD_ADDRESS}"


@pytest.fixture
def lab() -> Iterator[Lab]:
    with Lab(Topology(nodes=("n1", "n2"), cloud=True)) as built:
        built.cloud.start()
        yield built


def curl(lab: Lab, node: str, *said: str) -> str:
    return lab.node(node).run("curl", "-sS", "--max-time", "2", *said).stdout


def associate(lab: Lab, node: str, card: str) -> str:
    now = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    signed = f"AWS4-HMAC-SHA256 Credential=KEY-{node}/{now[:8]}/eu-west-1/ec2/aws4_request, Signature=0"
    said = f"Action=AssociateAddress&Version=2016-11-15&AllocationId=eipalloc-1&NetworkInterfaceId={card}"
    return curl(lab, node, "-H", f"Authorization: {signed}", "-H", f"X-Amz-Date: {now}", "-d", said, URL)


def instance(lab: Lab, node: str) -> str:
    token = curl(lab, node, "-X", "PUT", "-H", "X-aws-ec2-metadata-token-ttl-seconds: 60", f"{URL}/latest/api/token")
    return curl(lab, node, "-H", f"X-aws-ec2-metadata-token: {token}", f"{URL}/latest/meta-data/instance-id")


def test_each_node_is_known_by_its_cable_and_what_it_moves_is_in_the_history(lab: Lab) -> None:
    assert (instance(lab, "n1"), instance(lab, "n2")) == ("i-11", "i-12")
    assert lab.cloud.holder() == ""
    before = time.monotonic_ns()
    assert "eipassoc-1" in associate(lab, "n2", "eni-12")
    lab.wait_cloud("n2", 1)
    (move,) = lab.history.events("remap")
    assert (move["node"], move["holder"]) == ("n2", "n2")
    assert before < move.t < time.monotonic_ns()
    lab.cloud.read()
    assert len(lab.history.events("remap")) == 1


def test_a_node_that_is_cut_off_reaches_its_peers_but_not_the_cloud(lab: Lab) -> None:
    inject(lab, "cloud-cut-off", "n1")
    assert instance(lab, "n1") == ""
    assert instance(lab, "n2") == "i-12"
    refused = lab.node("n1").run("curl", "--max-time", "2", "http://10.88.0.12")
    assert refused.returncode == 7  # by the other node, which is there
    heal(lab, "cloud-cut-off", "n1")
    assert instance(lab, "n1") == "i-11"


def test_faults_are_about_one_node_or_all_and_can_be_undone(lab: Lab) -> None:
    inject(lab, "cloud-refuses", "n1")
    assert "UnauthorizedOperation" in associate(lab, "n1", "eni-11")
    assert "eipassoc-1" in associate(lab, "n2", "eni-12")
    inject(lab, "cloud-throttled", "cloud")
    heal(lab, "cloud-refuses", "n1")
    inject(lab, "cloud-throttled", "cloud")
    assert "RequestLimitExceeded" in associate(lab, "n2", "eni-12")
    heal(lab, "cloud-throttled", "cloud")
    assert "eipassoc-2" in associate(lab, "n1", "eni-11")
    inject(lab, "cloud-stolen", "cloud")
    lab.wait_cloud("stranger", 1)
    inject(lab, "cloud-late", "n2")
    assert "eipassoc-4" in associate(lab, "n2", "eni-12")
    assert lab.cloud.holder() == "n2"


def test_a_lab_without_a_cloud_says_so_and_one_with_it_leaves_nothing() -> None:
    with Lab(Topology(nodes=("n1", "n2"))) as lab:
        for fault in CLOUD_FAULTS:
            with pytest.raises(LabError, match="set cloud to ec2"):
                inject(lab, fault, "n1")
    with Lab(Topology(nodes=("n1", "n2"), cloud=True)) as lab:
        lab.cloud.start()
        run_id = lab.run_id
        assert json.loads((lab.path / "cloud" / "world.json").read_text())["machines"]["n1"]["source"] == "169.254.0.11"
    assert kernel.namespace_names(PREFIX + run_id) == []
