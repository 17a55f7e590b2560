"""The judge of alarms, on histories whose truth is known, and the faults that alarms are about, on real nodes."""

from __future__ import annotations

import socket

import pytest

from netns_lab import kernel
from netns_lab.faults.registry import heal, inject
from netns_lab.history import Event
from netns_lab.judges.base import Outcome
from netns_lab.lab import Lab
from netns_lab.service import Service
from netns_lab.topology import Topology
from tests.lab.histories import MS, Story

PASSED, FAILED, UNKNOWN = Outcome.PASSED, Outcome.FAILED, Outcome.UNKNOWN


def story(*said: tuple[float, dict[str, str]]) -> Story:
    """A fault at 10 ms, another moment at 50 ms, and what n1 says at which time."""
    made = Story().step(10, "x", mark="x").step(50, "y", mark="y").end(90)
    made.history.extend(Event(round(at * MS), "alarms", {"node": "n1", "alarms": alarms}) for at, alarms in said)
    return made


LOOP = {"loop": "it comes back"}
NOTHING = dict[str, str]()


@pytest.mark.parametrize(
    ("said", "code", "outcome"),
    [
        (((40, LOOP),), "loop", PASSED),
        (((40, LOOP),), "one_way", FAILED),
        (((40, LOOP),), "none", FAILED),
        (((40, NOTHING),), "none", PASSED),
        (((20, LOOP), (40, NOTHING)), "loop", FAILED),
        (((5, LOOP), (60, LOOP)), "loop", UNKNOWN),
        ((), "loop", UNKNOWN),
        ((), "none", UNKNOWN),
    ],
)
def test_an_alarm_is_what_was_said_last_in_the_window(
    said: tuple[tuple[float, dict[str, str]], ...], code: str, outcome: Outcome
) -> None:
    assert story(*said).judged("alarm", after="x", node="n1", code=code).outcome is outcome


def test_what_another_node_says_does_not_count() -> None:
    assert story((40, LOOP)).judged("alarm", after="x", node="n2", code="loop").outcome is UNKNOWN


def test_the_sentence_is_shown() -> None:
    assert "it comes back" in story((40, LOOP)).judged("alarm", after="x", node="n1", code="none").measured


def reaches(lab: Lab, one: str, other: str) -> bool:
    """Whether a datagram passes from one node to another, whose MAC it knows."""
    target = lab.node(other).host
    kernel.ip_batch(
        [f"neigh replace {target.ipv4} lladdr {target.mac} dev eth0 nud permanent"], lab.node(one).namespace
    )

    def endpoint() -> socket.socket:
        return socket.socket(socket.AF_INET, socket.SOCK_DGRAM)

    with (
        kernel.inside(lab.node(one).namespace, endpoint) as sender,
        kernel.inside(lab.node(other).namespace, endpoint) as receiver,
    ):
        receiver.bind((target.ipv4, 4000))
        receiver.settimeout(0.5)
        sender.sendto(b"!", (target.ipv4, 4000))
        try:
            return receiver.recv(1) == b"!"
        except TimeoutError:
            return False


@pytest.mark.netns
@pytest.mark.parametrize(("kind", "passes"), [("cable-deaf", ("n1", "n2")), ("cable-mute", ("n2", "n1"))])
def test_a_cable_works_in_one_direction_only_until_it_is_mended(kind: str, passes: tuple[str, str]) -> None:
    with Lab(Topology(nodes=("n1", "n2"))) as lab:
        ways = [("n1", "n2"), ("n2", "n1")]
        assert all(reaches(lab, *way) for way in ways)
        inject(lab, kind, "n1")
        assert [way for way in ways if reaches(lab, *way)] == [passes]
        heal(lab, kind, "n1")
        assert all(reaches(lab, *way) for way in ways)


@pytest.mark.netns
def test_an_address_that_is_taken_is_given_back() -> None:
    with Lab(Topology(nodes=("n1", "n2"), webs=1)) as lab:
        lab.start_agent("n1", "vrrpd", Service())
        inject(lab, "address-taken", "w1")
        assert "10.88.0.100" in lab.node("w1").run("ip", "address").stdout
        heal(lab, "address-taken", "w1")
        assert "10.88.0.100" not in lab.node("w1").run("ip", "address").stdout
