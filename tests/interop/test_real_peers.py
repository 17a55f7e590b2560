"""Our agent and somebody else's on one link, from the first advertisement to the last.

Each cell is one story on two nodes. The less preferred one starts and serves; the preferred one starts and takes over;
it is killed, it comes back, it is stopped in the planned way, it comes back again. After each step exactly one node
serves, and it is the one that answers a client whose neighbour table nobody touched. At the end the packets of the
whole story lie before tshark, and both agents' words before us.

Times are loose above, since cells run beside each other on a busy machine, and strict below: a Backup that waits less
than its RFC timer is wrong on any machine.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable

import pytest

from tests.interop.cells import CELLS, MS, OTHER, PREFERRED, Cell
from tests.interop.pair import Pair, pair
from tests.interop.wire import inspect

LATE = 150 * MS
"""What a busy machine may add to a timer."""

EARLY = 2 * MS
"""What the time stamps may take away: they are the switch's, a moment before or after those of the nodes."""

LAST_ZERO = 20 * MS
"""Our agent repeats its priority 0 until then, and keepalived and FRR arm their timer anew at each."""

TWO_HOLDERS = 250 * MS
"""For how long a planned change may leave the address on both nodes."""

NORMAL = re.compile(
    r"Entering (MASTER|BACKUP) STATE|(setting|removing) VIPs|Sending/queueing|sent 0 priority"
    r"|Receive advertisement timeout|Master received advert from \S+ with higher priority"
    r"|Backup received priority 0 advertisement|received lower priority \(\d+\) advert from"
    r"|Received advert from \S+ with lower priority"
)
"""What keepalived says of an instance while it likes every packet. FRR says nothing about one that it drops."""


@pytest.mark.netns
@pytest.mark.interop
@pytest.mark.parametrize("cell", CELLS, ids=str)
def test_exactly_one_serves_whatever_happens_to_the_preferred_node(
    cell: Cell, record_property: Callable[[str, object], None]
) -> None:
    row = {"number": str(CELLS.index(cell))}
    record_property("cell", row)
    with pair(cell) as nodes:
        nodes.start(OTHER)
        serves(nodes, OTHER)
        nodes.start(PREFERRED)
        serves(nodes, PREFERRED)

        last = nodes.kill(PREFERRED)
        serves(nodes, OTHER)
        row["killed"] = waited(nodes, since=last, timer=cell.down_ns(OTHER))
        nodes.start(PREFERRED)
        serves(nodes, PREFERRED)

        before = nodes.now()
        zero = nodes.stop(PREFERRED)
        serves(nodes, OTHER)
        row["stopped"] = waited(nodes, since=zero, timer=cell.skew_ns(OTHER))
        nodes.start(PREFERRED)
        serves(nodes, PREFERRED)
        row["both"] = both_held_briefly(nodes, before)

        nobody_else_speaks(nodes, PREFERRED)
        row["packets"] = every_packet_is_good(nodes)


def serves(nodes: Pair, node: str) -> None:
    """`node` serves, it alone, the client reaches it, and nobody has anything to complain about."""
    nodes.wait_serving(node)
    assert nodes.who_answers() - nodes.dead == {node}
    if nodes.runs(nodes.cell.ours):
        status = nodes.status()
        router = status["routers"][0]
        absent: set[str] = set() if nodes.runs(nodes.cell.peer_node) else {"no_agent"}
        assert {alarm["code"] for alarm in status["alarms"] + router["alarms"]} <= absent
        assert router["counters"]["dropped"] == {}
        log = [line for line in nodes.log(nodes.cell.ours) if " INFO " not in line]
        assert [line for line in log if "alarm no_agent" not in line] == []
    if nodes.cell.peer == "keepalived" and nodes.runs(nodes.cell.peer_node):
        assert [line for line in nodes.log(nodes.cell.peer_node) if "(web)" in line and not NORMAL.search(line)] == []


def waited(nodes: Pair, since: int, timer: int) -> str:
    """The less preferred node took over when its timer ran out; returns how long that was, for the table."""
    cell, took = nodes.cell, nodes.taken_after(OTHER, since)
    latest = timer + LAST_ZERO + LATE
    if cell.kind(OTHER) == "frr" and cell.family == "ipv6":
        # Its macvlan comes up with the role and has no link-local address for the first advertisement (FRR 8.4 logs
        # "Failed to find address to bind"); the second one, an interval later, is the first on the wire.
        latest += cell.interval_ms * MS
    assert took < latest, f"took over after {took / MS:.1f} ms, its timer says {timer / MS:.1f} ms"
    if cell.ours == OTHER:
        assert took > timer - EARLY, f"took over after {took / MS:.1f} ms, its timer says {timer / MS:.1f} ms"
    return f"{took / MS:.0f} of {timer / MS:.0f} ms"


def both_held_briefly(nodes: Pair, since: int) -> str:
    """Planned changes leave the address on both nodes for a moment only; FRR's kernel always has it."""
    if nodes.cell.peer == "frr":
        return "-"
    both = nodes.both_held(since)
    assert both < TWO_HOLDERS + LATE
    return f"{both / MS:.0f} ms"


def nobody_else_speaks(nodes: Pair, node: str) -> None:
    """For some intervals every advertisement is this node's."""
    since = nodes.now()
    time.sleep(3 * nodes.cell.interval_ms / 1000)
    assert {event["node"] for event in nodes.adverts(since=since)} == {node}


def every_packet_is_good(nodes: Pair) -> str:
    """Every advertisement of both agents, to tshark's mind and by the fields that keep others' packets away."""
    cell, adverts = nodes.cell, nodes.adverts()
    inspection = inspect(nodes.lab.capture, cell.version)
    assert inspection.complaints == ()
    assert inspection.packets >= len(adverts) > 0
    assert {event["hop_limit"] for event in adverts} == {255}  # RFC 9568 5.1.1.3, 5.1.2.3
    ours = {event["source"] for event in adverts if event["node"] == cell.ours}
    assert len(ours) == 1, f"our agent sent from {ours}"
    assert cell.service.address not in ours  # RFC 9568 5.1.1.1: its own address, never a shared one
    return str(inspection.packets)
