"""A mover against a cloud on loopback: the preset as it is, with its hosts replaced by that one server."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

from tests.movers.bare import Bare, bare_host
from tests.movers.fakes.providers import Provider
from tests.movers.fakes.server import Server, serving
from vrrpd.config.spec import PeerSpec
from vrrpd.errands import CannotStartError
from vrrpd.movers.base import Host
from vrrpd.movers.http.declared import Api, HttpCommon
from vrrpd.movers.http.engine import HttpMover
from vrrpd.movers.http.presets import KINDS, Preset


class Opener(Bare):
    """Opens files that the agent may not open itself."""

    def __init__(self, files: Mapping[str, int]) -> None:
        super().__init__()
        self._files = files

    async def open(self, path: str) -> int:
        if path not in self._files:
            raise CannotStartError("it was not in the configuration when the agent started; restart the agent")
        return self._files[path]


def lb1(programs: Opener | None = None, look: Callable[[], None] = lambda: None) -> Host:
    """The node that movers are tried on; `lb2` is its peer."""
    peers = (PeerSpec("lb2", (IPv4Address("10.0.0.12"),), 240),)
    return bare_host(addresses=(IPv4Address("10.0.0.11"),), peers=peers, programs=programs or Opener({}), look=look)


@dataclass
class Tried:
    """A mover, the cloud it speaks to, and where its secret is; `another` makes one like it."""

    another: Callable[[], HttpMover]
    mover: HttpMover
    cloud: Provider
    server: Server
    secret: Path

    @property
    def asked(self) -> list[str]:
        """What the cloud was asked, in order."""
        return [str(request) for request in self.server.asked]

    def forget(self) -> None:
        """Count requests from here on."""
        self.server.asked.clear()


def written(cloud: Provider, secret: Path, *, ids: bool = True, **more: Any) -> dict[str, Any]:
    """Options as the file has them."""
    options: dict[str, Any] = {**cloud.options, **more}
    if cloud.secret_option:
        options[cloud.secret_option] = f"file:{secret}"
    if ids and not cloud.by_address:
        options[cloud.node_option] = {"lb1": cloud.me, "lb2": cloud.peer}
    return options


def on_loopback(declaration: dict[str, Any], port: int) -> Api:
    """A declaration whose hosts are all one server, but for those on loopback already, and that looks often."""
    text = re.sub(r"https?://(?!127\.0\.0\.1)[^/\"]+", f"http://127.0.0.1:{port}", json.dumps(declaration))
    moved = json.loads(text)
    for step in moved["acquire"]:
        if "until" in step:
            step["every"] = "50ms"
    return Api.model_validate(moved)


@asynccontextmanager
async def trying(
    cloud: Provider,
    folder: Path,
    *,
    ids: bool = True,
    patient: bool = False,
    look: Callable[[], None] = lambda: None,
    **more: Any,
) -> AsyncGenerator[Tried]:
    """A mover of the cloud's kind on the node `lb1`; a patient one waits between changes as it is declared."""
    secret = folder / "secret"
    secret.write_text(cloud.secret + "\n")
    options: Preset = KINDS[cloud.kind].options.validate_python(written(cloud, secret, ids=ids, **more))
    async with serving(cloud) as server:
        declaration: dict[str, Any] = {"nodes": dict(options.ids), **options.declaration()}
        if not patient:
            for step in declaration["acquire"]:
                step.pop("apart", None)
        another = partial(HttpMover, on_loopback(declaration, server.port), options, lb1(look=look))
        mover = another()
        try:
            yield Tried(another, mover, cloud, server, secret)
        finally:
            await mover.aclose()


@asynccontextmanager
async def declared(cloud: Any, declaration: dict[str, Any], options: HttpCommon) -> AsyncGenerator[Tried]:
    """A mover of a declaration in full, on the node `lb1`."""
    async with serving(cloud) as server:
        another = partial(HttpMover, on_loopback(declaration, server.port), options, lb1())
        mover = another()
        try:
            yield Tried(another, mover, cloud, server, Path("/dev/null"))
        finally:
            await mover.aclose()
