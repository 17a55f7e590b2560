"""What every kind of mover keeps: one test for each promise, run for each kind that has a cell."""

from __future__ import annotations

import traceback
from collections.abc import AsyncGenerator, Awaitable, Callable
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import pytest
import trio

from tests.movers.stage import MEANS, Cell, Desk, Fault, Stage
from vrrpd.movers.base import CommonOptions, ConflictError, Holder, MoverError, Who
from vrrpd.movers.registry import KINDS, MODULES

CELLS: dict[str, Cell] = {
    kind: cell
    for file in sorted((Path(__file__).parent / "cells").glob("*.py"))
    for kind, cell in import_module(f"tests.movers.cells.{file.stem}").CELLS.items()
}
SETTLED = 0.03
"""Seconds in which everything that was sent over loopback has arrived."""


@pytest.fixture(params=sorted(CELLS))
async def stage(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncGenerator[Stage]:
    with trio.fail_after(30):
        async with CELLS[request.param](Desk(tmp_path, monkeypatch)) as stage:
            yield stage


@pytest.fixture
async def ready(stage: Stage) -> Stage:
    """The same, prepared and looked at."""
    await stage.mover.prepare()
    await stage.mover.holder()
    return stage


async def look(stage: Stage) -> Holder:
    """Ask the service itself: a mover may remember an answer for a moment, and things go on behind its back here."""
    return await stage.mover.holder(fresh=True)


async def brought(stage: Stage) -> bool:
    return (await look(stage)).who is Who.ME


class TestPreparing:
    async def test_it_changes_nothing_and_may_be_repeated(self, stage: Stage) -> None:
        await stage.mover.prepare()
        await stage.mover.prepare()
        assert list(stage.changes()) == []
        assert not await brought(stage)

    async def test_it_may_be_cut_off_anywhere_and_works_then(self, stage: Stage) -> None:
        for checkpoints in range(12):
            await cut_off(stage.mover.prepare, checkpoints)
        await stage.mover.prepare()
        assert list(stage.changes()) == []


class TestAcquiring:
    async def test_the_change_is_the_first_thing_asked_and_then_it_is_here(self, ready: Stage) -> None:
        asked, changes = len(ready.asked()), len(ready.changes())
        await ready.mover.acquire(None)
        sent = ready.changes()[changes:]
        assert len(sent) <= ready.steps
        assert ready.asked()[asked : asked + 1] == sent[:1]
        assert await brought(ready)

    async def test_it_may_be_done_where_it_is_here_already(self, ready: Stage) -> None:
        await ready.mover.acquire(None)
        await ready.mover.acquire(None)
        assert await brought(ready)

    async def test_it_is_taken_whoever_has_it(self, ready: Stage) -> None:
        for give in ready.give.values():
            give()
            await look(ready)
            await ready.mover.acquire(None)
            assert await brought(ready)

    async def test_where_the_role_is_gone_already_nothing_is_sent(self, ready: Stage) -> None:
        if ready.mover.local:
            pytest.skip("what is on this host alone is let go of again at once")
        with trio.CancelScope() as scope:
            scope.cancel()
            await ready.mover.acquire(None)
        assert scope.cancelled_caught
        await trio.sleep(SETTLED)
        assert list(ready.changes()) == []

    async def test_it_may_be_cut_off_anywhere_sends_nothing_after_that_and_works_then(self, ready: Stage) -> None:
        for checkpoints in range(12):
            before = len(ready.changes())
            await cut_off(lambda: ready.mover.acquire(None), checkpoints)
            await trio.sleep(SETTLED)
            assert len(ready.changes()) - before <= ready.steps
        arrived = len(ready.changes())
        await trio.sleep(5 * SETTLED)
        assert len(ready.changes()) == arrived
        await ready.mover.acquire(None)
        assert await brought(ready)

    async def test_cut_off_while_the_service_is_silent_it_ends_at_once_and_sends_nothing_more(
        self, ready: Stage
    ) -> None:
        if Fault.SILENT not in ready.faults:
            pytest.skip("there is no service that could be silent")
        ready.faults[Fault.SILENT]()
        with trio.move_on_after(4 * SETTLED) as scope:
            await ready.mover.acquire(None)
        assert scope.cancelled_caught
        assert trio.current_time() - scope.deadline < 1
        await trio.sleep(10 * SETTLED)
        assert len(ready.changes()) <= ready.steps


class TestFailing:
    @pytest.mark.parametrize("fault", MEANS)
    async def test_a_change_that_fails_was_one_attempt_and_says_why(self, fault: Fault, ready: Stage) -> None:
        if fault not in ready.faults:
            pytest.skip("this cannot happen to it")
        ready.faults[fault]()
        before = len(ready.changes())
        with pytest.raises(MoverError) as raised:
            await ready.mover.acquire(None)
        assert type(raised.value) is MEANS[fault]
        assert len(ready.changes()) - before <= ready.steps
        tells(raised.value, ready)

    @pytest.mark.parametrize("fault", MEANS)
    async def test_a_question_that_fails_says_why(self, fault: Fault, ready: Stage) -> None:
        if fault not in ready.faults:
            pytest.skip("this cannot happen to it")
        ready.faults[fault]()
        try:
            await ready.mover.holder()
        except MoverError as error:
            tells(error, ready)


class TestTheHolder:
    @pytest.mark.parametrize("who", [Who.NOBODY, Who.PEER, Who.FOREIGN])
    async def test_it_is_who_the_service_says(self, who: Who, ready: Stage) -> None:
        if who not in ready.give:
            pytest.skip("it has no such holder")
        ready.give[who]()
        holder = await look(ready)
        assert holder.who is who
        assert str(holder).isprintable()
        assert (holder.peer is not None) == (who is Who.PEER)

    async def test_asking_changes_nothing(self, ready: Stage) -> None:
        await ready.mover.holder()
        await ready.mover.holder(fresh=True)
        assert await ready.mover.local_verify() in {True, False, None}
        assert list(ready.changes()) == []

    async def test_a_host_that_sees_it_by_itself_sees_it(self, ready: Stage) -> None:
        await ready.mover.acquire(None)
        assert await ready.mover.local_verify() in {True, None}


class TestComparing:
    async def test_a_change_that_comes_too_late_is_refused(self, ready: Stage) -> None:
        if not ready.mover.compares:
            pytest.skip("no change can be made conditional")
        ready.give[Who.PEER]()
        seen = await look(ready)
        ready.give[Who.FOREIGN]()
        with pytest.raises(ConflictError) as raised:
            await ready.mover.acquire(seen)
        tells(raised.value, ready)
        assert (await look(ready)).who is Who.FOREIGN

    async def test_one_that_comes_in_time_is_done(self, ready: Stage) -> None:
        if not ready.mover.compares:
            pytest.skip("no change can be made conditional")
        for give in ready.give.values():
            give()
            await ready.mover.acquire(await look(ready))
            assert await brought(ready)


class TestReleasing:
    async def test_what_is_here_is_given_up(self, ready: Stage) -> None:
        await ready.mover.acquire(None)
        seen = await look(ready)
        try:
            await ready.mover.release(seen)
        except MoverError as error:
            tells(error, ready)
            return
        assert ready.mover.local is False or not await brought(ready)

    async def test_what_another_node_took_meanwhile_is_left_alone(self, ready: Stage) -> None:
        if Who.PEER not in ready.give:
            pytest.skip("nobody else can have it")
        await ready.mover.acquire(None)
        seen = await look(ready)
        ready.give[Who.PEER]()
        try:
            await ready.mover.release(seen)
        except MoverError as error:
            tells(error, ready)
        assert (await look(ready)).who is Who.PEER


class TestClosing:
    async def test_it_may_be_done_twice_and_before_anything_else(self, stage: Stage) -> None:
        await stage.mover.aclose()
        await stage.mover.prepare()
        await stage.mover.aclose()
        await stage.mover.aclose()

    async def test_a_fresh_question_is_answered_after_it(self, ready: Stage) -> None:
        await ready.mover.aclose()
        assert (await ready.mover.holder(fresh=True)).who is not Who.ME


HAVE_MODULES = [kind for kind in MODULES if find_spec(MODULES[kind]) is not None]


@pytest.mark.parametrize("kind", HAVE_MODULES)
def test_every_kind_has_its_cell(kind: str) -> None:
    assert kind in CELLS


@pytest.mark.parametrize("kind", HAVE_MODULES)
def test_options_describe_themselves_to_editors(kind: str) -> None:
    schema = KINDS[kind].options.json_schema()
    text = str(schema)
    assert all(key in text for key in CommonOptions.model_fields)


def tells(error: MoverError, stage: Stage) -> None:
    """One line for people, without a secret; nor does one show in what a crash would print."""
    assert 0 < len(str(error)) < 500
    assert str(error).isprintable()
    printed = "".join(traceback.format_exception(error)) + repr(error) + repr(stage.mover)
    assert not any(secret in printed for secret in stage.secrets)


async def cut_off(call: Callable[[], Awaitable[object]], checkpoints: int) -> None:
    """Begin a call and cancel it after so many steps of everything else."""
    async with trio.open_nursery() as nursery:

        async def cancel() -> None:
            for _ in range(checkpoints):
                await trio.lowlevel.checkpoint()
            nursery.cancel_scope.cancel()

        nursery.start_soon(cancel)
        await call()
        nursery.cancel_scope.cancel()
