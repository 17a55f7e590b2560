"""What all movers of EC2 are told: which network interface, which region, which endpoint; and EC2's kinds of names."""

from __future__ import annotations

import re
from collections.abc import Mapping
from ipaddress import IPv4Address, IPv6Address, ip_network
from typing import Annotated, Any, ClassVar, Self, TypeAlias
from urllib.parse import urlsplit

from pydantic import Field, model_validator

from vrrpd.config import scalars
from vrrpd.config.model import names_nodes
from vrrpd.config.scalars import Scalar, Shorthand
from vrrpd.config.words import plain_error, quote
from vrrpd.movers.base import CommonOptions
from vrrpd.movers.web import is_near
from vrrpd.proto.settings import Address

_TEXT = {"type": "string"}


def resource_id(prefix: str, option: str) -> Scalar:
    """What EC2 calls a thing of one kind, such as eni-0123456789abcdef0."""

    def read(text: str) -> str:
        if not re.fullmatch(f"{prefix}-[0-9a-z]{{1,40}}", text):
            raise plain_error(f"{quote(text)} is no {option}", f"write one such as {prefix}-0123456789abcdef0")
        return text

    return Scalar(read, f"{prefix}-0123456789abcdef0", {"type": "string", "pattern": f"^{prefix}-[0-9a-z]+$"})


def region_name() -> Scalar:
    """A region of AWS."""

    def read(text: str) -> str:
        if re.fullmatch(r"[a-z]+(-[a-z]+)+-[0-9]+[a-z]", text):
            raise plain_error(f"{quote(text)} is an availability zone", f"write its region, {quote(text[:-1])}")
        if not re.fullmatch(r"[a-z]+(-[a-z]+)+-[0-9]+", text):
            raise plain_error(f"{quote(text)} is no region of AWS", "write one such as eu-west-1")
        return text

    return Scalar(read, "eu-west-1", dict(_TEXT))


def service_url() -> Scalar:
    """Where the API is: a host, a port, no path; in the clear only where nobody else listens."""

    def read(text: str) -> str:
        example = "write one such as https://ec2.eu-west-1.amazonaws.com"
        if not re.fullmatch(r"https?://[!-.0-~]+/?", text):
            raise plain_error(f"{quote(text)} is no URL of an API", example)
        try:
            parts = urlsplit(text)
            sound = bool(parts.hostname) and parts.port != 0 and not ({"@", "?", "#"} & {*text})
        except ValueError:
            sound = False
        if not sound:
            raise plain_error(f"{quote(text)} is no URL of an API", example)
        if text.startswith("http:") and not is_near(text):
            raise plain_error(f"{quote(text)} is not encrypted", "write https://; http:// is for this host or its link")
        return f"{text.rstrip('/')}/"

    return Scalar(read, "https://ec2.eu-west-1.amazonaws.com", {"type": "string", "pattern": "^https?://"})


def file_path() -> Scalar:
    """Path of a file."""

    def read(text: str) -> str:
        if not text.startswith("/") or text.endswith("/"):
            raise plain_error(f"{quote(text)} is no absolute path of a file", "write one that begins with /")
        return text

    return Scalar(read, "/etc/ssl/ca.pem", {"type": "string", "pattern": "^/.*[^/]$"})


def address_of(family: type[IPv4Address] | type[IPv6Address]) -> Scalar:
    """An address of one family that one host can have."""
    example = "10.0.0.100" if family is IPv4Address else "2001:db8::100"
    any_address = scalars.own_address()

    def read(text: str) -> Address:
        address: Address = any_address.read(text)
        if not isinstance(address, family):
            raise plain_error(f"{quote(text)} is of the other family", f"write one such as {example}")
        return address

    return Scalar(read, example, dict(_TEXT))


def network() -> Scalar:
    """The destination of a route; an address alone is a network of one."""

    def read(text: str) -> str:
        try:
            return str(ip_network(text))
        except ValueError as error:
            mend = "clear the bits behind the prefix" if "host bits" in str(error) else "write one such as 10.9.9.9/32"
            raise plain_error(f"{quote(text)} is no destination of a route", mend) from None

    return Scalar(read, "10.9.9.9/32", dict(_TEXT))


def one_for_all(value: Any) -> Any:
    """One value is the same for all nodes (`config.model.for_node`)."""
    return {"": value} if isinstance(value, str) else value


RouteTableId: TypeAlias = Annotated[str, resource_id("rtb", "id of a route table")]
NetworkInterfaceId: TypeAlias = Annotated[str, resource_id("eni", "id of a network interface")]
PrivateAddress: TypeAlias = Annotated[IPv4Address, address_of(IPv4Address)]


class Ec2Options(CommonOptions):
    """Options of every mover of EC2."""

    COMPARES: ClassVar[str | None] = "EC2 can move this on no condition"
    """Why `takeover: compare` is impossible, None where it is not."""

    RELEASES: ClassVar[str | None] = None
    """Why `release: on_stop` is impossible, None where it is not."""

    network_interface_id: Annotated[
        dict[str, NetworkInterfaceId] | None,
        Shorthand(one_for_all, _TEXT),
        Field(
            description="the network interface of this node, eni-..., or a map of node to that (default: the one with "
            "the MAC address of the router's interface)"
        ),
    ] = None
    region: Annotated[
        str | None, region_name(), Field(description="region of AWS (default: that of this instance)")
    ] = None
    endpoint_url: Annotated[
        str | None, service_url(), Field(description="where the API of EC2 is (default: that of the region)")
    ] = None
    ca: Annotated[
        str | None,
        file_path(),
        Field(description="file of the certificates to trust, in PEM form (default: those of the system)"),
    ] = None

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if self.takeover == "compare" and self.COMPARES:
            raise ValueError(f"{self.COMPARES}; leave 'takeover' out")
        if self.release == "on_stop" and self.RELEASES:
            raise ValueError(f"{self.RELEASES}; leave 'release' out")
        ids = [*(self.network_interface_id or {}).values()]
        if len({*ids}) < len(ids):
            raise ValueError("two nodes have the same 'network_interface_id'; each has its own")
        return self


def interfaces_of(options: Ec2Options) -> dict[str, tuple[str, ...]]:
    """The nodes whose network interface is said, as `Kind.names` says it; "" for one that would be all nodes'."""
    return {"network_interface_id": (*options.network_interface_id,)} if options.network_interface_id else {}


def named(**options: Mapping[str, object] | None) -> dict[str, tuple[str, ...]]:
    """The names of nodes in the options that are maps of nodes."""
    return {key: tuple(values) for key, values in options.items() if values is not None and names_nodes(values)}
