"""The control socket, from both ends: manners of the server, words of the client."""

from __future__ import annotations

import json
import os
import socket
import stat
import sys
import tempfile
from collections.abc import AsyncGenerator, Iterator, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from vrrpd.control import client, messages
from vrrpd.control.server import CLIENTS, PACE, ControlSocket, Handler, serve
from vrrpd.errors import VrrpdError
from vrrpd.rights import account, own_account


def _echo(request: Mapping[str, Any]) -> Mapping[str, Any]:
    return {"said": request.get("text", "")}


def _refuse(request: Mapping[str, Any]) -> Mapping[str, Any]:
    raise VrrpdError("not today")


def _large(request: Mapping[str, Any]) -> Mapping[str, Any]:
    return {"text": "x" * (8 << 20)}


class Slow:
    """A command that waits for an outcome."""

    def __init__(self) -> None:
        self.begun, self.outcome, self.ended = trio.Event(), trio.Event(), trio.Event()

    async def __call__(self, request: Mapping[str, Any]) -> Mapping[str, Any]:
        self.begun.set()
        await self.outcome.wait()
        self.ended.set()
        if request.get("refuse"):
            raise VrrpdError("not after all")
        return {"outcome": "good"}


HANDLERS: Mapping[str, Handler] = {"echo": _echo, "refuse": _refuse, "large": _large}


@asynccontextmanager
async def serving(path: Path, **more: Handler) -> AsyncGenerator[None]:
    with ControlSocket(str(path), own_account()) as at:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(serve, at, {**HANDLERS, **more}, {"change"})
            yield
            nursery.cancel_scope.cancel()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "run" / "control.sock"


async def ask(path: Path, message: Mapping[str, Any]) -> dict[str, Any]:
    return await trio.to_thread.run_sync(client.request, str(path), message)


async def raw(path: Path, data: bytes) -> list[dict[str, Any]]:
    """Send bytes; return the answers up to the end of the connection."""
    stream = await trio.open_unix_socket(str(path))
    answers = b""
    async with stream:
        try:
            await stream.send_all(data)
            while piece := await stream.receive_some(65536):
                answers += piece
        except trio.BrokenResourceError:
            pass
    return [json.loads(line) for line in answers.splitlines()]


def exists(path: Path) -> bool:
    return path.exists()


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def leave_dead(path: Path) -> None:
    """Put a socket file there that nobody listens at, as a killed agent does."""
    path.parent.mkdir(exist_ok=True)
    path.unlink(missing_ok=True)
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))


class TestConversation:
    async def test_a_request_line_gets_an_answer_line(self, path: Path) -> None:
        async with serving(path):
            assert await ask(path, {"command": "echo", "text": "a\nb \N{SNOWMAN}"}) == {"said": "a\nb \N{SNOWMAN}"}

    async def test_one_connection_carries_many_requests(self, path: Path) -> None:
        def talk() -> list[str]:
            with client.Connection(str(path)) as connection:
                return [connection.request({"command": "echo", "text": text})["said"] for text in "abc"]

        async with serving(path):
            assert await trio.to_thread.run_sync(talk) == ["a", "b", "c"]

    async def test_an_answer_of_megabytes_arrives_whole(self, path: Path) -> None:
        async with serving(path):
            assert len((await ask(path, {"command": "large"}))["text"]) == 8 << 20

    async def test_a_handler_may_refuse(self, path: Path) -> None:
        async with serving(path):
            with pytest.raises(VrrpdError, match="refuses: not today"):
                await ask(path, {"command": "refuse"})

    @pytest.mark.parametrize(
        ("line", "complaint"),
        [
            (b"status\n", "not a line of JSON"),
            (b"\xff\n", "not a line of JSON"),
            (b"[" * 60000 + b"\n", "not a line of JSON"),
            (b'["status"]\n', 'not a JSON object such as {"command": "status"}'),
            (b'{"command": "destroy"}\n', "unknown command; this agent knows: echo, large, refuse"),
            (b'{"command": ["echo"]}\n', "unknown command; this agent knows: echo, large, refuse"),
            (b"{}\n", "unknown command; this agent knows: echo, large, refuse"),
            (b"x" * messages.REQUEST_LIMIT, "a request has at most 65536 bytes"),
        ],
        ids=range(8),
    )
    async def test_nonsense_is_refused_and_ends_the_connection(self, path: Path, line: bytes, complaint: str) -> None:
        async with serving(path):
            assert await raw(path, line) == [{"error": complaint}]
            assert (await ask(path, {"command": "echo"})) == {"said": ""}

    async def test_requests_that_arrive_together_are_answered_one_by_one(self, path: Path) -> None:
        async with serving(path):
            lines = b'{"command":"echo","text":"a"}\n{"command":"echo","text":"b"}\nbad\n'
            assert await raw(path, lines) == [{"said": "a"}, {"said": "b"}, {"error": "not a line of JSON"}]


