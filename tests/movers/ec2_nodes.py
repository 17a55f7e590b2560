"""Nodes of a fake EC2, as its movers are told of them."""

from __future__ import annotations

import http.client
import time
from collections.abc import Sequence
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

import pytest

from netns_lab.cloud.ec2 import FakeEc2
from tests.movers.bare import bare_host
from vrrpd.config.spec import PeerSpec
from vrrpd.movers.base import Holder, Host, Interface, Mover
from vrrpd.movers.registry import KINDS
from vrrpd.proto.settings import Address

NODES = {"n1": "10.0.0.11", "n2": "10.0.0.12"}


def mac(node: str) -> str:
    return f"02:88:00:00:00:{10 + int(node[1:]):02x}"


def host(node: str = "n1", *, shared: Sequence[str] = (), card: str | None = None) -> Host:
    """What a mover is told of one of the two nodes; `card` is another MAC address, "" for no interface."""
    own = mac(node) if card is None else card
    interface = Interface("eth0", 2, own) if own else None
    peers = tuple(PeerSpec(name, (_address(address),), None) for name, address in NODES.items() if name != node)
    return bare_host(
        node,
        addresses=(_address(NODES.get(node, "10.0.0.99")),),
        shared=tuple(_address(address) for address in shared),
        peers=peers,
        interface=lambda: interface,
    )


def bare_posts(url: str, count: int) -> list[float]:
    """How long bare requests take, ready to be sent, on one connection; seconds each."""
    where = urlsplit(url)
    connection = http.client.HTTPConnection(where.hostname or "", where.port)
    found: list[float] = []
    for _ in range(count):
        started = time.perf_counter()
        connection.request("POST", "/", b"Action=AssociateAddress", {"Authorization": "none"})
        connection.getresponse().read()
        found.append(time.perf_counter() - started)
    connection.close()
    return found


def _address(text: str) -> Address:
    return ip_address(text)


def build(kind: str, options: dict[str, Any], told: Host) -> Mover:
    """A mover of a kind, from options as the file would have them."""
    return KINDS[kind].build(KINDS[kind].options.validate_python(options), told)


class Cloud:
    """The fake EC2 and its nodes' movers; each has the credentials and the metadata service of its own machine."""

    def __init__(self, fake: FakeEc2, patch: pytest.MonkeyPatch) -> None:
        self.fake = fake
        self.made: list[Mover] = []
        self._patch = patch

    def act_as(self, node: str, secret: str = "secret") -> None:
        """Be on a node: what is built and prepared from now on finds its metadata service and credentials."""
        self._patch.setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", self.fake.metadata_url(node))
        self._patch.setenv("AWS_ACCESS_KEY_ID", f"KEY-{node}")
        self._patch.setenv("AWS_SECRET_ACCESS_KEY", secret)

    def make(self, kind: str, node: str = "n1", *, told: Host | None = None, **options: Any) -> Mover:
        """A mover of a node, which is told that it is that node; closed after the test."""
        self.act_as(node)
        self.made.append(build(kind, {"endpoint_url": self.fake.url, **options}, told or host(node)))
        return self.made[-1]

    async def ready(self, kind: str, node: str = "n1", *, told: Host | None = None, **options: Any) -> Mover:
        """The same, prepared."""
        mover = self.make(kind, node, told=told, **options)
        await mover.prepare()
        return mover

    @property
    def actions(self) -> list[str]:
        """What was asked of the API, dry runs apart."""
        return [one.action for one in self.fake.requests if "DryRun" not in one.parameters]

    @property
    def changes(self) -> list[str]:
        """What was changed, or tried to be."""
        return [action for action in self.actions if not action.startswith("Describe")]


def seen(holder: Holder) -> tuple[str, str | None, str | None]:
    """Who, which network interface, which node."""
    return str(holder.who), holder.id, holder.peer
