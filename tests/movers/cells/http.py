"""Declared APIs: the nine clouds by name, and one in full."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager

from tests.movers.fakes.harness import lb1, trying
from tests.movers.fakes.providers import AzureRoute, Hetzner, OpenStack, Provider, all_providers
from tests.movers.fakes.providers import Fault as Wrong
from tests.movers.fakes.server import Response, serving
from tests.movers.stage import Cell, Desk, Fault, Stage
from vrrpd.movers.base import Who
from vrrpd.movers.registry import KINDS

ALWAYS = 1000
ANSWERS: Mapping[Fault, Response | None] = {
    Fault.UNAVAILABLE: Response(503, {"message": "later"}),
    Fault.THROTTLED: Response(429, {"message": "too many calls"}),
    Fault.CUT: None,
}
STEPS = {"gcp-route": 2, "vultr": 2, "openstack": 2}  # the last: once more with a new token, where the old has run out
ALWAYS_HELD = {"azure-route", "hetzner-robot"}


def _hand(cloud: Provider, who: str | None) -> None:
    """Somebody else changes it; where the cloud counts changes, this is one."""
    cloud.holder = who
    if isinstance(cloud, AzureRoute):
        cloud.etag += 1
    if isinstance(cloud, OpenStack):
        cloud.revision += 1


def _cell(provider: type[Provider]) -> Cell:
    @asynccontextmanager
    async def cell(desk: Desk) -> AsyncGenerator[Stage]:
        cloud = provider()
        cloud.slow = 1
        async with trying(cloud, desk.folder) as tried:

            def give(who: str | None) -> Callable[[], None]:
                return lambda: _hand(cloud, who)

            def fail(answer: Response | None) -> Callable[[], None]:
                return lambda: cloud.faults.append(Wrong("", answer, times=ALWAYS))

            def refuse() -> None:
                cloud.refuses = True

            hands = {Who.PEER: give(cloud.peer), Who.FOREIGN: give(cloud.foreign)}
            if cloud.kind not in ALWAYS_HELD:
                hands[Who.NOBODY] = give(None)
            faults = {fault: fail(answer) for fault, answer in ANSWERS.items()}
            yield Stage(
                tried.mover,
                asked=lambda: [one for one in tried.asked if "auth" not in one],
                changes=lambda: [one for one in tried.asked if not one.startswith("GET") and "auth" not in one],
                give=hands,
                faults={**faults, Fault.UNAUTHENTICATED: refuse},
                steps=STEPS.get(cloud.kind, 1),
                secrets=(cloud.secret,),
            )

    return cell


@asynccontextmanager
async def declared(desk: Desk) -> AsyncGenerator[Stage]:
    """A declaration in full."""
    cloud = Hetzner()
    cloud.slow = 1
    (desk.folder / "token").write_text(cloud.secret)
    async with serving(cloud) as server:
        here = f"http://127.0.0.1:{server.port}"
        change = "/v1/floating_ips/42/actions/assign"
        options = {
            "base": here,
            "auth": {"bearer": {"file": str(desk.folder / "token")}},
            "self": {"get": f"{here}/hetzner/v1/metadata/instance-id"},
            "nodes": {"lb2": cloud.peer},
            "holder": {"get": "/v1/floating_ips/42", "pick": "floating_ip.server"},
            "acquire": [
                {"post": change, "json": {"server": "{self|int}"}, "save": {"id": "action.id"}},
                {"get": "/v1/actions/{id}", "until": {"action.status": "success"}, "every": "50ms"},
            ],
        }
        mover = KINDS["http"].build(KINDS["http"].options.validate_python(options), lb1())
        yield Stage(
            mover,
            asked=lambda: [str(one) for one in server.asked],
            changes=lambda: [str(one) for one in server.asked if one.method != "GET"],
            give={
                Who.PEER: lambda: cloud.move(cloud.peer),
                Who.FOREIGN: lambda: cloud.move(cloud.foreign),
                Who.NOBODY: lambda: cloud.move(None),
            },
            secrets=(cloud.secret,),
        )
        await mover.aclose()


CELLS: dict[str, Cell] = {provider.kind: _cell(provider) for provider in all_providers()} | {"http": declared}
