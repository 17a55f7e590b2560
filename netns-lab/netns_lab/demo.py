"""The demonstration: the main job of the agent in half a minute, with every outage measured and drawn.

Three nodes with real HAProxy, two web servers, one client that makes a new connection every two milliseconds, and
one address. The serving proxy is killed, then the cable of the next node is pulled, then all is brought back. What
the client saw of each is drawn from its own record: a character stands for a slice of time and shows the node that
answered in it, or a dot where nobody did.

A proxy is watched in two ways: the death of its process is seen at once, and one whose cable was out answers 503 until
it has found its back ends again, for which it takes longer than its node waits before it takes the role back.
"""

from __future__ import annotations

import http.client
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rich.console import Console

from netns_lab import kernel
from netns_lab.agents.registry import agent_class
from netns_lab.expressions import MS, show
from netns_lab.faults.registry import heal, inject
from netns_lab.history import History
from netns_lab.judges.outage import longest_gap
from netns_lab.lab import Lab
from netns_lab.proxies import SOCKET
from netns_lab.runner import start_all
from netns_lab.scenario import Scenario
from netns_lab.service import PROXY
from netns_lab.settings import Settings
from netns_lab.topology import CLIENT

_PROXY = {"proxy": {"process": {"name": PROXY, "grace": "5ms"}}}
_BACK_ENDS = {"webs": {"haproxy": {"socket": str(SOCKET), "backend": "webs"}, "interval": "200ms"}}
_BEFORE = 12
_WIDTH = 64
_SLICES_MS = (10, 20, 50, 100, 200, 500)
_LONGEST_DOTS = 36


@dataclass(frozen=True, slots=True)
class Act:
    """One thing that happens.

    Attributes:
        mark: its name in the history.
        text: what happens, for people.
        fault: the kind of fault.
        node: where.
        healed: the fault is undone, not done.
        serves: who serves afterwards.
    """

    mark: str
    text: str
    fault: str
    node: str
    healed: bool
    serves: str


_ACTS = (
    Act("proxy", "the proxy of n1 is killed", "proxy-killed", "n1", healed=False, serves="n2"),
    Act("cable", "the cable of n2 is pulled", "cable-pulled", "n2", healed=False, serves="n3"),
    Act("plug", "the cable of n2 is plugged in again", "cable-pulled", "n2", healed=True, serves="n2"),
    Act("back", "the proxy of n1 is started again", "proxy-killed", "n1", healed=True, serves="n1"),
)


def demonstrate(kind: str, console: Console) -> None:
    """Run the demonstration.

    Args:
        kind: the agent on every node.
        console: where it is told.

    Raises:
        LabError: somebody did not take over in time.
        CannotRunError: something is missing on this machine.
    """
    settings, without = _settings(kind)
    scenario = Scenario(name="demo", question="", settings=settings, steps=(), expect=())
    with Lab(settings.topology()) as lab:
        start_all(lab, scenario, kind)
        _introduce(console, lab, kind, without)
        lab.wait_holder("n1", 30)
        _ask(console, lab, settings)
        console.rule("what goes wrong")
        with lab.probing("http", scenario.service):
            time.sleep(0.5)
            for act in _ACTS:
                console.print(f"{act.text} ...", end=" ")
                (heal if act.healed else inject)(lab, act.fault, act.node, act.mark)
                lab.wait_holder(act.serves, 30)
                console.print(f"{act.serves} serves")
                time.sleep(1)
            lab.history.add("step", step="end", mark="end")
        _ask(console, lab, settings)
        console.rule("what the client saw, a new connection every 2 ms")
        for act in _ACTS:
            console.print(*draw(act, lab.history), sep="\n", highlight=False, soft_wrap=True)


def _settings(kind: str) -> tuple[Settings, str | None]:
    """What the agents are asked, and why less than it should be, where an agent cannot do all of it."""
    full, less = (
        Settings.model_validate(
            {"webs": 2, "interval": "200ms", "probe": "http", "checks": checks, "track": list(checks)}
        )
        for checks in (_PROXY | _BACK_ENDS, _PROXY)
    )
    without = agent_class(kind).unable(full.service(), ())
    return (less if without else full), without


def _introduce(console: Console, lab: Lab, kind: str, without: str | None) -> None:
    """Show who is there, and the file."""
    console.rule(f"three nodes, HAProxy on each, {kind}")
    nodes = ", ".join(f"{host.name} {host.ipv4}" for host in lab.members())
    console.print(f"nodes: {nodes}; back ends: w1, w2; the address: {lab.agent('n1').service.address}", soft_wrap=True)
    title = "one file, the same on every node:" if kind == "vrrpd" else "the file of n1:"
    console.print(title, lab.agent("n1").configuration(), sep="\n\n", highlight=False, markup=False)
    if without:
        console.print(f"nobody asks the proxies for their back ends: {without}", soft_wrap=True)


def _ask(console: Console, lab: Lab, settings: Settings) -> None:
    """Make a few requests as a client and show the answers."""
    address = settings.service().address
    for _ in range(4):
        node, text = kernel.inside(lab.node(CLIENT).namespace, lambda: _get(address))
        console.print(
            f"  client: GET http://{address}/ -> {text} (through the proxy of {node})", highlight=False, soft_wrap=True
        )


def _get(address: str) -> tuple[str, str]:
    connection = http.client.HTTPConnection(address, timeout=5)
    connection.request("GET", "/")
    response = connection.getresponse()
    node, text = response.getheader("X-Node", "?"), response.read().decode().strip()
    connection.close()
    return node, text


def draw(act: Act, history: History) -> Iterator[str]:
    """Draw what the client saw of an act, around the moment in which the next node begins to answer.

    Args:
        act: what happened.
        history: with the answers of the probe.

    Yields:
        A line with the outage, and a line of slices of time.
    """
    start = history.mark(act.mark) or 0
    finish = min(event.t for event in history.events("step", since=start + 1) if event["mark"])
    answered = [(e.t, str(e["node"])) for e in history.events("reply", until=finish) if e["target"] == "shared"]
    before = [t for t, _ in answered if t < start][-1:]
    outage = longest_gap([*before, *(t for t, _ in answered if t >= start), finish])
    change = next((t for t, node in answered if t >= start and node == act.serves), finish)
    slice_ns = next((ms for ms in _SLICES_MS if outage <= ms * _LONGEST_DOTS * MS), _SLICES_MS[-1]) * MS
    begin = change - outage - _BEFORE * slice_ns
    count = min(_WIDTH, (finish - begin) // slice_ns)
    yield f"{act.text}: [bold]{show(outage)}[/] without an answer (below, a character is {slice_ns // MS} ms)"
    yield f"  {_line(answered, begin, count, slice_ns)}"


def _line(answered: Sequence[tuple[int, str]], start: int, count: int, slice_ns: int) -> str:
    """A character for each slice: the last character of the node that answered most in it, or a dot."""
    slices: list[Counter[str]] = [Counter() for _ in range(count)]
    for t, node in answered:
        index = (t - start) // slice_ns
        if 0 <= index < count:
            slices[index][node[-1:]] += 1
    return "".join(found.most_common(1)[0][0] if found else "." for found in slices)
