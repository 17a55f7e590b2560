"""What the judges say to histories whose truth is known."""

from __future__ import annotations

from pathlib import Path

import pytest
from scapy.layers.inet import IP
from scapy.layers.l2 import Ether
from scapy.layers.vrrp import VRRPv3
from scapy.utils import wrpcap

from netns_lab.errors import LabError
from netns_lab.history import Event, History
from netns_lab.judges.base import Case, Outcome
from netns_lab.judges.outage import control_gap
from netns_lab.judges.registry import STANDING
from netns_lab.judges.steps import GAVE_UP
from netns_lab.judges.wellformed import inspect, judge
from netns_lab.runner import judge as judge_all
from netns_lab.scenario import load
from tests.lab.histories import ADDRESS, MS, Story, failover

PASSED, FAILED, UNKNOWN = Outcome.PASSED, Outcome.FAILED, Outcome.UNKNOWN


def test_the_outage_is_the_gap_around_the_answer_of_another_node() -> None:
    finding = failover(60).judged("outage", after="death", under="skew_time + 20ms")
    assert (finding.value, finding.limit) == (60 * MS, 82.5 * MS)  # (256 - 240) / 256 s and 20 ms
    assert finding.outcome is PASSED
    assert "n1 > n2" in finding.measured


def test_an_outage_over_its_limit_fails() -> None:
    assert failover(83).judged("outage", after="death", under="skew_time + 20ms").outcome is FAILED


def test_a_gap_without_a_change_of_node_is_an_outage_too() -> None:
    story = Story().answers("n1", range(100)).step(100, "x", mark="x").answers("n1", range(150, 300)).end(300)
    assert story.judged("outage", after="x", under="10ms").value == 51 * MS


def test_no_answer_any_more_counts_to_the_end() -> None:
    story = Story().answers("n1", range(100)).step(100, "x", mark="x").end(900)
    finding = story.judged("outage", after="x", under="1s")
    assert finding.value == 801 * MS
    assert "no answer any more" in finding.measured


def test_an_outage_is_judged_up_to_the_next_marked_moment_only() -> None:
    story = failover(60).step(1500, "heal", mark="back")
    assert story.judged("outage", after="back", under="5ms").value == MS
    assert story.judged("outage", after="death", under="1s").value == 60 * MS


def test_an_outage_is_unknown_where_nothing_answered_before() -> None:
    assert Story().step(1, "x", mark="x").end(9).judged("outage", after="x", under="1s").outcome is UNKNOWN


def test_a_limit_that_depends_on_who_takes_over_is_unknown_where_nobody_does() -> None:
    story = Story().answers("n1", range(100)).step(100, "x", mark="x").end(900)
    assert story.judged("outage", after="x", under="skew_time").outcome is UNKNOWN


def test_an_expectation_about_a_moment_that_never_was_is_an_error() -> None:
    with pytest.raises(LabError, match="no step is marked 'nothing'"):
        failover().judged("outage", after="nothing", under="1s")


def test_the_times_are_those_of_the_node_that_newly_gets_the_address() -> None:
    story = failover().advert(1500, "n1", 250, interval_ms=10)
    assert story.judged("outage", after="death", under="interval").limit == 1000 * MS


def test_version_2_has_a_skew_time_of_one_second_whatever_the_interval() -> None:
    story = Story().answers("n1", range(9)).step(9, "x", mark="x").advert(10, "n2", 128, 3000, version=2)
    story.holds(11, "n2").answers("n2", range(12, 20)).end(20)
    assert story.judged("outage", after="x", under="active_down_interval").limit == 9500 * MS


def test_two_holders_are_counted_as_long_as_both_have_the_address() -> None:
    finding = failover().judged("two_holders", after="death", under="250ms")
    assert (finding.value, finding.outcome) == (10 * MS, PASSED)


def test_two_holders_that_come_and_go_are_added_up() -> None:
    story = Story().holds(0, "n1").step(5, "x", mark="x")
    story.holds(10, "n2").lets_go(20, "n2").holds(30, "n2").lets_go(45, "n2").end(100)
    assert story.judged("two_holders", after="x", under="1s").value == 25 * MS


def test_two_holders_until_the_end_count_to_the_end() -> None:
    story = Story().holds(0, "n1").step(5, "x", mark="x").holds(10, "n2").end(100)
    assert story.judged("two_holders", after="x", under="1s").value == 90 * MS