class TestOutcomes:
    @pytest.mark.parametrize("refuse", [False, True])
    async def test_a_command_may_wait_for_its_outcome_and_holds_nobody_up(self, path: Path, refuse: bool) -> None:
        slow = Slow()
        async with serving(path, slow=slow):
            waiting = await trio.open_unix_socket(str(path))
            async with waiting:
                await waiting.send_all(messages.encode({"command": "slow", "refuse": refuse}))
                await slow.begun.wait()
                assert await ask(path, {"command": "echo"}) == {"said": ""}
                slow.outcome.set()
                answer = messages.decode(await waiting.receive_some(100))
        assert answer == ({"error": "not after all"} if refuse else {"outcome": "good"})

    async def test_it_may_take_longer_than_a_client_may_be_silent(self, path: Path, autojump_clock: MockClock) -> None:
        slow = Slow()
        async with serving(path, slow=slow):
            waiting = await trio.open_unix_socket(str(path))
            async with waiting:
                await waiting.send_all(b'{"command":"slow"}\n')
                await trio.sleep(60)
                slow.outcome.set()
                assert await waiting.receive_some(100) == b'{"outcome":"good"}\n'

    async def test_a_client_that_goes_away_undoes_nothing(self, path: Path) -> None:
        slow = Slow()
        async with serving(path, slow=slow):
            leaving = await trio.open_unix_socket(str(path))
            await leaving.send_all(b'{"command":"slow"}\n')
            await slow.begun.wait()
            await leaving.aclose()
            await trio.testing.wait_all_tasks_blocked()
            slow.outcome.set()
            await slow.ended.wait()
            assert await ask(path, {"command": "echo"}) == {"said": ""}


