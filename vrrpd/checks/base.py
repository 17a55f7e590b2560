"""What every health check shares: the contract of a kind, and the runner that turns probes into up or down.

Owns the counting (`rise` successes in a row bring a check up, `fall` failures in a row bring it down), the timetable
and the deadline of each probe. A kind of check (one file each beside this one) owns one thing: how to find out, once,
whether the service is healthy.

Must not do: know what a router or a priority is, read the wall clock by itself (it is handed in, for people only), let
an exception of a kind pass for a failed probe. A failed probe is a value; an exception is a bug and ends the agent.

The timetable. The first probe runs at once, delayed only by the `offset` that spreads many checks apart. Until the
first verdict (`rise` successes or `fall` failures in a row) probes follow each other every `min(interval, 100 ms)`: a
check starts down, so that a node never claims health that nobody has seen, and a healthy node must not stay out for
rise x interval because of that. After it, probes are started at fixed instants `interval` apart; one that takes up to
the next instant, or longer, is followed by the next at once. A hung probe is cancelled at its timeout and is a
failed probe like any other, so detection takes at most fall x interval + timeout.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Never, Protocol, TypeAlias, runtime_checkable

import trio
from pydantic import TypeAdapter

from vrrpd.errands import Programs
from vrrpd.proto.timers import MS, SECOND

SETTLING = 100 * MS
"""The longest time between two probes before the first verdict, in nanoseconds."""

_APART = 5 * MS  # between the starts of two checks: enough for any probe to be sent before the next one


@dataclass(frozen=True, slots=True)
class Result:
    """What one probe found.

    Attributes:
        ok: whether the service is healthy.
        detail: one short line for people, such as "200 in 1 ms" or "connection refused".
        decisive: a failure that is beyond doubt (the process is dead) and counts as `fall` failures at once.
        value: a number to add to the priority of a router that tracks the check; None of most kinds.
    """

    ok: bool
    detail: str
    decisive: bool = False
    value: int | None = None


class Check(Protocol):
    """A kind of health check, built once from its options and probed again and again."""

    async def probe(self) -> Result | None:
        """Find out once whether the service is healthy; None where that cannot be said yet, which counts for nothing.

        Bad news is a `Result`, never an exception. The runner owns the deadline: it cancels a probe at its timeout,
        so that every wait in here must be one that can be cancelled, and leaves nothing behind when it is.
        """
        ...


class Carriers(Protocol):
    """Knows the interfaces of this host, by the kernel's events."""

    def carrier(self, interface: str) -> str | None:
        """Why the interface carries nothing, for people, or None where it is up and running."""
        ...

    async def changed(self) -> None:
        """Return after the next event about any link."""
        ...


@dataclass(frozen=True, slots=True)
class Host:
    """What checks use of the agent beside sockets of their own.

    Attributes:
        programs: runs programs, and opens files.
        carriers: knows interfaces.
    """

    programs: Programs
    carriers: Carriers


def _nothing(_: Any) -> None:
    """No options are wrong on any host."""


