"""`vrrpd check --ready`: whether this node could take over what movers move, asked as the agent would ask."""

from __future__ import annotations

import json
import socket
from ipaddress import ip_address, ip_interface
from pathlib import Path
from typing import Annotated

import pytest
import trio
from click.testing import CliRunner, Result
from pydantic import Field, TypeAdapter

from vrrpd.cli import check as module
from vrrpd.cli import ready
from vrrpd.cli.check import check
from vrrpd.config import HostAddress, HostFacts, PeerSpec
from vrrpd.config.scalars import number
from vrrpd.control.holder import Holder as LockHolder
from vrrpd.linux.netlink import Snapshot
from vrrpd.movers import registry
from vrrpd.movers.base import CommonOptions, ForbiddenError, Holder, Host, Kind, UnreachableError, Who

FILE = """\
nodes: {lb1: 10.0.0.11, lb2: 10.0.0.12}
routers:
  web: {vrid: 51, movers: [cloud: {thing: a}, cloud: {thing: b, card: {lb1: x}}]}
"""


class Options(CommonOptions):
    thing: str
    card: dict[str, str] = Field(default_factory=dict)
    port: Annotated[int | None, number(1, 65535)] = None


def ports(options: Options) -> list[tuple[str, int]]:
    return [("127.0.0.1", options.port)] if options.port else []


class Cloud:
    """Says of each thing what a test wants it to."""

    compares = False
    local = False

    def __init__(self, options: Options, host: Host, says: dict[str, Holder | Exception | float]) -> None:
        self.host, self.closed = host, False
        self._says = says[options.thing]

    async def prepare(self) -> None:
        if isinstance(self._says, float):
            await trio.sleep(self._says)

    async def holder(self, *, fresh: bool = False) -> Holder:
        assert not fresh
        if isinstance(self._says, Holder):
            return self._says
        assert isinstance(self._says, Exception)
        raise self._says

    async def acquire(self, seen: Holder | None) -> None:
        raise AssertionError(f"nothing may be changed: {seen}")

    async def release(self, seen: Holder) -> None:
        raise AssertionError(f"nothing may be changed: {seen}")

    async def local_verify(self) -> bool | None:
        raise AssertionError("this is for an Active")

    async def aclose(self) -> None:
        self.closed = True


class Clouds:
    """All movers that were made, and what they say about things."""

    def __init__(self) -> None:
        self.says: dict[str, Holder | Exception | float] = {}
        self.made: list[Cloud] = []

    def build(self, options: Options, host: Host) -> Cloud:
        self.made.append(Cloud(options, host, self.says))
        return self.made[-1]


@pytest.fixture
def clouds(monkeypatch: pytest.MonkeyPatch) -> Clouds:
    """This host is lb2, and there is one kind of mover."""
    clouds = Clouds()
    facts = HostFacts(frozenset({"lo", "eth0"}), (HostAddress("eth0", ip_interface("10.0.0.12/24")),))

    def told(_: Snapshot) -> HostFacts:
        return facts

    monkeypatch.setattr(module, "host_facts", told)
    monkeypatch.setattr(registry, "KINDS", {"cloud": Kind(TypeAdapter(Options), clouds.build, ports=ports)})
    return clouds


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tmp_path / "vrrpd.yaml"
    file.write_text(FILE)
    return file


def run(path: Path, *arguments: str) -> Result:
    return CliRunner().invoke(check, ["-c", str(path), *arguments], catch_exceptions=False)


PEER = Holder(Who.PEER, "eni-1", "lb1")


def test_a_node_that_could_take_over_all_of_it_says_so(path: Path, clouds: Clouds) -> None:
    clouds.says = {"a": PEER, "b": Holder(Who.NOBODY)}
    result = run(path, "--ready")
    assert result.output.splitlines()[-4:] == [
        "  active     lb1 (250), else lb2 (240)",
        "  moves      cloud, cloud-2",
        "router web, cloud: ready to take over: yes; now with lb1 (eni-1)",
        "router web, cloud-2: ready to take over: yes; now with nobody",
    ]
    assert result.exit_code == 0
    assert [each.closed for each in clouds.made] == [True, True]


def test_a_mover_is_told_of_the_host_as_an_agent_would_tell_it(path: Path, clouds: Clouds) -> None:
    clouds.says = {"a": PEER, "b": PEER}
    run(path, "--ready")
    host = clouds.made[0].host
    assert (host.node, host.router) == ("lb2", "web")
    assert host.addresses == (ip_address("10.0.0.12"),)
    assert host.peers == (PeerSpec("lb1", (ip_address("10.0.0.11"),), 250),)


def test_one_that_could_not_says_why_and_the_exit_status_is_1(path: Path, clouds: Clouds) -> None:
    clouds.says = {"a": ForbiddenError("ec2:AssociateAddress is not permitted; allow it"), "b": PEER}
    result = run(path, "--ready")
    assert result.exit_code == 1
    assert (
        "router web, cloud: ready to take over: no, ec2:AssociateAddress is not permitted; allow it"
        in result.output.splitlines()
    )