class TestBadClients:
    async def test_a_silent_client_is_cut_off_after_five_seconds(self, path: Path, autojump_clock: MockClock) -> None:
        async with serving(path):
            stream = await trio.open_unix_socket(str(path))
            async with stream:
                await stream.send_all(b'{"command":')
                started = trio.current_time()
                assert await stream.receive_some(10) == b""
                assert trio.current_time() - started == pytest.approx(5)

    async def test_a_client_that_does_not_read_is_cut_off_and_holds_nobody_up(
        self, path: Path, autojump_clock: MockClock
    ) -> None:
        async with serving(path):
            stalled = await trio.open_unix_socket(str(path))
            async with stalled:
                await stalled.send_all(b'{"command":"large"}\n')
                other = await trio.open_unix_socket(str(path))
                async with other:
                    await other.send_all(b'{"command":"echo"}\n')
                    assert await other.receive_some(100) == b'{"said":""}\n'
                await trio.sleep(6)
                received = 0
                while piece := await stalled.receive_some(1 << 20):
                    received += len(piece)
                assert received < 8 << 20

    async def test_a_client_that_never_comes_to_the_end_of_its_line_is_cut_off(
        self, path: Path, autojump_clock: MockClock
    ) -> None:
        async with serving(path):
            stream = await trio.open_unix_socket(str(path))
            async with stream:
                started = trio.current_time()
                with suppress(trio.BrokenResourceError):
                    while trio.current_time() < started + 60:
                        await stream.send_all(b" ")
                        await trio.sleep(1)
                assert trio.current_time() - started == pytest.approx(6, abs=1)

    async def test_requests_without_end_leave_the_agent_its_time(self, path: Path, autojump_clock: MockClock) -> None:
        async with serving(path):
            streams = [await trio.open_unix_socket(str(path)) for _ in range(CLIENTS)]
            started = trio.current_time()
            for stream in streams:
                await stream.send_all(b'{"command":"echo"}\n' * 10)
            for stream in streams:
                received = b""
                while received.count(b"\n") < 10:
                    received += await stream.receive_some(1000)
                await stream.aclose()
            assert trio.current_time() - started > (10 * CLIENTS - 2) * PACE

    async def test_one_client_too_many_is_told_so(self, path: Path) -> None:
        async with serving(path):
            held = [await trio.open_unix_socket(str(path)) for _ in range(CLIENTS)]
            await trio.testing.wait_all_tasks_blocked()
            assert await raw(path, b"") == [{"error": "32 clients are connected already; try again later"}]
            for stream in held:
                await stream.aclose()
            await trio.testing.wait_all_tasks_blocked()
            assert await ask(path, {"command": "echo"}) == {"said": ""}

    async def test_a_client_that_leaves_in_the_middle_harms_nobody(self, path: Path) -> None:
        async with serving(path):
            for line in (b'{"comm', b'{"command":"large"}\n'):
                stream = await trio.open_unix_socket(str(path))
                await stream.send_all(line)
                await stream.aclose()
            assert await ask(path, {"command": "echo"}) == {"said": ""}


class TestSocketFile:
    async def test_is_for_the_owner_and_the_group(self, path: Path) -> None:
        async with serving(path):
            assert mode(path) == 0o660

    async def test_goes_with_the_agent(self, path: Path) -> None:
        async with serving(path):
            assert exists(path)
        assert not exists(path)

    async def test_of_a_dead_agent_is_replaced(self, path: Path) -> None:
        leave_dead(path)
        async with serving(path):
            assert await ask(path, {"command": "echo"}) == {"said": ""}

    async def test_of_a_living_agent_is_left_alone(self, path: Path) -> None:
        async with serving(path):
            with pytest.raises(VrrpdError, match="another agent listens at"):
                ControlSocket(str(path), own_account())
            assert await ask(path, {"command": "echo"}) == {"said": ""}

    async def test_of_a_successor_survives_the_predecessor(self, path: Path) -> None:
        async with serving(path):
            leave_dead(path)
        assert exists(path)

    async def test_never_replaces_something_else(self) -> None:
        precious = Path(__file__)
        with pytest.raises(VrrpdError, match="exists and is no socket"):
            ControlSocket(str(precious), own_account())
        assert exists(precious)

    async def test_at_an_impossible_place_is_a_clear_mistake(self) -> None:
        with pytest.raises(VrrpdError, match=r"cannot create the control socket .*: (Not a directory|File exists)"):
            ControlSocket(f"{__file__}/sock", own_account())
        with pytest.raises(VrrpdError, match="more than 107 bytes"):
            ControlSocket("/" + "x" * 107, own_account())


