"""The composition root: it puts everything together, from the start of the agent to its goodbye.

Start: the file is read and held against the host, permissions are looked at, rights that the agent does not need are
given away (`privileges`), then the one event loop runs until a signal. SIGTERM and SIGINT hand every role over and end;
a second one lets go at once. Everything that can be wrong is found before the first advertisement, so that a bad file
never starts an agent.

    agent
    ├── runtime     routers, sockets, addresses, announcements (runtime.supervisor has its tree)
    ├── check ...   one for each health check that a router tracks
    ├── control     answers `vrrpd status`, `auth status`, `drain`, `undrain`
    ├── drains      ends a drain when its time is over, and keeps drains across a reboot
    └── lock        tells a second agent in this network namespace who is first
"""

from __future__ import annotations

import contextlib
import gc
import logging
import signal
import sys
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from importlib import import_module
from typing import Any

import trio

from vrrpd.config import load, resolve
from vrrpd.config.spec import AgentSpec
from vrrpd.control.client import DEFAULT_CONTROL
from vrrpd.control.drains import Drains
from vrrpd.control.lock import NamespaceLock
from vrrpd.control.places import making
from vrrpd.control.server import ControlSocket, serve
from vrrpd.control.service import READY, STOPPING, notify, reassure
from vrrpd.control.state_file import state_path
from vrrpd.errors import VrrpdError
from vrrpd.guard import Guard
from vrrpd.kinds import errands, kinds
from vrrpd.kinds import ports as ports_of
from vrrpd.launcher import Launcher
from vrrpd.linux.capabilities import require_capabilities
from vrrpd.linux.ports import Ports
from vrrpd.linux.real_time import keep_real_time
from vrrpd.linux.worker import Worker
from vrrpd.log import setup
from vrrpd.privileges import give_rights_away, inspect_as, own_user
from vrrpd.programs import LauncherClient
from vrrpd.runtime.alarms import Code
from vrrpd.runtime.auth_status import auth_status
from vrrpd.runtime.kernel import Kernel, this_machine
from vrrpd.runtime.links import host_facts
from vrrpd.runtime.status import status
from vrrpd.runtime.supervisor import MakeMover, Runtime

log = logging.getLogger(__name__)

CHANGING = frozenset({"drain", "undrain"})
"""The commands that are not for everybody who may connect."""

SWITCH_S = 0.0005
"""How long a thread may compute, in seconds, while the loop waits for its turn; Python's own is ten times that."""

NEVER = 1 << 30
"""So many collections of younger objects before those of any age are looked through."""

GOODBYE_S = 2
"""How long the end may wait for the kernel to take the last address away."""


@dataclass(frozen=True, slots=True)
class Options:
    """The command line of `vrrpd run`; None where the file, or else the default, decides."""

    config: str
    node: str | None = None
    control: str | None = None
    log_level: str | None = None
    log_format: str | None = None
    state: str | None = None
    user: str | None = None


def run_agent(options: Options, launcher: Launcher) -> None:
    """Run an agent until a signal ends it.

    Args:
        options: the command line.
        launcher: starts programs; itself started before this module was imported.

    Raises:
        VrrpdError: it cannot start; the text names the cause and the mend, or all mistakes of the file.
    """
    file = load(options.config, kinds())
    require_capabilities()
    who = own_user(options.user)
    programs = LauncherClient(launcher)
    guard = Guard(partial(programs.fork_guardian, who))
    worker = Worker()
    kernel = this_machine(guard, worker)
    spec = resolve(file, host_facts(kernel.commands.dump()), options.node, inspect_as(who))
    _import_what_is_named(spec)
    path = options.control or spec.control or DEFAULT_CONTROL
    state = options.state or state_path(path)
    with NamespaceLock(path) as lock, ControlSocket(path, who) as control, Ports() as ports:
        with contextlib.suppress(OSError), making(state, who):
            pass  # only the directory is wanted; where it cannot be made, a drain says so
        wanted = [errand for each in (*spec.checks, *spec.movers) for errand in errands(each)]
        programs.promise([{"guardian": who}, *wanted])
        taken = [port for each in spec.movers for port in ports_of(each)]
        ports.take(taken)
        lock.has(taken)
        said, refused = give_rights_away(who)
        worker.start()
        keep_real_time()
        as_json = (options.log_format or spec.log_format) == "json"
        writer = setup(options.log_level or spec.log_level or "info", "json" if as_json else "text")
        if said:
            log.info("%s", said)
        for trouble in refused:
            log.warning("%s", trouble)
        try:
            trio.run(_agent, kernel, spec, control, lock, state, programs, guard, ports)
        except* VrrpdError as group:
            raise _first(group) from None
        finally:
            writer.close()


