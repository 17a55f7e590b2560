"""The shape of the file: which keys there are, which types they have, what they mean.

Owns the keys of the configuration file, one pydantic model per mapping. The descriptions here are the ones that
editors show (`vrrpd check --schema`). The defaults of router keys are the fields' own: a router is its own keys, over
those of `defaults`, over these. None stands for a key that was not written; the file itself cannot say it.

Must not do: compare two values with each other, or look at the host. A model that has come into being is well typed
and no more; `config.lint_file`, `config.lint_router` and `config.resolve` judge what it would do.

Forms that are written in two ways are brought into one: an address alone is a mapping with `address`, a check alone one
with `check`, one address of a node is a list of one, one value for all nodes is a map with the key "" (`for_node`),
`off` is 0.
"""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import IPv4Interface, IPv6Interface
from typing import Annotated, Any, Literal, TypeAlias, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from vrrpd.config import scalars, secrets
from vrrpd.config.scalars import Shorthand, one_is_a_list
from vrrpd.config.words import plain_error, quote
from vrrpd.proto.credentials import AntiReplay, Mode, Secret
from vrrpd.proto.settings import Address, Checksum, OnAllFailed
from vrrpd.proto.timers import MS, SECOND

MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
T = TypeVar("T")

_ANY_NODE = ""
_TEXT = {"type": "string"}


def for_node(values: Mapping[str, T] | None, node: str) -> T | None:
    """What a `PerNode` value is for one node; None where it says nothing about it."""
    if values is None:
        return None
    return values.get(node, values.get(_ANY_NODE))


def names_nodes(values: Mapping[str, object]) -> bool:
    """Whether a `PerNode` value was written as a map of nodes."""
    return _ANY_NODE not in values


def _one_for_all(value: Any) -> Any:
    return {_ANY_NODE: value} if isinstance(value, str) else value


def _bare_address(value: Any) -> Any:
    return {"address": value} if isinstance(value, str) else value


def _announce_off(value: Any) -> Any:
    return {"at": [], "every": "off"} if isinstance(value, str) and value.lower() == "off" else value


def _bare_check(value: Any) -> Any:
    return {"check": value} if isinstance(value, str) else value


def _a_list_of_movers(value: Any) -> Any:
    if isinstance(value, dict):
        raise plain_error("this mapping is no list", "write '- ' before each kind of mover")
    return value


def _kind_with_options(value: Any) -> Any:
    if isinstance(value, str):
        what = f"{quote(value)} stands alone" if value else "this entry is empty"
        raise plain_error(what, f"write '{value or 'ec2-elastic-ip'}:' and its options under it")
    return value


_PER_NODE = "the same for all nodes, or a map of node to value"
_OFF = {"enum": ["off", False]}
NodeName: TypeAlias = Annotated[str, scalars.name("node")]
OwnAddress: TypeAlias = Annotated[Address, scalars.own_address()]
NodeAddresses: TypeAlias = Annotated[tuple[OwnAddress, ...], Field(min_length=1), Shorthand(one_is_a_list, _TEXT)]