ASK = """
import sys
from vrrpd.control import client
from vrrpd.errors import VrrpdError
for command in sys.argv[2:]:
    try:
        print(client.request(sys.argv[1], {"command": command}))
    except VrrpdError as error:
        print(error)
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="becomes another user")
class TestWhoMayChange:
    """The mode keeps strangers out; whoever lets them in lets them look."""

    @pytest.fixture
    def path(self) -> Iterator[Path]:
        with tempfile.TemporaryDirectory() as folder:
            Path(folder).chmod(0o755)
            yield Path(folder, "control.sock")

    async def asked(self, path: Path, *who: str) -> list[str]:
        """What somebody is told who looks, and who changes something, after everybody was allowed to connect."""
        async with serving(path, change=_echo):
            os.chmod(path, 0o666)  # noqa: PTH101 - pathlib is taken for a disk that may be slow
            os.chown(path, -1, 0)
            given = ["setpriv", *who, "--inh-caps=+dac_override", "--ambient-caps=+dac_override"]
            command = [*given, sys.executable, "-c", ASK, str(path), "echo", "change"]
            done = await trio.run_process(command, capture_stdout=True)
        return done.stdout.decode().splitlines()

    async def test_a_stranger_may_look(self, path: Path) -> None:
        looked, changed = await self.asked(path, "--reuid=daemon", "--regid=daemon", "--clear-groups")
        assert looked == "{'said': ''}"
        assert "may look and change nothing; run the command as root, or as a member of group root" in changed
        assert str(path) in changed

    @pytest.mark.parametrize(
        "who",
        [
            pytest.param(["--reuid=0", "--regid=daemon", "--clear-groups"], id="root"),
            pytest.param(["--reuid=daemon", "--regid=root", "--clear-groups"], id="by its primary group"),
            pytest.param(["--reuid=daemon", "--regid=daemon", "--groups=12,0,7"], id="by another of its groups"),
        ],
    )
    async def test_root_and_members_of_the_group_may_change(self, path: Path, who: list[str]) -> None:
        assert await self.asked(path, *who) == ["{'said': ''}", "{'said': ''}"]

    async def test_the_file_belongs_to_the_user_that_the_agent_will_be(self, path: Path) -> None:
        daemon = account("daemon", by_root=True)
        with ControlSocket(str(path.parent / "new" / "control.sock"), daemon) as at:
            found = os.stat(at.path)  # noqa: PTH116 - as above
            assert (found.st_uid, found.st_gid, stat.S_IMODE(found.st_mode)) == (daemon.uid, daemon.gid, 0o660)
            assert os.stat(os.path.dirname(at.path)).st_uid == daemon.uid  # noqa: PTH116, PTH120
            assert daemon.uid in at.users


class TestClient:
    @pytest.mark.parametrize("stale", [False, True])
    def test_nobody_there_is_said_in_one_line(self, tmp_path: Path, stale: bool) -> None:
        path = tmp_path / "sock"
        if stale:
            leave_dead(path)
        with pytest.raises(client.NoAgentError, match=rf"no agent runs at {path}; start one with: vrrpd run"):
            client.request(str(path), {"command": "status"})

    def test_an_agent_that_hangs_is_not_waited_for(self, tmp_path: Path) -> None:
        with socket.socket(socket.AF_UNIX) as hanging:
            hanging.bind(str(tmp_path / "sock"))
            hanging.listen()
            with pytest.raises(VrrpdError, match=r"does not answer within 0\.01 s; it hangs or is stopped"):
                client.request(str(tmp_path / "sock"), {"command": "status"}, timeout=0.01)

    async def test_an_agent_that_ends_in_the_middle_is_gone(self, tmp_path: Path) -> None:
        with socket.socket(socket.AF_UNIX) as ending:
            ending.bind(str(tmp_path / "sock"))
            ending.listen()

            def hang_up() -> None:
                taken, _ = ending.accept()
                taken.recv(100)
                taken.sendall(b'{"half":')
                taken.close()

            async with trio.open_nursery() as nursery:
                nursery.start_soon(trio.to_thread.run_sync, hang_up)
                with pytest.raises(client.NoAgentError, match="ended before it answered"):
                    await ask(tmp_path / "sock", {"command": "status"})

    @pytest.mark.skipif(os.geteuid() != 0, reason="becomes another user")
    def test_no_permission_names_the_group(self) -> None:
        with tempfile.TemporaryDirectory() as folder, socket.socket(socket.AF_UNIX) as listening:
            path = Path(folder, "sock")
            listening.bind(str(path))
            listening.listen()
            path.chmod(0o600)
            path.parent.chmod(0o755)
            os.seteuid(65534)
            try:
                with pytest.raises(VrrpdError, match="run as root or as a member of the group that owns the socket"):
                    client.request(str(path), {"command": "status"})
            finally:
                os.seteuid(0)
