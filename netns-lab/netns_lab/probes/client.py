"""The lab's end of a probe: starts it in the client's namespace and takes its findings into the history.

| kind      | pace | says who answered by    | for |
|-----------|------|-------------------------|-----|
| icmp      | 1 ms | source MAC address      | where the address is |
| http      | 2 ms | header set by the proxy | whether the service answers; a new connection for each request |
| http-kept | 2 ms | header set by the proxy | the same over connections that are kept alive |
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Generator, Iterable, Mapping, Sequence
from pathlib import Path
from typing import IO, Any, Literal

from netns_lab import helper
from netns_lab.errors import LabError
from netns_lab.history import Event, History
from netns_lab.node import Node
from netns_lab.topology import Host

Kind = Literal["icmp", "http", "http-kept"]

PACE_NS: Mapping[Kind, int] = {"icmp": 1_000_000, "http": 2_000_000, "http-kept": 2_000_000}
_MODULES: Mapping[Kind, tuple[str, Sequence[str]]] = {
    "icmp": ("probes.icmp", ()),
    "http": ("probes.http", ("new",)),
    "http-kept": ("probes.http", ("kept",)),
}


@contextlib.contextmanager
def probing(
    kind: Kind, pace_ns: int, client: Node, targets: tuple[str, str], hosts: Iterable[Host], history: History
) -> Generator[None]:
    """Probe while the block runs; the findings are in the history after it.

    Args:
        kind: which probe.
        pace_ns: nanoseconds between two probes.
        client: the host that probes.
        targets: the address that moves, and one that does not, the control.
        hosts: to tell a MAC address's owner.
        history: where the answers go.

    Raises:
        LabError: the probe did not start, or ended early.
    """
    log = client.directory / "probe.log"
    module, options = _MODULES[kind]
    arguments = helper.command(module, *targets, str(pace_ns), *options)
    with log.open("wb") as errors:
        process = helper.start(client.command(arguments), errors)
    if process.stdin is None or process.stdout is None:
        raise AssertionError("started with pipes")
    try:
        if not process.stdout.readline():
            raise LabError(f"the probe did not start: {log.read_text().strip()}")
        yield
        process.stdin.close()  # its sign to end and report
        _take(process.stdout, {host.mac: host.name for host in hosts}, history, log)
    finally:
        with contextlib.suppress(OSError):
            process.stdin.close()
        process.stdout.close()
        process.kill()
        process.wait()


def _take(findings: IO[bytes], names: Mapping[str, str], history: History, log: Path) -> None:
    """Read the findings into the history."""
    targets = 0
    for line in findings:
        targets += 1
        found: dict[str, Any] = json.loads(line)
        target = found["target"]
        replies: list[tuple[int, int, str]] = found["replies"]
        events = [Event(t, "reply", {"target": target, "sent": sent, **_who(text, names)}) for t, sent, text in replies]
        history.extend(events)
        history.extend(
            Event(t, "failure", {"target": target, "sent": sent, "reason": reason, "kept": kept})
            for t, sent, reason, kept in found["failures"]
        )
        history.add("probes", target=target, sent=found["sent"], pace_ns=found["pace_ns"])
    if targets != 2:
        raise LabError(f"the probe ended early: {log.read_text().strip()}")


def _who(text: str, names: Mapping[str, str]) -> dict[str, str]:
    """Who answered: a MAC address, or `NODE/BACKEND`."""
    if "/" in text:
        node, _, backend = text.partition("/")
        return {"node": node, "backend": backend}
    return {"node": names.get(text, text)}
