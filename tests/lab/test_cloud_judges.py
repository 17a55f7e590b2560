"""What the judges of the cloud say to histories whose truth is known."""

from __future__ import annotations

from netns_lab.judges.base import Outcome
from tests.lab.histories import MS, Story

PASSED, FAILED = Outcome.PASSED, Outcome.FAILED


def story() -> Story:
    """n1 has role and elastic address; at 1000 ms it stops, and n2 follows in both."""
    return (
        Story()
        .holds(0, "n1")
        .remapped(1, "n1")
        .step(1000, "agent-stopped", mark="stop")
        .holds(1040, "n2")
        .asks(1041, "n2")
        .remapped(1043, "n2")
    )


def test_the_change_in_the_cloud_is_timed_from_the_change_of_role() -> None:
    finding = story().end(2000).judged("remapped", after="stop", under="5ms")
    assert (finding.value, finding.outcome) == (3 * MS, PASSED)
    assert "n2" in finding.measured
    assert story().end(2000).judged("remapped", after="stop", under="3ms").outcome is FAILED


def test_a_cloud_that_does_not_follow_the_role_fails() -> None:
    still = Story().remapped(1, "n1").step(1000, "x", mark="stop").holds(1040, "n2").end(2000)
    assert still.judged("remapped", after="stop", under="1s").outcome is FAILED
    assert still.holds(1500, "n1").judged("remapped", after="stop", under="1s").outcome is FAILED
    assert still.judged("cloud_holder", after="stop", node="n2").outcome is FAILED
    assert still.judged("cloud_holder", after="stop", node="n1").outcome is PASSED


def test_every_remap_is_counted_whoever_asked_for_it() -> None:
    stolen = story().remapped(1500, "stranger").remapped(1900, "n2").remapped(1950, "n2", what="10.0.0.100").end(2000)
    assert stolen.judged("remaps", after="stop", at_most=3).outcome is PASSED
    finding = stolen.judged("remaps", after="stop", at_most=2)
    assert finding.outcome is FAILED
    assert finding.measured == "3: n2 after 43.0 ms, stranger after 500.0 ms, n2 after 900.0 ms"


def test_the_holder_is_that_of_the_end_and_its_time_that_of_the_last_move() -> None:
    repaired = story().remapped(1500, "n1").remapped(1900, "n2").end(3000)
    assert repaired.judged("cloud_holder", after="stop", node="n2", under="1s").value == 900 * MS
    assert repaired.judged("cloud_holder", after="stop", node="n2", under="800ms").outcome is FAILED
    assert repaired.judged("cloud_holder", after="stop", node="n1").outcome is FAILED


def test_a_holder_that_nobody_changes_is_one_from_the_beginning() -> None:
    finding = (
        story().step(1500, "x", mark="later").end(3000).judged("cloud_holder", after="later", node="n2", under="1ms")
    )
    assert (finding.value, finding.outcome) == (0, PASSED)


def test_changes_are_counted_by_node_and_must_not_come_in_a_storm() -> None:
    calm = story().asks(1050, "n2", DryRun="true").asks(1060, "n2", "DescribeAddresses").asks(1300, "n2").end(2000)
    assert calm.judged("changes_asked", after="stop", node="n2", at_most=2).outcome is PASSED
    assert calm.judged("changes_asked", after="stop", node="n2", at_most=1).outcome is FAILED
    storm = calm.asks(1390, "n2")
    finding = storm.judged("changes_asked", after="stop", node="n2", at_most=9)
    assert finding.outcome is FAILED
    assert "90.0 ms apart" in finding.measured
