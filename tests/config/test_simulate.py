"""What every single failure of a file leads to, tried on the protocol core itself."""

import re
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from vrrpd.config import File, Kinds, read
from vrrpd.config.simulate import Failure, failures
from vrrpd.proto.timers import MS, SECOND

FileOf = Callable[[str], File]

THREE = "nodes: {lb1: 10.0.0.11, lb2: 10.0.0.12, lb3: 10.0.0.13}\n"
CHECKS = "checks: {a: {tcp: 'h:1', interval: 500ms, timeout: 300ms}, b: {tcp: 'h:2', fall: 3}}\n"


def polled(_kind: str, _options: Any) -> int | None:
    return None


def tried(file: File) -> dict[tuple[str | None, str], Failure]:
    assert file.mistakes == ()
    return {(failure.check, failure.node): failure for failure in failures(file, polled)}


def test_who_takes_over_and_when_follows_from_the_timers_of_the_protocol(file_of: FileOf) -> None:
    rows = tried(
        file_of(
            THREE + CHECKS + "routers:\n  web: {vrid: 51, addresses: [10.0.0.100], advert_interval: 200ms, "
            "track: [a, {check: b, weight: -11}]}\n"
        )
    )
    skew = (256 - 240) * 200 * MS // 256
    assert list(rows) == [(check, node) for node in ("lb1", "lb2", "lb3") for check in ("a", "b", None)]
    assert rows["a", "lb1"] == Failure("web", "a", "lb1", "lb1", "lb2", noticed=1300 * MS, takeover=skew)
    assert rows["b", "lb1"] == Failure("web", "b", "lb1", "lb1", "lb2", noticed=4 * SECOND, takeover=skew)
    assert rows[None, "lb1"] == Failure("web", None, "lb1", "lb1", "lb2", noticed=0, takeover=600 * MS + skew)
    assert rows["a", "lb1"].down == 1300 * MS + skew
    for node in ("lb2", "lb3"):
        for check in ("a", "b", None):
            assert (rows[check, node].after, rows[check, node].down) == ("lb1", None), "nobody misses a Backup"


def test_a_kind_that_hears_of_a_failure_by_itself_is_not_polled(file_of: FileOf) -> None:
    file = file_of(
        THREE + "checks: {a: {tcp: 'h:1'}}\nrouters:\n  web: {vrid: 51, addresses: [10.0.0.100], track: [a]}\n"
    )

    def at_once(kind: str, options: Any) -> int | None:
        return 5 * MS if (kind, options) == ("tcp", "h:1") else None

    assert next(failures(file, at_once)).noticed == 5 * MS


def test_weights_lead_to_the_node_that_is_best_with_them(file_of: FileOf) -> None:
    rows = tried(
        file_of(
            THREE + "checks: {up: {tcp: 'h:1'}, f: {file: /f}}\nrouters:\n  web: {vrid: 51, addresses: [10.0.0.100], "
            "priority: {lb1: 100, lb2: 90, lb3: 95}, track: [{check: up, weight: 6}, f]}\n"
        )
    )
    assert rows["up", "lb1"].after == "lb3"
    assert "f" not in {check for check, _ in rows}, "a number does not fail"


def test_an_active_that_stays_the_best_keeps_the_role(file_of: FileOf) -> None:
    weights = "{check: a, weight: -6}, {check: b, weight: -6}"
    rows = tried(
        file_of(THREE + CHECKS + f"routers:\n  web: {{vrid: 51, addresses: [10.0.0.100], track: [{weights}]}}\n")
    )
    assert (rows["a", "lb1"].after, rows["a", "lb1"].takeover) == ("lb1", None)


def test_two_that_meet_are_decided_by_the_higher_address(file_of: FileOf) -> None:
    router = "routers:\n  web: {vrid: 51, addresses: [10.0.0.100], track: [%s]}\n"
    both = router % "{check: a, weight: -10}, {check: b, weight: -10}"
    assert tried(file_of("nodes: {lb1: 10.0.0.11, lb2: 10.0.0.12}\n" + CHECKS + both))["a", "lb1"].after == "lb2"
    assert tried(file_of("nodes: {lb1: 10.0.0.12, lb2: 10.0.0.11}\n" + CHECKS + both))["a", "lb1"].after == "lb1"


