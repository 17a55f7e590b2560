"""What every mover shares: the contract of a kind, what it is told of this node, and how it says that it failed.

A mover brings one thing (an elastic address, a route, a floating IP) to this node, and knows who has it. It makes one
attempt at one thing and says how that ended; whether, when and how often there is an attempt is `driver`'s alone. So a
mover never repeats a call, never sleeps to be polite, and logs nothing.

                    prepare        holder         acquire        release        local_verify     aclose
    on a Backup     every 30 s     every 30 s     -              -              -                at the end
    on the Active   every 30 s     to verify      at the role    at the stop    every 5 s        at the end

What is moved may be on this host alone (a route, a port that answers). No other node can take that away, so it goes as
the addresses go: such a mover is `local`, and `release` is called whenever the role is lost, whatever the options say.

Every wait in here is one that can be cancelled: whoever loses the role while a call is on its way sends nothing more.
What blocks (credentials, certificates) runs in a worker thread, in `prepare` and nowhere else.

What the cloud says is the truth. A mutation whose answer did not come may have happened: `OutcomeUnknown`.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Any, Literal, Never, Protocol, TypeAlias, runtime_checkable

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from vrrpd.config import scalars
from vrrpd.config.spec import PeerSpec
from vrrpd.config.words import plain_error
from vrrpd.errands import Programs
from vrrpd.linux.route import Route
from vrrpd.proto.settings import Address
from vrrpd.proto.timers import MS, SECOND

MINUTE = 60 * SECOND
HOUR = 60 * MINUTE


class Who(StrEnum):
    """Who has the thing, as seen from this node."""

    ME = "me"
    PEER = "peer"
    FOREIGN = "foreign"
    NOBODY = "nobody"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Holder:
    """What the cloud says about the thing that moves.

    Attributes:
        who: see `Who`; `PEER` only where one of `Host.peers` is meant for certain.
        id: the holder as the cloud names it (eni-..., the number of a server); None where nobody holds it.
        peer: name of the node that holds it, where it is a peer.
        token: what a conditional change has to name: an association id, an etag, a revision; None where there is none.
    """

    who: Who
    id: str | None = None
    peer: str | None = None
    token: str | None = None

    def __str__(self) -> str:
        """For people: the node that holds it, else the cloud's own name for the holder."""
        match self.who:
            case Who.ME:
                return "this node"
            case Who.PEER:
                return f"{self.peer} ({self.id})" if self.id else str(self.peer)
            case Who.FOREIGN:
                return f"{self.id}, which is none of the nodes"
            case Who.NOBODY:
                return "nobody"
            case Who.UNKNOWN:
                return "unknown"


class MoverError(Exception):
    """An attempt failed. The text says what is wrong; after `; ` comes what would mend it, where that is known."""


class UnreachableError(MoverError):
    """Nothing was sent: no route, refused, no answer to the connection within its time, the name is not found."""


class UnavailableError(MoverError):
    """The service answered that it cannot, now (5xx): nothing happened, trying again is right."""


class ThrottledError(MoverError):
    """Too many calls.

    Attributes:
        retry_after: seconds after which the service wants to be asked again, None where it does not say.
    """

    def __init__(self, text: str, retry_after: float | None = None) -> None:
        super().__init__(text)
        self.retry_after = retry_after


class UnauthenticatedError(MoverError):
    """The service does not know us: the credentials are wrong, or have run out.

    Attributes:
        pause: for how many seconds the mover leaves its service alone, which would lock the account, unless there are
            other credentials; None where it need not.
    """

    def __init__(self, text: str, pause: float | None = None) -> None:
        super().__init__(text)
        self.pause = pause


class ForbiddenError(MoverError):
    """The service knows us and does not let us; the text names the action."""


class InvalidError(MoverError):
    """The request cannot succeed, ever: the thing does not exist, a value is wrong. No use in trying again."""


class HalfDoneError(MoverError):
    """It was taken from who had it and is refused here: nobody has it, so it is tried again, whatever the reason."""


class ConflictError(MoverError):
    """A conditional change came too late: the thing is not in the state that was seen."""


class OutcomeUnknownError(MoverError):
    """A change was sent and its answer did not come; it may have happened, or happen yet."""


