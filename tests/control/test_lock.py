"""One agent in each network namespace."""

from __future__ import annotations

import os
import socket
import subprocess
import sys

import pytest
import trio
import trio.testing

from tests.squatting import squatter
from vrrpd.control.client import Connection
from vrrpd.control.holder import NAME, holder_of
from vrrpd.control.lock import NamespaceLock, NameTakenError
from vrrpd.errors import VrrpdError


@pytest.fixture
def name() -> str:
    return f"\0vrrpd-test-{os.getpid()}"


def second(name: str) -> str:
    with pytest.raises(VrrpdError) as raised:
        NamespaceLock("/run/second.sock", name)
    return str(raised.value)


async def test_the_second_agent_learns_who_the_first_is_and_how_to_ask_it(name: str) -> None:
    with NamespaceLock("/run/first.sock", name) as lock:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(lock.answer)
            said = await trio.to_thread.run_sync(second, name)
            nursery.cancel_scope.cancel()
    assert said == (
        f"an agent already runs in this network namespace: pid {os.getpid()}, control socket /run/first.sock; "
        "stop it, or ask it with: vrrpd status --control /run/first.sock"
    )


def test_a_first_agent_that_hangs_is_named_all_the_same(name: str) -> None:
    with NamespaceLock("/run/first.sock", name):
        said = second(name)
    assert said == (
        f"an agent already runs in this network namespace: pid {os.getpid()}; stop it, or ask it with: vrrpd status"
    )


def test_a_stranger_who_does_not_listen_is_no_agent(name: str) -> None:
    with socket.socket(socket.AF_UNIX) as stranger:
        stranger.bind(name)
        with pytest.raises(
            NameTakenError, match=r"somebody who does not listen has taken .*pid unknown.*; find it with"
        ):
            NamespaceLock("/run/second.sock", name)


def test_another_user_who_has_taken_the_name_is_named(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vrrpd.control.client.holder_of", lambda: holder_of(name))
    with squatter(name) as pid:
        with pytest.raises(NameTakenError) as raised:
            NamespaceLock("/run/second.sock", name)
        asked = nobody_at("/run/nowhere/second.sock")
    who = f"user 65534 has taken the name @{name[1:]} (pid {pid}); end that process: kill {pid}"
    assert str(raised.value) == who
    assert asked == f"no agent runs at /run/nowhere/second.sock, and none can start: {who}"


@pytest.mark.parametrize(
    ("control", "said"),
    [
        (
            "/run/a; b",
            "pid {pid}, control socket /run/a; b; stop it, or ask it with: vrrpd status --control '/run/a; b'",
        ),
        ("/run/\x1b[31m", "pid {pid}; stop it, or ask it with: vrrpd status"),
    ],
)
async def test_what_a_holder_says_can_be_printed_and_pasted(name: str, control: str, said: str) -> None:
    with NamespaceLock(control, name) as lock:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(lock.answer)
            text = await trio.to_thread.run_sync(second, name)
            nursery.cancel_scope.cancel()
    assert text.endswith(said.format(pid=os.getpid()))


async def test_a_flood_of_callers_waits_for_the_agent(name: str, autojump_clock: trio.testing.MockClock) -> None:
    began = trio.current_time()
    with NamespaceLock("/run/first.sock", name) as lock:
        callers = [socket.socket(socket.AF_UNIX) for _ in range(8)]
        for caller in callers:
            caller.connect(name)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(lock.answer)
            for caller in callers:
                await trio.lowlevel.wait_readable(caller)
                caller.close()
            nursery.cancel_scope.cancel()
    assert trio.current_time() - began >= 0.07


def test_the_lock_is_free_again_when_its_holder_is_gone(name: str) -> None:
    NamespaceLock("/run/first.sock", name).close()
    NamespaceLock("/run/second.sock", name).close()


async def test_a_caller_that_leaves_at_once_does_not_end_the_answering(name: str) -> None:
    with NamespaceLock("/run/first.sock", name) as lock:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(lock.answer)
            for _ in range(3):
                with socket.socket(socket.AF_UNIX) as caller:
                    caller.connect(name)
            assert "/run/first.sock" in await trio.to_thread.run_sync(second, name)
            nursery.cancel_scope.cancel()


@pytest.mark.netns
def test_agents_in_two_network_namespaces_do_not_meet() -> None:
    hold = f"from vrrpd.control.lock import NamespaceLock; NamespaceLock('/run/a', {NAME!r}); print('held')"
    command = ["unshare", "--net", sys.executable, "-c", f"{hold}; input()"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    held: list[bytes] = []
    for _ in range(2):
        with subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as agent:
            assert agent.stdout is not None
            held.append(agent.stdout.readline())
    assert held == [b"held\n", b"held\n"]


async def test_whoever_finds_no_socket_learns_of_the_agent_that_runs_all_the_same(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vrrpd.control.client.holder_of", lambda: holder_of(name))
    with NamespaceLock("/run/nowhere/first.sock", name) as lock:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(lock.answer)
            removed = await trio.to_thread.run_sync(nobody_at, "/run/nowhere/first.sock")
            elsewhere = await trio.to_thread.run_sync(nobody_at, "/run/nowhere/second.sock")
            nursery.cancel_scope.cancel()
    pid = os.getpid()
    gone = "its control socket /run/nowhere/first.sock was removed"
    assert removed == f"an agent runs (pid {pid}), but {gone}; restart it"
    assert elsewhere == (
        f"no agent runs at /run/nowhere/second.sock; one does at /run/nowhere/first.sock (pid {pid}): "
        "vrrpd status --control /run/nowhere/first.sock"
    )


def nobody_at(path: str) -> str:
    with pytest.raises(VrrpdError) as raised:
        Connection(path)
    return str(raised.value)


def test_an_agent_of_another_user_is_one_by_what_it_may_do(name: str) -> None:
    into = (
        "setpriv",
        "--inh-caps=+net_admin,+setuid,+setgid",
        "--ambient-caps=+net_admin",
        "--reuid=65534",
        "--clear-groups",
    )
    with squatter(name, *into) as pid:
        assert second(name).startswith(f"an agent already runs in this network namespace: pid {pid}")