def _none(_: Any) -> Sequence[Mapping[str, Any]]:
    """Nothing is asked of the launcher."""
    return ()


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of check; its module has it in a table `KINDS`.

    Attributes:
        options: validates what stands under the kind's name in the file; the result is comparable with `==`.
        build: makes a check of validated options; opens nothing and does not block.
        inspect: says what keeps this very host from running such a check, None where nothing does; may block.
        errands: what the launcher does for such a check (`programs.LauncherClient.promise`).
    """

    options: TypeAdapter[Any]
    build: Callable[[Any, Host], Check]
    inspect: Callable[[Any], str | None] = _nothing
    errands: Callable[[Any], Sequence[Mapping[str, Any]]] = _none


def alone(make: Callable[[Any], Check]) -> Callable[[Any, Host], Check]:
    """Builds a check that uses nothing of the agent."""
    return lambda options, _: make(options)


@runtime_checkable
class Watch(Check, Protocol):
    """A check that also hears of trouble by itself, between two probes."""

    async def changed(self) -> None:
        """Return when the next probe should run at once instead of at its time; wait for ever where nothing happens.

        Called after a probe and cancelled when the next one is due.
        """
        ...

    def close(self) -> None:
        """Give back what the watching holds; called once, when the check ends."""
        ...


@dataclass(frozen=True, slots=True)
class Timing:
    """When to probe and how often to believe it; times in nanoseconds.

    Attributes:
        interval: from the start of one probe to the start of the next.
        timeout: a probe that takes longer is ended and has failed.
        rise: successes in a row that bring the check up.
        fall: failures in a row that bring it down.
        start_up: the state before the first verdict.
    """

    interval: int
    timeout: int
    rise: int
    fall: int
    start_up: bool


@dataclass(frozen=True, slots=True)
class Status:
    """The state of one check.

    Attributes:
        name: the name of the check in the configuration.
        up: the verdict.
        settled: False until there is one, and `up` is only where the check starts.
        since: when `up` got its present value, in wall-clock seconds since 1970; for people only.
        detail: what the last probe found.
        value: what the last probe adds to the priority, None of most kinds.
    """

    name: str
    up: bool
    settled: bool
    since: float
    detail: str
    value: int | None = None


Report: TypeAlias = Callable[[Status], None]


class Counter:
    """Counts successes and failures in a row into a verdict. No clock, no I/O."""

    def __init__(self, timing: Timing) -> None:
        self.up = timing.start_up
        self.settled = False
        self._rise = timing.rise
        self._fall = timing.fall
        self._successes = 0
        self._failures = 0

    def count(self, result: Result) -> bool:
        """Take one result into account; return whether `up` changed.

        `settled` becomes true, for good, with the first verdict, also where that confirms the state at the start.
        """
        if result.ok:
            self._successes, self._failures = self._successes + 1, 0
        else:
            self._failures = self._fall if result.decisive else self._failures + 1
            self._successes = 0
        before = self.up
        if self._successes >= self._rise:
            self.up = self.settled = True
        elif self._failures >= self._fall:
            self.up, self.settled = False, True
        return self.up is not before


def stagger(index: int, count: int, interval: int) -> int:
    """How long a check waits with its first probe, in nanoseconds, so that many checks do not probe as one.

    Many are spread over their whole interval, a few over some milliseconds: a node must not stay out at its start for
    want of a probe.

    Args:
        index: 0..count - 1.
        count: how many checks there are.
        interval: that of this check, in nanoseconds.
    """
    return index * min(_APART, interval // count)


async def run_check(
    name: str, check: Check, timing: Timing, report: Report, *, wall: Callable[[], float], offset: int = 0
) -> Never:
    """Probe for ever; report the state at the start and then whenever anything in it changed.

    Args:
        name: the name of the check in the configuration.
        check: the kind, built from its options.
        timing: interval, timeout and how many results make a verdict.
        report: called in this task with the new state; must not block.
        wall: reads the wall clock, in seconds since 1970; stamps `Status.since`.
        offset: nanoseconds before the first probe, so that many checks do not probe in the same instant.
    """
    try:
        await _run(name, check, timing, report, wall, offset)
    finally:
        if isinstance(check, Watch):
            check.close()


async def _run(
    name: str, check: Check, timing: Timing, report: Report, wall: Callable[[], float], offset: int
) -> Never:
    counter = Counter(timing)
    status = Status(name, counter.up, counter.settled, wall(), "not checked yet")
    report(status)
    due = trio.current_time() + offset / SECOND
    await trio.sleep_until(due)
    while True:
        result = await _probe(check, timing.timeout)
        if result is not None:
            changed = counter.count(result)
            since = wall() if changed else status.since
            latest = Status(name, counter.up, counter.settled, since, result.detail, result.value)
            if latest != status:
                status = latest
                report(status)
        due = _next_due(due, timing.interval if counter.settled else min(timing.interval, SETTLING))
        await _pause(check, due)


async def _probe(check: Check, limit: int) -> Result | None:
    """Probe once; a probe that outlives its limit (nanoseconds) has failed, and so has one without descriptors."""
    with trio.move_on_after(limit / SECOND):
        try:
            return await check.probe()
        except OSError as error:  # of the host, not of the service: no descriptors, no memory, no more processes
            return Result(ok=False, detail=(error.strerror or str(error)).lower())
    return Result(ok=False, detail=f"no answer within {limit / MS:g} ms")


def _next_due(due: float, interval: int) -> float:
    """The next instant of the timetable, in seconds of trio's clock; at once where a probe took up to it or longer."""
    late = trio.current_time() - due
    if late < 0:  # a probe out of turn, called for by a watch: the timetable stays
        return due
    step = interval / SECOND
    return due + step * max(late // step, 1)


async def _pause(check: Check, due: float) -> None:
    """Sleep until the next probe is due; a check that watches may cut the sleep short."""
    with trio.move_on_at(due):
        if isinstance(check, Watch):
            await check.changed()
        else:
            await trio.sleep_forever()
