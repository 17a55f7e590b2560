"""The settings of a scenario: what its lab is made of, and what its agents are asked.

Checks and tracks are written as in the agent's own file, and handed to each kind of agent in its own language:

    checks:
      web: {haproxy: {socket: /run/netns-lab/node/haproxy.sock, backend: webs}, interval: 200ms}
      uplink: {link: eth1}
      refused: {tcp: "127.0.0.1:9", times: 700}     # 700 of them, dealt out to the routers in turn
    track: [web, {check: uplink, weight: -50}, refused]

`/run/netns-lab/node` is the directory of the node itself, for every program that runs in it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self, cast

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator, model_validator

from netns_lab.cloud.client import ELASTIC
from netns_lab.expressions import MS, parse_duration
from netns_lab.probes.client import PACE_NS, Kind
from netns_lab.service import Check, Family, Mover, Service, Track, Transport
from netns_lab.topology import CLOUD_ADDRESS, Topology


def _duration(value: object) -> int:
    """A duration of a file, in nanoseconds."""
    if isinstance(value, str | int | float):
        return parse_duration(value)
    raise ValueError(f"{value!r} is no duration; write 250ms, 1s, 2m, 1h or a number of seconds")


Duration = Annotated[int, BeforeValidator(_duration)]
"""Nanoseconds; in a file `250ms`, `1s` or a number of seconds."""

STRICT = ConfigDict(extra="forbid", frozen=True)
_KEY, _OTHER_KEY = "a-key-that-all-nodes-of-a-lab-have", "z-key-that-one-node-of-the-lab-has"
_ELASTIC_IP = {"allocation_id": ELASTIC, "endpoint_url": f"http://{CLOUD_ADDRESS}"}
_FLAGS = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}
_TIMING = frozenset({"interval", "timeout", "rise", "fall", "start"})


def _check(name: str, value: object) -> Check:
    """A check of a file: one kind with its options, and perhaps its times."""
    said = dict(cast("Mapping[str, Any]", value)) if isinstance(value, Mapping) else {}
    timing = {key: said.pop(key) for key in sorted(_TIMING & said.keys())}
    times = said.pop("times", 1)
    if len(said) != 1 or not isinstance(times, int) or times < 1:
        raise ValueError(f"the check {name!r} is one kind with its options, and perhaps interval, ..., times")
    ((kind, options),) = said.items()
    return Check(name, kind, options, timing, times)


def _checks(value: object) -> object:
    """The checks of a file, by name."""
    if not isinstance(value, Mapping):
        return value
    return tuple(_check(name, one) for name, one in cast("Mapping[str, object]", value).items())


def _tracks(value: object) -> object:
    """The tracks of a file: names, or `{check, weight}`."""
    if not isinstance(value, list | tuple):
        return value
    return tuple({"check": one} if isinstance(one, str) else one for one in cast("list[object]", value))


class Settings(BaseModel):
    """What a lab is made of and what its agents are asked.

    Each but checks, track, mover and access_switches may be given with `--set KEY=VALUE` as well.

    Attributes:
        nodes: how many nodes run an agent; they are called n1, n2, ..., the first one preferred.
        interval: advertisement interval.
        version: VRRP version.
        family: of the shared address.
        transport: unicast or multicast.
        preempt: whether a preferred node takes the role back.
        checks: what the agents look at.
        track: what of it decides about the role, in every router.
        routers: how many virtual routers each node takes part in.
        networks: 2: every node has a second cable, `eth1`.
        group: one more virtual router lives on the second network, and all of them move together.
        probe: how the client asks.
        pace: how often it does; by default each millisecond, or each two for the kinds of http.
        webs: how many web servers stand behind the proxies; none: there are no proxies.
        service_time: how long a web server takes for an answer.
        tls: the proxies speak https as well, on port 443, with a certificate that `trusted.pem` proves.
        access_switches: nodes with a switch of their own.
        signed: advertisements are authenticated, all with one key.
        wrong_key: a node that has another key; its agent starts when another one serves.
        clocks: each node has a wall clock of its own.
        cloud: `ec2`: there is a cloud with an elastic address, which moves with the role of the first router.
        mover: options of the mover that moves it, beside those that say where the cloud is.
        pause: how long `wait: pause` takes.
        runs: how often the scenario is run; times are judged by their medians.
    """

    model_config = STRICT

    nodes: int = Field(default=3, ge=2, le=20)
    interval: Duration = 1000 * MS
    version: Literal[2, 3] = 3
    family: Family = "ipv4"
    transport: Transport = "unicast"
    preempt: bool = True
    checks: Annotated[tuple[Check, ...], BeforeValidator(_checks)] = ()
    track: Annotated[tuple[Track, ...], BeforeValidator(_tracks)] = ()
    routers: int = Field(default=1, ge=1, le=100)
    networks: int = Field(default=1, ge=1, le=2)
    group: bool = False
    probe: Kind = "icmp"
    pace: Duration | None = None
    webs: int = Field(default=0, ge=0, le=9)
    service_time: Duration = 0
    tls: bool = False
    access_switches: tuple[str, ...] = ()
    signed: bool = False
    wrong_key: str | None = None
    clocks: bool = False
    cloud: Literal["", "ec2"] = ""
    mover: Mapping[str, Any] = Field(default_factory=dict[str, Any])
    pause: Duration = 30_000 * MS
    runs: int = Field(default=1, ge=1, le=99)

    @field_validator("version", mode="before")
    @classmethod
    def _number(cls, value: object) -> object:
        return int(value) if isinstance(value, str) and value.isdigit() else value

    @field_validator("preempt", "group", "tls", "signed", "clocks", mode="before")
    @classmethod
    def _flag(cls, value: object) -> object:
        return _FLAGS.get(value.lower(), value) if isinstance(value, str) else value

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if not self.webs and (self.probe != "icmp" or self.tls):
            raise ValueError("the http probes and tls need web servers; set webs to 1 or more")
        if self.group and self.networks < 2:
            raise ValueError("group is about two networks; set networks to 2")
        if self.wrong_key and not self.signed:
            raise ValueError("wrong_key is about authentication; set signed to true")
        if self.mover and not self.cloud:
            raise ValueError("mover is about an elastic address; set cloud to ec2")
        known = {check.name for check in self.checks}
        for track in self.track:
            if track.check not in known:
                raise ValueError(f"track: no check is called {track.check!r}")
        return self

    def names(self) -> tuple[str, ...]:
        """The names of the nodes."""
        return tuple(f"n{number}" for number in range(1, self.nodes + 1))

    def web_names(self) -> tuple[str, ...]:
        """The names of the web servers."""
        return tuple(f"w{number}" for number in range(1, self.webs + 1))

    @property
    def pace_ns(self) -> int:
        """Nanoseconds between two probes."""
        return self.pace or PACE_NS[self.probe]

    def topology(self) -> Topology:
        """What is to be built."""
        return Topology(
            nodes=self.names(),
            webs=self.webs,
            access_switches=self.access_switches,
            networks=self.networks,
            service_time_ms=self.service_time // MS,
            tls=self.tls,
            clocks=self.clocks,
            cloud=bool(self.cloud),
        )

    def service(self, node: str | None = None) -> Service:
        """What is asked of the agents, or of that of one node, which may have another key."""
        return Service(
            family=self.family,
            version=self.version,
            transport=self.transport,
            interval_ms=self.interval // MS,
            preempt=self.preempt,
            checks=self.checks,
            track=self.track,
            routers=self.routers,
            group=self.group,
            mover=Mover(f"{self.cloud}-elastic-ip", {**_ELASTIC_IP, **self.mover}) if self.cloud else None,
            key="" if not self.signed else _OTHER_KEY if node and node == self.wrong_key else _KEY,
        )