def test_two_holders_before_the_moment_count_from_the_moment_on() -> None:
    story = Story().holds(0, "n1").holds(1, "n2").step(50, "x", mark="x").lets_go(60, "n1").end(100)
    assert story.judged("two_holders", after="x", under="1s").value == 10 * MS


def test_a_node_that_nobody_can_reach_is_no_second_holder_until_it_is_back() -> None:
    story = Story().holds(0, "n1").step(10, "switch-dead", mark="x", cut=True).holds(20, "n2")
    story.step(500, "switch-dead healed", cut=False).lets_go(530, "n1").end(600)
    assert story.judged("two_holders", after="x", under="1s").value == 30 * MS


def test_a_node_that_is_cut_off_for_two_reasons_is_back_when_both_are_gone() -> None:
    story = Story().step(0, "port-blocked", cut=True).step(1, "power-cut", cut=True, mark="x").holds(2, "n1")
    story.holds(3, "n2").step(100, "power-cut healed", cut=False).step(200, "port-blocked healed", cut=False).end(250)
    assert story.judged("two_holders", after="x", under="1s").value == 50 * MS


def test_addresses_that_do_not_move_are_no_business_of_the_judges() -> None:
    story = failover().holds(1500, "n1", address="10.88.0.11")
    assert story.judged("single_holder", after="death", node="n2").outcome is PASSED


def test_the_holder_at_the_end_is_one_and_the_right_one() -> None:
    assert failover().judged("single_holder", after="death", node="n2").outcome is PASSED
    assert failover().judged("single_holder", after="death").outcome is PASSED
    assert failover().judged("single_holder", after="death", node="n3").outcome is FAILED
    two = failover().holds(1900, "n1").judged("single_holder", after="death", node="n2")
    assert (two.outcome, two.measured) == (FAILED, "n1 and n2")
    none = failover().lets_go(1900, "n2").judged("single_holder", after="death")
    assert (none.outcome, none.measured) == (FAILED, "nobody")


@pytest.mark.parametrize("judge", ["two_holders", "single_holder"])
def test_nothing_is_known_about_holders_where_the_kernel_dropped_events(judge: str) -> None:
    assert failover().lost_events(1200).judged(judge, after="death", under="1s").outcome is UNKNOWN


def test_who_serves_is_who_answered_last() -> None:
    assert failover().judged("serves", after="death", node="n2").outcome is PASSED
    assert failover().judged("serves", after="death", node="n1").outcome is FAILED


def test_nobody_serves_where_the_last_answer_is_old() -> None:
    story = Story().step(0, "x", mark="x").answers("n2", range(1, 100)).end(400).probed(401)
    finding = story.judged("serves", after="x", node="n2")
    assert (finding.outcome, finding.measured) == (FAILED, "nobody for the last 301.0 ms")


def test_who_serves_is_unknown_where_nothing_was_probed() -> None:
    assert Story().step(0, "x", mark="x").end(9).judged("serves", after="x", node="n1").outcome is UNKNOWN


def test_the_last_announcement_has_to_be_that_of_who_serves() -> None:
    assert failover().judged("announces_last", after="death").outcome is PASSED
    assert failover().announces(1500, "n1").judged("announces_last", after="death").outcome is FAILED


def test_a_change_that_nobody_announced_fails() -> None:
    story = Story().step(0, "x", mark="x").answers("n2", range(1, 100)).end(100)
    assert story.judged("announces_last", after="x").measured == "nobody announced"


def loaded() -> Story:
    """A hundred requests, and a moment in the middle."""
    return Story().answers("n1", range(1, 50)).step(50, "x", mark="x").answers("n2", range(51, 100)).end(100)


def test_every_failed_request_is_counted_with_its_reason() -> None:
    story = (
        loaded().probed(101).fails(60, "reset", sent=59).fails(70, "reset", sent=69).fails(71, "status 503", sent=70)
    )
    finding = story.judged("failed_requests", after="x", at_most=2)
    assert (finding.outcome, finding.measured) == (FAILED, "3 of 52 requests: 2 reset, 1 status 503")
    assert story.judged("failed_requests", after="x", at_most=3).outcome is PASSED


