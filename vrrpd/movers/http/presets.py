"""Nine clouds by name: what each declares, so that the file has its ids and the place of a token.

    kind            moves                        to                   takes (the provider's word, or a report)
    hetzner         a floating IP                a server             no number; an action that is waited for
    hetzner-robot   a failover IP                a dedicated server   40..60 s (Hetzner Docs)
    digitalocean    a reserved IP                a droplet            no number; an action that is waited for
    linode          an address                   a linode             no number
    vultr           a reserved IP                an instance          no number; two calls, and a gap between them
    scaleway        a flexible IP                an instance          no number
    openstack       a floating IP                a port               no number
    azure-route     a route of a route table     a private address    about 10 s (reported by users)
    gcp-route       a static route               a private address    two operations, one after the other

Options have the provider's own words. What a node is called there is asked of the provider's metadata service, or is
its address; where the file says it, nobody is asked. None of this was ever run against a real cloud: it follows the
public documentation of each, and fakes that do.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Annotated, Any, Final

from pydantic import Field, TypeAdapter

from vrrpd.config import scalars
from vrrpd.config.scalars import Shorthand, one_is_a_list
from vrrpd.movers.base import HOUR, MINUTE, Host, Kind, Mover
from vrrpd.movers.http import full
from vrrpd.movers.http.engine import HttpMover
from vrrpd.movers.http.preset import (
    Addresses,
    IpAddress,
    Number,
    Numbers,
    Preset,
    ServiceUrl,
    Slow,
    Uuid,
    Uuids,
    Word,
    like,
)
from vrrpd.movers.secrets import SecretPlace
from vrrpd.proto.timers import MS, SECOND

_METADATA: Final = "http://169.254.169.254"


class Hetzner(Preset):
    """Options of `hetzner`: a floating IP of Hetzner Cloud."""

    node_key, thing_key = "server", "floating_ip"

    floating_ip: Number = Field(description="number (id) of the floating IP")
    token: SecretPlace = Field(description="place of an API token of the project, with the right to write")
    server: Numbers = Field(default={}, description="node -> number of its server (default: from the metadata service)")

    def declaration(self) -> dict[str, Any]:
        """As the Hetzner Cloud API has it: moved in one change, and made free first only where it refuses that."""
        done = {"until": {"action.status": "success"}, "fail": {"action.status": "error"}}
        return {
            "base": "https://api.hetzner.cloud/v1",
            "auth": {"bearer": str(self.token)},
            "self": {"get": f"{_METADATA}/hetzner/v1/metadata/instance-id"},
            "holder": {"get": f"/floating_ips/{self.floating_ip}", "pick": "floating_ip.server"},
            "acquire": [
                {
                    "post": f"/floating_ips/{self.floating_ip}/actions/unassign",
                    "if_refused": "true",
                    "save": {"unassigning": "action.id"},
                },
                {"get": "/actions/{unassigning}", "if_refused": "true", **done},
                {
                    "post": f"/floating_ips/{self.floating_ip}/actions/assign",
                    "json": {"server": "{self|int}"},
                    "save": {"action": "action.id"},
                },
                {"get": "/actions/{action}", **done},
            ],
        }


class HetznerRobot(Slow):
    """Options of `hetzner-robot`: a failover IP of dedicated servers.

    Three refused logins lock this machine's address out for ten minutes; a failover IP may be asked for a hundred times
    an hour and switched fifty times, and a switch may take three minutes to be answered: all of that is kept.
    """

    node_key, thing_key = "server_ip", "failover_ip"

    failover_ip: IpAddress = Field(description="the failover IP")
    user: str = Field(min_length=1, pattern="^[!-z|~]+$", description="user of the Robot webservice")
    password: SecretPlace = Field(description="place of that user's password")
    server_ip: Addresses = Field(
        default={}, description="node -> main address of its server (default: its own address in the router's network)"
    )
    call_timeout: Annotated[
        int, scalars.duration(100 * MS, 10 * MINUTE), Field(description="how long one call may take (default 190s)")
    ] = 190 * SECOND
    timeout: Annotated[
        int,
        scalars.duration(100 * MS, 10 * MINUTE),
        Field(description="how long one attempt may take (default 200s)"),
    ] = 200 * SECOND
    deadline: Annotated[
        int,
        scalars.duration(SECOND, HOUR),
        Field(description="how long an Active may be without it before on_deadline (default 5m)"),
    ] = 5 * MINUTE

    def declaration(self) -> dict[str, Any]:
        """As the Robot webservice has it."""
        failover = f"/failover/{self.failover_ip}"
        return {
            "base": "https://robot-ws.your-server.de",
            "auth": {"basic": {"user": self.user, "password": str(self.password)}, "lockout": "10m"},
            "self": "address",
            "holder": {"get": failover, "pick": "failover.active_server_ip", "every": "90s"},
            "acquire": [
                {
                    "post": failover,
                    "form": {"active_server_ip": "{self}"},
                    "ok": "409 FAILOVER_ALREADY_ROUTED",
                    "apart": "75s",
                }
            ],
        }


class DigitalOcean(Preset):
    """Options of `digitalocean`: a reserved IP."""

    node_key, thing_key = "droplet", "reserved_ip"

    reserved_ip: IpAddress = Field(description="the reserved IP")
    token: SecretPlace = Field(description="place of an API token that may write reserved IPs")
    droplet: Numbers = Field(
        default={}, description="node -> number of its droplet (default: from the metadata service)"
    )

    def declaration(self) -> dict[str, Any]:
        """As the DigitalOcean API has it."""
        return {
            "base": "https://api.digitalocean.com/v2",
            "auth": {"bearer": str(self.token)},
            "self": {"get": f"{_METADATA}/metadata/v1/id"},
            "holder": {"get": f"/reserved_ips/{self.reserved_ip}", "pick": "reserved_ip.droplet.id"},
            "acquire": [
                {
                    "post": f"/reserved_ips/{self.reserved_ip}/actions",
                    "json": {"type": "assign", "droplet_id": "{self|int}"},
                    "save": {"action": "action.id"},
                },
                {
                    "get": f"/reserved_ips/{self.reserved_ip}/actions/{{action}}",
                    "until": {"action.status": "completed"},
                    "fail": {"action.status": "errored"},
                },
            ],
        }


class Linode(Preset):
    """Options of `linode`: an address that is no shared one."""

    node_key, thing_key = "linode", "address"

    address: IpAddress = Field(description="the address")
    token: SecretPlace = Field(description="place of a token with ips:read_write and linodes:read_write")
    linode: Numbers = Field(default={}, description="node -> number of its linode (default: from the metadata service)")

    def declaration(self) -> dict[str, Any]:
        """As the Linode API has it; its metadata service wants a token of its own first."""
        return {
            "base": "https://api.linode.com/v4",
            "auth": {"bearer": str(self.token)},
            "self": [
                {
                    "put": f"{_METADATA}/v1/token",
                    "headers": {"Metadata-Token-Expiry-Seconds": "3600"},
                    "save": {"metadata": "."},
                },
                {
                    "get": f"{_METADATA}/v1/instance",
                    "headers": {"Metadata-Token": "{metadata}", "Accept": "application/json"},
                    "pick": "id",
                },
            ],
            "holder": {"get": f"/networking/ips/{self.address}", "pick": "linode_id", "save": {"region": "region"}},
            "acquire": [
                {
                    "post": "/networking/ips/assign",
                    "json": {
                        "region": "{region}",
                        "assignments": [{"address": self.address, "linode_id": "{self|int}"}],
                    },
                }
            ],
        }


class Vultr(Preset):
    """Options of `vultr`: a reserved IP; it is detached from where it is, then attached here."""

    node_key, thing_key = "instance", "reserved_ip"

    reserved_ip: Uuid = Field(description="id of the reserved IP")
    api_key: SecretPlace = Field(
        description="place of an API key; the address of this machine must be allowed to use it"
    )
    instance: Uuids = Field(default={}, description="node -> id of its instance (default: from the metadata service)")

    def declaration(self) -> dict[str, Any]:
        """As version 2 of the Vultr API has it."""
        reserved = f"/reserved-ips/{self.reserved_ip}"
        return {
            "base": "https://api.vultr.com/v2",
            "auth": {"bearer": str(self.api_key)},
            "self": {"get": f"{_METADATA}/v1.json", "pick": "instance-v2-id"},
            "holder": {"get": reserved, "pick": "reserved_ip.instance_id"},
            "acquire": [
                {"post": f"{reserved}/detach", "if_held": "true", "ok": ["400", "404"]},
                {"post": f"{reserved}/attach", "json": {"instance_id": "{self}"}},
            ],
        }


class Scaleway(Preset):
    """Options of `scaleway`: a flexible IP of instances."""

    node_key, thing_key = "server", "ip"

    ip: Uuid = Field(description="id of the flexible IP")
    zone: Word = Field(description="its zone, such as fr-par-1")
    secret_key: SecretPlace = Field(description="place of the secret key of an API key")
    server: Uuids = Field(default={}, description="node -> id of its instance (default: from the metadata service)")

    def declaration(self) -> dict[str, Any]:
        """As the Instances API of Scaleway has it."""
        address = f"/zones/{self.zone}/ips/{self.ip}"
        return {
            "base": "https://api.scaleway.com/instance/v1",
            "auth": {"header": {"X-Auth-Token": str(self.secret_key)}},
            "self": {"get": "http://169.254.42.42/conf?format=json", "pick": "id"},
            "holder": {"get": address, "pick": "ip.server.id"},
            "acquire": [{"patch": address, "json": {"server": "{self}"}}],
        }


class OpenStack(Preset):
    """Options of `openstack`: a floating IP of Neutron.

    An address of a private network needs no mover: allow it on both ports (allowed_address_pairs), and it moves as on
    any LAN.
    """

    node_key, thing_key = "port", "floating_ip"

    floating_ip: Uuid = Field(description="id of the floating IP")
    port: Uuids = Field(min_length=1, description="node -> id of its port")
    auth_url: ServiceUrl = Field(description="URL of Keystone")
    network_url: ServiceUrl = Field(description="URL of Neutron: openstack endpoint list --service network")
    application_credential: Word = Field(description="id of an application credential")
    secret: SecretPlace = Field(description="place of its secret")
    ca: str | None = Field(
        default=None, pattern="^/", description="file of the certificates to trust, in PEM form (default: the system's)"
    )

    def declaration(self) -> dict[str, Any]:
        """As Keystone and Neutron have it; Neutron takes a change on condition of a revision."""
        known = {"id": self.application_credential, "secret": "{secret}"}
        address = f"/v2.0/floatingips/{self.floating_ip}"
        condition = {"If-Match": "revision_number={token}"}
        return {
            "base": self.network_url,
            **({} if self.ca is None else {"ca": self.ca}),
            "auth": {
                "header": {
                    "X-Auth-Token": {
                        "exchange": {
                            "post": f"{self.auth_url}/v3/auth/tokens",
                            "json": {
                                "auth": {
                                    "identity": {
                                        "methods": ["application_credential"],
                                        "application_credential": known,
                                    }
                                }
                            },
                            "secret": str(self.secret),
                            "pick": "header.x-subject-token",
                        }
                    }
                }
            },
            "holder": {"get": address, "pick": "floatingip.port_id", "save": {"token": "floatingip.revision_number"}},
            "acquire": [{"put": address, "json": {"floatingip": {"port_id": "{self}"}}, "headers": condition}],
            "release_steps": [{"put": address, "json": {"floatingip": {"port_id": "{null}"}}, "headers": condition}],
        }


class AzureRoute(Slow):
    """Options of `azure-route`: the next hop of a route that exists; the identity is that of the virtual machine."""

    node_key, thing_key = "next_hop_ip", "route"

    route: Annotated[
        str,
        like(
            "/subscriptions/[^/{}?#%]+/resourceGroups/[^/{}?#%]+/providers/Microsoft.Network/routeTables/[^/{}?#%]+/routes/[^/{}?#%]+",
            "resource id of a route",
            "/subscriptions/S/resourceGroups/G/providers/Microsoft.Network/routeTables/T/routes/R",
        ),
    ] = Field(description="resource id of the route")
    next_hop_ip: Addresses = Field(
        default={}, description="node -> private address (default: its own address in the router's network)"
    )
    client_id: Uuid | None = Field(
        default=None, description="client id of a user-assigned identity (default: that of the machine)"
    )

    def declaration(self) -> dict[str, Any]:
        """As the Azure Resource Manager has it."""
        route = f"{self.route}?api-version=2024-05-01"
        identity = f"{_METADATA}/metadata/identity/oauth2/token?api-version=2018-02-01"
        whose = f"&client_id={self.client_id}" if self.client_id else ""
        return {
            "base": "https://management.azure.com",
            "auth": {
                "bearer": {
                    "exchange": {
                        "get": f"{identity}&resource=https%3A%2F%2Fmanagement.azure.com%2F{whose}",
                        "headers": {"Metadata": "true"},
                        "pick": "access_token",
                    }
                }
            },
            "self": "address",
            "holder": {
                "get": route,
                "pick": "properties.nextHopIpAddress",
                "save": {"prefix": "properties.addressPrefix", "token": "etag"},
            },
            "acquire": [
                {
                    "put": route,
                    "json": {
                        "properties": {
                            "addressPrefix": "{prefix}",
                            "nextHopType": "VirtualAppliance",
                            "nextHopIpAddress": "{self}",
                        }
                    },
                    "headers": {"If-Match": "{token}"},
                },
                {
                    "get": route,
                    "until": {"properties.provisioningState": "Succeeded"},
                    "fail": {"properties.provisioningState": "Failed"},
                },
            ],
        }


class GcpRoute(Slow):
    """Options of `gcp-route`: a static route, which is deleted and made anew; the identity is that of the instance."""

    node_key, thing_key = "next_hop_ip", "route"

    route: Annotated[
        str, like("projects/[a-z0-9:.-]+/global/routes/[a-z0-9-]+", "route", "projects/P/global/routes/R")
    ] = Field(description="the route, as projects/P/global/routes/R")
    network: Word = Field(description="name of its VPC network")
    dest_range: Annotated[str, like("[0-9a-fA-F.:]+/[0-9]{1,3}", "range", "10.99.0.1/32")] = Field(
        description="where it leads: a range outside the subnets"
    )
    priority: Annotated[
        int,
        scalars.number(0, 65535),
        Field(description="of the route: the lowest wins (default 1000, as Google's own)"),
    ] = 1000
    tags: Annotated[
        tuple[Word, ...],
        Shorthand(one_is_a_list, {"type": "string"}),
        Field(description="network tags of the instances that use the route (default: all instances)"),
    ] = ()
    next_hop_ip: Addresses = Field(
        default={}, description="node -> private address (default: its own address in the router's network)"
    )

    def declaration(self) -> dict[str, Any]:
        """As version 1 of the Compute Engine API has it."""
        project, name = self.route.split("/")[1], self.route.rpartition("/")[2]
        operation = f"/projects/{project}/global/operations"
        done = {"until": {"status": "DONE"}, "fail": {"error": "*"}}
        made = {
            "name": name,
            "network": f"projects/{project}/global/networks/{self.network}",
            "destRange": self.dest_range,
            "priority": f"{{{self.priority}|int}}",
            "nextHopIp": "{self}",
            **({"tags": list(self.tags)} if self.tags else {}),
        }
        return {
            "base": "https://compute.googleapis.com/compute/v1",
            "auth": {
                "bearer": {
                    "exchange": {
                        "get": f"{_METADATA}/computeMetadata/v1/instance/service-accounts/default/token",
                        "headers": {"Metadata-Flavor": "Google"},
                        "pick": "access_token",
                    }
                }
            },
            "self": "address",
            "holder": {"get": f"/{self.route}", "pick": "nextHopIp", "ok": "404"},
            "acquire": [
                {"delete": f"/{self.route}", "if_held": "true", "ok": "404", "save": {"deletion": "name"}},
                {"get": f"{operation}/{{deletion}}", "if_held": "true", **done},
                {"post": f"/projects/{project}/global/routes", "json": made, "save": {"creation": "name"}},
                {"get": f"{operation}/{{creation}}", **done},
            ],
        }


def _names(options: Preset) -> Mapping[str, Sequence[str]]:
    return {options.node_key: tuple(options.ids)} if options.ids else {}


def _build(options: Preset, host: Host) -> Mover:
    return HttpMover(options.api(), options, host)


def _kind(options: type[Preset]) -> Kind:
    return Kind(
        TypeAdapter(options),
        _build,
        names=_names,
        things=lambda found: (found.thing,),
        errands=lambda found: full.errands(found.api()),
        inspect=lambda found: full.inspect(found.api()),
    )


KINDS: Final[Mapping[str, Kind]] = MappingProxyType(
    {
        "hetzner": _kind(Hetzner),
        "hetzner-robot": _kind(HetznerRobot),
        "digitalocean": _kind(DigitalOcean),
        "linode": _kind(Linode),
        "vultr": _kind(Vultr),
        "scaleway": _kind(Scaleway),
        "openstack": _kind(OpenStack),
        "azure-route": _kind(AzureRoute),
        "gcp-route": _kind(GcpRoute),
    }
)