class Mover(Protocol):
    """A kind of mover, built once from its options; see the table above.

    Attributes:
        compares: it can change the thing on condition that it is as it was seen (`acquire(seen)`).
        local: what it moves is on this host: it is let go of (`release`) whenever the role is lost, and not at a stop
            alone. A thing in a cloud points at one node at a time, and is left where it points.
    """

    compares: bool
    local: bool

    async def prepare(self) -> None:
        """Have everything ready that `acquire` needs: identity, credentials, a warm connection, the permission.

        Safe on a Backup, changes nothing, called at the start and every 30 s, cheap when repeated. The next `acquire`
        must send its change as the first thing.

        Raises:
            MoverError: this node could not take over now.
        """
        ...

    async def holder(self, *, fresh: bool = False) -> Holder:
        """Ask who has it.

        Args:
            fresh: on a new connection, because the last answer on the old one did not come.

        Raises:
            MoverError: that cannot be found out now.
        """
        ...

    async def acquire(self, seen: Holder | None) -> None:
        """Bring it here: one attempt, without looking first.

        Args:
            seen: None: whoever has it. Else only if it is still as it was seen; for movers that compare.

        Raises:
            MoverError: see its kinds. `OutcomeUnknownError` where the change may have happened.
        """
        ...

    async def release(self, seen: Holder) -> None:
        """Give it up at a clean stop, on condition that it is still ours as it was seen; `seen.who` is `ME`.

        A local mover does it unconditionally, and is done at once where there is nothing to give up.

        Raises:
            MoverError: that was not done, or it is not known.
        """
        ...

    async def local_verify(self) -> bool | None:
        """Whether this host sees by itself, at no cost, that it holds it; None where it has no way to.

        Raises:
            MoverError: that cannot be found out now.
        """
        ...

    async def aclose(self) -> None:
        """Close connections and listeners; at the end, and before a `fresh` connection."""
        ...


@runtime_checkable
class Serving(Mover, Protocol):
    """A mover with work of its own beside what it is asked for, such as answering probes."""

    async def serve(self) -> Never:
        """Do it for as long as the mover is used; run by the driver beside everything else, until cancelled."""
        ...


@dataclass(frozen=True, slots=True)
class Interface:
    """The network card that a router lives on.

    Attributes:
        name: of the interface.
        index: of the interface.
        mac: `02:00:00:00:00:01`, lower case.
    """

    name: str
    index: int
    mac: str


@dataclass(frozen=True, slots=True)
class Host:
    """What a mover is told of this node and may use of the agent.

    Attributes:
        node: our name in `nodes`, "" in a file without.
        router: name of the router that it moves with.
        addresses: our own addresses in that router's network.
        shared: the router's shared addresses, without prefix lengths.
        peers: the other nodes.
        interface: the router's card; None while there is none.
        programs: runs programs, and opens files that only root may read.
        routes: changes routes of this host.
        port: the socket that was bound for a host and a port (`Kind.ports`), not listening; it stays the agent's, who
            closes it.
        watch: has the guardian refuse connections on a port in our place when the agent dies or hangs.
        look: called right before each change that leaves this host; where the agent has slept and the role is gone,
            the caller is cancelled by it, at its next checkpoint. For movers whose move is several changes.
    """

    node: str
    router: str
    addresses: tuple[Address, ...]
    shared: tuple[Address, ...]
    peers: tuple[PeerSpec, ...]
    interface: Callable[[], Interface | None]
    programs: Programs
    routes: Routes
    port: Callable[[str, int], socket.socket]
    watch: Watch
    look: Callable[[], None]


class Watch(Protocol):
    """Guards ports that accept connections; see `guard.Guard`. Nothing here waits."""

    def listens(self, who: str, listener: socket.socket) -> None:
        """Told before a port accepts connections; `who` is a name for it. The socket stays the caller's."""
        ...

    def refuses(self, who: str) -> None:
        """Told when it accepts none any more."""
        ...


class Routes(Protocol):
    """Changes routes of this host; done in a worker thread, in order. See `runtime.host_routes`.

    Ours are those that carry our tag; what somebody else has put there is never touched.
    """

    async def put(self, route: Route) -> None:
        """Have a route there, in place of one of ours to the same destination in the same table with the same metric.

        Raises:
            linux.netlink.NetlinkError: the kernel refuses; EEXIST where somebody else's is in the place.
        """
        ...

    async def remove(self, route: Route) -> None:
        """Take it away again, where it is ours; no error where it is not there.

        Raises:
            linux.netlink.NetlinkError: the kernel refuses.
        """
        ...

    async def present(self, *routes: Route) -> bool:
        """Whether all of them are there, as we would put them, and ours.

        Raises:
            linux.netlink.NetlinkError: the kernel cannot be asked.
        """
        ...