def test_a_request_that_was_on_its_way_counts_and_one_of_another_time_or_target_does_not() -> None:
    story = loaded().probed(101).fails(51, "reset", sent=20).fails(1090, "timeout", sent=90)
    story.fails(30, "reset", sent=29).fails(1102, "timeout", sent=102).fails(60, "reset", sent=59, target="control")
    assert story.judged("failed_requests", after="x", at_most=0).measured.startswith("2 of")


def test_kept_connections_that_break_are_counted_apart() -> None:
    story = loaded().probed(101).fails(60, "reset", sent=59, kept=True)
    assert story.judged("failed_requests", after="x", at_most=0).outcome is PASSED
    assert story.judged("lost_connections", after="x", at_most=0).outcome is FAILED
    assert story.judged("lost_connections", after="x", at_most=1).outcome is PASSED


def test_nothing_is_known_about_requests_where_none_was_made() -> None:
    assert loaded().judged("failed_requests", after="x", at_most=0).outcome is UNKNOWN


def test_the_role_has_moved_when_another_node_gets_the_address() -> None:
    finding = failover().judged("moved", after="death", under="skew_time")
    assert (finding.value, finding.outcome) == (59 * MS, PASSED)
    assert finding.measured.endswith("to n2")
    assert loaded().holds(0, "n1").judged("moved", after="x", under="1s").outcome is FAILED


def test_a_renewed_address_is_no_change() -> None:
    story = loaded().holds(0, "n1").holds(60, "n1").lets_go(70, "n2")
    assert story.judged("no_change", after="x").outcome is PASSED
    story.lets_go(80, "n1").holds(90, "n2")
    finding = story.judged("no_change", after="x")
    assert (finding.outcome, finding.measured) == (FAILED, "n1 loses it after 30.0 ms, n2 gets it after 40.0 ms")


def test_a_node_that_is_cut_off_changes_the_role_too() -> None:
    story = loaded().step(55, "port-blocked", node="n3", cut=True).holds(60, "n3")
    assert story.judged("no_change", after="x").outcome is FAILED


def test_a_repeated_priority_0_is_one_release() -> None:
    story = loaded().advert(49, "n1", 250)
    for at in (51, 52, 60):
        story.advert(at, "n1", 0)
    story.advert(62, "n2", 240).advert(70, "n1", 250).advert(80, "n1", 0).advert(90, "n3", 0)
    finding = story.judged("releases", after="x", at_most=2)
    assert (finding.outcome, finding.measured) == (FAILED, "3, 0 takeovers")
    assert story.judged("releases", after="x", at_most=3).outcome is PASSED


@pytest.mark.parametrize("judge", ["moved", "no_change"])
def test_nothing_is_known_about_roles_where_the_kernel_dropped_events(judge: str) -> None:
    assert failover().lost_events(1200).judged(judge, after="death", under="1s").outcome is UNKNOWN


def advertised(*times: float) -> Story:
    story = Story().step(0, "x", mark="x")
    for at in times:
        story.advert(at, "n1", 250, interval_ms=10)
    return story.end(1000)


def lateness(story: Story, **options: int) -> float | None:
    return story.judged("lateness", after="x", under="1s", **options).value


def test_an_advertisement_is_as_late_as_it_is_behind_its_grid() -> None:
    assert lateness(advertised(1, 11, 21, 31)) == 0
    assert lateness(advertised(1, 11, 24, 33, 41)) == 3 * MS
    assert lateness(advertised(4, 11, 21, 33)) == 2 * MS  # the first one was late; the others tell the grid


def test_a_pause_lays_a_new_grid() -> None:
    assert lateness(advertised(*range(1, 100, 10), *range(107, 400, 10))) == 6 * MS
    late = advertised(*range(1, 100, 10), *range(107, 400, 10))
    assert lateness(late, percentile=50) == 0


def test_lateness_is_unknown_where_nobody_advertises() -> None:
    assert advertised().judged("lateness", after="x", under="1s").outcome is UNKNOWN


def test_the_control_is_the_longest_gap_of_the_address_that_does_not_move() -> None:
    story = failover().answers("ref", [1, 2, 3, 9, 10], target="control")
    assert control_gap(story.history) == 6 * MS
    assert control_gap(failover().history) is None


def test_a_node_has_lost_the_address_when_it_has_lost_it_for_good() -> None:
    story = failover(60).holds(1100, "n1").lets_go(1300, "n1")
    assert story.judged("gone", after="death", node="n1", under="1s").value == 300 * MS
    assert failover(60).holds(1100, "n1").judged("gone", after="death", node="n1", under="1s").outcome is FAILED
    assert failover(60).lost_events(5).judged("gone", after="death", node="n1", under="1s").outcome is UNKNOWN