def test_a_group_moves_as_one_and_when_its_slowest_router_does(file_of: FileOf) -> None:
    text = (
        THREE + CHECKS + "groups: {edge: [web, lan]}\ndefaults: {transport: multicast}\nrouters:\n"
        "  web: {vrid: 51, interface: eth0, addresses: [10.0.0.100], track: [a, b]}\n"
        "  lan: {vrid: 52, interface: eth1, addresses: [auto], priority: {lb1: 60, lb2: 50, lb3: 40}}\n"
    )
    rows = tried(file_of(text))
    assert {row.moves for row in rows.values()} == {"edge"}
    assert (rows["a", "lb1"].after, rows["a", "lb1"].takeover) == ("lb2", (256 - 50) * SECOND // 256)


def test_a_lone_node_serves_unhealthy_or_falls_silent_as_the_file_has_it(file_of: FileOf) -> None:
    text = (
        "nodes: {lb1: 10.0.0.11}\nchecks: {a: {tcp: 'h:1'}}\nrouters:\n"
        "  web: {vrid: 51, addresses: [10.0.0.100], transport: multicast, on_all_failed: release, track: [a]}\n"
    )
    rows = tried(file_of(text))
    assert [(row.after, row.down) for row in rows.values()] == [(None, None), (None, None)]
    [kept, _] = failures(file_of(text.replace("release", "keep")), polled)
    assert (kept.after, kept.down) == ("lb1", None)


def test_routers_whose_nodes_are_not_all_known_are_left_out(file_of: FileOf) -> None:
    file = file_of(
        THREE + "routers:\n  web: {vrid: 51, addresses: [10.0.0.100], unicast: {peers: [10.0.0.12, 10.0.0.99]}}\n"
        "  lan: {vrid: 52, addresses: [10.0.0.101]}\n"
    )
    assert {failure.moves for failure in failures(file, polled)} == {"lan"}
    assert [*failures(file_of("routers:\n  web: {vrid: 51, interface: eth0, addresses: [10.0.0.1]}\n"), polled)] == []


_WEIGHTS = st.sampled_from([None, -1, -5, -10, -11, -20, -60, -253, 1, 5, 10, 20, 60, 253])
_PRIORITIES = [1, 2, 50, 100, 110, 120, 130, 240, 250, 254]


@st.composite
def _files(draw: st.DrawFn) -> str:
    """Nodes in any order of addresses, weighted checks, and two routers of which the second follows the first."""
    count, checks = draw(st.integers(2, 4)), range(draw(st.integers(1, 3)))
    hosts = draw(st.permutations(range(1, count + 1)))
    priorities = draw(st.permutations(_PRIORITIES))[:count]
    below = draw(st.sampled_from([0, 1, 30]))
    lines = ["nodes:", *(f"  n{i}: [10.0.0.{host}, 'fd00::{9 - host}']" for i, host in enumerate(hosts)), "checks:"]
    lines += [f"  c{i}: {{tcp: 'h:1'}}" for i in checks]
    lines += [f"defaults: {{preempt: {draw(st.sampled_from(['yes', 'no']))}}}"]
    lines += draw(st.sampled_from([[], ["groups: {edge: [r1, r2]}"]]))
    lines += ["routers:"]
    for number, less in ((1, 0), (2, below)):
        listed = ", ".join(f"n{i}: {max(priority - less, i + 1)}" for i, priority in enumerate(priorities))
        weights = [(i, draw(_WEIGHTS)) for i in checks]
        track = ", ".join(f"c{i}" if weight is None else f"{{check: c{i}, weight: {weight}}}" for i, weight in weights)
        addresses = draw(st.sampled_from(["10.0.9.{0}", "fd00:9::{0}", "10.0.9.{0}, 'fd00:9::{0}'"])).format(number)
        lines += [
            f"  r{number}: {{vrid: {number}, addresses: [{addresses}], priority: {{{listed}}}, track: [{track}]}}"
        ]
    return "\n".join(lines)


def test_a_check_that_lowers_one_router_of_a_group_and_raises_another_is_judged_by_both(file_of: FileOf) -> None:
    text = (
        "nodes: {lb1: 10.0.0.11, lb2: 10.0.0.12}\nchecks: {a: {tcp: 'h:1'}}\n"
        "groups: {edge: [web, lan]}\nrouters:\n"
        "  web: {vrid: 51, addresses: [10.0.9.1], priority: {lb1: 250, lb2: 240}, track: [{check: a, weight: -10}]}\n"
        "  lan: {vrid: 52, addresses: [10.0.9.2], priority: {lb1: 249, lb2: 239}, track: [{check: a, weight: 1}]}\n"
    )
    assert tried(file_of(text))["a", "lb1"].after == "lb2"


@settings(max_examples=150, deadline=None, derandomize=True)
@given(_files())
def test_what_the_file_is_told_is_what_the_core_then_does(kinds: Kinds, content: str) -> None:
    """The mistakes and warnings come from a rule of their own; here it is held against the trials."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "vrrpd.yaml"
        path.write_text(content)
        file = read(str(path), kinds)
    idle = [re.fullmatch(r"the weight .* of '(\w+)' could never change .*", mistake.text) for mistake in file.mistakes]
    if not all(idle):
        return  # the two routers of a group differ, or priorities do not
    rows = [*failures(file, polled)]
    lines = content.splitlines()
    for mistake, match in zip(file.mistakes, idle, strict=True):
        router = lines[mistake.line - 1].split(":")[0].strip()
        moves = [row for row in rows if match and row.check == match[1] and row.moves in {router, "edge"}]
        assert moves
        assert all(row.after == row.before for row in moves)
    for warning in file.warnings:
        router = lines[warning.line - 1].split(":")[0].strip()
        told = re.match(
            r"while '(\w+)' is down on (\w+) alone, .* and (?:(\w+) wins|the one that serves stays)", warning.text
        )
        for row in rows if told else ():
            if told and (row.check, row.node) == (told[1], told[2]) and row.moves in {router, "edge"}:
                assert row.after == (told[3] or row.before)