OnDeadline: TypeAlias = Literal["alarm", "yield"]
Takeover: TypeAlias = Literal["steal", "compare"]


class CommonOptions(BaseModel):
    """Options that every kind of mover has; a kind adds its own."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    takeover: Annotated[
        Takeover,
        scalars.choice("steal", "compare"),
        Field(
            description="steal (default): take it, whoever has it, in one call; compare: only from the holder that was "
            "seen a moment before, in three calls, so that a late write of a loser is refused; the same on all nodes"
        ),
    ] = "steal"
    deadline: Annotated[
        int,
        scalars.duration(SECOND, HOUR),
        Field(description="how long an Active may be without it before on_deadline (default 30s)"),
    ] = 30 * SECOND
    on_deadline: Annotated[
        OnDeadline,
        scalars.choice("alarm", "yield"),
        Field(
            description="alarm (default): say so and go on trying; yield: offer the role to the others and be a last "
            "resort for 30s, twice as long each time, since another node may reach what this one cannot"
        ),
    ] = "alarm"
    timeout: Annotated[
        int, scalars.duration(100 * MS, MINUTE), Field(description="how long one attempt may take (default 4s)")
    ] = 4 * SECOND
    connect_timeout: Annotated[
        int, scalars.duration(10 * MS, MINUTE), Field(description="how long a connection may take (default 1s)")
    ] = SECOND
    verify_interval: Annotated[
        int,
        scalars.duration(SECOND, HOUR),
        Field(description="how often the holder is asked for while it is here (default 30s)"),
    ] = 30 * SECOND
    unready_weight: Annotated[
        int,
        scalars.unready_weight(),
        Field(description="added to the priority of a Backup that could not take over (default -20), or off"),
    ] = -20
    release: Annotated[
        Literal["never", "on_stop"],
        scalars.choice("never", "on_stop"),
        Field(
            description="never (default): it stays where it points until another node takes it; on_stop: given up at a "
            "clean stop of the agent that no other node followed"
        ),
    ] = "never"

    def refuse(self, *keys: str) -> None:
        """Refuse those of the keys above that mean nothing to a kind, where the file has one.

        Raises:
            PydanticCustomError: for a validator to raise.
        """
        if useless := sorted(self.model_fields_set & {*keys}):
            raise plain_error(f"{useless[0]!r} is of no use here", "leave it out")


def _nothing(_: Any) -> Mapping[str, Sequence[str]]:
    return {}


def _none(_: Any) -> Sequence[Any]:
    return ()


def _fine(_: Any) -> str | None:
    return None


def _no_ports(_: Any) -> Sequence[tuple[str, int]]:
    return ()


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of mover, as the registry has it.

    Attributes:
        options: validates what stands under the kind's name in the file; a `CommonOptions`, comparable with `==`.
        build: makes a mover of validated options; opens nothing and does not block.
        names: what the options say about single nodes: key of the option -> names of the nodes, or "" where one value
            stands for all nodes that can be right for one only.
        addresses: shared addresses that the options bring to the router beside those of the file.
        things: what it moves, in words ("the elastic IP eipalloc-1"), alike for all movers of the same thing; nothing
            where that follows from the router.
        errands: what the launcher does for such a mover (`programs.LauncherClient.promise`).
        inspect: says what keeps this very host from running such a mover, None where nothing does; may block.
        ports: (host, port) of each TCP port that it answers on, "" for all addresses of the host; bound before the
            agent gives its rights away (`linux.ports`).
    """

    options: TypeAdapter[Any]
    build: Callable[[Any, Host], Mover]
    names: Callable[[Any], Mapping[str, Sequence[str]]] = _nothing
    addresses: Callable[[Any], Sequence[Address]] = _none
    things: Callable[[Any], Sequence[str]] = _none
    errands: Callable[[Any], Sequence[Mapping[str, Any]]] = _none
    inspect: Callable[[Any], str | None] = _fine
    ports: Callable[[Any], Sequence[tuple[str, int]]] = _no_ports
