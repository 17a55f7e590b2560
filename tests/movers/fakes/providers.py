"""Nine clouds on loopback, each as its public documentation says: URLs, names of fields, status codes, slow actions.

One server plays the API, the service that gives out tokens and the metadata service of the node `lb1`. What is told
apart by its host in real life is told apart by its path here.
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, ClassVar

import trio

from tests.movers.fakes.server import CutError, Request, Response

UUID = "cb676a46-66fd-4dfb-b839-443f2e6c0b60"
SECRETS = ("t0k3n-0f-th3-t3st5", "4n0th3r-t0k3n")


@dataclass
class Fault:
    """What goes wrong, with requests that begin so."""

    begins: str
    response: Response | None
    """What is answered instead; None: the connection breaks."""
    times: int = 1
    applied: bool = False
    """The request is carried out all the same."""


class Provider:
    """What clouds have in common."""

    kind: str
    options: ClassVar[dict[str, str]]
    """As the file has them, without the secret."""
    secret_option = "token"
    me, peer, foreign = "11", "12", "99"
    by_address = False
    """Nodes are known by their address."""
    node_option: str
    first: str
    """The first change of a move."""

    @property
    def bringing(self) -> str:
        """The change that brings it here."""
        return self.first

    def __init__(self) -> None:
        self.holder: str | None = self.peer
        self.secret = SECRETS[0]
        self.refuses = False
        """Whatever the credentials are."""
        self.refusals = 0
        """How often it said 401."""
        self.faults: list[Fault] = []
        self.slow = 2
        """How often an action is looked at until it is done."""
        self.failing = 0
        """How many actions fail."""
        self.moves: list[str] = []
        self._looks = 0
        self._wanted: Callable[[], None] | None = None
        self._failed = False

    async def __call__(self, request: Request) -> Response:
        await trio.lowlevel.checkpoint()
        for fault in self.faults:
            if fault.times and str(request).startswith(fault.begins):
                fault.times -= 1
                if fault.applied:
                    self.answer(request)
                if fault.response is None:
                    raise CutError
                return fault.response
        metadata = self.metadata(request)
        if metadata is not None:
            return metadata
        if not self.knows(request) or self.refuses:
            self.refusals += 1
            return Response(401, {"message": f"I do not know {request.headers.get('authorization')}"})
        return self.answer(request)

    def knows(self, request: Request) -> bool:
        return request.headers.get("authorization") == f"Bearer {self.secret}"

    def metadata(self, _request: Request) -> Response | None:
        return None

    def answer(self, request: Request) -> Response:
        raise NotImplementedError

    def move(self, node: object) -> None:
        self.holder = str(node) if node is not None else None
        self.moves.append(str(node))

    def begin(self, node: object) -> None:
        """An action that takes a while."""
        self._looks, self._wanted, self._failed = 0, (lambda: self.move(node)), self.failing > 0
        self.failing -= self._failed

    def look(self) -> str:
        """What becomes of it."""
        self._looks += 1
        if self._looks < self.slow:
            return "running"
        if self._failed:
            return "failed"
        if self._wanted is not None:
            self._wanted()
            self._wanted = None
        return "done"


def number(node: str | None) -> int | None:
    return None if node is None else int(node)


class Hetzner(Provider):
    kind, node_option = "hetzner", "server"
    options: ClassVar = {"floating_ip": "42"}
    first = "POST /v1/floating_ips/42/actions/assign"
    unassign = "POST /v1/floating_ips/42/actions/unassign"
    keeps = False
    """It is not taken from who has it."""

    def metadata(self, request: Request) -> Response | None:
        return Response(200, "11\n") if request.path == "/hetzner/v1/metadata/instance-id" else None

    def answer(self, request: Request) -> Response:
        match str(request):
            case "GET /v1/floating_ips/42":
                return Response(200, {"floating_ip": {"id": 42, "server": number(self.holder)}})
            case self.unassign:
                self.begin(None)
                return Response(201, {"action": {"id": 7, "status": "running"}})
            case self.first:
                assert type(request.json["server"]) is int
                if self.holder is not None and (self.keeps or self.holder == str(request.json["server"])):
                    code = "floating_ip_assigned"
                    return Response(422, {"error": {"code": code, "message": "the floating IP is already assigned"}})
                self.begin(request.json["server"])
                return Response(201, {"action": {"id": 7, "status": "running"}})
            case "GET /v1/actions/7":
                status = {"running": "running", "failed": "error", "done": "success"}[self.look()]
                error = {"code": "action_failed", "message": "Action failed"} if status == "error" else None
                return Response(200, {"action": {"id": 7, "status": status, "error": error}})
            case _:
                return Response(404, {"error": {"code": "not_found", "message": "not found"}})


class HetznerRobot(Provider):
    kind, node_option, secret_option = "hetzner-robot", "server_ip", "password"
    options: ClassVar = {"failover_ip": "192.0.2.7", "user": "#ws+robot"}
    me, peer, foreign = "10.0.0.11", "10.0.0.12", "10.0.0.99"
    by_address = True
    first = "POST /failover/192.0.2.7"

    def knows(self, request: Request) -> bool:
        pair = b64encode(f"#ws+robot:{self.secret}".encode()).decode()
        return request.headers.get("authorization") == f"Basic {pair}"

    def answer(self, request: Request) -> Response:
        match str(request):
            case "GET /failover/192.0.2.7":
                return Response(200, {"failover": {"ip": "192.0.2.7", "active_server_ip": self.holder}})
            case self.first:
                assert request.headers["content-type"] == "application/x-www-form-urlencoded"
                node = request.form["active_server_ip"]
                if node == self.holder:
                    error = {"status": 409, "code": "FAILOVER_ALREADY_ROUTED", "message": "Failover already routed"}
                    return Response(409, {"error": error})
                self.move(node)
                return Response(200, {"failover": {"ip": "192.0.2.7", "active_server_ip": node}})
            case _:
                return Response(404, {"error": {"status": 404, "code": "NOT_FOUND", "message": "not found"}})


class DigitalOcean(Provider):
    kind, node_option = "digitalocean", "droplet"
    options: ClassVar = {"reserved_ip": "192.0.2.7"}
    first = "POST /v2/reserved_ips/192.0.2.7/actions"

    def metadata(self, request: Request) -> Response | None:
        return Response(200, "11") if request.path == "/metadata/v1/id" else None

    def answer(self, request: Request) -> Response:
        match str(request):
            case "GET /v2/reserved_ips/192.0.2.7":
                droplet = None if self.holder is None else {"id": int(self.holder)}
                return Response(200, {"reserved_ip": {"ip": "192.0.2.7", "droplet": droplet}})
            case self.first:
                assert request.json["type"] == "assign"
                self.begin(request.json["droplet_id"])
                return Response(201, {"action": {"id": 7, "status": "in-progress"}})
            case "GET /v2/reserved_ips/192.0.2.7/actions/7":
                status = {"running": "in-progress", "failed": "errored", "done": "completed"}[self.look()]
                return Response(200, {"action": {"id": 7, "status": status}})
            case _:
                return Response(404, {"id": "not_found", "message": "The resource was not found."})


class Linode(Provider):
    kind, node_option = "linode", "linode"
    options: ClassVar = {"address": "192.0.2.7"}
    first = "POST /v4/networking/ips/assign"

    def metadata(self, request: Request) -> Response | None:
        match str(request):
            case "PUT /v1/token" if request.headers.get("metadata-token-expiry-seconds") == "3600":
                return Response(200, "m3t4d4t4")
            case "GET /v1/instance" if request.headers.get("metadata-token") == "m3t4d4t4":
                assert request.headers["accept"] == "application/json"
                return Response(200, {"id": 11, "region": "us-east"})
            case "PUT /v1/token" | "GET /v1/instance":
                return Response(401, "")
            case _:
                return None

    def answer(self, request: Request) -> Response:
        match str(request):
            case "GET /v4/networking/ips/192.0.2.7":
                return Response(200, {"address": "192.0.2.7", "region": "us-east", "linode_id": number(self.holder)})
            case self.first:
                assert request.json["region"] == "us-east"
                [assignment] = request.json["assignments"]
                assert assignment["address"] == "192.0.2.7"
                self.move(assignment["linode_id"])
                return Response(200, {})
            case _:
                return Response(404, {"errors": [{"reason": "Not found"}]})


def uuid(number: int) -> str:
    return f"{UUID[:-2]}{number}"


class Vultr(Provider):
    kind, node_option, secret_option = "vultr", "instance", "api_key"
    options: ClassVar = {"reserved_ip": UUID}
    me, peer, foreign = uuid(11), uuid(12), uuid(99)
    first = f"POST /v2/reserved-ips/{UUID}/detach"
    attach = f"POST /v2/reserved-ips/{UUID}/attach"

    @property
    def bringing(self) -> str:
        return self.attach

    def metadata(self, request: Request) -> Response | None:
        return Response(200, {"instance-v2-id": uuid(11)}) if request.path == "/v1.json" else None

    def answer(self, request: Request) -> Response:
        match str(request):
            case text if text == f"GET /v2/reserved-ips/{UUID}":
                return Response(200, {"reserved_ip": {"id": UUID, "instance_id": self.holder or ""}})
            case self.first:
                if self.holder is None:
                    return Response(400, {"error": "Reserved IP is not attached", "status": 400})
                self.move(None)
                return Response(204)
            case self.attach:
                if self.holder is not None:
                    return Response(400, {"error": "Reserved IP is already attached", "status": 400})
                self.move(request.json["instance_id"])
                return Response(204)
            case _:
                return Response(404, {"error": "Invalid reserved-ip", "status": 404})


class Scaleway(Provider):
    kind, node_option, secret_option = "scaleway", "server", "secret_key"
    options: ClassVar = {"ip": UUID, "zone": "fr-par-1"}
    me, peer, foreign = uuid(11), uuid(12), uuid(99)
    first = f"PATCH /instance/v1/zones/fr-par-1/ips/{UUID}"

    def knows(self, request: Request) -> bool:
        return request.headers.get("x-auth-token") == self.secret

    def metadata(self, request: Request) -> Response | None:
        return Response(200, {"id": uuid(11), "name": "lb1"}) if request.target == "/conf?format=json" else None

    def answer(self, request: Request) -> Response:
        if request.path != self.first.split()[1]:
            return Response(404, {"type": "not_found", "message": "resource is not found"})
        if request.method == "PATCH":
            self.move(request.json["server"])
        server = None if self.holder is None else {"id": self.holder, "name": "it"}
        return Response(200, {"ip": {"id": UUID, "server": server}})


class OpenStack(Provider):
    kind, node_option, secret_option = "openstack", "port", "secret"
    options: ClassVar = {
        "floating_ip": UUID,
        "auth_url": "https://keystone.test:5000/v3/",
        "network_url": "https://neutron.test:9696",
        "application_credential": "app1",
    }
    me, peer, foreign = uuid(11), uuid(12), uuid(99)
    first = f"PUT /v2.0/floatingips/{UUID}"
    token = "k3yst0n3-1"

    def __init__(self) -> None:
        super().__init__()
        self.revision = 5
        self.given = 0

    def knows(self, request: Request) -> bool:
        return request.headers.get("x-auth-token") == self.token

    def metadata(self, request: Request) -> Response | None:
        if str(request) != "POST /v3/auth/tokens":
            return None
        identity = request.json["auth"]["identity"]
        known = {"methods": ["application_credential"], "application_credential": {"id": "app1", "secret": self.secret}}
        if identity != known:
            return Response(
                401, {"error": {"code": 401, "message": "The request you have made requires authentication."}}
            )
        self.given += 1
        self.token = f"k3yst0n3-{self.given}"
        return Response(201, {"token": {"methods": ["application_credential"]}}, {"X-Subject-Token": self.token})

    def move(self, node: object) -> None:
        super().move(node)
        self.revision += 1

    def answer(self, request: Request) -> Response:
        if request.path != self.first.split()[1]:
            return Response(404, {"NeutronError": {"type": "FloatingIPNotFound", "message": "could not be found."}})
        if request.method == "PUT":
            condition = request.headers.get("if-match")
            if condition is not None and condition != f"revision_number={self.revision}":
                return Response(412, {"NeutronError": {"message": "Constrained to another revision"}})
            self.move(request.json["floatingip"]["port_id"])
        address = {"id": UUID, "port_id": self.holder, "revision_number": self.revision}
        return Response(200, {"floatingip": address})


class AzureRoute(Provider):
    kind, node_option = "azure-route", "next_hop_ip"
    route = "/subscriptions/S/resourceGroups/G/providers/Microsoft.Network/routeTables/T/routes/R"
    options: ClassVar = {"route": route}
    secret_option = ""
    me, peer, foreign = "10.0.0.11", "10.0.0.12", "10.0.0.99"
    by_address = True
    first = f"PUT {route}"

    def __init__(self) -> None:
        super().__init__()
        self.etag = 1
        self.state = "Succeeded"

    def metadata(self, request: Request) -> Response | None:
        if request.path != "/metadata/identity/oauth2/token":
            return None
        if (
            request.headers.get("metadata") != "true"
            or "resource=https%3A%2F%2Fmanagement.azure.com%2F" not in request.target
        ):
            return Response(400, {"error": "invalid_request"})
        return Response(200, {"access_token": self.secret, "expires_in": "86399", "token_type": "Bearer"})

    def answer(self, request: Request) -> Response:
        if request.path != self.route or "api-version=" not in request.target:
            return Response(404, {"error": {"code": "NotFound", "message": "Resource not found."}})
        if request.method == "PUT":
            condition = request.headers.get("if-match")
            if condition is not None and condition != f'W/"{self.etag}"':
                return Response(
                    412, {"error": {"code": "PreconditionFailed", "message": "Etag provided does not match."}}
                )
            wanted = request.json["properties"]
            assert wanted["addressPrefix"] == "10.99.0.1/32"
            assert wanted["nextHopType"] == "VirtualAppliance"
            self.begin(wanted["nextHopIpAddress"])
            self.etag += 1
            self.state = "Updating"
        elif self.state == "Updating":
            self.state = {"running": "Updating", "failed": "Failed", "done": "Succeeded"}[self.look()]
        properties = {
            "addressPrefix": "10.99.0.1/32",
            "nextHopType": "VirtualAppliance",
            "nextHopIpAddress": self.holder,
            "provisioningState": self.state,
        }
        return Response(200, {"name": "R", "etag": f'W/"{self.etag}"', "properties": properties})


@dataclass
class Operation:
    """What Compute Engine does for a while."""

    done: Callable[[], None]
    fails: bool
    looks: int = field(default=0)


class GcpRoute(Provider):
    kind, node_option = "gcp-route", "next_hop_ip"
    route = "/compute/v1/projects/p/global/routes/r"
    options: ClassVar = {"route": "projects/p/global/routes/r", "network": "default", "dest_range": "10.99.0.1/32"}
    secret_option = ""
    me, peer, foreign = "10.0.0.11", "10.0.0.12", "10.0.0.99"
    by_address = True
    first = f"DELETE {route}"
    insert = "POST /compute/v1/projects/p/global/routes"

    @property
    def bringing(self) -> str:
        return self.insert

    def __init__(self) -> None:
        super().__init__()
        self.operations: list[Operation] = []
        self.priority = 1000
        self.instance_tags: list[str] = []

    def metadata(self, request: Request) -> Response | None:
        if request.path != "/computeMetadata/v1/instance/service-accounts/default/token":
            return None
        if request.headers.get("metadata-flavor") != "Google":
            return Response(403, "")
        return Response(200, {"access_token": self.secret, "expires_in": 3599, "token_type": "Bearer"})

    def answer(self, request: Request) -> Response:
        missing = Response(
            404, {"error": {"code": 404, "message": "The resource 'projects/p/global/routes/r' was not found"}}
        )
        match str(request):
            case text if text == f"GET {self.route}":
                return missing if self.holder is None else Response(200, {"name": "r", "nextHopIp": self.holder})
            case self.first:
                return missing if self.holder is None else self._begun(lambda: self.move(None))
            case self.insert:
                if self.holder is not None:
                    return Response(409, {"error": {"code": 409, "message": "The resource 'r' already exists"}})
                network = "projects/p/global/networks/default"
                expected = {"name": "r", "network": network, "destRange": "10.99.0.1/32"}
                made: dict[str, Any] = {"priority": 1000, **request.json}  # as the API does
                node, self.priority = made.pop("nextHopIp"), made.pop("priority")
                self.instance_tags = made.pop("tags", [])
                assert made == expected
                return self._begun(lambda: self.move(node))
            case text if found := re.fullmatch(r"GET /compute/v1/projects/p/global/operations/operation-(\d+)", text):
                return self._looked_at(int(found[1]))
            case _:
                return Response(404, {"error": {"code": 404, "message": "not found"}})

    def _begun(self, done: Callable[[], None]) -> Response:
        self.operations.append(Operation(done, self.failing > 0))
        self.failing -= self.operations[-1].fails
        return Response(200, {"name": f"operation-{len(self.operations) - 1}", "status": "RUNNING"})

    def _looked_at(self, number: int) -> Response:
        operation = self.operations[number]
        operation.looks += 1
        answer: dict[str, Any] = {"name": f"operation-{number}", "status": "RUNNING"}
        if operation.looks >= self.slow:
            answer["status"] = "DONE"
            if operation.fails:
                answer["error"] = {"errors": [{"code": "RESOURCE_NOT_READY", "message": "The resource is not ready"}]}
            elif operation.looks == self.slow:
                operation.done()
        return Response(200, answer)


def all_providers() -> Iterator[type[Provider]]:
    yield from (
        Hetzner, HetznerRobot, DigitalOcean, Linode, Vultr, Scaleway, OpenStack, AzureRoute, GcpRoute
    )  # fmt: skip
