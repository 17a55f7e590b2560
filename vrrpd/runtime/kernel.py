"""What the runtime needs of the machine, as protocols, and the bundle of the real thing.

The runtime never opens a socket by itself: it is handed a `Kernel`, so that tests hand it one in memory, on a mocked
clock, and every line of the runtime is the line that runs in production.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Never, Protocol, TypeVar

from vrrpd.linux import claims, sysctl
from vrrpd.linux.announce import PacketSocket
from vrrpd.linux.gateways import default_gateways
from vrrpd.linux.letters import Letter
from vrrpd.linux.listener import ArpReply, Listener, NeighbourAdvert
from vrrpd.linux.netlink import Event, Events, KernelRoute, Netlink, Snapshot
from vrrpd.linux.real_time import has_real_time
from vrrpd.linux.requester import requester
from vrrpd.linux.send_error import SendError
from vrrpd.linux.sieve import Hears
from vrrpd.linux.sockets import VrrpSocket
from vrrpd.linux.timer import Clock, TimerFd
from vrrpd.linux.worker import Job
from vrrpd.proto.auth import Seal
from vrrpd.proto.datagram import Datagram
from vrrpd.proto.outline import Outline
from vrrpd.proto.settings import Address, Family

T = TypeVar("T")


class HearingSocket(Protocol):
    """See `linux.sockets.VrrpSocket`."""

    @property
    def no_agent(self) -> Mapping[Address, int]:
        """How often the host of each destination has answered that nothing there speaks VRRP."""
        ...

    @property
    def answers(self) -> int:
        """How many such answers there were from all of them."""
        ...

    def expect(self, expected: Outline) -> None:
        """From now on hear, of what fits and what does not, the part that it is for."""
        ...

    async def wait_readable(self) -> None:
        """Return once `receive` has something to do."""
        ...

    def receive(self, limit: int = 64) -> list[Datagram]:
        """Take what has arrived, without waiting."""
        ...

    def close(self) -> None:
        """Give the descriptor back."""
        ...


class AdvertSocket(HearingSocket, Protocol):
    """The same, to send as well."""

    def letter(self, payload: bytes, source: Address, destination: Address) -> Letter:
        """Prepare an advertisement."""
        ...

    def send(self, letters: Sequence[Letter]) -> list[tuple[Letter, SendError]]:
        """Send advertisements now; those that could not be sent, and why."""
        ...


class FrameSocket(Protocol):
    """See `linux.announce.PacketSocket`."""

    def send(self, frame: bytes) -> SendError | None:
        """Send one Ethernet frame now."""
        ...

    def close(self) -> None:
        """Give the descriptor back."""
        ...


class AnswerListener(Protocol):
    """See `linux.listener.Listener`."""

    async def receive(self) -> list[ArpReply | NeighbourAdvert]:
        """Wait for the next answers."""
        ...

    def close(self) -> None:
        """Give the descriptor back."""
        ...


class ClaimListener(Protocol):
    """See `linux.claims.ClaimListener`."""

    def watch(self, addresses: Iterable[Address]) -> None:
        """Hear claims of these addresses from now on, and of no others."""
        ...

    async def receive(self) -> list[claims.Claim]:
        """Wait for the next claims."""
        ...

    def ask(self, question: bytes) -> SendError | None:
        """Send one Ethernet frame now."""
        ...

    def close(self) -> None:
        """Give the descriptor back."""
        ...


class AddressCommands(Protocol):
    """See `linux.netlink.Netlink`; called from one worker thread only, it may block."""

    @property
    def port(self) -> int:
        """Our netlink port, by which events name us."""
        ...

    def dump(self) -> Snapshot:
        """Read all links and addresses."""
        ...

    def routes(self) -> list[KernelRoute]:
        """Read all routes that carry our tag."""
        ...

    def apply(self, changes: Sequence[bytes]) -> list[int]:
        """Make changes in order; an errno for each, 0 where it was made."""
        ...

    def renew(self, renewals: Sequence[bytes]) -> None:
        """Let lifetimes begin anew, without an answer or an event."""
        ...

    def close(self) -> None:
        """Give the descriptor back."""
        ...


class KernelEvents(Protocol):
    """See `linux.netlink.Events`."""

    async def receive(self) -> list[Event]:
        """Wait for the next events, in the order of the kernel."""
        ...

    def close(self) -> None:
        """Give the descriptor back."""
        ...


class Worker(Protocol):
    """See `linux.worker.Worker`."""

    def begin(self, work: Callable[[], T], ended: Callable[[Job[T]], None]) -> Job[T]:
        """Have something done in the thread, in order; `ended` is called on the event loop and must not raise."""
        ...

    async def run(self, work: Callable[[], T]) -> T:
        """The same for a task; cancelled, nobody waits, and what has not begun is not done."""
        ...


@dataclass(frozen=True, slots=True)
class Cover:
    """What the guardian has to know to let go of one virtual router in our place.

    Attributes:
        vrid: Virtual Router Identifier.
        index: number of the interface that it lives on.
        zeros: priority 0 as (source, destination, encoded advertisement), unsigned.
        seal: how to sign that, where it must be signed.
        wait: how long a successor may take to answer, nanoseconds.
        addresses: (interface index, address with prefix length) of each address.
    """

    vrid: int
    index: int
    zeros: tuple[tuple[str, str, bytes], ...]
    seal: Seal | None
    wait: int
    addresses: tuple[tuple[int, str], ...]


class Guardian(Protocol):
    """See `guard.Guard`. Nothing here waits."""

    @property
    def acted(self) -> bool:
        """True from the moment the guardian begins to let go in our place; may be asked from any thread."""
        ...

    def resume(self) -> None:
        """We have dropped everything: from now on the guardian watches again."""
        ...

    def stamp(self, now: int) -> None:
        """The event loop turned at this time of CLOCK_MONOTONIC, nanoseconds."""
        ...

    def watch(self, limit: int) -> None:
        """How old the stamp may be while anything is held, nanoseconds."""
        ...

    def prepare(self, who: str, cover: Cover) -> None:
        """This is what it may be told soon: what can be done for that before is done now."""
        ...

    def cover(self, who: str, cover: Cover) -> None:
        """Told before the addresses are added, and again when anything of it changes."""
        ...

    def uncover(self, who: str) -> None:
        """The role was given up: no priority 0 any more. The addresses are guarded until they are `gone`."""
        ...

    def gone(self, addresses: Sequence[tuple[int, str]]) -> None:
        """These addresses are not ours (any more)."""
        ...

    def route(self, removal: bytes) -> None:
        """The netlink request, without an answer, that takes away a route of ours; told before that is added."""
        ...

    def route_gone(self, removal: bytes) -> None:
        """The route of this request is not there any more."""
        ...

    async def run(self) -> Never:
        """See to it that there is a guardian, until cancelled."""
        ...


@dataclass(frozen=True, slots=True)
class Kernel:
    """Everything of the machine that the runtime touches.

    Attributes:
        clock: the clocks, and the timer of all deadlines.
        alarm: makes another timer.
        worker: the one thread that may block in the kernel. It is shared with nobody: a health check that hangs must
            not keep an address from being added or removed.
    """

    clock: Clock
    alarm: Callable[[], Clock]
    guardian: Guardian
    worker: Worker
    commands: AddressCommands
    events: KernelEvents
    advert_socket: Callable[[Family, str, int], AdvertSocket]
    stranger_socket: Callable[[Family, str, int], HearingSocket]
    farewell_socket: Callable[[Family, str, int], HearingSocket]
    frame_socket: Callable[[str], FrameSocket]
    answer_listener: Callable[[Family, str], AnswerListener]
    claim_listener: Callable[[claims.Form, str], ClaimListener]
    gateways: Callable[[str], Sequence[Address]]
    read_setting: Callable[[Family, str, str], int | None]
    write_setting: Callable[[Family, str, str, int], sysctl.SysctlError | None]
    requester: Callable[[int], str]
    real_time: Callable[[], bool]


def this_machine(guardian: Guardian, worker: Worker) -> Kernel:
    """The kernel of the network namespace we run in, who watches us there, and who waits for it.

    Raises:
        VrrpdError: a capability is missing; the text names it.
    """
    commands = Netlink()
    return Kernel(
        clock=TimerFd(),
        alarm=TimerFd,
        guardian=guardian,
        worker=worker,
        commands=commands,
        events=Events(commands.port),
        # Also in unicast a member of the group: somebody else's VRID is seen before it does harm.
        advert_socket=partial(VrrpSocket, multicast=True),
        stranger_socket=partial(VrrpSocket, multicast=True, hears=Hears.STRANGERS),
        farewell_socket=partial(VrrpSocket, multicast=True, hears=Hears.FAREWELLS),
        frame_socket=PacketSocket,
        answer_listener=Listener,
        claim_listener=claims.ClaimListener,
        gateways=default_gateways,
        read_setting=sysctl.read,
        write_setting=sysctl.write,
        requester=requester,
        real_time=has_real_time,
    )