def test_who_does_not_answer_in_time_is_not_ready_and_waits_for_nobody_else(
    path: Path, clouds: Clouds, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ready, "LIMIT_S", 0.05)
    clouds.says = {"a": 60.0, "b": 60.0}
    result = run(path, "--ready", "--json")
    assert result.exit_code == 1
    assert [each["why"] for each in json.loads(result.output)["ready"]] == ["no answer within 0.05s"] * 2


def test_a_program_reads_one_object_for_each_mover(path: Path, clouds: Clouds) -> None:
    clouds.says = {"a": PEER, "b": UnreachableError("it cannot be reached: connection refused")}
    found = json.loads(run(path, "--ready", "--json").output)
    assert found["routers"][0]["movers"] == ["cloud", "cloud-2"]
    assert found["ready"] == [
        {"router": "web", "mover": "cloud", "ready": True, "why": None, "holder": "lb1 (eni-1)"},
        {
            "router": "web",
            "mover": "cloud-2",
            "ready": False,
            "why": "it cannot be reached: connection refused",
            "holder": None,
        },
    ]


def test_nobody_is_asked_without_the_option_or_with_a_file_that_is_wrong(path: Path, clouds: Clouds) -> None:
    assert run(path).exit_code == 0
    path.write_text(FILE.replace("51", "0"))
    assert "ready" not in run(path, "--ready").output.replace("--ready", "")
    assert clouds.made == []


@pytest.mark.usefixtures("clouds")
def test_where_addresses_alone_move_every_node_is_ready(path: Path) -> None:
    path.write_text("nodes: {lb1: 10.0.0.11, lb2: 10.0.0.12}\nrouters: {web: {vrid: 51, addresses: [10.0.0.100]}}\n")
    result = run(path, "--ready")
    assert result.exit_code == 0
    assert result.output.splitlines()[-1].startswith("ready to take over: yes; nothing moves but addresses")


def test_on_a_desk_it_is_not_known(path: Path, clouds: Clouds) -> None:
    path.write_text(FILE.replace("10.0.0.12", "10.0.0.13"))
    result = run(path, "--ready")
    assert result.exit_code == 1
    assert result.output.splitlines()[-1].startswith("ready to take over: unknown; ")
    assert clouds.made == []


def has(monkeypatch: pytest.MonkeyPatch, holder: LockHolder) -> None:
    """There is an agent."""
    for each in ("vrrpd.cli.ready", "vrrpd.privileges"):
        monkeypatch.setattr(f"{each}.holder_of", lambda: holder)


def test_the_port_of_the_agent_that_runs_here_is_no_trouble(
    path: Path, clouds: Clouds, monkeypatch: pytest.MonkeyPatch
) -> None:
    clouds.says = {"a": PEER, "b": PEER}
    with socket.create_server(("127.0.0.1", 0)) as taken:
        number = taken.getsockname()[1]
        has(monkeypatch, LockHolder(77, "/run/x.sock", ports=frozenset({("127.0.0.1", number)})))
        path.write_text(FILE.replace("thing: a", f"thing: a, port: {number}"))
        first, second = json.loads(run(path, "--ready", "--json").output)["ready"]
    assert first["ready"]
    assert first["holder"] == "the agent that runs here (pid 77, control socket /run/x.sock)"
    assert second["ready"]


@pytest.mark.parametrize(
    "holder", [LockHolder(0, None), LockHolder(77, "/run/x.sock", ports=frozenset({("127.0.0.1", 1)}))]
)
@pytest.mark.usefixtures("clouds")
def test_a_port_that_another_program_has_is_a_mistake_with_its_line(
    holder: LockHolder, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    has(monkeypatch, holder)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        number = taken.getsockname()[1]
        path.write_text(FILE.replace("thing: a", f"thing: a, port: {number}"))
        result = run(path)
    assert result.exit_code == 1
    what = f"cannot answer on 127.0.0.1:{number}: another program has it; stop that (ss -ltnp names it), or choose"
    assert f"{path}:3:" in result.output
    assert what in result.output


def test_a_port_is_free_while_movers_are_asked(path: Path, clouds: Clouds) -> None:
    clouds.says = {"a": PEER, "b": PEER}
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        number = free.getsockname()[1]
    path.write_text(FILE.replace("thing: a", f"thing: a, port: {number}"))
    build = clouds.build

    def bind_and_build(options: Options, host: Host) -> Cloud:
        socket.create_server(("127.0.0.1", number)).close()
        return build(options, host)

    registry.KINDS["cloud"] = Kind(TypeAdapter(Options), bind_and_build, ports=ports)  # pyright: ignore[reportIndexIssue]
    assert run(path, "--ready").exit_code == 0
