"""The metadata service of a machine, version 2 only: a token first, then what the machine may know of itself.

Who asks is told by the port that it came to, or by its address. A token request whose answer has further to go than
the machine's hop limit is never answered, as one from a container; what comes without a good token is refused at once.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from secrets import token_urlsafe

import trio

from netns_lab.cloud.server import Answer, Request
from netns_lab.cloud.world import Card, Machine, World

_TOKEN_PATH = "/latest/api/token"  # noqa: S105  a path
_LONGEST = 21600
ROLE = "router"
"""The role that every machine has."""


@dataclass
class Metadata:
    """The metadata services of all machines.

    Attributes:
        world: what they tell of; called for each answer.
        clock: seconds.
        ports: port of ours -> name of a machine.
        credentials_s: how long credentials last that are handed out.
        tokens: how many were handed out.
    """

    world: Callable[[], World]
    clock: Callable[[], float]
    ports: dict[int, str] = field(default_factory=dict[int, str])
    credentials_s: float = 6 * 3600
    tokens: int = 0
    _ends: dict[str, tuple[str, float]] = field(default_factory=dict[str, tuple[str, float]])

    def who(self, request: Request) -> str | None:
        """The name of the machine that asks; None for a stranger."""
        if name := self.ports.get(request.port):
            return name
        machines = self.world().machines
        return next((name for name, machine in machines.items() if machine.source == request.source), None)

    async def answer(self, request: Request) -> Answer:
        """Answer a request of a machine."""
        name = self.who(request)
        if name is None:
            return Answer(404)
        machine = self.world().machines[name]
        path = request.path.rstrip("/")
        if path == _TOKEN_PATH:
            return await self._token(name, machine, request)
        token = request.headers.get("x-aws-ec2-metadata-token", "")
        owner, end = self._ends.get(token, ("", 0.0))
        if owner != name or self.clock() >= end:
            return Answer(401)
        text = self._text(machine, path.removeprefix("/latest/"))
        return Answer(404) if text is None else Answer(200, text.encode(), {"Content-Type": "text/plain"})

    async def _token(self, name: str, machine: Machine, request: Request) -> Answer:
        if request.method != "PUT":
            return Answer(405)
        if machine.hops > machine.hop_limit:
            await trio.sleep_forever()
        said = request.headers.get("x-aws-ec2-metadata-token-ttl-seconds", "")
        if not said.isdecimal() or not 1 <= int(said) <= _LONGEST or "x-forwarded-for" in request.headers:
            return Answer(400)
        token = token_urlsafe(32)
        self._ends[token] = (name, self.clock() + int(said))
        self.tokens += 1
        return Answer(200, token.encode(), {"X-Aws-Ec2-Metadata-Token-Ttl-Seconds": said})

    def _text(self, machine: Machine, path: str) -> str | None:
        """What stands under a path."""
        world = self.world()
        if path.startswith("meta-data/network/interfaces/macs"):
            return self._cards(world, machine, path.split("/")[4:])
        card = machine.cards[0]
        zone = world.subnets[world.cards[card].subnet].zone
        said = {
            "meta-data/instance-id": machine.id,
            "meta-data/mac": world.cards[card].mac,
            "meta-data/local-ipv4": world.cards[card].private[0],
            "meta-data/public-ipv4": next((e.public for e in world.elastic.values() if e.card == card), None),
            "meta-data/placement/region": world.region,
            "meta-data/placement/availability-zone": zone,
            "dynamic/instance-identity/document": json.dumps(
                {"instanceId": machine.id, "region": world.region, "availabilityZone": zone}
            ),
        }
        if machine.key:
            said["meta-data/iam/security-credentials"] = ROLE
            said[f"meta-data/iam/security-credentials/{ROLE}"] = self._credentials(machine)
        return said.get(path)

    def _credentials(self, machine: Machine) -> str:
        now = datetime.now(UTC)
        end = now + timedelta(seconds=self.credentials_s)
        said = {
            "Code": "Success",
            "LastUpdated": f"{now:%Y-%m-%dT%H:%M:%SZ}",
            "Type": "AWS-HMAC",
            "AccessKeyId": machine.key,
            "SecretAccessKey": f"secret-of-{machine.key}",
            "Token": f"session-of-{machine.key}",
            "Expiration": f"{end:%Y-%m-%dT%H:%M:%SZ}",
        }
        return json.dumps(said)

    def _cards(self, world: World, machine: Machine, path: list[str]) -> str | None:
        cards = {world.cards[number].mac: (number, world.cards[number]) for number in machine.cards}
        match path:
            case []:
                return "\n".join(f"{mac}/" for mac in cards)
            case [mac, *what] if mac in cards:
                return _of_card(world, *cards[mac], "/".join(what))
            case _:
                return None


def _of_card(world: World, number: str, card: Card, what: str) -> str | None:
    """What is told of a card; lines where there are several values, None where there is none."""
    said = {
        "interface-id": [number],
        "mac": [card.mac],
        "device-number": ["0"],
        "local-ipv4s": card.private,
        "public-ipv4s": [one.public for one in world.elastic.values() if one.card == number],
        "ipv6s": card.ipv6,
        "subnet-id": [card.subnet],
        "subnet-ipv4-cidr-block": [world.subnets[card.subnet].ipv4],
        "vpc-id": ["vpc-1"],
    }
    if not what:
        return "\n".join(said)
    return "\n".join(said.get(what, [])) or None
