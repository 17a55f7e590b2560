"""The fake EC2: its Query API, the metadata services of its machines, and a way to make things go wrong.

    async with FakeEc2(World.of(("n1", "n2"))) as fake:
        ... ask fake.url as EC2, fake.metadata_url("n1") as n1's metadata service ...
        fake.add(Rule("error", "AssociateAddress", n=3))
        assert fake.world.elastic["eipalloc-1"].card == "eni-11"

or as a program, for namespaces, which writes what was asked and what moved to a file, a JSON object a line:

    python -m netns_lab.cloud.ec2 --listen 169.254.169.254:80 --world world.json --log log.jsonl

It does what EC2's documents say, not what an agent would like: an answer names an error by its real code, a dry run
changes nothing, some actions have none, a parameter that an action does not have is an error, reads may lag behind
writes (`lag`), and an elastic address travels with the private address that it is associated with. It looks at the
access key and the region of a signature and at the time in it, not at the signature itself: moto is the referee of
those. A key that is not in the world is `AuthFailure`, one without the right `UnauthorizedOperation`.

The path `/_fault` is the control: PUT adds a rule (see `rules`), or sets `{"lag": SECONDS}`; DELETE takes all back;
GET shows who has what now. Whoever asks the metadata service is told by port or by source address.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from copy import deepcopy
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import monotonic
from types import TracebackType
from typing import IO, Any, Self
from urllib.parse import parse_qsl

import click
import trio

from netns_lab.cloud import CONTROL, answers
from netns_lab.cloud.actions import ACTIONS, Said
from netns_lab.cloud.metadata import Metadata
from netns_lab.cloud.rules import Faults, RefusedError, Rule
from netns_lab.cloud.server import Answer, Request, Wrap, listen, plain
from netns_lab.cloud.world import Move, World

STRANGER = "eni-66"
"""The card that a thief lets everything point to."""

_SIGNED = re.compile(r"AWS4-HMAC-SHA256 Credential=([^/,]+)/(\d{8})/([^/]+)/ec2/aws4_request")
_SKEW = timedelta(minutes=5)
_DRY_RUN = "Request would have succeeded, but DryRun flag is set."


@dataclass(frozen=True, slots=True)
class Remap:
    """Something moved.

    Attributes:
        t: when, in seconds of the fake's clock.
        node: the machine that asked for it, its access key where that is no machine's.
        action: what it asked.
        what: id of an allocation, an address, or `TABLE DESTINATION`.
        holder: name of the machine that has it now, "" for nobody.
    """

    t: float
    node: str
    action: str
    what: str
    holder: str


@dataclass(slots=True)
class Asked:
    """A request to the API.

    Attributes:
        t: when it came, in seconds of the fake's clock.
        node: who asked, see `Remap`.
        action: what.
        parameters: with what.
        connection: over which connection.
        code: "" for a good answer, else that of the refusal; None as long as it was not carried out.
    """

    t: float
    node: str
    action: str
    parameters: Mapping[str, str]
    connection: int
    code: str | None = None


class FakeEc2:
    """One account in one region.

    Attributes:
        world: the tables as they are now; may be changed at any time.
        remaps: everything that moved.
        requests: everything that was asked of the API; not of the metadata service.
        metadata: the metadata services.
        lag: how many seconds reads are behind writes.
        ahead: how far its wall clock is ahead of this machine's.
        url: of the API.
        log: takes what it would write down: `remap`, `request` (when it comes) or `refused`, and what that was.
    """

    def __init__(
        self, world: World, *, clock: Callable[[], float] = trio.current_time, wrap: Wrap = plain, port: int = 0
    ) -> None:
        """Plan it; it is served inside its block.

        Args:
            world: what there is.
            clock: seconds; tests have trio's.
            wrap: what to lay around connections to the API.
            port: of the API on 127.0.0.1; 0 for any free one.
        """
        self.world = world
        self.remaps: list[Remap] = []
        self.requests: list[Asked] = []
        self.lag = 0.0
        self.ahead = timedelta()
        self.url = ""
        self.metadata = Metadata(lambda: self.world, clock)
        self._clock = clock
        self._wrap = wrap
        self._port = port
        self._stack = AsyncExitStack()
        self._past: list[tuple[float, World]] = []
        self._metadata_ports: dict[str, int] = {}
        self._thieves: list[trio.CancelScope] = []
        self.log: Callable[[str, Any], None] = lambda kind, what: None

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            self.enter(await stack.enter_async_context(trio.open_nursery()))
            port = await listen(self._nursery, self.handle, port=self._port, wrap=self._wrap)
            self.url = f"{'http' if self._wrap is plain else 'https'}://127.0.0.1:{port}"
            for name in self.world.machines:
                port = await listen(self._nursery, self.handle)
                self.metadata.ports[port] = name
                self._metadata_ports[name] = port
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._nursery.cancel_scope.cancel()
        await self._stack.aclose()

    def enter(self, nursery: trio.Nursery) -> None:
        """Live in a nursery from now on; who listens gives `handle` what comes."""
        self._nursery = nursery
        self._faults = Faults(nursery)

    def metadata_url(self, node: str) -> str:
        """The metadata service of a machine, by the name that the lab calls it."""
        return f"http://127.0.0.1:{self._metadata_ports[node]}"

    def add(self, rule: Rule) -> None:
        """Let something go wrong from now on."""
        if rule.kind == "steal":
            thief = trio.CancelScope()
            self._thieves.append(thief)
            self._nursery.start_soon(self._thief, rule, thief)
        else:
            self._faults.rules.append(rule)

    def heal(self) -> None:
        """Take back all rules and the lag; what was hanging hangs on."""
        self._faults.rules.clear()
        self.lag = 0.0
        for thief in self._thieves:
            thief.cancel()

    def steal(self, action: str = "AssociateAddress", card: str = STRANGER) -> None:
        """A third party lets everything that an action moves point to another card."""
        world, moves = self.world, list[Move]()
        self._remember()
        match action:
            case "AssignPrivateIpAddresses":
                for address in [
                    one for number, own in world.cards.items() if number != card for one in own.private[1:]
                ]:
                    moves += world.assign(card, [address], reassign=True)
            case "ReplaceRoute":
                for table, routes in world.tables.items():
                    for destination in list(routes):
                        moves += world.set_route(table, destination, card, replace=True)
            case _:
                for number, elastic in world.elastic.items():
                    moves += world.associate(number, elastic, card, None, reassociate=True)
        self._moved("stranger", action, moves)

    async def _thief(self, rule: Rule, until: trio.CancelScope) -> None:
        with until:
            await trio.lowlevel.checkpoint()
            while rule.n != 0:
                self.steal(rule.action if rule.action != "*" else "AssociateAddress")
                rule.n = None if rule.n is None else rule.n - 1
                await trio.sleep(rule.delay)

    async def handle(self, request: Request) -> Answer | None:
        """Answer any request: control, metadata service or API."""
        if request.path == CONTROL:
            return self._control(request)
        if request.path.startswith("/latest/"):
            return await self.metadata.answer(request)
        return await self._api(request)

    def _control(self, request: Request) -> Answer:
        if request.method == "DELETE":
            self.heal()
        elif request.method == "PUT":
            try:
                said = dict(json.loads(request.body))
                self.lag = float(said.pop("lag", self.lag))
                if said:
                    self.add(Rule.of(said))
            except (ValueError, TypeError) as error:
                return Answer(400, str(error).encode())
        return Answer(200, json.dumps(asdict(self.world)).encode(), {"Content-Type": "application/json"})

    async def _api(self, request: Request) -> Answer | None:
        query = request.body.decode() if request.method == "POST" else request.path.partition("?")[2]
        said = dict(parse_qsl(query, keep_blank_values=True))
        action, key = said.get("Action", ""), _key(request)
        asked = Asked(self._clock(), self._node(key), action, said, request.connection)
        self.requests.append(asked)
        self.log("request", asked)

        async def perform() -> Answer:
            return self._perform(request, asked, key)

        try:
            answer = await self._faults.around(action, key, perform)
        except RefusedError as refused:
            answer = self._refuse(asked, refused)
        date = datetime.now(UTC) + self.ahead
        return answer and Answer(
            answer.status, answer.body, {"Date": f"{date:%a, %d %b %Y %H:%M:%S GMT}", **answer.headers}
        )

    def _node(self, key: str) -> str:
        return next((name for name, machine in self.world.machines.items() if machine.key == key), key)

    def _perform(self, request: Request, asked: Asked, key: str) -> Answer:
        try:
            self._admit(request, asked.action, key)
            answer = self._do(asked)
        except RefusedError as refused:
            return self._refuse(asked, refused)
        asked.code = ""
        return answer

    def _refuse(self, asked: Asked, refused: RefusedError) -> Answer:
        asked.code = refused.code
        self.log("refused", asked)
        return answers.refusal(refused)

    def _admit(self, request: Request, action: str, key: str) -> None:
        """Look at who asks."""
        if not key:
            raise RefusedError("MissingAuthenticationToken", "Request is missing Authentication Token", 403)
        signed = _SIGNED.match(request.headers.get("authorization", ""))
        if key not in self.world.keys or signed is None:
            text = "AWS was not able to validate the provided access credentials"
            raise RefusedError("AuthFailure", text, 401)
        if signed[3] != self.world.region:
            text = f"Credential should be scoped to a valid region, not '{signed[3]}'."
            raise RefusedError("AuthFailure", text, 401)
        if abs(_time(request) - datetime.now(UTC) - self.ahead) > _SKEW:
            raise RefusedError("RequestExpired", "Request has expired.")
        if action not in ACTIONS:
            raise RefusedError("InvalidAction", f"The action {action} is not valid for this web service.")
        if not {"*", action} & set(self.world.keys[key]):
            user = f"arn:aws:iam::{answers.OWNER}:user/{key}"
            text = f"You are not authorized to perform this operation. User: {user} is not authorized to perform: "
            raise RefusedError("UnauthorizedOperation", f"{text}ec2:{action}", 403)

    def _do(self, asked: Asked) -> Answer:
        """Carry out what is allowed."""
        act = ACTIONS[asked.action]
        said = Said(asked.parameters, act.known)
        if said.flag("DryRun"):
            try:
                act.do(deepcopy(self.world), said)
            except RefusedError as refused:
                if refused.code != "Resource.AlreadyAssociated":
                    raise
            raise RefusedError("DryRunOperation", _DRY_RUN, 412)
        if act.reads:
            return answers.answer(asked.action, act.do(self._seen(), said)[0])
        self._remember()
        content, moves = act.do(self.world, said)
        self._moved(asked.node, asked.action, moves)
        return answers.answer(asked.action, content)

    def _moved(self, node: str, action: str, moves: Sequence[Move]) -> None:
        for move in moves:
            remap = Remap(self._clock(), node, action, move.what, self.world.name_of(move.card))
            self.remaps.append(remap)
            self.log("remap", remap)

    def _remember(self) -> None:
        """Keep what reads that lag still have to show."""
        now = self._clock()
        self._past.append((now, deepcopy(self.world)))
        self._past = [one for one in self._past if one[0] > now - 60]

    def _seen(self) -> World:
        """The world that a read shows: of before the first write that is younger than the lag."""
        since = self._clock() - self.lag
        return next((world for t, world in self._past if t > since), self.world) if self.lag else self.world


def _key(request: Request) -> str:
    """The access key that a request is signed with; "" where it is not signed."""
    return request.headers.get("authorization", "").partition("Credential=")[2].partition("/")[0]


def _time(request: Request) -> datetime:
    try:
        return datetime.strptime(request.headers.get("x-amz-date", ""), "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    except ValueError:
        raise RefusedError("IncompleteSignature", "Date must be in ISO-8601 'basic format'") from None


async def _run(listens: Sequence[str], world: World, log: IO[str]) -> None:
    fake = FakeEc2(world, clock=monotonic)

    def write(kind: str, what: Any) -> None:
        log.write(json.dumps({"kind": kind, **asdict(what)}) + "\n")
        log.flush()

    fake.log = write
    async with trio.open_nursery() as nursery:
        fake.enter(nursery)
        for one in listens:
            address, _, port = one.rpartition(":")
            port = await listen(nursery, fake.handle, address.strip("[]"), int(port))
            click.echo(f"ready on {address}:{port}")


@click.command()
@click.option("--listen", "listens", multiple=True, required=True, metavar="ADDRESS:PORT")
@click.option("--world", "file", required=True, type=click.Path(path_type=Path, exists=True))
@click.option("--log", "log", required=True, type=click.Path(path_type=Path))
def main(listens: Sequence[str], file: Path, log: Path) -> None:
    """Serve a fake EC2 until it is ended."""
    with log.open("a") as written:
        trio.run(_run, listens, World.load(json.loads(file.read_text())), written)


if __name__ == "__main__":
    main()