def standing(story: Story) -> list[Outcome]:
    """What the judges of every scenario say: what was kept, whether all steps were done."""
    return [judge(Case(story.history, ADDRESS, {})).outcome for judge in STANDING]


def test_a_scenario_in_which_nothing_else_was_touched_is_good() -> None:
    story = failover().looked(2001, "n1", "10.88.0.11").looked(2001, "n1", "default route (ipv4)")
    assert standing(story.route(5, "n1", held=True)) == [PASSED, PASSED]


@pytest.mark.parametrize(
    "story",
    [
        failover().looked(2001, "n1", "10.88.0.11", held=False),
        failover().looked(2001, "n1", "10.88.0.11").holds(5, "n1", held=False, address="10.88.0.11"),
        failover().looked(2001, "n1", "10.88.0.11").route(5, "n1", held=False).route(6, "n1", held=True),
    ],
    ids=["missing at the end", "an address went and came back", "a route went and came back"],
)
def test_what_is_none_of_the_agents_business_must_stay_at_every_moment(story: Story) -> None:
    assert standing(story) == [FAILED, PASSED]


def test_that_the_shared_address_goes_is_the_agents_business() -> None:
    assert standing(failover().looked(2001, "n1", "10.88.0.11").lets_go(1900, "n1")) == [PASSED, PASSED]


def test_whether_all_was_kept_is_unknown_where_nobody_looked_or_events_were_lost() -> None:
    assert standing(failover())[0] is UNKNOWN
    assert standing(failover().looked(2001, "n1", "10.88.0.11").lost_events(3))[0] is UNKNOWN


def test_a_step_that_waited_in_vain_fails_the_scenario_and_what_it_did_not_reach_is_unknown() -> None:
    scenario = load("agent-killed")
    history = failover().step(1999, GAVE_UP).history
    findings = judge_all(scenario, history)
    assert [finding.outcome for finding in findings[:5]] == [UNKNOWN] * 5
    assert findings[-1].outcome is FAILED


def _judge_capture(path: Path, *frames: bytes) -> Outcome:
    wrpcap(str(path), [Ether(frame) for frame in frames])
    history = History([Event(0, "step", {"step": "begin"})])
    inspect(path, history)
    return judge(Case(history, "", {})).outcome


def test_tshark_tells_a_good_advertisement_from_a_bad_one(tmp_path: Path) -> None:
    packet = Ether() / IP(src="10.88.0.11", dst="224.0.0.18", ttl=255) / VRRPv3(vrid=51, addrlist=["10.88.0.100"])
    good = bytes(packet)
    wrong = good[:-1] + bytes([good[-1] ^ 1])
    short = bytes(Ether() / IP(src="10.88.0.11", dst="224.0.0.18", ttl=255, proto=112) / good[34:39])
    assert _judge_capture(tmp_path / "good.pcap", good) is PASSED
    assert _judge_capture(tmp_path / "wrong.pcap", good, wrong) is FAILED
    assert _judge_capture(tmp_path / "short.pcap", good, short) is FAILED


def test_packets_are_unknown_where_tshark_never_looked() -> None:
    assert failover().judged("wellformed").outcome is UNKNOWN


def test_a_flood_says_what_it_cost_and_too_small_a_one_proves_nothing() -> None:
    story = Story().step(0, "x", mark="x").flooded(10, 150_000, {"n1": 1.0, "n2": 0.5})
    assert story.judged("flooded", after="x", packets=200_000).outcome is UNKNOWN
    finding = story.flooded(20, 50_000, {"n1": 3.0, "n2": 0.5}).judged("flooded", after="x", packets=200_000)
    assert finding.outcome is PASSED
    assert finding.measured == "200000 in 20.0 s; processor: n1 20 %, n2 5 %"


def test_of_very_many_changes_the_first_are_named() -> None:
    story = Story().holds(0, "n1").step(10, "x", mark="x")
    for at in range(20, 40, 2):
        story.lets_go(at, "n1").holds(at + 1, "n1")
    finding = story.end(50).judged("no_change", after="x")
    assert finding.measured.endswith("n1 gets it after 13.0 ms, and 16 more")
