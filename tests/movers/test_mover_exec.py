"""The mover `exec`, with real programs and a real launcher."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path

import pytest
import trio
from pydantic import ValidationError

from tests.movers.bare import bare_host
from vrrpd.config.spec import PeerSpec
from vrrpd.launcher import Launcher
from vrrpd.movers import exec as exec_
from vrrpd.movers.base import (
    ForbiddenError,
    Holder,
    Interface,
    InvalidError,
    MoverError,
    OutcomeUnknownError,
    ThrottledError,
    UnauthenticatedError,
    UnavailableError,
    UnreachableError,
    Who,
)
from vrrpd.movers.exec import OPTIONS, ExecMover
from vrrpd.programs import LauncherClient

Make = Callable[..., ExecMover]

EXAMPLE = Path(__file__).parents[2] / "examples/cloud-exec.yaml"

PEERS = (
    PeerSpec("lb2", (IPv4Address("10.0.0.12"), IPv6Address("fd00::12")), 240),
    PeerSpec("lb3", (IPv4Address("10.0.0.13"),), 230),
)


@pytest.fixture
def make(programs: LauncherClient) -> Make:
    """Makes a mover of a shell script; the verb is its $1."""

    def mover(script: str, **more: str) -> ExecMover:
        options = OPTIONS.validate_python({"command": ["/bin/sh", "-c", script, "script"], **more})
        host = bare_host(
            addresses=(ip_address("10.0.0.11"),),
            shared=(ip_address("10.0.0.100"), ip_address("10.0.0.101")),
            peers=PEERS,
            interface=lambda: Interface("eth0", 2, "02:00:00:00:00:01"),
            programs=programs,
        )
        return ExecMover(options, host)

    return mover


async def failure(mover: ExecMover, verb: str = "acquire") -> MoverError:
    with pytest.raises(MoverError) as raised:
        await {"acquire": lambda: mover.acquire(None), "holder": mover.holder}[verb]()
    return raised.value


@pytest.mark.parametrize(
    ("printed", "holder"),
    [
        ('{"holder": "me"}', Holder(Who.ME)),
        ('{"holder": "lb1"}', Holder(Who.ME)),
        ('{"holder": "10.0.0.11"}', Holder(Who.ME)),
        ('{"holder": "lb2"}', Holder(Who.PEER, peer="lb2")),
        ('{"holder": "fd00::12"}', Holder(Who.PEER, peer="lb2")),
        ('{"holder": null}', Holder(Who.NOBODY)),
        ('{"holder": "srv-9"}', Holder(Who.FOREIGN, id="srv-9")),
        ('{"holder": 42}', Holder(Who.FOREIGN, id="42")),
        ('{"holder": "\\u001b[31mred"}', Holder(Who.FOREIGN, id="[31mred")),
        ('looking\n{"holder": "me"}\n\n', Holder(Who.ME)),
    ],
)
async def test_the_program_says_who_has_it(make: Make, printed: str, holder: Holder) -> None:
    assert await make(f"test $1 = holder && printf '%s' '{printed}'").holder() == holder


@pytest.mark.parametrize(
    "printed", ["", "me", "{}", "[]", '{"holder": true}', '{"holder": ""}', '{"holder": {}}', "[" * 4000, "null"]
)
async def test_an_answer_that_is_none_is_told_with_what_would_be_right(make: Make, printed: str) -> None:
    error = await failure(make(f"echo '{printed}'"), "holder")
    assert isinstance(error, InvalidError)
    assert 'have it print one line such as {"holder": "me"}' in str(error)


async def test_acquire_and_release_are_done_with_exit_status_0(make: Make, tmp_path: Path) -> None:
    mover = make(f"echo $1 >> {tmp_path}/verbs", user="root")
    await mover.prepare()
    await mover.acquire(None)
    await mover.release(Holder(Who.ME))
    assert await trio.Path(tmp_path / "verbs").read_text() == "acquire\nrelease\n"


async def test_the_environment_says_for_whom(make: Make) -> None:
    error = await failure(make("""env | grep VRRPD | sort | tr '\\n' ';'; exit 1"""))
    assert str(error) == (
        "acquire: exit 1: VRRPD_ADDRESSES=10.0.0.100 10.0.0.101;VRRPD_INTERFACE=eth0;VRRPD_NODE=lb1;"
        "VRRPD_OWN=10.0.0.11;VRRPD_PEERS=lb2=10.0.0.12,fd00::12 lb3=10.0.0.13;VRRPD_ROUTER=web;"
    )


@pytest.mark.parametrize(
    ("said", "kind", "text"),
    [
        ("no such server", UnavailableError, "acquire: exit 3: no such server"),
        ("", UnavailableError, "acquire: exit 3: first"),
        ('{"error": "forbidden", "detail": "may not assign"}', ForbiddenError, "acquire: may not assign"),
        ('{"error": "unauthenticated"}', UnauthenticatedError, "acquire: exit 3"),
        ('{"error": "invalid", "detail": "no such ip"}', InvalidError, "acquire: no such ip"),
        ('{"error": "unreachable", "detail": "no route"}', UnreachableError, "acquire: no route"),
        ('{"error": "unknown", "detail": "no answer"}', OutcomeUnknownError, "acquire: no answer"),
        ('{"error": "odd"}', UnavailableError, 'acquire: exit 3: {"error": "odd"}'),
    ],
)
async def test_why_it_failed_is_the_last_line(make: Make, said: str, kind: type[MoverError], text: str) -> None:
    error = await failure(make(f"echo first; echo '{said}'; exit 3"))
    assert (type(error), str(error)) == (kind, text)


@pytest.mark.parametrize(
    ("after", "seconds"),
    [("2.5", 2.5), ('"soon"', None), ("1" + "0" * 400, None), ("NaN", None), ("-1", None), ("true", None)],
)
async def test_who_throttles_may_say_for_how_long(make: Make, after: str, seconds: float | None) -> None:
    error = await failure(make(f"""echo '{{"error": "throttled", "retry_after": {after}}}'; exit 1"""))
    assert isinstance(error, ThrottledError)
    assert error.retry_after == seconds


async def test_of_a_program_that_was_killed_nobody_knows_what_it_did(make: Make) -> None:
    error = await failure(make("kill -9 $$"))
    assert (type(error), str(error)) == (OutcomeUnknownError, "the program was killed by SIGKILL during acquire")


async def test_a_program_that_cannot_be_started_has_done_nothing(programs: LauncherClient, make: Make) -> None:
    mover = make("true")
    error = await failure(ExecMover(OPTIONS.validate_python(["/nowhere/at/all"]), mover._host))  # pyright: ignore[reportPrivateUsage]
    assert (type(error), str(error)) == (UnreachableError, "cannot start /nowhere/at/all: no such file or directory")


async def test_a_role_that_is_lost_ends_the_program_with_all_that_it_started(make: Make, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pids")
    mover = make(f"sleep 60 & echo $! $$ > {tmp_path}/pids; wait; touch {tmp_path}/done", user="root")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(mover.acquire, None)
        pids = (await trio.Path(tmp_path / "pids").read_text()).split()
        nursery.cancel_scope.cancel()
    with trio.fail_after(5):
        for pid in map(int, pids):
            while _lives(pid):  # noqa: ASYNC110 - it is not our child
                await trio.sleep(0.001)
    assert not await trio.Path(tmp_path / "done").exists()


def _lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


async def test_without_its_launcher_it_says_what_to_do(make: Make, launcher: Launcher) -> None:
    mover = make("true")
    await mover.acquire(None)
    os.kill(launcher.pid, 9)
    with trio.fail_after(5):
        error = await failure(mover)
    assert isinstance(error, UnreachableError)
    assert str(error).endswith("has ended; restart the agent")


async def test_the_script_of_the_example_moves_the_name_of_the_holder(programs: LauncherClient, tmp_path: Path) -> None:
    text = await trio.Path(EXAMPLE).read_text()
    script = "\n".join(line.removeprefix("#").strip() for line in text.partition("#!/bin/sh")[2].splitlines()[1:])
    script = script.partition("\n\n")[0]
    command = ["/bin/sh", "-c", script, "move-by-file", f"{tmp_path}/holder"]
    options = OPTIONS.validate_python({"command": command, "user": "root"})
    one, two = (ExecMover(options, bare_host(name, peers=PEERS, programs=programs)) for name in ("lb1", "lb2"))
    assert (await one.holder()).who is Who.NOBODY
    await one.acquire(None)
    assert await one.holder() == Holder(Who.ME)
    await two.acquire(None)
    assert await one.holder() == Holder(Who.PEER, peer="lb2")
    await one.release(Holder(Who.ME))
    assert await two.holder() == Holder(Who.ME)
    await two.release(Holder(Who.ME))
    assert (await two.holder()).who is Who.NOBODY


# -------------------------------------------------------------------- options


def test_both_forms_mean_the_same() -> None:
    assert OPTIONS.validate_python(["/bin/move"]) == OPTIONS.validate_python({"command": ["/bin/move"]})


def test_the_launcher_is_promised_each_verb_and_no_more() -> None:
    kind = exec_.KINDS["exec"]
    errands = kind.errands(OPTIONS.validate_python({"command": ["/bin/move", "it"], "user": "root"}))
    assert [errand["argv"][-1] for errand in errands] == ["acquire", "holder", "release"]
    assert all(errand["argv"][:-1] == ["/bin/move", "it"] and errand["user"] == "root" for errand in errands)
    assert json.dumps(errands)


def test_a_host_where_the_program_cannot_run_is_told_before_the_start() -> None:
    kind = exec_.KINDS["exec"]
    assert kind.inspect(OPTIONS.validate_python(["/bin/true"])) is None
    assert "cannot be executed by nobody; chmod +x" in (kind.inspect(OPTIONS.validate_python(["/etc/passwd"])) or "")


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ("/bin/move", "'/bin/move' is not a command; write a list such as [/usr/bin/test, -e, /run/proxy.ok]"),
        ({"command": ["./move"]}, "'./move' is no program; write an absolute path, or a name that PATH leads to"),
        ({"command": ["/bin/move"], "takeover": "compare"}, "'takeover' is of no use here; leave it out"),
    ],
)
def test_mistakes_are_said_in_plain_words(options: object, complaint: str) -> None:
    with pytest.raises(ValidationError) as raised:
        OPTIONS.validate_python(options)
    assert complaint in raised.value.errors()[0]["msg"]