class Keys(BaseModel):
    """A mapping of the file: what it does not know is a mistake."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class AddressKeys(Keys):
    """One shared address with what the kernel is to be told about it."""

    address: Annotated[
        IPv4Interface | IPv6Interface | Literal["auto"],
        scalars.shared_address(),
        Field(
            description="IP with or without a prefix length (without: /32, /128), or auto: the link-local IPv6 address "
            "that follows from the VRID"
        ),
    ]
    device: Annotated[
        str | None, scalars.device(), Field(description="interface it is put on (default: the router's)")
    ] = None
    label: Annotated[
        str | None, scalars.label(), Field(description="label of an IPv4 address; it begins with the device")
    ] = None
    scope: Annotated[int | None, scalars.scope(), Field(description="scope (default global, for fe80::/10 link)")] = (
        None
    )
    advertise: Annotated[bool, scalars.switch(), Field(description="list it in the advertisements (default true)")] = (
        True
    )


class UnicastKeys(Keys):
    """Unicast for those who write one file per node, or whose nodes are routers apart."""

    bind: Annotated[NodeAddresses | None, Field(description="the node's own address, one of each family")] = None
    peers: Annotated[
        tuple[OwnAddress, ...] | None,
        Field(description="addresses of the other nodes; the own one may stand among them"),
    ] = None
    max_hops: Annotated[
        int, scalars.number(0, 254), Field(description="how many routers may lie between the nodes (default 0)")
    ] = 0


class AnnounceKeys(Keys):
    """When neighbours are told where the addresses are."""

    at: Annotated[
        tuple[Annotated[int, scalars.duration(0, MINUTE)], ...],
        Field(max_length=32, description="times after taking the role (default 0, 50ms, 100ms, 300ms)"),
    ] = (0, 50 * MS, 100 * MS, 300 * MS)
    every: Annotated[
        int,
        scalars.duration(100 * MS, 24 * HOUR, off=True),
        Field(description="how often while Active (default 60s), or off"),
    ] = MINUTE


class TrackKeys(Keys):
    """One check that a router follows."""

    check: Annotated[str, scalars.name("check"), Field(description="name of the check")]
    weight: Annotated[
        int | None,
        scalars.weight(),
        Field(
            description="added to the priority: a negative one while the check is down, a positive one while it is up "
            "(default: a failed check releases the role)"
        ),
    ] = None


class HmacKeys(Keys):
    """Signatures as keepalived 2.4.2 and later make them; the same on all nodes, but for `active_key` in a rotation."""

    keys: Annotated[
        dict[Annotated[int, secrets.key_id()], Annotated[secrets.KeyText, secrets.key()]],
        Field(
            description="id (1..255) to key of 32..64 bytes: hex:..., file:PATH (read at the start) or plain text; "
            "required",
        ),
    ] = {}
    active_key: Annotated[
        int | None, secrets.key_id(), Field(description="the id that is signed with (default: the only one)")
    ] = None
    mode: Annotated[
        Mode,
        scalars.choice(*Mode),
        Field(
            description="enforce (default): what is unsigned is refused; permissive: sign, accept unsigned; "
            "receive-only: verify, sign nothing"
        ),
    ] = Mode.ENFORCE
    anti_replay: Annotated[
        AntiReplay,
        scalars.choice(*AntiReplay),
        Field(description="time (default): by the clocks of the nodes; monotonic: by a rising number alone"),
    ] = AntiReplay.TIME
    time_window: Annotated[
        int | None,
        scalars.duration(SECOND, 300 * SECOND),
        Field(description="how far clocks may differ (default: three intervals, at least 5s)"),
    ] = None


class AuthKeys(Keys):
    """How advertisements are authenticated: one of the two."""

    hmac: Annotated[HmacKeys | None, Field(description="signatures by keys that have ids")] = None
    password: Annotated[
        Secret | None,
        secrets.password(),
        Field(description="version 2 only: up to 8 characters in clear text, which protect nothing"),
    ] = None


class MoverKeys(Keys):
    """One thing that moves with the role: its kind, and under that its options."""


class RouterKeys(Keys):
    """A router, or the defaults of all routers."""

    vrid: Annotated[
        int | None, scalars.number(1, 255), Field(description="Virtual Router Identifier, 1..255; required")
    ] = None
    addresses: Annotated[
        tuple[Annotated[AddressKeys, Shorthand(_bare_address, _TEXT)], ...] | None,
        Field(description="the shared addresses; addresses of both families move together; required without movers"),
    ] = None
    interface: Annotated[
        dict[str, Annotated[str, scalars.device()]] | None,
        Shorthand(_one_for_all, _TEXT),
        Field(description=f"name, {_PER_NODE} (default: the interface that holds the node's own address)"),
    ] = None
    version: Annotated[int, scalars.version(), Field(description="version of VRRP: 3 (default) or 2")] = 3
    transport: Annotated[
        Literal["unicast", "multicast"] | None,
        scalars.choice("unicast", "multicast"),
        Field(description="default: unicast where nodes or unicast give peers, else multicast"),
    ] = None
    unicast: Annotated[UnicastKeys | None, Field(description="own address and peers in place of nodes")] = None
    priority: Annotated[
        dict[str, Annotated[int, scalars.number(1, 255)]] | None,
        Shorthand(_one_for_all, {"anyOf": [{"type": "integer", "minimum": 1, "maximum": 255}, _TEXT]}),
        Field(description=f"1..255, {_PER_NODE} (default: from the order of nodes, 100 without nodes)"),
    ] = None
    nodes: Annotated[
        dict[str, NodeAddresses] | None,
        Field(description="other addresses of the nodes for this router; names and order are those of nodes"),
    ] = None
    advert_interval: Annotated[
        int,
        scalars.duration(0, 255 * SECOND),
        Field(
            description="10ms..40.95s in steps of 10ms (version 3), 1s..255s in whole seconds (version 2) (default 1s)"
        ),
    ] = SECOND
    preempt: Annotated[
        bool, scalars.switch(), Field(description="a preferred node takes the role back (default true)")
    ] = True
    preempt_delay: Annotated[
        int,
        scalars.duration(0, 24 * HOUR),
        Field(description="how long a preferred node must have been healthy before it does (default 0)"),
    ] = 0
    hear_first: Annotated[
        int,
        scalars.duration(0, HOUR, off=True),
        Field(description="longest wait for a sign of life of the network before a takeover (default 30s), or off"),
    ] = 30 * SECOND
    on_all_failed: Annotated[
        OnAllFailed,
        scalars.choice(*OnAllFailed),
        Field(description="keep (default): an unhealthy node serves where nobody else does; release: it does not"),
    ] = OnAllFailed.KEEP
    track: Annotated[
        tuple[Annotated[TrackKeys, Shorthand(_bare_check, _TEXT)], ...],
        Field(description="names of checks that must pass, or {check, weight} of those that move the priority"),
    ] = ()
    lease: Annotated[
        int,
        scalars.lease(),
        Field(
            description="lifetime of the addresses in the kernel, which the agent renews while it lives and is Active; "
            "whole seconds (default 3s), or off"
        ),
    ] = 3 * SECOND
    announce: Annotated[
        AnnounceKeys,
        Shorthand(_announce_off, _OFF),
        Field(description="when neighbours are told where the addresses are, or off"),
    ] = AnnounceKeys()
    checksum: Annotated[
        Checksum,
        scalars.choice(*Checksum),
        Field(description="dialect of version 3 over IPv4: auto (default), rfc5798 or rfc9568"),
    ] = Checksum.AUTO
    auth: Annotated[
        AuthKeys | None, Field(description="authentication of advertisements, the same on all nodes (default none)")
    ] = None
    down_adverts: Annotated[
        int,
        scalars.number(2, 255),
        Field(description="missed advertisements before a takeover; equal on all nodes (default 3)"),
    ] = 3
    movers: Annotated[
        tuple[Annotated[MoverKeys, BeforeValidator(_kind_with_options)], ...],
        BeforeValidator(_a_list_of_movers),
        Field(description="what else moves with the role: for each its kind, and under that its options"),
    ] = ()


class CheckKeys(Keys):
    """What all checks have in common; beside it stands exactly one kind with its options."""

    interval: Annotated[int, scalars.duration(10 * MS, HOUR), Field(description="time between probes (default 1s)")] = (
        SECOND
    )
    timeout: Annotated[
        int | None, scalars.duration(MS, HOUR), Field(description="how long a probe may take (default: interval)")
    ] = None
    rise: Annotated[int, scalars.number(1, 1000), Field(description="successes in a row to go up (default 2)")] = 2
    fall: Annotated[int, scalars.number(1, 1000), Field(description="failures in a row to go down (default 2)")] = 2
    start: Annotated[
        Literal["up", "down"],
        scalars.choice("up", "down"),
        Field(description="state before the first verdict (default down)"),
    ] = "down"


class LogKeys(Keys):
    """What is logged, and how."""

    level: Annotated[
        str | None,
        scalars.choice("debug", "info", "warning", "error"),
        Field(description="least level that is logged"),
    ] = None
    format: Annotated[str | None, scalars.choice("text", "json"), Field(description="for people or for machines")] = (
        None
    )


class FileKeys(Keys):
    """Configuration of vrrpd, the same file on every node."""

    nodes: Annotated[
        dict[NodeName, NodeAddresses],
        Field(description="all nodes with their own addresses; the order is the preference"),
    ] = {}
    node: Annotated[
        str | None,
        scalars.name("node"),
        Field(description="which node this is (default: found by the host's own addresses)"),
    ] = None
    defaults: Annotated[RouterKeys, Field(description="values for any router key")] = RouterKeys()
    checks: Annotated[
        dict[Annotated[str, scalars.name("check")], CheckKeys],
        Field(description="health checks, which routers track"),
    ] = {}
    routers: Annotated[
        dict[Annotated[str, scalars.name("router")], RouterKeys],
        Field(description="virtual routers: the addresses that move"),
    ] = {}
    groups: Annotated[
        dict[
            Annotated[str, scalars.name("group")],
            Annotated[tuple[Annotated[str, scalars.name("router")], ...], Field(min_length=1)],
        ],
        Field(description="routers that move together: name of the group to names of its routers"),
    ] = {}
    control: Annotated[str | None, scalars.control_path(), Field(description="path of the control socket")] = None
    log: Annotated[LogKeys, Field(description="what is logged, and how")] = LogKeys()