async def _agent(
    kernel: Kernel,
    spec: AgentSpec,
    control: ControlSocket,
    lock: NamespaceLock,
    state: str,
    programs: LauncherClient,
    guard: Guard,
    ports: Ports,
) -> None:
    runtime = Runtime(kernel, _mover_maker(spec, programs, ports, guard))
    drains = Drains(state, runtime, partial(datetime.now, UTC))
    runtime.drained_from_the_start = drains.holds
    started = runtime.now()

    def answer_status(_: Mapping[str, Any]) -> Mapping[str, Any]:
        troubles: dict[Code, tuple[datetime, str]] = {}
        if trouble := drains.trouble:
            troubles[Code.DRAIN_NOT_KEPT] = trouble.since, trouble.detail
        if trouble := guard.trouble:
            troubles[Code.NO_GUARDIAN] = trouble.since, trouble.detail
        if programs.lost:
            troubles[Code.LAUNCHER_GONE] = programs.lost_at, programs.lost
        return status(runtime, spec.node, started, drains.until, troubles)

    def answer_auth(_: Mapping[str, Any]) -> Mapping[str, Any]:
        return auth_status(runtime, spec.node)

    answers = {"status": answer_status, "auth": answer_auth, "drain": drains.drain, "undrain": drains.undrain}
    with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT, signal.SIGHUP) as signals:
        async with trio.open_nursery() as outer:
            await outer.start(runtime.run)
            try:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(lock.answer)
                    nursery.start_soon(programs.listen)
                    drains.read()
                    _tidy_memory()
                    _share_the_processor()
                    await _bring_about(runtime, spec)
                    nursery.start_soon(serve, control, answers, CHANGING)
                    drains.restore()
                    nursery.start_soon(drains.run)
                    _start_checks(nursery, runtime, programs, spec)
                    _report_ready(spec, control.path)
                    nursery.start_soon(reassure)
                    await _goodbye(runtime, signals)
                    nursery.cancel_scope.cancel()
            finally:
                await _let_go(runtime)
            outer.cancel_scope.cancel()
    log.info("ended")


def _import_what_is_named(spec: AgentSpec) -> None:
    """What only some files need; now, while nothing is urgent and every right is there."""
    if spec.checks:
        import_module("vrrpd.checking")
    if spec.movers:
        import_module("vrrpd.moving")


def _start_checks(nursery: trio.Nursery, runtime: Runtime, programs: LauncherClient, spec: AgentSpec) -> None:
    if spec.checks:
        from vrrpd.checking import start  # noqa: PLC0415 - imported by now

        start(nursery, runtime, programs, spec.checks)


def _mover_maker(spec: AgentSpec, programs: LauncherClient, ports: Ports, guard: Guard) -> MakeMover | None:
    if not spec.movers:
        return None
    from vrrpd.moving import movers  # noqa: PLC0415 - imported by now

    return movers(spec.node, programs, ports, guard)


async def _goodbye(runtime: Runtime, signals: AsyncIterator[int]) -> None:
    """Wait for a signal, hand over; a second signal lets go at once."""
    async with trio.open_nursery() as nursery:
        async for number in signals:
            name = signal.Signals(number).name
            if number == signal.SIGHUP:
                log.warning("SIGHUP: the configuration is read at the start only; restart the agent to change it")
                continue
            notify(STOPPING)
            log.info("%s: handing over", name)
            nursery.start_soon(_leave, runtime, nursery.cancel_scope)
            break
        async for number in signals:
            if number != signal.SIGHUP:
                log.warning("%s again: letting go at once", signal.Signals(number).name)
                break
        nursery.cancel_scope.cancel()


async def _leave(runtime: Runtime, done: trio.CancelScope) -> None:
    await runtime.leave("stop of the agent")
    done.cancel()


async def _let_go(runtime: Runtime) -> None:
    """Whatever ended the agent: nothing of it stays behind, unless the kernel itself hangs."""
    with trio.move_on_after(GOODBYE_S, shield=True):
        await runtime.shutdown("stopped")
        return
    log.error("the kernel does not answer: addresses may have stayed; see: vrrpd status on the other nodes, ip address")


def _share_the_processor() -> None:
    """Let the loop have its turn soon where a worker thread computes, as credentials and certificates need."""
    sys.setswitchinterval(SWITCH_S)


def _tidy_memory() -> None:
    """What is alive now stays alive, so the collector need not look at it again.

    A whole collection takes as long as the guardian waits for a sign of life: before anything is held.
    """
    gc.collect()
    gc.freeze()


async def _bring_about(runtime: Runtime, spec: AgentSpec) -> None:
    """Make all routers, which stay as well: a collection that looks through thousands of them takes 0.3 s."""
    young, middle, old = gc.get_threshold()
    gc.set_threshold(young, middle, NEVER)
    try:
        runtime.apply(spec)
        await runtime.made()
    finally:
        gc.set_threshold(young, middle, old)
    gc.freeze()


def _report_ready(spec: AgentSpec, control: str) -> None:
    """Say that the agent runs."""
    for warning in spec.warnings:
        log.warning("%s:%d:%d: %s", spec.path, warning.line, warning.column, warning.text)
    names = ", ".join(router.name for router in spec.routers)
    log.info("ready: node %s, routers %s, control socket %s", spec.node or "(unnamed)", names, control)
    notify(READY, f"STATUS=routers {names}")


def _first(group: BaseExceptionGroup[VrrpdError]) -> VrrpdError:
    """The error inside a tree of groups."""
    inner = group.exceptions[0]
    return _first(inner) if isinstance(inner, BaseExceptionGroup) else inner
